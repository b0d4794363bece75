"""The programs that are compared: how each is built, seeded, started, measured and stopped."""

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .databases import Cluster, Postgres, token, token_file, user_json
from .load import Client, ClientError, Request, Response, Target
from .machine import (
    HELPERS_TARGET,
    LOGS,
    BenchmarkError,
    Layout,
    Stopwatch,
    Tree,
    build_helper,
    busy_seconds,
    free_port,
    pinned,
    stop_process,
)


@dataclass(frozen=True)
class Setup:
    """The options of a run. Modified copies share the Postgres cluster."""

    rows: int
    layout: Layout
    postgres: Postgres
    binary: Path | None = None

    def cluster(self) -> Cluster:
        """The Postgres cluster, on the servers' cores."""
        return self.postgres.cluster()


START_TIMEOUT = 60.0


@dataclass(frozen=True)
class Command:
    """The command that starts a server."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path("/")


@dataclass(frozen=True)
class Server:
    """A running server that responds."""

    port: int
    tree: Tree
    start_seconds: float


class Contestant(ABC):
    """A program that is compared. `name` identifies it on the command line."""

    name: str
    title: str
    # Notable configuration.
    note: str = ""
    sign_in_note: str = ""
    # The loads of the check scenario that apply.
    loads: tuple[str, ...] = ("hot", "cold")
    check_path = "/users/me"
    token_header = "Authorization"
    token_prefix = "Bearer "
    # The cheapest route, polled to find out whether the server is up.
    health_path = "/health/live"
    uses_postgres = False

    def build(self, setup: Setup) -> None:
        """Builds the program unless it is up to date."""

    def seed(self, setup: Setup) -> None:
        """Seeds the database with `setup.rows` users unless that is done."""

    @abstractmethod
    def command(self, setup: Setup, port: int, workers: int) -> Command:
        """Returns the command that starts it in a production configuration."""

    def sign_in(self, email: str, password: str) -> Request:
        """Returns the request of a sign-in with a password."""
        raise BenchmarkError(f"{self.name} has no sign-in for {email}")

    @abstractmethod
    def installed(self, setup: Setup) -> Path:
        """The program, or the folder with everything except the language's interpreter."""

    def versions(self) -> dict[str, str]:
        """Versions of its components."""
        return {}

    def target(self, port: int) -> Target:
        """The target of token checks."""
        url = f"http://127.0.0.1:{port}{self.check_path}"
        return Target(url, self.token_header, self.token_prefix)

    def tokens(self, setup: Setup, load: str) -> Path:
        """The file from which the load generator draws tokens."""
        return token_file(setup.rows, load)

    def check(self, credential: str) -> Request:
        """Returns the request of a token check."""
        return Request("GET", self.check_path, {self.token_header: self.token_prefix + credential})

    def verify(self, setup: Setup, server: Server) -> None:
        """Fails unless the server accepts a valid token and rejects an invalid one: a contestant
        that accepts everything would win."""
        last = setup.rows
        with Client(server.port) as client:
            valid = client.send(self.check(token(last)))
            invalid = client.send(self.check(token(last + 1)))
        if valid.status != 200 or f"user{last}@example.com".encode() not in valid.body:
            raise BenchmarkError(f"{self.name} rejects a valid token: {valid}")
        if invalid.status not in (401, 403):
            raise BenchmarkError(f"{self.name} accepts an invalid token: {invalid}")

    @contextmanager
    def running(
        self,
        setup: Setup,
        cores: tuple[int, ...],
        environment: dict[str, str] | None = None,
    ) -> Iterator[Server]:
        """Runs a server on these cores, with one worker per core, until the block ends."""
        port = free_port()
        command = self.command(setup, port, len(cores))
        log = LOGS / f"{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
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
            start_seconds = time.monotonic() - start
            yield Server(port, Tree(process.pid), start_seconds)
        finally:
            stop_process(process)

    def _wait(self, process: subprocess.Popen, port: int, log: Path) -> None:
        """Waits for the first HTTP response of any kind."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and process.poll() is None:
            if _response(port, Request("GET", self.health_path)):
                return
            time.sleep(0.001)
        raise BenchmarkError(f"{self.name} does not start:\n{log.read_text()[-3000:]}")


# Not the caller's environment: it may contain settings that would change the measurement.
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def _response(port: int, request: Request) -> Response | None:
    try:
        with Client(port, timeout=5) as client:
            return client.send(request)
    except (ClientError, OSError):
        return None


BARE_PROGRAM = HELPERS_TARGET / "release" / "bench-bare"


class Bare(Contestant):
    """The floor: an actix-web handler that responds with the same user to every request."""

    name = "bare"
    title = "bare actix-web handler"
    note = "the same bytes from memory, no check"

    def build(self, setup: Setup) -> None:
        build_helper("bare")

    def installed(self, setup: Setup) -> Path:
        return BARE_PROGRAM

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        return Command([str(BARE_PROGRAM), "serve", str(port), str(workers), user_json(setup.rows)])

    def verify(self, setup: Setup, server: Server) -> None:
        """Skipped: it accepts every request."""


T = TypeVar("T")


@dataclass(frozen=True)
class CpuUsage:
    """CPU seconds of the server's process tree and of the Postgres cluster that it uses, and the
    share of the servers' cores that other processes used meanwhile."""

    server: float
    postgres: float | None
    others: float

    @property
    def total(self) -> float:
        """Server and database server together."""
        return self.server + (self.postgres or 0.0)


def cpu_around(
    setup: Setup, contestant: Contestant, server: Server, work: Callable[[], T]
) -> tuple[T, CpuUsage]:
    """Does the work and measures the CPU time that the server used for it."""
    trees = [server.tree]
    if contestant.uses_postgres:
        trees.append(setup.cluster().tree)

    def read() -> list[float]:
        return [*(tree.cpu_seconds() for tree in trees), busy_seconds(setup.layout.servers)]

    before, watch = read(), Stopwatch()
    result = work()
    seconds = watch.seconds()
    used = [end - begin for begin, end in zip(before, read())]
    own, cores = used[:-1], used[-1]
    postgres = own[1] if contestant.uses_postgres else None
    others = max(0.0, cores - sum(own)) / (seconds * len(setup.layout.servers))
    return result, CpuUsage(own[0], postgres, others)
