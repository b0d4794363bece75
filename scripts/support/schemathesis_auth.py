"""How schemathesis signs in: loaded by it, told where by scripts/schemathesis."""

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
    """Runs a command of the operator on the database of the server; gives its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], **defaults(folder), "DATABASE_URL": DATABASE}
        command = [BINARY, "user", *arguments]
        quiet = {"capture_output": True, "text": True, "input": PASSWORD}
        return subprocess.run(command, env=environment, cwd=folder, **quiet).returncode


def restore_administrator() -> None:
    """The requests delete and disable users, and take their scopes: also those of the one who
    sends them."""
    granted = [argument for scope in SCOPES for argument in ("--scope", scope)]
    if operator("create", EMAIL, "--name", "Administrator", *granted) != 0:
        operator("enable", EMAIL)
        operator("grant", EMAIL, *SCOPES)


@schemathesis.auth(refresh_interval=None).apply_to(
    path_regex="^/(users|admin|logout|verify|introspect|revoke)"
)
class AdministratorsToken:
    """A new token for every request, since the one before may have been logged out with."""

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
    """The header of the tutorial's guarded routes."""

    def get(self, case, context):
        return STATIC_KEY

    def set(self, case, key, context):
        case.headers["Token"] = key
