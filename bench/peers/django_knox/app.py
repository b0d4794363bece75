"""A Django project for an API only: no sessions, no templates, no middleware for browsers.

    python app.py migrate        creates the tables
    gunicorn app                 serves
"""

# /// script
# dependencies = [
#     "asgiref==3.13.0",
#     "bcrypt==5.0.0",
#     "Django==5.2.19",
#     "django-rest-knox==5.1.0",
#     "djangorestframework==3.18.3",
#     "gunicorn==27.0.1",
#     "sqlparse==0.6.1",
# ]
# ///

import os
import secrets
import sys
from datetime import timedelta

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=secrets.token_urlsafe(32),
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "knox"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
            },
        }
    },
    # bcrypt with Django's default of 12 rounds instead of Django's default hash, PBKDF2.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.BCryptPasswordHasher"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    },
    REST_KNOX={"TOKEN_TTL": timedelta(days=1)},
)
django.setup()

# These imports need the settings.
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from knox.views import LoginView  # noqa: E402
from rest_framework.authtoken.serializers import AuthTokenSerializer  # noqa: E402
from rest_framework.generics import RetrieveAPIView  # noqa: E402
from rest_framework.permissions import AllowAny  # noqa: E402
from rest_framework.serializers import ModelSerializer  # noqa: E402


class UserSerializer(ModelSerializer):
    """The public fields of a user."""

    class Meta:
        """Django's own user model, which has no website."""

        model = User
        fields = ["id", "first_name", "last_name", "email"]


class Me(RetrieveAPIView):
    """Returns the authenticated user."""

    serializer_class = UserSerializer

    def get_object(self):
        return self.request.user


class SignIn(LoginView):
    """Issues a token for a user name and a password."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request, format=None):
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        # The documentation calls login(), which also creates a session; an API does not need one.
        request.user = serializer.validated_data["user"]
        return super().post(request, format)


urlpatterns = [path("users/me", Me.as_view()), path("token", SignIn.as_view())]

application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
