"""Credentials for schemathesis, which loads this module. scripts/openapi.py sets the environment."""

import os
import subprocess
import tempfile

import schemathesis

from support.server import PASSWORD, STATIC_KEY, defaults, sign_in

BASE = os.environ["TOKENHOUSE_BASE"]
BINARY = os.environ["TOKENHOUSE_BINARY"]
DATABASE = os.environ["TOKENHOUSE_DATABASE"]
EMAIL = os.environ["TOKENHOUSE_EMAIL"]
SCOPES = ["users:read", "users:write", "events:read", "introspect"]


def operator(*arguments: str) -> int:
    """Runs a `tokenhouse user` command on the server's database and returns its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], **defaults(folder), "DATABASE_URL": DATABASE}
        command = [BINARY, "user", *arguments]
        quiet = {"capture_output": True, "text": True, "input": PASSWORD}
        return subprocess.run(command, env=environment, cwd=folder, **quiet).returncode


def restore_administrator() -> None:
    """Recreates the administrator, whom the generated requests may delete, disable or strip of
    scopes."""
    scopes = [argument for scope in SCOPES for argument in ("--scope", scope)]
    if operator("create", EMAIL, "--name", "Administrator", *scopes) != 0:
        operator("enable", EMAIL)
        operator("grant", EMAIL, *SCOPES)


@schemathesis.auth(refresh_interval=None).apply_to(
    path_regex="^/(users|admin|logout|verify|introspect|revoke)"
)
class AdministratorToken:
    """A new token for every request, since the previous one may have been revoked."""

    def get(self, case, context):
        scope = " ".join(SCOPES)
        try:
            return sign_in(BASE, EMAIL, scope)
        except RuntimeError:
            restore_administrator()
            return sign_in(BASE, EMAIL, scope)

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(path=["/page", "/protected"])
class StaticKey:
    """The static key for the tutorial's guarded routes."""

    def get(self, case, context):
        return STATIC_KEY

    def set(self, case, key, context):
        case.headers["Token"] = key
