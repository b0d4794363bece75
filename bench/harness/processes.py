"""Process trees: starting and ending them, and what they have used."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .failure import BenchmarkError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOPS_WITHIN = 15.0


@dataclass(frozen=True)
class Memory:
    """Of a process tree, in bytes. The proportional size counts a page that n processes share as
    an nth in each, so that its sum is right for servers that fork."""

    resident: int
    proportional: int


@dataclass
class Tree:
    """A process and all its descendants."""

    root: int

    def pids(self) -> list[int]:
        """Those that live now."""
        children = _children_by_parent()
        found, waiting = [], [self.root]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time so far, of the living and of those among the dead that were waited
        for."""
        ticks = 0
        for pid in self.pids():
            fields = _stat(pid)
            if fields:
                # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), 12 after the name.
                ticks += sum(map(int, fields[11:15]))
        return ticks / TICKS_PER_SECOND

    def memory(self) -> Memory:
        """What the tree holds now."""
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
    """The fields of /proc/PID/stat after the name, which may hold spaces; none for the dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _rollup(pid: int) -> tuple[int, int]:
    """Resident and proportional bytes; zeros for the dead."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = dict(line.split()[:2] for line in lines[1:])
    return int(sizes["Rss:"]) * 1024, int(sizes["Pss:"]) * 1024


def resident_bytes(pid: int) -> int:
    """Of one process alone, and cheap enough to ask ten times a second; 0 for the dead."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def end(process: subprocess.Popen) -> None:
    """Asks the process to end, and kills what is left of its session after a while."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_logged(command: list[str], log: Path, **options) -> None:
    """Runs a build step; what it printed is shown only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, check=False, **options
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise BenchmarkError(f"{' '.join(map(str, command))} failed, see {log}:\n{tail}")


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._begun
