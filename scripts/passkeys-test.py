#!/usr/bin/env python3
"""Uses passkeys with an authenticator that others have written: the package soft-fido2.

    scripts/passkeys-test.py [--binary PATH]

Adds a passkey and signs in with it, after the password (TOKENHOUSE_PASSKEYS=second) and in place of it (first),
and authenticates again. A page of another origin, a user who was not verified, a signature that was sent before and
another key are refused. Prints a line per case. Needs a program with the feature passkeys. The first run installs
soft-fido2 into target/venvs/passkeys.
"""

import json
import sys
import tempfile
import urllib.parse
from pathlib import Path

from support.server import PASSWORD, argument_parser, enter_venv, register, running, send, sign_in

enter_venv("passkeys", ["soft-fido2==0.4.56"])

# This import needs the virtual environment.
from soft_fido2 import Fido2Authenticator  # noqa: E402

SITE = "https://auth.example"
GRANT = "urn:tokenhouse:grant-type:"


class Service:
    """A server with passkeys in a mode."""

    def __init__(self, base):
        self.base = base

    def post(self, path, body, token=None):
        return send("POST", f"{self.base}{path}", body, token)

    def token(self, grant, **fields):
        form = {"grant_type": f"{GRANT}{grant}", **fields}
        return self.post("/token", urllib.parse.urlencode(form))["access_token"]

    def mfa_token(self, email):
        """The token of a sign-in whose password is right."""
        form = urllib.parse.urlencode({"username": email, "password": PASSWORD})
        answer = refused(403, lambda: self.post("/token", form))
        return answer["mfa_token"]

    def add(self, token, authenticator, **said):
        """Adds the passkey of an authenticator."""
        new = self.post("/users/me/factors", {"kind": "webauthn"}, token)
        options = {**new["publicKey"], "origin": SITE}
        made = as_browser(authenticator.credential_create(options, atteStmtFmt="none", **said))
        return self.post(f"/users/me/factors/{new['id']}/confirm", {"credential": made}, token)

    def second_step(self, email, authenticator, origin=SITE, **said):
        waiting = self.mfa_token(email)
        asked = self.post("/mfa/webauthn/options", {"mfa_token": waiting})
        return self.token("mfa-webauthn", mfa_token=waiting, **signed(asked, authenticator, origin, **said))

    def sign_in(self, authenticator, origin=SITE, **said):
        asked = self.post("/passkeys/options", {})
        return self.token("passkey", **signed(asked, authenticator, origin, **said))

    def renew(self, token, authenticator, **said):
        asked = self.post("/users/me/reauthenticate/options", {}, token)
        answer = signed(asked, authenticator, SITE, **said)
        answer["credential"] = json.loads(answer["credential"])
        return self.post("/users/me/reauthenticate", answer, token)["access_token"]


def signed(asked, authenticator, origin, **said):
    """What a page of this origin sends of an authenticator that is asked."""
    options = {**asked["publicKey"], "origin": origin}
    credential = as_browser(authenticator.credential_request(options, **said))
    return {"challenge_id": asked["challenge_id"], "credential": json.dumps(credential)}


def as_browser(credential):
    """The credential as `toJSON()` of browsers writes it: base64 without padding, and these members."""
    response = {name: value.rstrip("=") for name, value in credential["response"].items()}
    key = credential["rawId"].rstrip("=")
    return {"id": key, "rawId": key, "type": credential["type"], "response": response, "clientExtensionResults": {}}


def refused(status, request):
    """Checks that a request is refused with this status, and returns the answer."""
    try:
        request()
    except RuntimeError as error:
        _, _, answer = str(error).partition(f": {status} ")
        if answer:
            return json.loads(answer)
        raise
    raise AssertionError(f"accepted instead of {status}")


def check(what, is_right):
    if not is_right:
        raise AssertionError(what)
    print(f"ok  {what}", flush=True)


def use_after_password(service):
    register(service.base, "ada@example.com")
    token = sign_in(service.base, "ada@example.com")
    key = Fido2Authenticator()
    added = service.add(token, key, uv=False)
    check("a passkey is added as the second factor", len(added["recovery_codes"]) == 10)
    service.second_step("ada@example.com", key, uv=False)
    check("it signs in after the password, without verification", True)
    fresh = service.second_step("ada@example.com", key, uv=True)
    check("it signs in after the password, with verification", True)
    service.renew(fresh, key, uv=False)
    check("it proves the user again", True)
    answer = refused(403, lambda: service.second_step("ada@example.com", key, "https://evil.example"))
    check("a page of another origin is refused", answer["error"] == "invalid_otp")
    other = Fido2Authenticator()
    other.userHandle, other.cib = key.userHandle, key.cib
    answer = refused(403, lambda: service.second_step("ada@example.com", other))
    check("another key is refused", answer["error"] == "invalid_otp")
    service.second_step("ada@example.com", key)


def use_alone(service):
    register(service.base, "ada@example.com")
    token = sign_in(service.base, "ada@example.com")
    key = Fido2Authenticator()
    refused(400, lambda: service.add(token, Fido2Authenticator(), uv=False))
    check("a passkey without user verification is not added", True)
    service.add(token, key, uv=True, be=True)
    check("a passkey is added", True)
    fresh = service.sign_in(key, uv=True, be=True)
    me = send("GET", f"{service.base}/users/me", token=fresh)
    check("it signs in without a password", me["email"] == "ada@example.com")
    service.renew(fresh, key, uv=True, be=True)
    check("it proves the user again", True)
    refused(400, lambda: service.sign_in(key, uv=False, be=True))
    check("a user who was not verified is refused", True)
    refused(400, lambda: service.sign_in(key, "https://evil.example", be=True))
    check("a page of another origin is refused", True)
    asked = service.post("/passkeys/options", {})
    answer = signed(asked, key, SITE, be=True)
    service.token("passkey", **answer)
    refused(400, lambda: service.token("passkey", **answer))
    check("a signature counts once", True)
    answer = refused(400, lambda: service.sign_in(stranger(key)))
    check("an unknown passkey is named", answer["unknown_credential"] is True)


def stranger(key):
    """Another key for the same user."""
    other = Fido2Authenticator()
    other.userHandle = key.userHandle
    return other


def main():
    options = argument_parser(__doc__).parse_args()
    for mode, use in [("second", use_after_password), ("first", use_alone)]:
        print(f"TOKENHOUSE_PASSKEYS={mode}")
        with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
            settings = {
                "DATABASE_URL": f"sqlite://{Path(folder) / 'tokenhouse.db'}",
                "TOKENHOUSE_PUBLIC_URL": SITE,
                "TOKENHOUSE_SECRET_KEY": "the secret key of the passkeys that are tested",
                "TOKENHOUSE_SESSIONS_PER_USER": "20",
                "TOKENHOUSE_PASSKEYS": mode,
            }
            with running(options.binary, **settings) as base:
                use(Service(base))
    print("all passkeys as expected")


if __name__ == "__main__":
    sys.exit(main())
