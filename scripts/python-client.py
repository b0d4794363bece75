#!/usr/bin/env python3
"""Tests clients/python/tokenhouse_fastapi.py in its example app, against a real server.

    scripts/python-client.py [--binary PATH]

The app runs under uvicorn. It receives requests with every kind of credential in every kind of
header, valid and invalid, while tokens are revoked, and with a server that is stopped, unreachable,
rejects the app's own key, or is not a Tokenhouse server. The first run installs FastAPI and uvicorn into
target/venvs/python-client.
"""

import contextlib
import http.server
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.server import ROOT, argument_parser, enter_venv, register, running, sign_in

CLIENT = ROOT / "clients" / "python"
# The rule for headers, which the server and the Rust guards are tested with too.
HEADERS = json.loads((ROOT / "tests" / "data" / "credential_headers.json").read_text())
ROUNDS = 200
# Seconds; more than the client's own timeout of 5.
RESPONSE_TIMEOUT = 15
INSUFFICIENT = 'Bearer realm="tokenhouse", error="insufficient_scope", scope="{}"'
CHALLENGES = {
    "none": 'Bearer realm="tokenhouse"',
    "invalid": 'Bearer realm="tokenhouse", error="invalid_token"',
    "read": INSUFFICIENT.format("orders:read"),
    "write": INSUFFICIENT.format("orders:write"),
}
GOOD = {
    "active": True,
    "scope": "orders:read",
    "username": "ada@example.com",
    "name": "Ada Lovelace",
    "sub": "1",
    "exp": 9_999_999_999,
    "iat": 1,
}


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: object


class Checks:
    """Counts checks and prints failures."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0

    def equal(self, what: str, actual: object, expected: object) -> None:
        self.done += 1
        if actual != expected:
            self.failed += 1
            print(f"FAILED: {what}: {actual!r} instead of {expected!r}", flush=True)


def ask(url: str, headers: dict[str, str], method: str = "GET") -> Response:
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=RESPONSE_TIMEOUT) as response:
            return Response(response.status, dict(response.headers), json.load(response))
    except urllib.error.HTTPError as error:
        return Response(error.code, dict(error.headers), json.load(error))


@contextlib.contextmanager
def running_app(server: str, key: str) -> Iterator[str]:
    """Runs the example app until the block ends and yields its base URL."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENHOUSE_URL": server,
        "TOKENHOUSE_CLIENT_KEY": key,
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "example_app:app", "--port", "0", "--no-access-log"]
    process = subprocess.Popen(
        uvicorn, cwd=CLIENT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield base_url(process)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def base_url(process: subprocess.Popen) -> str:
    """Returns the base URL that uvicorn logs, and discards the rest of its output."""
    printed = []
    for line in process.stderr:
        printed.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise RuntimeError(f"the app did not start:\n{''.join(printed)}")


def grant(binary: Path, database: str, email: str, *scopes: str) -> None:
    command = [binary.resolve(), "user", "grant", email, *scopes]
    environment = {"DATABASE_URL": database}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def create_key(server: str, token: str, scopes: str) -> str:
    body = json.dumps({"name": "a key", "scopes": scopes}).encode()
    headers = {"Content-Type": "application/json", "Token": token}
    request = urllib.request.Request(f"{server}/users/me/keys", body, headers)
    with urllib.request.urlopen(request, timeout=RESPONSE_TIMEOUT) as response:
        return json.load(response)["key"]


def revoke(server: str, credential: str) -> None:
    form = urllib.parse.urlencode({"token": credential}).encode()
    with urllib.request.urlopen(f"{server}/revoke", form, timeout=RESPONSE_TIMEOUT) as response:
        response.read()


def check_refusal(checks: Checks, what: str, response: Response, status: int, challenge: str) -> None:
    found = (response.status, response.headers.get("www-authenticate"))
    checks.equal(what, found, (status, CHALLENGES[challenge]))


def check_credentials(checks: Checks, app: str, ada: str, bob: str, key: str) -> None:
    """Every kind of credential in every kind of header."""
    notes, orders = f"{app}/notes", f"{app}/orders"
    of_ada = {"notes_of": "ada@example.com"}
    schemes = ["Bearer", "bEaReR", "Token", "token"]
    for name in [*(f"Authorization: {scheme}" for scheme in schemes), "Token:"]:
        header, _, scheme = name.partition(":")
        shown = {what: {header: f"{scheme} {what}".strip()} for what in (ada, bob, key)}
        for credential in (ada, key):
            response = ask(notes, shown[credential])
            checks.equal(f"{name} at /notes", (response.status, response.body), (200, of_ada))
            checks.equal(f"{name} at /orders", ask(orders, shown[credential]).status, 200)
            response = ask(orders, shown[credential], "POST")
            check_refusal(checks, f"{name} at POST /orders", response, 403, "write")
        checks.equal(f"{name}, no scope, /notes", ask(notes, shown[bob]).status, 200)
        check_refusal(checks, f"{name}, no scope", ask(orders, shown[bob]), 403, "read")
    both = {"Token": ada, "Authorization": f"Bearer {ada}"}
    checks.equal("the same twice", ask(notes, both).status, 200)
    for first, second in [(ada, f"Bearer {bob}"), (bob, f"Token {ada}")]:
        two = {"Token": first, "Authorization": second}
        checks.equal("two different credentials", ask(notes, two).status, 400)
    none = [{}, {"Token": " "}, {"Cookie": ada}]
    for headers in [*none, {"Authorization": ada}, {"Authorization": "Basic dTpw"}]:
        check_refusal(checks, f"{headers}", ask(notes, headers), 401, "none")
    for bad in ["wrong", ada[:-1], f"{key[:-1]}!", "\xff", "x" * 20_000, f"{ada}&x=y", f"x {ada}"]:
        for headers in [{"Token": bad}, {"Authorization": f"Bearer {bad}"}]:
            check_refusal(checks, f"{bad[:60]!r}", ask(notes, headers), 401, "invalid")
    user = {"id": 1, "email": "ada@example.com", "name": "Ada Lovelace", "scope": "orders:read"}
    user |= {"external_id": None, "app": None, "sid": None, "auth_time": None}
    checks.equal("the user", ask(f"{app}/me", {"Token": key}).body, user)


def check_headers(checks: Checks, app: str, key: str) -> None:
    """The same headers as the server accepts."""
    credentials = HEADERS["tokens"] | {"key": key}
    for case in HEADERS["cases"]:
        headers = {name: value.format(**credentials) for name, value in case["headers"].items()}
        response = ask(f"{app}/notes", headers)
        match case["outcome"]:
            case "no credential":
                check_refusal(checks, f"{headers}", response, 401, "none")
            case "unknown credential":
                check_refusal(checks, f"{headers}", response, 401, "invalid")
            case outcome:
                expected = {"accepted": 200, "two credentials": 400}[outcome]
                checks.equal(f"{headers}", response.status, expected)


def import_tokens(binary: Path, database: str, folder: str) -> None:
    """Imports the tokens of the cases, each for a user of its own."""
    lines = [f"{name}@example.com,!,{token}" for name, token in HEADERS["tokens"].items()]
    source = Path(folder, "tokens.csv")
    source.write_text("\n".join(["email,hashed_password,access_token", *lines, ""]))
    command = [binary.resolve(), "import", source, "--token-lifetime", "86400"]
    environment = {"DATABASE_URL": database}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def check_documentation(checks: Checks, app: str, server: str) -> None:
    document = ask(f"{app}/openapi.json", {}).body
    schemes = document["components"]["securitySchemes"]
    flow = {"scopes": {"orders:read": ""}, "tokenUrl": f"{server}/token"}
    checks.equal("the flow", schemes["OAuth2PasswordBearer"]["flows"]["password"], flow)
    checks.equal("the header", schemes["APIKeyHeader"]["name"], "Token")
    for path, method, scopes in [
        ("/notes", "get", []),
        ("/orders", "get", ["orders:read"]),
        ("/orders", "post", ["orders:read", "orders:write"]),
    ]:
        shown = {}
        for requirement in document["paths"][path][method]["security"]:
            shown |= requirement
        checks.equal(f"{method} {path}", shown.get("OAuth2PasswordBearer"), scopes)
        checks.equal(f"{method} {path}", "APIKeyHeader" in shown, True)
    with urllib.request.urlopen(f"{app}/docs", timeout=RESPONSE_TIMEOUT) as page:
        checks.equal("/docs", page.status, 200)


def check_revocation(checks: Checks, app: str, server: str, key: str) -> None:
    """Credentials are rejected at the first use after the revocation is acknowledged."""
    stale = 0
    for _ in range(ROUNDS):
        token = {"Token": sign_in(server, "ada@example.com")}
        checks.equal("a new token", ask(f"{app}/notes", token).status, 200)
        revoke(server, token["Token"])
        stale += ask(f"{app}/notes", token).status != 401
    checks.equal("stale accepts", stale, 0)
    print(f"{ROUNDS} tokens revoked: {stale} accepted afterwards")
    checks.equal("a key", ask(f"{app}/orders", {"Token": key}).status, 200)
    revoke(server, key)
    check_refusal(checks, "a revoked key", ask(f"{app}/orders", {"Token": key}), 401, "invalid")


def check_scopes(checks: Checks, app: str, server: str, binary: Path, database: str) -> None:
    """A scope is effective from the grant to the revocation."""
    grant(binary, database, "bob@example.com", "orders:read")
    bob = {"Token": sign_in(server, "bob@example.com")}
    checks.equal("a granted scope", ask(f"{app}/orders", bob).status, 200)
    grant(binary, database, "bob@example.com", "orders:read", "--revoke")
    check_refusal(checks, "a revoked scope", ask(f"{app}/orders", bob), 403, "read")


def measure(app: str, key: str) -> None:
    """Prints the time that a query of the server adds to a request."""
    asked = median_milliseconds(f"{app}/notes", {"Token": key})
    not_asked = median_milliseconds(f"{app}/notes", {})
    print(f"querying the server adds {asked - not_asked:.1f} ms (median of {ROUNDS})")


def median_milliseconds(url: str, headers: dict[str, str]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ask(url, headers)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def check_unavailable(checks: Checks, what: str, app: str, credential: str) -> None:
    for path in ["/notes", "/orders"]:
        response = ask(f"{app}{path}", {"Token": credential})
        found = (response.status, response.headers.get("retry-after"))
        checks.equal(f"{what}: {path}", found, (503, "1"))


def check_outage(checks: Checks, binary: Path, database: str, key: str, token: str) -> None:
    """A server that stops, and one that accepts connections but does not respond."""
    with contextlib.ExitStack() as until_gone, contextlib.ExitStack() as stack:
        server = until_gone.enter_context(running(binary, DATABASE_URL=database))
        app = stack.enter_context(running_app(server, key))
        checks.equal("before", ask(f"{app}/notes", {"Token": token}).status, 200)
        until_gone.close()
        check_unavailable(checks, "an unreachable server", app, token)
        check_refusal(checks, "no credential", ask(f"{app}/notes", {}), 401, "none")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with running_app(f"http://127.0.0.1:{silent.getsockname()[1]}", key) as app:
            check_unavailable(checks, "a silent server", app, token)


class Impostor(http.server.BaseHTTPRequestHandler):
    """Sends the configured response."""

    response: tuple[int, bytes] = (200, b"")

    def do_POST(self) -> None:
        status, body = Impostor.response
        self.send_response(status)
        self.send_header("Location", "/introspect")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing."""


def check_impostor(checks: Checks) -> None:
    """Responses of other servers are treated as an outage."""
    good = json.dumps(GOOD).encode()
    needed = ["active", "scope", "username", "name", "sub"]
    incomplete = [{name: GOOD[name] for name in GOOD if name != omitted} for omitted in needed]
    bad = [b"", b"null", b"[]", b"true", b"<html>", good[:-1], b" " * 70_000 + good]
    bad += [json.dumps(body).encode() for body in incomplete]
    bad += [json.dumps(GOOD | {"active": active}).encode() for active in (1, "true", None, "false")]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with running_app(f"http://127.0.0.1:{server.server_port}", "a-key") as app:
        # The valid response, for comparison.
        Impostor.response = (200, good)
        checks.equal("the valid response", ask(f"{app}/orders", {"Token": "x"}).status, 200)
        Impostor.response = (200, json.dumps(GOOD | {"external_id": "u-1"}).encode())
        imported = ask(f"{app}/me", {"Token": "x"}).body
        checks.equal("an imported user", imported["external_id"], "u-1")
        for status in [201, 204, 301, 302, 307, 400, 401, 403, 404, 500, 503]:
            Impostor.response = (status, good)
            check_unavailable(checks, f"status {status}", app, "x")
        for body in bad:
            Impostor.response = (200, body)
            check_unavailable(checks, f"{body[:80]}", app, "x")
    server.shutdown()
    server.server_close()


def check_server(checks: Checks, binary: Path, database: str, folder: str) -> None:
    """Runs the checks that need a server."""
    with running(binary, DATABASE_URL=database) as server:
        for name in ["ada", "bob", "app"]:
            register(server, f"{name}@example.com")
        grant(binary, database, "ada@example.com", "orders:read")
        grant(binary, database, "app@example.com", "introspect")
        of_app = sign_in(server, "app@example.com")
        app_key, unprivileged_key = (create_key(server, of_app, scopes) for scopes in ("introspect", ""))
        ada, bob = sign_in(server, "ada@example.com"), sign_in(server, "bob@example.com")
        key = create_key(server, ada, "orders:read")
        with running_app(server, app_key) as app:
            check_credentials(checks, app, ada, bob, key)
            import_tokens(binary, database, folder)
            check_headers(checks, app, key)
            check_documentation(checks, app, server)
            measure(app, key)
            check_revocation(checks, app, server, key)
            check_scopes(checks, app, server, binary, database)
        for rejected in [unprivileged_key, "wrong"]:
            with running_app(server, rejected) as app:
                check_unavailable(checks, "an app without the scope", app, bob)
        with running_app(server, app_key) as app:
            revoke(server, app_key)
            check_unavailable(checks, "an app whose key was revoked", app, bob)
        app_key = create_key(server, of_app, "introspect")
        bob = sign_in(server, "bob@example.com")
    check_outage(checks, binary, database, app_key, bob)


def main() -> None:
    options = argument_parser(__doc__).parse_args()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        check_server(checks, options.binary, f"sqlite://{folder}/shared.db", folder)
    check_impostor(checks)
    print(f"{checks.done - checks.failed} of {checks.done} checks pass")
    sys.exit(0 if checks.failed == 0 else 1)


enter_venv("python-client", ["fastapi==0.165.0", "uvicorn==0.54.0"])
main()
