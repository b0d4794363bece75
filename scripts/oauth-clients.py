#!/usr/bin/env python3
"""Tests Tokenhouse with common OAuth2 clients, none of them adapted.

    scripts/oauth-clients.py [--binary PATH] [--client NAME]

requests-oauthlib (strict about the token type), Authlib (over requests, over httpx, and as a client
with a secret), the npm packages oauth4webapi and openid-client, curl and HTTPie: the password grant
with and without a scope, errors as each client reports them, an authorised request, a new token
after a 401, revocation (RFC 7009) and introspection (RFC 7662), by the client's own method where it
has one. Everything runs twice: with FastAPI's statuses and a static key full of characters that
forms escape, and with RFC 6749's statuses and a plain key. Prints a line per case.

Builds the release binary unless --binary is given. The first run installs the Python packages into
target/venvs/oauth and the npm packages into target/node/oauth; it installs Debian's nodejs and npm
if they are missing and the user is root. Needs curl.
"""

import sys
import traceback
from collections.abc import Callable
from dataclasses import replace

from support.server import STATIC_KEY, argument_parser, enter_venv

enter_venv(
    "oauth",
    [
        "authlib==1.9.10",
        "httpie==3.2.4",
        "httpx2==2.16.2",
        "oauthlib==4.0.1",
        "requests==2.34.2",
        "requests-oauthlib==2.0.0",
    ],
)

# These imports need the virtual environment.
from support.oauth import clients  # noqa: E402
from support.oauth.service import (  # noqa: E402
    SCOPES,
    Client,
    Refused,
    Service,
    Setup,
    build,
    serving,
)

# Characters that clients must encode (RFC 6749 section 2.3.1), a part that looks encoded already, and
# the separators of form fields and of HTTP Basic.
AWKWARD_KEY = "a+b/c=d e%41.-_~&f:g;h?i'j(k)*!"

CLIENTS: list[type[Client]] = [
    clients.RequestsOauthlib,
    clients.AuthlibRequests,
    clients.AuthlibHttpx,
    clients.AuthlibWithSecret,
    clients.Oauth4webapi,
    clients.OpenidClient,
    clients.Curl,
    clients.Httpie,
]

Case = Callable[[type[Client], Setup, Service], str]


def registration_as_json(make: type[Client], setup: Setup, _service: Service) -> str:
    email = setup.email.replace("+test", "+registered")
    user = make(setup).register(email)
    expect(user["email"], email)
    return f"POST /register created user {user['id']}"


def password_grant(make: type[Client], setup: Setup, service: Service) -> str:
    response = make(setup).sign_in()
    expect(response["token_type"].lower(), "bearer")
    expect(scopes_of(response), SCOPES)
    expect(service.accepts(response["access_token"]), True)
    return f"a token for {' '.join(SCOPES)}"


def password_grant_with_scope(make: type[Client], setup: Setup, service: Service) -> str:
    response = make(setup).sign_in("orders:read")
    expect(scopes_of(response), ["orders:read"])
    expect(service.accepts(response["access_token"]), True)
    return "a token for orders:read alone"


def scope_beyond_the_user(make: type[Client], setup: Setup, _service: Service) -> str:
    refused = refusal(lambda: make(setup).sign_in("orders:read users:write"))
    expect(refused.error, "invalid_scope")
    return "the client reports invalid_scope"


def wrong_password(make: type[Client], setup: Setup, service: Service) -> str:
    refused = refusal(make(replace(setup, password="not-the-password")).sign_in)
    # With RFC 6749's status there is no challenge.
    if make.stops_at_challenge and not service.strict:
        expect((refused.status, refused.error), (401, None))
        return "the client reports status 401"
    expect(refused.error, "invalid_grant")
    return "the client reports invalid_grant"


def authorised_request(make: type[Client], setup: Setup, _service: Service) -> str:
    client = make(setup)
    client.sign_in()
    expect(client.read_me()["email"], setup.email)
    return "/users/me is the user"


def new_token_after_401(make: type[Client], setup: Setup, service: Service) -> str:
    client = make(setup)
    revoked = client.sign_in()["access_token"]
    expect(client.read_me()["email"], setup.email)
    service.log_out(revoked)
    refused = refusal(client.read_me)
    expect((refused.status, refused.error), (401, "invalid_token"))
    if client.sign_in()["access_token"] == revoked:
        raise AssertionError("the revoked token was issued again")
    expect(client.read_me()["email"], setup.email)
    return "401 invalid_token after the logout, then a new token works"


def revocation(make: type[Client], setup: Setup, service: Service) -> str:
    client = make(setup)
    token = client.sign_in()["access_token"]
    expect(service.accepts(token), True)
    client.revoke()
    expect(service.accepts(token), False)
    expect(refusal(client.read_me).error, "invalid_token")
    # RFC 7009 section 2.2: revoking an invalid token is not an error.
    client.revoke()
    return "the token is revoked, and revoking it again is not an error"


def introspection(make: type[Client], setup: Setup, service: Service) -> str:
    return introspected(make(setup), make(setup).introspect, setup, service)


def introspection_with_key(make: type[Client], setup: Setup, service: Service) -> str:
    return introspected(make(setup), make(setup).introspect_with_key, setup, service)


def introspection_with_wrong_secret(make: type[Client], setup: Setup, service: Service) -> str:
    token = service.sign_in(setup.email)
    client = make(replace(setup, secret=setup.secret + "x"))
    refused = refusal(lambda: client.introspect(token))
    if make.stops_at_challenge:
        expect((refused.status, refused.error), (401, None))
        return "the client reports status 401"
    expect((refused.status, refused.error), (401, "invalid_client"))
    return "the client reports 401 invalid_client"


def introspected(
    user: Client, introspect: Callable[[str], dict], setup: Setup, service: Service
) -> str:
    token = user.sign_in("orders:read")["access_token"]
    response = introspect(token)
    known = {name: response[name] for name in ("active", "scope", "username")}
    expect(known, {"active": True, "scope": "orders:read", "username": setup.email})
    service.log_out(token)
    expect(introspect(token), {"active": False})
    expect(introspect("never-issued"), {"active": False})
    return "active with scope and user, then inactive"


CASES: list[Case] = [
    password_grant,
    password_grant_with_scope,
    scope_beyond_the_user,
    wrong_password,
    authorised_request,
    new_token_after_401,
    revocation,
    introspection,
    introspection_with_key,
    introspection_with_wrong_secret,
]


def cases_for(make: type[Client]) -> list[Case]:
    """Returns the cases of a client. Only generic HTTP clients can register."""
    return [registration_as_json, *CASES] if hasattr(make, "register") else CASES


def scopes_of(response: dict) -> list[str]:
    """Returns the scopes of a token response, which requests-oauthlib parses into a list."""
    scope = response["scope"]
    return sorted(scope.split() if isinstance(scope, str) else scope)


def refusal(call: Callable[[], object]) -> Refused:
    """Returns the refusal that the client reports."""
    try:
        result = call()
    except Refused as refused:
        return refused
    raise AssertionError(f"not refused: {result}")


def expect(actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"{actual!r} instead of {expected!r}")


def main() -> None:
    parser = argument_parser(__doc__)
    names = [client.name for client in CLIENTS]
    parser.add_argument("--client", choices=names, help="only this one; default: all")
    options = parser.parse_args()
    selected = [client for client in CLIENTS if options.client in (None, client.name)]
    build(options.binary)
    clients.install()
    results = []
    for static_key, strict in ((AWKWARD_KEY, False), (STATIC_KEY, True)):
        with serving(options.binary, static_key, strict) as service:
            for client in selected:
                results += try_client(client, service)
    print(f"{results.count(True)} of {len(results)} cases pass, with {len(selected)} clients")
    sys.exit(0 if all(results) else 1)


def try_client(client, service) -> list[bool]:
    """Runs every case and returns whether each passed."""
    setup = service.setup(client.name)
    return [passes(case, client, setup, service) for case in cases_for(client)]


def passes(case, client, setup, service) -> bool:
    mode = "strict" if service.strict else "default"
    name = f"{client.name}, {mode}: {case.__name__.replace('_', ' ')}"
    try:
        outcome = case(client, setup, service)
    except Exception:
        traceback.print_exc()
        print(f"{name}: FAILED", flush=True)
        return False
    print(f"{name}: {outcome}", flush=True)
    return True


main()
