"""The machine: its cores, who may use which, and what is to be said about it in a report."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Which cores the servers have, and which the load generator."""

    servers: tuple[int, ...]
    load: tuple[int, ...]

    def __str__(self) -> str:
        if self.servers == self.load:
            return f"Servers and load generator share all cores ({len(self.servers)})"
        return f"Servers on {_cores(self.servers)}, load generator on {_cores(self.load)}"


def _cores(cores: tuple[int, ...]) -> str:
    return ("core " if len(cores) == 1 else "cores ") + ",".join(map(str, cores))


def layout(arrangement: str) -> Layout:
    """`apart`: the first half of the cores for the servers, the others for the load generator.
    `all`: everybody may use every core; the only one there is on a machine with a single core."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    half = len(cores) // 2
    if arrangement == "all" or half == 0:
        return Layout(cores, cores)
    return Layout(cores[:half], cores[half:])


def pinned(cores: tuple[int, ...], command: list[str]) -> list[str]:
    """The command, to run on these cores. taskset becomes the command: the process id is the
    same."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def busy_seconds(cores: tuple[int, ...]) -> float:
    """How long these cores have worked for processes, or were taken by the host of a virtual
    machine, since the machine started."""
    ticks = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str]:
    """What a reader has to know to compare figures with those of another machine."""
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
        # wrk prints its version and then fails.
        printed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (printed.stdout + printed.stderr).strip().split("\n")[0]
