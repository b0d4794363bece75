"""What is compared: something that is built, filled, started, asked and stopped."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..client import Answer, Client, ClientError
from ..failure import BenchmarkError
from ..machine import pinned
from ..paths import LOGS
from ..people import token, token_file
from ..postgres import free_port
from ..processes import Tree, end
from ..setup import Setup
from ..wrk import Target

ANSWERS_WITHIN = 60.0


@dataclass(frozen=True)
class Command:
    """How a server is started."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path("/")


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    port: int
    tree: Tree
    seconds_to_answer: float


class Contestant(ABC):
    """One of those compared. Names are those of the command line."""

    name: str
    title: str
    # How it is configured, where that is not obvious.
    note: str = ""
    sign_in_note: str = ""
    # Kinds of load that the check scenario puts on it.
    loads: tuple[str, ...] = ("hot", "cold")
    check_path = "/users/me"
    token_header = "Authorization"
    token_prefix = "Bearer "
    # What is asked to see whether the process is up; the cheapest that it has.
    health_path = "/health/live"
    uses_postgres = False

    def build(self, setup: Setup) -> None:
        """Makes the program, unless it is there."""

    def seed(self, setup: Setup) -> None:
        """Makes the database for `setup.rows`, unless it is there."""

    @abstractmethod
    def command(self, setup: Setup, port: int, workers: int) -> Command:
        """How it is started for production."""

    def sign_in(self, email: str, password: str) -> Request:
        """A sign-in with a password."""
        raise BenchmarkError(f"{self.name} has no sign-in for {email}")

    @abstractmethod
    def installed(self, setup: Setup) -> Path:
        """The program, or the folder with all that it needs but its language's interpreter."""

    def versions(self) -> dict[str, str]:
        """Of what it is made of."""
        return {}

    def target(self, port: int) -> Target:
        """What a token check is."""
        url = f"http://127.0.0.1:{port}{self.check_path}"
        return Target(url, self.token_header, self.token_prefix)

    def tokens(self, setup: Setup, load: str) -> Path:
        """The file that the load generator draws from."""
        return token_file(setup.rows, load)

    def check(self, credential: str) -> Request:
        """A token check."""
        return Request("GET", self.check_path, {self.token_header: self.token_prefix + credential})

    def verify(self, setup: Setup, server: Server) -> None:
        """Fails unless the server tells a good token from a bad one: a contestant that answers
        everybody would win."""
        last = setup.rows
        with Client(server.port) as client:
            good = client.send(self.check(token(last)))
            bad = client.send(self.check(token(last + 1)))
        if good.status != 200 or f"user{last}@example.com".encode() not in good.body:
            raise BenchmarkError(f"{self.name} refuses a good token: {good}")
        if bad.status not in (401, 403):
            raise BenchmarkError(f"{self.name} does not refuse a bad token: {bad}")

    @contextmanager
    def running(
        self,
        setup: Setup,
        cores: tuple[int, ...],
        environment: dict[str, str] | None = None,
    ) -> Iterator[Server]:
        """A server on these cores with as many workers, until the block ends."""
        port = free_port()
        command = self.command(setup, port, len(cores))
        log = LOGS / f"{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        with log.open("w") as file:
            process = subprocess.Popen(
                pinned(cores, command.arguments),
                cwd=command.folder,
                env={**BASE_ENVIRONMENT, **command.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(process, port, log)
            answered = time.monotonic() - begun
            yield Server(port, Tree(process.pid), answered)
        finally:
            end(process)

    def _wait(self, process: subprocess.Popen, port: int, log: Path) -> None:
        """Until anything at all is answered over HTTP."""
        deadline = time.monotonic() + ANSWERS_WITHIN
        while time.monotonic() < deadline and process.poll() is None:
            if _answers(port, Request("GET", self.health_path)):
                return
            time.sleep(0.001)
        raise BenchmarkError(f"{self.name} does not start:\n{log.read_text()[-3000:]}")


# Not the caller's, in which settings may stand that are not meant for a benchmark.
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def _answers(port: int, request: Request) -> Answer | None:
    try:
        with Client(port, timeout=5) as client:
            return client.send(request)
    except (ClientError, OSError):
        return None
