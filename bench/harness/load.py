"""The harness's own load generator, bench/load: a steady pace of requests, and a flood of others
beside them for a while."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .contestants.bare import build_helper
from .contestants.base import Request, Server
from .failure import BenchmarkError
from .machine import pinned
from .paths import HELPERS_TARGET, WORK
from .processes import resident_bytes

SAMPLE_SECONDS = 0.1


def build() -> None:
    """Builds it."""
    build_helper("load")


def on_the_wire(request: Request, port: int) -> str:
    """The request as bench/load sends it."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", request.body.decode()])


@dataclass
class Plan:
    """See bench/load/src/plan.rs. Requests are whole texts."""

    port: int
    phases: tuple[float, float, float]
    paced: list[dict] = field(default_factory=list)
    flood: dict = field(default_factory=dict)

    def pace(self, name: str, requests: list[str], rate: float, connections: int) -> None:
        """Adds requests at so many a second."""
        load = {"name": name, "requests": requests, "rate": rate, "connections": connections}
        self.paced.append(load)

    def hammer(self, name: str, requests: list[str], clients: int, pause_ms: int) -> None:
        """Sets the flood."""
        load = {"name": name, "requests": requests, "clients": clients, "pause_ms": pause_ms}
        self.flood = load


def play(plan: Plan, server: Server, cores: tuple[int, ...]) -> tuple[dict, list[int]]:
    """Plays the plan. Returns what bench/load saw (see its report.rs), and the resident bytes of
    the server in each tenth of a second."""
    WORK.mkdir(exist_ok=True)
    given, result = WORK / "plan.json", WORK / "load.json"
    given.write_text(json.dumps(vars(plan)))
    command = [str(HELPERS_TARGET / "release" / "bench-load"), str(given), str(result)]
    with subprocess.Popen(pinned(cores, command), stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            with _sampling(server, cores) as sizes:
                process.wait()
        finally:
            # Otherwise a run that is told to end would wait for the rest of the plan.
            process.kill()
    if process.returncode != 0:
        raise BenchmarkError("bench-load failed")
    return json.loads(result.read_text()), sizes


@contextmanager
def _sampling(server: Server, cores: tuple[int, ...]) -> Iterator[list[int]]:
    """Notes the server's size until the block ends."""
    sizes: list[int] = []
    ended = threading.Event()
    pids = server.tree.pids()

    def sample() -> None:
        # Of this thread: the sampling must not disturb what it looks at.
        os.sched_setaffinity(0, cores)
        while not ended.wait(SAMPLE_SECONDS):
            sizes.append(sum(map(resident_bytes, pids)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()
