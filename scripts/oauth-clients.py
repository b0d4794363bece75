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

from support.server import STATIC_KEY, argument_parser, enter_venv

# Characters that clients must encode (RFC 6749 section 2.3.1), a part that looks encoded already, and
# the separators of form fields and of HTTP Basic.
AWKWARD_KEY = "a+b/c=d e%41.-_~&f:g;h?i'j(k)*!"


def main() -> None:
    from support.oauth import process_clients, python_clients
    from support.oauth.service import build, serving

    clients = [
        python_clients.RequestsOauthlib,
        python_clients.AuthlibRequests,
        python_clients.AuthlibHttpx,
        python_clients.AuthlibWithSecret,
        process_clients.Oauth4webapi,
        process_clients.OpenidClient,
        process_clients.Curl,
        process_clients.Httpie,
    ]
    parser = argument_parser(__doc__)
    names = [client.name for client in clients]
    parser.add_argument("--client", choices=names, help="only this one; default: all")
    options = parser.parse_args()
    selected = [client for client in clients if options.client in (None, client.name)]
    build(options.binary)
    process_clients.install()
    results = []
    for static_key, strict in ((AWKWARD_KEY, False), (STATIC_KEY, True)):
        with serving(options.binary, static_key, strict) as service:
            for client in selected:
                results += try_client(client, service)
    print(f"{results.count(True)} of {len(results)} cases pass, with {len(selected)} clients")
    sys.exit(0 if all(results) else 1)


def try_client(client, service) -> list[bool]:
    """Runs every case and returns whether each passed."""
    from support.oauth.cases import cases_for

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
main()
