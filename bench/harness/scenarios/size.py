"""Program size, memory, and start time."""

import os
import shutil
from pathlib import Path
from statistics import median

from ..contestant import Contestant, Setup
from ..load import require_wrk, run_wrk
from ..processes import Memory, Stopwatch
from ..report import Result, Table, format_mebibytes, format_number
from ..workspace import LOGS, ROOT, WORK, run_logged

STARTS = 5
LOAD_SECONDS = 2

COLUMNS = (
    "contestant", "program MiB", "start ms", "processes", "idle: resident MiB",
    "idle: proportional MiB", "after load: proportional MiB",
)


def run(setup: Setup, contestants: list[Contestant], cold_build: bool) -> Result:
    """Measures each contestant, and optionally a clean build of Tokenhouse."""
    require_wrk()
    rows = []
    for contestant in contestants:
        rows.append(_measure(setup, contestant))
        print(f"size  {contestant.name}: done", flush=True)
    tables = [Table("Programs and memory", COLUMNS, [_cells(row) for row in rows])]
    data: dict = {"rows": rows}
    if cold_build:
        data["cold_build_seconds"] = _cold_build_seconds()
        heads = ("build", "seconds", "cores")
        row = ("Tokenhouse", format_number(data["cold_build_seconds"]), str(os.cpu_count()))
        tables.append(Table("A clean release build", heads, [row]))
    return Result(
        name="size",
        title="Size",
        method=_method(setup),
        tables=tables,
        data=data,
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure(setup: Setup, contestant: Contestant) -> dict:
    cores = setup.layout.servers
    starts = []
    for _ in range(STARTS):
        with contestant.running(setup, cores) as server:
            starts.append(server.start_seconds * 1e3)
    with contestant.running(setup, cores) as server:
        contestant.verify(setup, server)
        idle, processes = server.tree.memory(), len(server.tree.pids())
        tokens, target = contestant.tokens(setup, "hot"), contestant.target(server.port)
        run_wrk(target, tokens, LOAD_SECONDS, setup.layout.load)
        loaded: Memory = server.tree.memory()
    return {
        "name": contestant.name,
        "title": contestant.title,
        "program": _bytes(contestant.installed(setup)),
        "start_ms": median(starts),
        "processes": processes,
        "idle_resident": idle.resident,
        "idle_proportional": idle.proportional,
        "loaded_proportional": loaded.proportional,
    }


def _bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())


def _cold_build_seconds() -> float:
    """Times a build on all cores. Downloading the sources does not count."""
    target = WORK / "cold-build"
    run_logged(["cargo", "fetch", "--locked"], LOGS / "fetch.log", cwd=ROOT)
    shutil.rmtree(target, ignore_errors=True)
    watch = Stopwatch()
    command = ["cargo", "build", "--release", "--locked", "--bin", "tokenhouse"]
    command += ["--target-dir", str(target)]
    run_logged(command, LOGS / "cold-build.log", cwd=ROOT)
    seconds = watch.seconds()
    shutil.rmtree(target)
    return seconds


def _cells(row: dict) -> list[str]:
    return [
        row["title"],
        format_mebibytes(row["program"]),
        format_number(row["start_ms"]),
        str(row["processes"]),
        format_mebibytes(row["idle_resident"]),
        format_mebibytes(row["idle_proportional"]),
        format_mebibytes(row["loaded_proportional"]),
    ]


def _method(setup: Setup) -> list[str]:
    return [
        "Program: the file, or the virtual environment (with pip) or the folder of packages, "
        "without Python or Node itself. Start: from the start of the process to its first HTTP "
        f"response, median of {STARTS}.",
        "Memory of the server's processes, without Postgres; proportional (PSS) divides shared "
        "pages among the processes that share them. Idle: after a few token checks; after load: "
        f"after {LOAD_SECONDS} s of token checks at the maximum rate.",
        f"{setup.rows:,} users; {setup.layout}; workers: {len(setup.layout.servers)}.",
    ]
