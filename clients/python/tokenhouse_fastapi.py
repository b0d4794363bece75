"""FastAPI dependencies that authenticate every request with a Tokenhouse server.

    def notes(user: Annotated[User, Depends(current_user)]): ...
    def orders(user: Annotated[User, Depends(requires("orders:read"))]): ...
    def refunds(user: Annotated[User, Depends(requires("refunds", mfa=True, max_age=300))]): ...
    def orders(user: Annotated[User, Security(current_user, scopes=["orders:read"])]): ...

TOKENHOUSE_URL is the server. TOKENHOUSE_CLIENT_KEY is an API key with the scope `introspect`.
TOKENHOUSE_TOKEN_URL is where the app's /docs signs in (default: TOKENHOUSE_URL + "/token").
"""

import http.client
import json
import logging
import os
import re
import time
import urllib.parse
from collections.abc import Callable
from contextlib import closing
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer, SecurityScopes
from pydantic import BaseModel, Field

_URL = os.environ.get("TOKENHOUSE_URL", "http://127.0.0.1:8000").rstrip("/")
_SERVER = urllib.parse.urlsplit(_URL)
_CLIENT_KEY = os.environ["TOKENHOUSE_CLIENT_KEY"].strip()
_TIMEOUT = 5  # seconds; longer than the server's database timeout of 3
_MAX_RESPONSE = 64 * 1024  # bytes
_MAX_SKEW = 60  # seconds between the clocks of this machine and of the server
_MAX_FORM = 8 * 1024  # bytes; the server accepts no longer ones
# As the server. Other systems use the scheme `Token` too, with parameters: only what has the form of a
# login token, an API key or a token of Django (which ends in 32 hexadecimal digits or more) counts.
_SCHEMES = re.compile(
    r"(?i:bearer) \s*(\S.*)|(?i:token) \s*([\w-]{43}|tkh_.*|[\w-]*[0-9a-f]{32})", re.ASCII
)
_BLANKS = " \t\n\r\f"
_CHALLENGE = 'Bearer realm="tokenhouse"'

# For /docs only: they reject nothing. Credentials are read below.
_TOKEN_URL = os.environ.get("TOKENHOUSE_TOKEN_URL", f"{_URL}/token")
_oauth2 = OAuth2PasswordBearer(_TOKEN_URL, scopes={}, auto_error=False)
_header = APIKeyHeader(name="Token", auto_error=False)


class User(BaseModel):
    """The caller, and the scopes that both the user and the credential hold. An app that holds the
    required scopes is a caller too: it has its name in `app`, and no address."""

    id: int = Field(validation_alias="sub")
    email: str = Field(validation_alias="username")
    name: str
    scope: str
    # The id before the import to Tokenhouse, if it was not an integer.
    external_id: str | None = None
    app: str | None = Field(None, validation_alias="client_id")
    # The id of the session; an API key has none.
    sid: str | None = None
    # When the user entered the password, in seconds since 1970.
    auth_time: int | None = None
    # "mfa" if the user has signed in with a second factor.
    acr: str | None = None


def current_user(
    request: Request,
    required: SecurityScopes,
    _oauth2_in_docs: Annotated[str | None, Depends(_oauth2)],
    _header_in_docs: Annotated[str | None, Depends(_header)],
) -> User:
    """Returns the user. Raises 401 for invalid credentials, 403 without the scopes, 503 if the server
    does not respond. A plain `def`, so that FastAPI runs it in a thread."""
    user = _introspect(_find_credential(request))
    for scope in required.scopes:
        if scope not in user.scope.split():
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
            raise HTTPException(403, "Not enough permissions", {"WWW-Authenticate": challenge})
    if user.app is not None and not required.scopes:
        challenge = f'{_CHALLENGE}, error="insufficient_scope"'
        raise HTTPException(
            403, "Only a user may do this, not an app", {"WWW-Authenticate": challenge}
        )
    return user


def requires(
    *scopes: str, mfa: bool = False, max_age: int | None = None
) -> Callable[[User], User]:
    """Returns a dependency that requires these scopes of both the user and the credential; with `mfa`, a
    sign-in with a second factor; with `max_age`, one at most so many seconds ago. A request whose sign-in
    does not suffice gets 401 (RFC 9470). An API key fulfils neither."""
    # Offers them in the "Authorize" dialog of /docs.
    _oauth2.model.flows.password.scopes.update(dict.fromkeys(scopes, ""))

    def authorized(user: Annotated[User, Security(current_user, scopes=scopes)]) -> User:
        if mfa and user.acr != "mfa":
            raise _step_up('acr_values="mfa"')
        age = None if user.auth_time is None else time.time() - user.auth_time
        if max_age is not None and (age is None or not -_MAX_SKEW <= age <= max_age):
            raise _step_up(f'max_age="{max_age}"')
        return user

    return authorized


def _step_up(required: str) -> HTTPException:
    challenge = f'{_CHALLENGE}, error="insufficient_user_authentication", {required}'
    return HTTPException(401, "Sign in again", {"WWW-Authenticate": challenge})


def _find_credential(request: Request) -> str:
    schemes = map(_SCHEMES.fullmatch, request.headers.getlist("Authorization"))
    found = {(match[1] or match[2]).strip(_BLANKS) for match in schemes if match}
    found |= {value.strip(_BLANKS) for value in request.headers.getlist("Token")} - {""}
    if len(found) > 1:
        raise HTTPException(400, "Two different credentials in one request")
    if not found:
        raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": _CHALLENGE})
    return found.pop()


def _introspect(credential: str) -> User:
    try:
        form = _form_with(credential)
        response = _query(form) if form else {"active": False}
        if response["active"] is True:
            if "client_id" in response:
                response.setdefault("username", "")
            return User.model_validate(response)
        if response["active"] is not False:
            raise ValueError
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(repr(error)) from None
    except (ValueError, LookupError, TypeError):
        raise _unavailable("not a Tokenhouse server") from None
    challenge = f'{_CHALLENGE}, error="invalid_token"'
    raise HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": challenge})


def _form_with(credential: str) -> str | None:
    """The form of RFC 7662. None for what the server cannot read, which is no credential."""
    try:
        # The bytes of the header.
        form = urllib.parse.urlencode({"token": credential.encode("latin-1").decode()})
    except UnicodeError:
        return None
    return form if len(form) <= _MAX_FORM else None


def _query(form: str) -> dict:
    """Introspects a credential (RFC 7662). Follows no redirects and uses no proxy, so that the
    credential goes to the server only."""
    is_https = _SERVER.scheme == "https"
    connect = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
    bearer = {"Authorization": f"Bearer {_CLIENT_KEY}"}
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    with closing(connect(_SERVER.hostname, _SERVER.port, timeout=_TIMEOUT)) as connection:
        connection.request("POST", f"{_SERVER.path}/introspect", form, bearer | content)
        response = connection.getresponse()
        if response.status != 200:
            raise http.client.HTTPException(f"status {response.status}")
        return json.loads(response.read(_MAX_RESPONSE))


def _unavailable(reason: str) -> HTTPException:
    logging.getLogger(__name__).error("no valid response from %s: %s", _URL, reason)
    return HTTPException(503, "Service Unavailable", {"Retry-After": "1"})
