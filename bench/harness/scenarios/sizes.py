"""The same work on databases of increasing size; and program size, memory and start time."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from ..contestant import Contestant, Server, Setup, cpu_around
from ..databases import PASSWORD, User, sign_in_numbers
from ..load import WRK_CONNECTIONS, Client, Request, require_wrk, run_wrk
from ..machine import LOGS, ROOT, WORK, BenchmarkError, Memory, Stopwatch, quantile, run_logged
from ..report import Result, Table, format_mebibytes, format_number
from ..tokenhouse import Tokenhouse
from ..tokenhouse import run as run_command
from . import console

GROWTH_STARTS = 3
REQUESTS = 300

# Cheap hashes, so that registrations and sign-ins measure the database.
CHEAP_HASHES = {"TOKENHOUSE_BCRYPT_COST": "4"}
COST = 4

# Each user signs in twice, and ends the second session by the first.
TWO_SESSIONS = {"TOKENHOUSE_SESSIONS_PER_USER": "2"}

# Administrators may search so many times in a minute, which is not what is measured.
NO_LIMITS = {"TOKENHOUSE_LIMITS": "off"}

# No session cache, so that checks query the database at every size.
NO_CACHE = {"TOKENHOUSE_SESSION_CACHE_MB": "0"}

GROWTH_COLUMNS = (
    "contestant", "users", "check: CPU us", "check: p50 ms", "check: p99 ms",
    "register: CPU us", "register: p50 ms", "sign-in: CPU us", "sign-in: p50 ms",
    "start ms", "database MiB", "RSS MiB",
)

# The column and the key of each request about sessions.
SESSION_COLUMNS = {
    "list sessions: CPU us": "list_sessions_cpu",
    "list sessions: p50 ms": "list_sessions_p50",
    "end session: CPU us": "end_session_cpu",
    "end session: p50 ms": "end_session_p50",
}

# Commands that read all users or tokens, if this version has them.
COMMANDS = {
    "user list ms": ["user", "list", "--limit", "100"],
    "token prune ms": ["token", "prune"],
}


def growth(setup: Setup, contestants: list[Tokenhouse], sizes: list[int], seconds: float) -> Result:
    """Measures each contestant at each number of users."""
    require_wrk()
    rows = []
    commands = {name: each for name, each in COMMANDS.items() if _has(setup, each)}
    has_sessions = _has(setup, ["session", "list"])
    more = SESSION_COLUMNS | console.COLUMNS if has_sessions else {}
    for size in sizes:
        sized = replace(setup, rows=size)
        for contestant in contestants:
            contestant.seed(sized)
            row = _measure_growth(sized, contestant, commands, seconds)
            if has_sessions:
                row |= _sessions(sized, contestant)
                settings, cores = CHEAP_HASHES | NO_LIMITS, sized.layout.servers
                with contestant.running(sized, cores, settings) as server:
                    row |= console.measure(sized, contestant, server, COST)
            rows.append(row)
            print(f"growth  {contestant.name:22} {size:>10,} users: done", flush=True)
    rows.sort(key=lambda row: row["name"], reverse=True)
    heads = [*GROWTH_COLUMNS, *more, *commands]
    cells = [_growth_cells(row, more, commands) for row in rows]
    return Result(
        name="growth",
        title="Growth",
        method=_growth_method(setup, seconds),
        tables=[Table("By the number of users", heads, cells)],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _has(setup: Setup, command: list[str]) -> bool:
    verbs = command[:2]
    return run_command(setup, "sqlite://unused.db", *verbs, "--help").returncode == 0


def _measure_growth(
    setup: Setup, contestant: Tokenhouse, commands: dict[str, list[str]], seconds: float
) -> dict:
    row = {
        "name": contestant.name,
        "title": contestant.title,
        "users": setup.rows,
        "bytes": contestant.database_bytes(setup),
        "start_ms": median(_start_milliseconds(setup, contestant) for _ in range(GROWTH_STARTS)),
    }
    cores = setup.layout.servers
    with contestant.running(setup, cores, CHEAP_HASHES | NO_CACHE) as server:
        contestant.verify(setup, server)
        row |= _checks(setup, contestant, server, seconds)
    with contestant.running(setup, cores, CHEAP_HASHES) as server:
        # Unique across runs.
        run_id = time.time_ns()
        registrations = [
            contestant.register(f"grown{run_id}x{index}@example.com", PASSWORD)
            for index in range(REQUESTS)
        ]
        row |= _one_by_one(setup, contestant, server, "register", registrations)
        sign_ins = [
            contestant.sign_in(User(user, "", None).email, PASSWORD)
            for user in sign_in_numbers(setup.rows, COST)[:REQUESTS]
        ]
        row |= _one_by_one(setup, contestant, server, "sign_in", sign_ins)
        row["resident"] = server.tree.memory().resident
    row["commands"] = {
        name: _command_milliseconds(setup, contestant, command)
        for name, command in commands.items()
    }
    return row


def _sessions(setup: Setup, contestant: Tokenhouse) -> dict:
    """What it costs users with two sessions to list them and to end one of them."""
    cores = setup.layout.servers
    users = sign_in_numbers(setup.rows, COST)[:REQUESTS]
    emails = [User(number, "", None).email for number in users]
    with contestant.running(setup, cores, CHEAP_HASHES | TWO_SESSIONS) as server:
        lists, ends = [], []
        with Client(server.port) as client:
            for email in emails:
                sign_in = contestant.sign_in(email, PASSWORD)
                first, second = (_issued(client, sign_in) for _ in range(2))
                lists.append(contestant.list_sessions(first["access_token"]))
                end = contestant.end_session(first["access_token"], second["session_id"])
                ends.append(end)
        listed = _one_by_one(setup, contestant, server, "list_sessions", lists)
        return listed | _one_by_one(setup, contestant, server, "end_session", ends)


def _issued(client: Client, sign_in: Request) -> dict:
    response = client.send(sign_in)
    if response.status != 200:
        raise BenchmarkError(f"{sign_in.path}: {response}")
    return json.loads(response.body)


def _start_milliseconds(setup: Setup, contestant: Tokenhouse) -> float:
    with contestant.running(setup, setup.layout.servers, CHEAP_HASHES) as server:
        return server.start_seconds * 1e3


def _checks(setup: Setup, contestant: Tokenhouse, server: Server, seconds: float) -> dict:
    """What a check costs under load, and how long one alone takes, drawn from all tokens."""
    tokens, target = contestant.tokens(setup, "cold"), contestant.target(server.port)
    cores = setup.layout.load
    loaded, usage = cpu_around(
        setup, contestant, server, lambda: run_wrk(target, tokens, seconds, cores, seed=1)
    )
    alone = run_wrk(target, tokens, seconds, cores, connections=1, seed=2)
    if loaded.failures or alone.failures:
        raise BenchmarkError(f"{contestant.name}: checks failed at {setup.rows:,} users")
    cpu = usage.total / loaded.requests * 1e6
    return {"check_cpu": cpu, "check_p50": alone.p50, "check_p99": alone.p99}


def _one_by_one(
    setup: Setup, contestant: Tokenhouse, server: Server, name: str, requests: list[Request]
) -> dict:
    """CPU time and latency of each request, sent one after another."""
    with Client(server.port) as client:
        latencies, usage = cpu_around(
            setup, contestant, server, lambda: [_timed(client, each) for each in requests]
        )
    cpu = usage.total / len(requests) * 1e6
    return {f"{name}_cpu": cpu, f"{name}_p50": quantile(latencies, 0.5)}


def _timed(client: Client, request: Request) -> float:
    """Returns the latency in milliseconds."""
    start = time.perf_counter()
    response = client.send(request)
    if response.status not in (200, 201, 204):
        raise BenchmarkError(f"{request.path}: {response}")
    return (time.perf_counter() - start) * 1e3


def _command_milliseconds(setup: Setup, contestant: Tokenhouse, command: list[str]) -> float:
    start = time.perf_counter()
    done = run_command(setup, contestant.database_url(setup), *command)
    if done.returncode != 0:
        raise BenchmarkError(f"tokenhouse {' '.join(command)} failed: {done.stderr}")
    return (time.perf_counter() - start) * 1e3


def _growth_cells(
    row: dict, more: dict[str, str], commands: dict[str, list[str]]
) -> list[str]:
    return [
        row["title"],
        f"{row['users']:,}",
        format_number(row["check_cpu"]),
        format_number(row["check_p50"]),
        format_number(row["check_p99"]),
        format_number(row["register_cpu"]),
        format_number(row["register_p50"]),
        format_number(row["sign_in_cpu"]),
        format_number(row["sign_in_p50"]),
        format_number(row["start_ms"]),
        format_mebibytes(row["bytes"]),
        format_mebibytes(row["resident"]),
        *(format_number(row[key]) for key in more.values()),
        *(format_number(row["commands"][name]) for name in commands),
    ]


def _growth_method(setup: Setup, seconds: float) -> list[str]:
    return [
        f"Each size has its own database, with a token for every user. {setup.layout}; "
        "CPU time includes Postgres.",
        "Checks run without the session cache, so that all of them query the database.",
        f"Checks draw from all tokens: CPU time is measured with {WRK_CONNECTIONS} connections "
        f"for {seconds:g} s, latency with a single connection.",
        f"{REQUESTS} registrations and {REQUESTS} sign-ins one after another, with hashes of "
        f"cost {COST}, so that the database dominates. Each is durable when it is acknowledged.",
        f"Sessions: {REQUESTS} users with two sessions each list them, then end one.",
        *console.METHOD,
        f"Start: from the start of the process to its first response, median of {GROWTH_STARTS}.",
    ]


SIZE_STARTS = 5
LOAD_SECONDS = 2

SIZE_COLUMNS = (
    "contestant", "program MiB", "start ms", "processes", "idle: resident MiB",
    "idle: proportional MiB", "after load: proportional MiB",
)


def size(setup: Setup, contestants: list[Contestant], cold_build: bool) -> Result:
    """Measures each contestant, and optionally a clean build of Tokenhouse."""
    require_wrk()
    rows = []
    for contestant in contestants:
        rows.append(_measure_size(setup, contestant))
        print(f"size  {contestant.name}: done", flush=True)
    tables = [Table("Programs and memory", SIZE_COLUMNS, [_size_cells(row) for row in rows])]
    data: dict = {"rows": rows}
    if cold_build:
        data["cold_build_seconds"] = _cold_build_seconds()
        heads = ("build", "seconds", "cores")
        row = ("Tokenhouse", format_number(data["cold_build_seconds"]), str(os.cpu_count()))
        tables.append(Table("A clean release build", heads, [row]))
    return Result(
        name="size",
        title="Size",
        method=_size_method(setup),
        tables=tables,
        data=data,
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure_size(setup: Setup, contestant: Contestant) -> dict:
    cores = setup.layout.servers
    starts = []
    for _ in range(SIZE_STARTS):
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


def _size_cells(row: dict) -> list[str]:
    return [
        row["title"],
        format_mebibytes(row["program"]),
        format_number(row["start_ms"]),
        str(row["processes"]),
        format_mebibytes(row["idle_resident"]),
        format_mebibytes(row["idle_proportional"]),
        format_mebibytes(row["loaded_proportional"]),
    ]


def _size_method(setup: Setup) -> list[str]:
    return [
        "Program: the file, or the virtual environment (with pip) or the folder of packages, "
        "without Python or Node itself. Start: from the start of the process to its first HTTP "
        f"response, median of {SIZE_STARTS}.",
        "Memory of the server's processes, without Postgres; proportional (PSS) divides shared "
        "pages among the processes that share them. Idle: after a few token checks; after load: "
        f"after {LOAD_SECONDS} s of token checks at the maximum rate.",
        f"{setup.rows:,} users; {setup.layout}; workers: {len(setup.layout.servers)}.",
    ]
