"""The machine: the files of the benchmarks and build steps, cores, and process trees."""

import contextlib
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from math import ceil
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent

# Everything that can be rebuilt: builds, virtual environments, databases, logs.
WORK = BENCH / "work"
DATA = WORK / "data"
LOGS = WORK / "logs"

# What a run with --save writes.
RESULTS = BENCH / "results"
PLOTS = BENCH / "plots"
REPORT = ROOT / "BENCHMARKS.md"

PEERS = BENCH / "peers"
MIGRATIONS = ROOT / "migrations"

# Build directory of bench/bare and bench/load, separate so that a server build does not block them.
HELPERS_TARGET = WORK / "cargo"


def server_target() -> Path:
    """Cargo's target directory for the server."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


class BenchmarkError(Exception):
    """A figure would be wrong or cannot be measured. The message is shown to the user."""


def run_logged(command: list[str], log: Path, **options) -> None:
    """Runs a build step. Its output is shown only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, check=False, **options
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise BenchmarkError(f"{' '.join(map(str, command))} failed, see {log}:\n{tail}")


def build_helper(crate: str) -> None:
    """Builds bench/bare or bench/load."""
    manifest = BENCH / crate / "Cargo.toml"
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", str(manifest)]
    command += ["--target-dir", str(HELPERS_TARGET)]
    run_logged(command, LOGS / f"build-{crate}.log")


def dependencies(script: Path) -> list[str]:
    """Returns the pinned packages of a script, from its metadata (PEP 723)."""
    found = re.search(r"^# /// script$\n((?:^#.*$\n)+?)^# ///$", script.read_text(), re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"{script} does not list its dependencies")
    metadata = "".join(line.removeprefix("#") for line in found[1].splitlines(keepends=True))
    return tomllib.loads(metadata)["dependencies"]


def venv_python(name: str, script: Path) -> Path:
    """Returns the interpreter of a virtual environment for a script, created on first use."""
    venv = WORK / "venvs" / name
    packages = dependencies(script)
    required = "\n".join(packages)
    # Written last, so that an interrupted or outdated installation is repeated.
    stamp = venv / "packages.txt"
    if not stamp.exists() or stamp.read_text() != required:
        log = LOGS / f"venv-{name}.log"
        run_logged([sys.executable, "-m", "venv", "--clear", str(venv)], log)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run_logged([*pip, *packages], log)
        stamp.write_text(required)
    return venv / "bin" / "python"


def pinned_versions(script: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Returns the pinned versions of some packages of a script."""
    pins = dict(pin.split("==") for pin in dependencies(script))
    missing = [package for package in packages if package not in pins]
    if missing:
        raise BenchmarkError(f"{script} does not pin {', '.join(missing)}")
    return {package: pins[package] for package in packages}


@dataclass(frozen=True)
class Layout:
    """The cores of the servers and of the load generator."""

    servers: tuple[int, ...]
    load: tuple[int, ...]

    def __str__(self) -> str:
        if self.servers == self.load:
            return f"Servers and load generator share all cores ({len(self.servers)})"
        return f"Servers on {_cores(self.servers)}, load generator on {_cores(self.load)}"


def _cores(cores: tuple[int, ...]) -> str:
    return ("core " if len(cores) == 1 else "cores ") + ",".join(map(str, cores))


def layout(arrangement: str) -> Layout:
    """`apart`: the first half of the cores for the servers, the rest for the load generator.
    `all`, or a machine with one core: both use every core."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    half = len(cores) // 2
    if arrangement == "all" or half == 0:
        return Layout(cores, cores)
    return Layout(cores[:half], cores[half:])


def pinned(cores: tuple[int, ...], command: list[str]) -> list[str]:
    """Returns the command pinned to these cores. taskset execs it, so the process id stays."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def busy_seconds(cores: tuple[int, ...]) -> float:
    """Busy time of these cores since boot, including time stolen by the hypervisor."""
    ticks = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str]:
    """Describes the machine, so that readers can compare figures with their own."""
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "rustc": _first_line(["rustc", "--version"]),
        "Python": platform.python_version(),
        "wrk": _first_line(["wrk", "--version"]),
    }


def _cpu_model() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _first_line(command: list[str]) -> str:
    try:
        # wrk --version exits with a status other than 0.
        printed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (printed.stdout + printed.stderr).strip().split("\n")[0]


TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_TIMEOUT = 15.0


@dataclass(frozen=True)
class Memory:
    """Of a process tree, in bytes. The proportional size (PSS) divides shared pages among the
    processes that share them, so its sum is correct for servers that fork."""

    resident: int
    proportional: int


@dataclass
class Tree:
    """A process and all its descendants."""

    root: int

    def pids(self) -> list[int]:
        """The processes that are alive."""
        children = _children_by_parent()
        found, pending = [], [self.root]
        while pending:
            pid = pending.pop()
            found.append(pid)
            pending += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time so far, including children that have exited and were waited for."""
        ticks = 0
        for pid in self.pids():
            fields = _stat(pid)
            if fields:
                # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), 12 after the name.
                ticks += sum(map(int, fields[11:15]))
        return ticks / TICKS_PER_SECOND

    def memory(self) -> Memory:
        """Current memory use."""
        sizes = [_rollup(pid) for pid in self.pids()]
        return Memory(sum(size[0] for size in sizes), sum(size[1] for size in sizes))


def _children_by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, or nothing if the process has exited. The name
    may contain spaces."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _rollup(pid: int) -> tuple[int, int]:
    """Resident and proportional bytes; zero for a process that has exited."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = dict(line.split()[:2] for line in lines[1:])
    return int(sizes["Rss:"]) * 1024, int(sizes["Pss:"]) * 1024


def resident_bytes(pid: int) -> int:
    """Resident size of one process, cheap enough for ten samples a second; 0 if it has exited."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def stop_process(process: subprocess.Popen) -> None:
    """Terminates the process, and kills what is left of its session after a timeout."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Stopwatch:
    """Measures the time since its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._start


def free_port() -> int:
    """Returns a port that is currently free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def quantile(values: list[float], share: float) -> float:
    """Returns the value below which this share of the others lies."""
    ordered = sorted(values)
    return ordered[ceil((len(ordered) - 1) * share)]
