"""Tokenhouse with the people that the clients need: an administrator, an app, and users."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from support.oauth.client import ANSWERS_WITHIN, Setup
from support.server import PASSWORD, defaults, registration, running
from support.venv import ROOT

ADMINISTRATOR = "administrator@example.com"

# What each user holds.
SCOPES = ["orders:read", "orders:write"]

# Seconds.
CREATED_WITHIN = 60


def build(binary: Path) -> None:
    """Brings the release binary up to date, unless another one is meant."""
    if binary == ROOT / "target" / "release" / "tokenhouse":
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)


@dataclass(frozen=True)
class Service:
    """A running Tokenhouse."""

    base: str
    static_key: str
    # Whether /token refuses with RFC 6749's statuses.
    strict: bool
    # The token of one who may create users.
    administrator: str

    def setup(self, client: str) -> Setup:
        """A new user with SCOPES, and a new app's key, for that client."""
        # A plus sign is what a client gets wrong when it does not encode its form.
        email = f"{client}+test@example.com"
        self.create_user(email, SCOPES)
        app = f"app.{client}@example.com"
        self.create_user(app, ["introspect"])
        wish = {"name": "app", "scopes": "introspect"}
        key = self.post("/users/me/keys", self.sign_in(app), wish)["key"]
        return Setup(self.base, email, PASSWORD, self.static_key, key)

    def create_user(self, email: str, scopes: list[str]) -> None:
        body = {**registration(email), "scopes": " ".join(scopes)}
        self.post("/admin/users", self.administrator, body)

    def sign_in(self, email: str) -> str:
        return sign_in(self.base, email)

    def log_out(self, token: str) -> None:
        """Ends a token behind the back of the client that has it."""
        answer = requests.post(
            f"{self.base}/logout", headers=bearer(token), timeout=ANSWERS_WITHIN
        )
        answer.raise_for_status()

    def accepts(self, token: str) -> bool:
        """Whether /users/me answers to that token."""
        answer = requests.get(
            f"{self.base}/users/me", headers=bearer(token), timeout=ANSWERS_WITHIN
        )
        if answer.status_code not in (200, 401):
            answer.raise_for_status()
        return answer.status_code == 200

    def post(self, path: str, token: str, body: dict) -> dict:
        answer = requests.post(
            f"{self.base}{path}", json=body, headers=bearer(token), timeout=ANSWERS_WITHIN
        )
        if answer.status_code != 201:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()


@contextlib.contextmanager
def serving(binary: Path, static_key: str, strict: bool) -> Iterator[Service]:
    """Serves until the block ends. The administrator comes from the command line."""
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
    # A scope of the service itself can only be given by who holds it.
    scopes = [word for scope in ["users:write", "introspect", *SCOPES] for word in ("--scope", scope)]
    subprocess.run(
        [binary.resolve(), *create, *scopes],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        input=PASSWORD,
        stdout=subprocess.DEVNULL,
        text=True,
        timeout=CREATED_WITHIN,
        check=True,
    )


def sign_in(base: str, email: str) -> str:
    form = {"username": email, "password": PASSWORD}
    answer = requests.post(f"{base}/token", data=form, timeout=ANSWERS_WITHIN)
    answer.raise_for_status()
    return answer.json()["access_token"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
