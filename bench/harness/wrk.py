"""wrk, the load generator of the token checks: as many requests as get through."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .failure import BenchmarkError
from .machine import pinned
from .paths import LUA

CONNECTIONS = 32


@dataclass(frozen=True)
class Target:
    """What is asked for, and how a token is shown there."""

    url: str
    header: str
    prefix: str


@dataclass(frozen=True)
class Load:
    """What wrk saw. Latencies are in milliseconds."""

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


def require() -> None:
    """Installs Debian's package when that is possible, and says what is missing when it is not."""
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchmarkError("wrk is missing: install it (Debian: apt-get install wrk)")
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "wrk"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"wrk is missing, and {' '.join(command)} fails:\n{done.stderr}")


def run(
    target: Target,
    tokens: Path,
    seconds: float,
    cores: tuple[int, ...],
    *,
    connections: int = CONNECTIONS,
    seed: int = 1,
) -> Load:
    """Loads the target as hard as it can for that long, one thread on each core."""
    threads = min(len(cores), connections)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "-s", str(LUA / "check.lua"), target.url, "--"]
    command += [str(tokens), target.header, target.prefix, str(seed)]
    done = subprocess.run(pinned(cores, command), capture_output=True, text=True, check=False)
    printed = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not printed:
        raise BenchmarkError(f"wrk failed on {target.url}:\n{done.stdout}{done.stderr}")
    return _read(json.loads(printed[-1]))


def _read(seen: dict) -> Load:
    seconds = seen["micros"] / 1e6
    return Load(
        requests=seen["requests"],
        seconds=seconds,
        p50=seen["p50"] / 1e3,
        p99=seen["p99"] / 1e3,
        p999=seen["p999"] / 1e3,
        failures=seen["bad_status"] + seen["broken"] + seen["timeouts"],
        generator_busy=seen["busy"] / (seconds * seen["threads"]),
    )
