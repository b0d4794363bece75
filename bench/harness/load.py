"""HTTP clients: one connection for slow requests, wrk for as many requests as possible, and
bench/load for a steady rate with a flood alongside it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .machine import BENCH, HELPERS_TARGET, WORK, BenchmarkError, Tree, pinned, resident_bytes


@dataclass(frozen=True)
class Request:
    """An HTTP request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class ClientError(Exception):
    """The server did not respond."""


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A kept-alive connection that reconnects after the server closes it."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def send(self, request: Request) -> Response:
        """Sends a request and reads the whole response."""
        try:
            self._connection.request(
                request.method, request.path, body=request.body or None, headers=request.headers
            )
            response = self._connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, headers, response.read())
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise ClientError(str(error)) from error


WRK_CONNECTIONS = 32


@dataclass(frozen=True)
class Target:
    """The URL of a token check, and how a token is sent to it."""

    url: str
    header: str
    prefix: str


@dataclass(frozen=True)
class WrkResult:
    """What wrk measured. Latencies are in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    failures: int
    generator_busy: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def require_wrk() -> None:
    """Installs Debian's package if wrk is missing and the user is root; otherwise fails."""
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchmarkError("wrk is missing: install it (Debian: apt-get install wrk)")
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "wrk"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"wrk is missing, and {' '.join(command)} fails:\n{done.stderr}")


def run_wrk(
    target: Target,
    tokens: Path,
    seconds: float,
    cores: tuple[int, ...],
    *,
    connections: int = WRK_CONNECTIONS,
    seed: int = 1,
) -> WrkResult:
    """Loads the target as hard as possible, with one thread per core."""
    threads = min(len(cores), connections)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "-s", str(BENCH / "load" / "check.lua"), target.url, "--"]
    command += [str(tokens), target.header, target.prefix, str(seed)]
    done = subprocess.run(pinned(cores, command), capture_output=True, text=True, check=False)
    printed = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not printed:
        raise BenchmarkError(f"wrk failed on {target.url}:\n{done.stdout}{done.stderr}")
    return _parse_wrk(json.loads(printed[-1]))


def _parse_wrk(output: dict) -> WrkResult:
    seconds = output["micros"] / 1e6
    return WrkResult(
        requests=output["requests"],
        seconds=seconds,
        p50=output["p50"] / 1e3,
        p99=output["p99"] / 1e3,
        p999=output["p999"] / 1e3,
        failures=output["bad_status"] + output["broken"] + output["timeouts"],
        generator_busy=output["busy"] / (seconds * output["threads"]),
    )


SAMPLE_SECONDS = 0.1


def on_the_wire(request: Request, port: int) -> str:
    """Formats a request as bench/load sends it."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", request.body.decode()])


@dataclass
class Plan:
    """The input of bench-load: see bench/load/src/main.rs. Requests are complete HTTP messages."""

    port: int
    phases: tuple[float, float, float]
    paced: list[dict] = field(default_factory=list)
    flood: dict = field(
        default_factory=lambda: {"name": "none", "requests": [], "clients": 0, "pause_ms": 0}
    )

    def add_paced(self, name: str, requests: list[str], rate: float, connections: int) -> None:
        """Adds a load of `rate` requests per second."""
        load = {"name": name, "requests": requests, "rate": rate, "connections": connections}
        self.paced.append(load)

    def set_flood(self, name: str, requests: list[str], clients: int, pause_ms: int) -> None:
        """Sets the load of the flood phase."""
        load = {"name": name, "requests": requests, "clients": clients, "pause_ms": pause_ms}
        self.flood = load


def run_plan(plan: Plan, tree: Tree, cores: tuple[int, ...]) -> tuple[dict, list[int]]:
    """Runs bench-load. Returns its report (see bench/load/src/main.rs) and the resident bytes of
    the server's process tree, sampled ten times a second."""
    with _bench_load(plan, 0, cores) as run, _sampling(tree, cores) as sizes:
        run.process.wait()
    return run.report(), sizes


@contextmanager
def running_plans(plans: list[Plan], cores: tuple[int, ...]) -> Iterator[list[dict]]:
    """Runs bench-load for each plan, all at the same time, alongside the block. The list has their
    reports after the block, which ends with the last of them."""
    reports: list[dict] = []
    with ExitStack() as stack:
        runs = [
            stack.enter_context(_bench_load(plan, number, cores))
            for number, plan in enumerate(plans)
        ]
        yield reports
        reports += [run.report() for run in runs]


@dataclass(frozen=True)
class _Run:
    process: subprocess.Popen
    result: Path

    def report(self) -> dict:
        """Waits for the end."""
        if self.process.wait() != 0:
            raise BenchmarkError("bench-load failed")
        return json.loads(self.result.read_text())


@contextmanager
def _bench_load(plan: Plan, number: int, cores: tuple[int, ...]) -> Iterator[_Run]:
    """Starts bench-load, and kills it if it still runs after the block, as an interrupted run would
    wait for the rest of the plan."""
    WORK.mkdir(exist_ok=True)
    plan_file, result = WORK / f"plan-{number}.json", WORK / f"load-{number}.json"
    plan_file.write_text(json.dumps(vars(plan)))
    command = [str(HELPERS_TARGET / "release" / "bench-load"), str(plan_file), str(result)]
    with subprocess.Popen(pinned(cores, command), stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield _Run(process, result)
        finally:
            process.kill()


@contextmanager
def _sampling(tree: Tree, cores: tuple[int, ...]) -> Iterator[list[int]]:
    """Samples the memory of the server until the block ends."""
    sizes: list[int] = []
    stopped = threading.Event()
    pids = tree.pids()

    def sample() -> None:
        # Affects this thread only: sampling must not disturb the server.
        os.sched_setaffinity(0, cores)
        while not stopped.wait(SAMPLE_SECONDS):
            sizes.append(sum(map(resident_bytes, pids)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield sizes
    finally:
        stopped.set()
        thread.join()
