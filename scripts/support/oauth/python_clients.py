"""OAuth2 libraries for Python."""

import os
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client as AuthlibHttpxClient
from authlib.integrations.requests_client import OAuth2Session as AuthlibRequestsSession
from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

from support.oauth.service import CLIENT_ID, RESPONSE_TIMEOUT, Refused, Setup, challenge_error

# http instead of https, on the loopback interface.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
# Reject a token type that is not spelled as in RFC 6750.
os.environ["OAUTHLIB_STRICT_TOKEN_TYPE"] = "1"


class RequestsOauthlib:
    """requests-oauthlib. It has no method for introspection, so its session posts the form."""

    name = "requests-oauthlib"
    stops_at_challenge = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.session = OAuth2Session(client=LegacyApplicationClient(client_id=CLIENT_ID))

    def sign_in(self, scope: str | None = None) -> dict:
        setup = self.setup
        try:
            return self.session.fetch_token(
                setup.token_endpoint,
                username=setup.email,
                password=setup.password,
                # The password grant does not send the scope of the session.
                scope=scope and scope.split(),
                timeout=RESPONSE_TIMEOUT,
            )
        except OAuth2Error as error:
            raise Refused(None, error.error) from error

    def read_me(self) -> dict:
        return checked(self.session.get(self.setup.me, timeout=RESPONSE_TIMEOUT)).json()

    def revoke(self) -> None:
        client = LegacyApplicationClient(client_id=CLIENT_ID)
        token = self.session.token["access_token"]
        url, headers, body = client.prepare_token_revocation_request(
            self.setup.revocation_endpoint, token
        )
        checked(requests.post(url, headers=headers, data=body, timeout=RESPONSE_TIMEOUT))

    def introspect(self, token: str) -> dict:
        return self.introspect_as(requests.Session(), token, auth=(CLIENT_ID, self.setup.secret))

    def introspect_with_key(self, token: str) -> dict:
        return self.introspect_as(OAuth2Session(token=as_token(self.setup.app_key)), token)

    def introspect_as(self, session: requests.Session, token: str, **options: Any) -> dict:
        url, form = self.setup.introspection_endpoint, {"token": token}
        return checked(session.post(url, data=form, timeout=RESPONSE_TIMEOUT, **options)).json()


class AuthlibRequests:
    """Authlib over requests."""

    name = "authlib-requests"
    stops_at_challenge = False
    session_class: type = AuthlibRequestsSession

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.session = self.session_class(CLIENT_ID, timeout=RESPONSE_TIMEOUT)

    def sign_in(self, scope: str | None = None) -> dict:
        setup = self.setup
        options = {} if scope is None else {"scope": scope}
        try:
            return self.session.fetch_token(
                setup.token_endpoint, username=setup.email, password=setup.password, **options
            )
        except OAuthError as error:
            raise Refused(None, error.error) from error

    def read_me(self) -> dict:
        return checked(self.session.get(self.setup.me)).json()

    def revoke(self) -> None:
        endpoint = self.setup.revocation_endpoint
        checked(self.session.revoke_token(endpoint, token_type_hint="access_token"))

    def introspect(self, token: str) -> dict:
        app = self.session_class(CLIENT_ID, self.setup.secret, timeout=RESPONSE_TIMEOUT)
        return checked(app.introspect_token(self.setup.introspection_endpoint, token)).json()

    def introspect_with_key(self, token: str) -> dict:
        key = as_token(self.setup.app_key)
        app = self.session_class(CLIENT_ID, token=key, timeout=RESPONSE_TIMEOUT)
        endpoint = self.setup.introspection_endpoint
        return checked(app.introspect_token(endpoint, token, auth=app.token_auth)).json()


class AuthlibHttpx(AuthlibRequests):
    """Authlib over httpx."""

    name = "authlib-httpx"
    session_class = AuthlibHttpxClient


class AuthlibWithSecret(AuthlibRequests):
    """Authlib as a client with a secret, which it sends with every POST request."""

    name = "authlib-with-secret"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.session = self.session_class(CLIENT_ID, setup.secret, timeout=RESPONSE_TIMEOUT)

    def introspect(self, token: str) -> dict:
        return checked(
            self.session.introspect_token(self.setup.introspection_endpoint, token)
        ).json()


def as_token(key: str) -> dict:
    return {"access_token": key, "token_type": "Bearer"}


def checked(response: Any) -> Any:
    """Returns a successful response of requests or httpx."""
    if response.status_code >= 400:
        error = challenge_error(response.headers.get("WWW-Authenticate"))
        raise Refused(response.status_code, error or response.json().get("error"))
    return response
