"""A pytest plugin: a Tokenhouse server for the tests of an app.

    # conftest.py
    pytest_plugins = ["pytest_tokenhouse"]

    # test_orders.py
    def test_orders(client, auth_headers):
        assert client.get("/orders", headers=auth_headers(scopes="orders:read")).status_code == 200

Fixtures: `tokenhouse`, `tokenhouse_server`, `tokenhouse_user`, `auth_headers`, `tokenhouse_clock` and
`mailbox`.
Each process has its own server, so pytest-xdist needs no setting. Needs the program `tokenhouse`:
from TEST_TOKENHOUSE_BINARY or the PATH. Uses only the standard library.
"""

import http.client
import json
import os
import secrets
import select
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

__all__ = ["Clock", "Mail", "Mailbox", "Tokenhouse", "TokenhouseError", "User"]

_START_TIMEOUT = 10  # seconds
_STOP_TIMEOUT = 5
_RESPONSE_TIMEOUT = 15
_TAIL = 16 * 1024  # bytes of the server's log that a failed test shows
_LOG_START = pytest.StashKey[int]()
_SERVER = pytest.StashKey["Tokenhouse"]()


class TokenhouseError(Exception):
    """The server did not start, or refused what the test asked for."""


@dataclass(frozen=True)
class User:
    """A user of the server."""

    id: int
    email: str
    password: str
    name: str
    scopes: str


@dataclass(frozen=True)
class Mail:
    """A mail of the server. `links` and `codes` are already decoded."""

    id: int
    to: str
    purpose: str
    locale: str
    sent_at: datetime
    message_id: str
    subject: str
    text: str
    html: str
    links: list[str]
    codes: list[str]


class Tokenhouse:
    """A `tokenhouse dev` server with an empty database, until `stop` or the end of this process."""

    def __init__(self, *arguments: str, binary: str | None = None) -> None:
        """Starts the server and waits until it serves. `arguments` are those of `tokenhouse dev`,
        such as `"--seed", "users.json"`.

        Raises TokenhouseError, with the server's log, if it does not start."""
        command = [binary or os.environ.get("TEST_TOKENHOUSE_BINARY", "tokenhouse"), "dev", *arguments]
        # A file, since the server would wait for ever for a reader of a full pipe.
        self._log = tempfile.TemporaryFile()
        # The server ends when this process closes its standard input, or ends in any way.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._log}
        try:
            self._process = subprocess.Popen(command, **pipes)
        except OSError as error:
            self._log.close()
            raise TokenhouseError(f"cannot run {command[0]}: {error.strerror}") from None
        try:
            announced = json.loads(self._first_line())
            self.url: str = announced["url"]
            self.static_key: str = announced["static_key"]
            self._control_key: str = announced["control_key"]
        except (ValueError, LookupError):
            self._end()
            log = self.log()
            self._close()
            raise TokenhouseError(f"{' '.join(command)} did not start:\n{log}") from None
        self.pid = self._process.pid
        self.clock = Clock(self)
        self.mailbox = Mailbox(self)
        self._address = urllib.parse.urlsplit(self.url)

    def create_user(self, email: str | None = None, *, scopes: str = "", **fields: Any) -> User:
        """Creates a user, with an address of its own unless the test names one. `fields` are those of
        a user in a seed file, such as `password` or `disabled`."""
        email = email or f"user-{secrets.token_hex(6)}@example.com"
        made = self.control("POST", "/_dev/users", {"email": email, "scopes": scopes, **fields})
        return User(**{name: made[name] for name in User.__dataclass_fields__})

    def sign_in(
        self, user: User | str, scope: str | None = None, amr: Iterable[str] | None = None
    ) -> str:
        """Returns an access token of the user (or of this address), without a password and its hash.
        With all scopes of the user, or these; as if the user had signed in by these methods of RFC 8176,
        such as `["pwd", "otp"]`."""
        wanted: dict[str, Any] = {"email": user if isinstance(user, str) else user.email}
        if scope is not None:
            wanted["scope"] = scope
        if amr is not None:
            wanted["amr"] = list(amr)
        return self.control("POST", "/_dev/sign-in", wanted)["access_token"]

    def headers(
        self, user: User | str, scope: str | None = None, amr: Iterable[str] | None = None
    ) -> dict[str, str]:
        """Signs the user in, and returns the header for requests to the app."""
        return {"Authorization": f"Bearer {self.sign_in(user, scope, amr)}"}

    def reset(self) -> None:
        """Back to the state after the start: the users of the seed, no tokens, the clock."""
        self.control("POST", "/_dev/reset", {})

    def fail_database(self, milliseconds: int) -> None:
        """Lets the database be unreachable for the server, which then answers 503."""
        self.control("POST", "/_dev/fault", {"database": "down", "for_ms": milliseconds})

    def control(self, method: str, path: str, body: dict | None = None) -> Any:
        """Sends a request with the control key, and returns the JSON of the response.

        Raises TokenhouseError with the server's reason if it refuses."""
        host, port = self._address.hostname, self._address.port
        # http.client uses no proxy, whatever the environment says.
        with closing(http.client.HTTPConnection(host, port, timeout=_RESPONSE_TIMEOUT)) as connection:
            headers = {"Authorization": f"Bearer {self._control_key}"}
            content = None if body is None else json.dumps(body)
            try:
                connection.request(method, path, content, headers)
                response = connection.getresponse()
                answer = response.read().decode()
            except (OSError, http.client.HTTPException) as error:
                raise TokenhouseError(f"{method} {path}: {error!r}\n{self.log()}") from None
        if response.status >= 300:
            raise TokenhouseError(f"{method} {path}: {response.status} {answer}")
        return json.loads(answer) if answer else None

    def log(self, start: int = 0) -> str:
        """Returns the end of the server's log, from this position on."""
        end = self.log_size()
        start = max(start, end - _TAIL)
        return os.pread(self._log.fileno(), end - start, start).decode(errors="replace")

    def log_size(self) -> int:
        """Returns the size of the server's log in bytes."""
        return os.fstat(self._log.fileno()).st_size

    def stop(self) -> None:
        """Ends the server, which removes its database."""
        self._end()
        self._close()

    def _first_line(self) -> bytes:
        """Returns what the server announces; empty if it ends, or does not start in time."""
        deadline = time.monotonic() + _START_TIMEOUT
        output, line = self._process.stdout, b""
        while not line.endswith(b"\n"):
            left = max(0, deadline - time.monotonic())
            if not select.select([output], [], [], left)[0]:
                return b""
            part = os.read(output.fileno(), 4096)
            if not part:
                return b""
            line += part
        return line

    def _end(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        self._process.stdout.close()
        self._log.close()


class Clock:
    """The clock of the server. It stands still once it is set."""

    def __init__(self, server: Tokenhouse) -> None:
        self._server = server

    def now(self) -> datetime:
        """Returns the time, in UTC."""
        return self._time("GET")

    def advance(self, time: timedelta) -> datetime:
        """Moves the clock by whole seconds, and returns the new time."""
        return self._time("POST", {"advance": round(time.total_seconds())})

    def set(self, time: datetime, *, ticking: bool = False) -> datetime:
        """Sets the clock to a time with a time zone, and returns it in UTC."""
        if time.tzinfo is None:
            raise ValueError("a time without a time zone")
        return self._time("POST", {"set": time.isoformat(), "ticking": ticking})

    def _time(self, method: str, change: dict | None = None) -> datetime:
        return datetime.fromisoformat(self._server.control(method, "/_dev/clock", change)["now"])


class Mailbox:
    """The mails of the server, which sends none."""

    def __init__(self, server: Tokenhouse) -> None:
        self._server = server

    def mark(self) -> int:
        """Returns the id of the latest mail, for `after`."""
        return self._get(to="")["latest"]

    def mails(self, to: str | None = None, purpose: str | None = None, *, after: int = 0) -> list[Mail]:
        """Returns the mails to an address, such as `"reset-password"`, that were sent after the mail with
        this id; oldest first."""
        return [_mail(mail) for mail in self._get(to=to, purpose=purpose, after=after)["mails"]]

    def wait_for(
        self, to: str, purpose: str | None = None, *, after: int = 0, timeout: float = 5
    ) -> Mail:
        """Waits for a mail to an address and returns the latest one. Name the purpose, because a notice
        may arrive first, and a mark from before the request if the address has earlier mails.

        Raises TokenhouseError after `timeout` seconds, with the mails that have arrived."""
        wait = min(timeout, _RESPONSE_TIMEOUT - 1)
        found = self._get(to=to, purpose=purpose, after=after, wait=wait)["mails"]
        if not found:
            others = [(mail.id, mail.to, mail.purpose) for mail in self.mails()]
            wanted = " ".join(filter(None, [purpose, "mail"]))
            raise TokenhouseError(f"no {wanted} to {to} after {after} in {wait} s; arrived: {others}")
        return _mail(found[-1])

    def clear(self, to: str | None = None) -> None:
        """Removes the mails to an address, or all."""
        self._server.control("DELETE", f"/_dev/mail{_query(to=to)}")

    def _get(self, **wanted: Any) -> dict:
        return self._server.control("GET", f"/_dev/mail{_query(**wanted)}")


def _query(**parameters: Any) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urllib.parse.urlencode(given)}" if given else ""


def _mail(fields: dict) -> Mail:
    return Mail(**{**fields, "sent_at": datetime.fromisoformat(fields["sent_at"])})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("tokenhouse_args", "arguments for `tokenhouse dev`", type="args", default=[])


@pytest.fixture(scope="session")
def tokenhouse_server(pytestconfig: pytest.Config) -> Iterator[Tokenhouse]:
    """The server of this process. Sets TOKENHOUSE_URL and TOKENHOUSE_CLIENT_KEY, which
    `tokenhouse_fastapi` reads: import the app after it, in a fixture."""
    server = Tokenhouse(*pytestconfig.getini("tokenhouse_args"))
    pytestconfig.stash[_SERVER] = server
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENHOUSE_URL", server.url)
        patch.setenv("TOKENHOUSE_CLIENT_KEY", server.static_key)
        yield server
    del pytestconfig.stash[_SERVER]
    server.stop()


@pytest.fixture
def tokenhouse(tokenhouse_server: Tokenhouse) -> Tokenhouse:
    """The server, in the state after its start."""
    tokenhouse_server.reset()
    return tokenhouse_server


@pytest.fixture
def tokenhouse_user(tokenhouse: Tokenhouse) -> Callable[..., User]:
    """Creates a user, as `Tokenhouse.create_user`: `tokenhouse_user(scopes="orders:read")`."""
    return tokenhouse.create_user


@pytest.fixture
def auth_headers(tokenhouse: Tokenhouse) -> Callable[..., dict[str, str]]:
    """Returns the header of a signed-in user, whom it creates as `Tokenhouse.create_user` unless it
    gets a `User`: `auth_headers(scopes="orders:read")`, `auth_headers(user)`."""

    def signed_in(user: User | str | None = None, **fields: Any) -> dict[str, str]:
        if not isinstance(user, User):
            user = tokenhouse.create_user(user, **fields)
        return tokenhouse.headers(user)

    return signed_in


@pytest.fixture
def tokenhouse_clock(tokenhouse: Tokenhouse) -> Clock:
    """The clock of the server. `tokenhouse` puts it back."""
    return tokenhouse.clock


@pytest.fixture
def mailbox(tokenhouse: Tokenhouse) -> Mailbox:
    """The mails of the server; none at the start of a test."""
    return tokenhouse.mailbox


def pytest_runtest_setup(item: pytest.Item) -> None:
    server = item.config.stash.get(_SERVER, None)
    item.stash[_LOG_START] = server.log_size() if server else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Adds to the report of a failed test what the server logged meanwhile."""
    report = yield
    server = item.config.stash.get(_SERVER, None)
    if report.failed and server and (log := server.log(item.stash.get(_LOG_START, 0))):
        report.sections.append(("Captured tokenhouse log", log))
    return report
