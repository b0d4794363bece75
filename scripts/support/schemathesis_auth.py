"""How schemathesis signs in: loaded by it, told where by scripts/schemathesis."""

import os

import schemathesis

from support.server import STATIC_KEY, sign_in

BASE = os.environ["TOKENHOUSE_BASE"]
EMAIL = os.environ["TOKENHOUSE_EMAIL"]


@schemathesis.auth(refresh_interval=None).apply_to(path=["/users/me", "/logout"])
class UserToken:
    """A new token for every request, since the one before may have been logged out with."""

    def get(self, case, context):
        return sign_in(BASE, EMAIL)

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(path=["/page", "/protected"])
class StaticKey:
    """The header of the tutorial's guarded routes."""

    def get(self, case, context):
        return STATIC_KEY

    def set(self, case, key, context):
        case.headers["Token"] = key
