"""The interface of an OAuth2 client under test, and a Tokenhouse server with the accounts that the
clients need: an administrator, an app, and users."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests

from support.server import PASSWORD, ROOT, defaults, registration, running

# Seconds.
RESPONSE_TIMEOUT = 10

# A public client needs no id, but some libraries require one.
CLIENT_ID = "any-app"


@dataclass(frozen=True)
class Setup:
    """The configuration of a client."""

    base: str
    email: str
    password: str
    # The static key, which is the secret of the introspecting client.
    secret: str
    # An API key with the scope `introspect`.
    app_key: str

    @property
    def token_endpoint(self) -> str:
        return f"{self.base}/token"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.base}/revoke"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.base}/introspect"

    @property
    def me(self) -> str:
        return f"{self.base}/users/me"


class Refused(Exception):
    """A refusal as the client reports it: the status, if known, and the error code."""

    def __init__(self, status: int | None, error: str | None) -> None:
        super().__init__(f"refused: status {status}, error {error}")
        self.status, self.error = status, error


class Client(Protocol):
    """A client, and the last token that it received."""

    name: str
    # Whether it reports the challenge of a 401 and ignores the body, which has the error code.
    stops_at_challenge: bool

    def __init__(self, setup: Setup) -> None: ...

    def sign_in(self, scope: str | None = None) -> dict:
        """Signs in with the password grant and returns the token response."""

    def read_me(self) -> dict:
        """Reads /users/me with the token."""

    def revoke(self) -> None:
        """Revokes the token at the revocation endpoint."""

    def introspect(self, token: str) -> dict:
        """Introspects a token as a client with a secret."""

    def introspect_with_key(self, token: str) -> dict:
        """Introspects a token as an app with an API key."""


def challenge_error(challenge: str | None) -> str | None:
    """Returns the error code in the value of WWW-Authenticate."""
    found = re.search(r'error="([^"]*)"', challenge or "")
    return found and found[1]


ADMINISTRATOR = "administrator@example.com"

# The scopes of each user.
SCOPES = ["orders:read", "orders:write"]

# Seconds.
CREATE_TIMEOUT = 60


def build(binary: Path) -> None:
    """Builds the release binary unless --binary names another one."""
    if binary == ROOT / "target" / "release" / "tokenhouse":
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)


@dataclass(frozen=True)
class Service:
    """A running Tokenhouse."""

    base: str
    static_key: str
    # Whether /token uses RFC 6749's statuses.
    strict: bool
    # The token of an administrator.
    administrator: str

    def setup(self, client: str) -> Setup:
        """Creates a user with SCOPES and the API key of an app for a client."""
        # A client that does not encode its form gets the plus sign wrong.
        email = f"{client}+test@example.com"
        self.create_user(email, SCOPES)
        app = f"app.{client}@example.com"
        self.create_user(app, ["introspect"])
        body = {"name": "app", "scopes": "introspect"}
        key = self.post("/users/me/keys", self.sign_in(app), body)["key"]
        return Setup(self.base, email, PASSWORD, self.static_key, key)

    def create_user(self, email: str, scopes: list[str]) -> None:
        body = {**registration(email), "scopes": " ".join(scopes)}
        self.post("/admin/users", self.administrator, body)

    def sign_in(self, email: str) -> str:
        return sign_in(self.base, email)

    def log_out(self, token: str) -> None:
        """Ends a token without the knowledge of its client."""
        response = requests.post(
            f"{self.base}/logout", headers=bearer(token), timeout=RESPONSE_TIMEOUT
        )
        response.raise_for_status()

    def accepts(self, token: str) -> bool:
        """Whether /users/me accepts the token."""
        response = requests.get(
            f"{self.base}/users/me", headers=bearer(token), timeout=RESPONSE_TIMEOUT
        )
        if response.status_code not in (200, 401):
            response.raise_for_status()
        return response.status_code == 200

    def post(self, path: str, token: str, body: dict) -> dict:
        response = requests.post(
            f"{self.base}{path}", json=body, headers=bearer(token), timeout=RESPONSE_TIMEOUT
        )
        if response.status_code != 201:
            raise RuntimeError(f"{path}: {response.status_code} {response.text}")
        return response.json()


@contextlib.contextmanager
def serving(binary: Path, static_key: str, strict: bool) -> Iterator[Service]:
    """Runs a server until the block ends, with an administrator created on the command line."""
    with tempfile.TemporaryDirectory(prefix="tokenhouse-oauth-") as folder:
        settings = {
            **defaults(folder),
            "API_KEY_TOKEN": static_key,
            "TOKENHOUSE_OAUTH_STRICT_STATUS": str(strict).lower(),
        }
        create_administrator(binary, folder, settings)
        with running(binary, **settings) as base:
            yield Service(base, static_key, strict, sign_in(base, ADMINISTRATOR))


def create_administrator(binary: Path, folder: str, settings: dict[str, str]) -> None:
    create = ["user", "create", ADMINISTRATOR, "--name", "Administrator"]
    # Only a holder can grant a scope of the service itself.
    scopes = [word for scope in ["users:write", "introspect", *SCOPES] for word in ("--scope", scope)]
    subprocess.run(
        [binary.resolve(), *create, *scopes],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        input=PASSWORD,
        stdout=subprocess.DEVNULL,
        text=True,
        timeout=CREATE_TIMEOUT,
        check=True,
    )


def sign_in(base: str, email: str) -> str:
    form = {"username": email, "password": PASSWORD}
    response = requests.post(f"{base}/token", data=form, timeout=RESPONSE_TIMEOUT)
    response.raise_for_status()
    return response.json()["access_token"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
