"""Who am I, and the sign-in that django-rest-knox's documentation shows."""

from django.contrib.auth.models import User
from django.urls import path
from knox.views import LoginView
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.serializers import ModelSerializer


class UserSerializer(ModelSerializer):
    """A user as others see one."""

    class Meta:
        """Of Django's own user, who has no website."""

        model = User
        fields = ["id", "first_name", "last_name", "email"]


class Me(RetrieveAPIView):
    """Who am I?"""

    serializer_class = UserSerializer

    def get_object(self):
        return self.request.user


class SignIn(LoginView):
    """Gives a token for a name and a password."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request, format=None):
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        # The documentation calls login(), which makes a session besides; nobody needs one here.
        request.user = serializer.validated_data["user"]
        return super().post(request, format)


urlpatterns = [path("users/me", Me.as_view()), path("token", SignIn.as_view())]
