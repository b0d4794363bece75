"""The same work on ever larger databases: what grows with them, and what does not."""

import time
from dataclasses import replace
from statistics import median

from .. import wrk
from ..client import Client
from ..contestants.base import Request, Server
from ..contestants.tokenhouse import Tokenhouse
from ..contestants.tokenhouse import run as run_command
from ..failure import BenchmarkError
from ..measure import cpu_around
from ..people import PASSWORD, User, sign_in_numbers
from ..quantiles import quantile
from ..results import Result
from ..setup import Setup
from ..tables import Table, mebibytes, number

STARTS = 3
REQUESTS = 300

# So that what a registration and a sign-in cost is the database's part of them.
CHEAP_HASHES = {"TOKENHOUSE_BCRYPT_COST": "4"}
COST = 4

# So that a check asks the database at every size: 10,000 sessions would fit into the memory.
NO_MEMORY = {"TOKENHOUSE_SESSION_CACHE_MB": "0"}

HEADS = (
    "contestant", "users", "check: CPU us", "check: p50 ms", "check: p99 ms",
    "register: CPU us", "register: p50 ms", "sign-in: CPU us", "sign-in: p50 ms",
    "start ms", "database MiB", "RSS MiB",
)

# Commands that look at everybody, where this version has them.
COMMANDS = {
    "user list ms": ["user", "list", "--limit", "100"],
    "token prune ms": ["token", "prune"],
}


def run(setup: Setup, contestants: list[Tokenhouse], sizes: list[int], seconds: float) -> Result:
    """Measures each contestant at each number of users."""
    wrk.require()
    rows = []
    commands = {name: each for name, each in COMMANDS.items() if _has(setup, each)}
    for size in sizes:
        sized = replace(setup, rows=size)
        for contestant in contestants:
            contestant.seed(sized)
            rows.append(_measure(sized, contestant, commands, seconds))
            print(f"growth  {contestant.name:22} {size:>10,} users: done", flush=True)
    rows.sort(key=lambda row: row["name"], reverse=True)
    heads = [*HEADS, *commands]
    return Result(
        name="growth",
        title="Growth",
        method=_method(setup, seconds),
        tables=[Table("By the number of users", heads, [_cells(row, commands) for row in rows])],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _has(setup: Setup, command: list[str]) -> bool:
    verbs = command[:2]
    return run_command(setup, "sqlite://unused.db", *verbs, "--help").returncode == 0


def _measure(
    setup: Setup, contestant: Tokenhouse, commands: dict[str, list[str]], seconds: float
) -> dict:
    row = {
        "name": contestant.name,
        "title": contestant.title,
        "users": setup.rows,
        "bytes": contestant.database_bytes(setup),
        "start_ms": median(_start_milliseconds(setup, contestant) for _ in range(STARTS)),
    }
    cores = setup.layout.servers
    with contestant.running(setup, cores, CHEAP_HASHES | NO_MEMORY) as server:
        contestant.verify(setup, server)
        row |= _checks(setup, contestant, server, seconds)
    with contestant.running(setup, cores, CHEAP_HASHES) as server:
        # Names that no earlier run has used.
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


def _start_milliseconds(setup: Setup, contestant: Tokenhouse) -> float:
    with contestant.running(setup, setup.layout.servers, CHEAP_HASHES) as server:
        return server.seconds_to_answer * 1e3


def _checks(setup: Setup, contestant: Tokenhouse, server: Server, seconds: float) -> dict:
    """What a check costs under load, and how long one alone takes, drawn from all tokens."""
    tokens, target = contestant.tokens(setup, "cold"), contestant.target(server.port)
    cores = setup.layout.load
    loaded, spent = cpu_around(
        setup, contestant, server, lambda: wrk.run(target, tokens, seconds, cores, seed=1)
    )
    alone = wrk.run(target, tokens, seconds, cores, connections=1, seed=2)
    if loaded.failures or alone.failures:
        raise BenchmarkError(f"{contestant.name}: checks failed at {setup.rows:,} users")
    cpu = spent.total / loaded.requests * 1e6
    return {"check_cpu": cpu, "check_p50": alone.p50, "check_p99": alone.p99}


def _one_by_one(
    setup: Setup, contestant: Tokenhouse, server: Server, name: str, requests: list[Request]
) -> dict:
    """What each of these requests costs and how long it takes when it is alone."""
    with Client(server.port) as client:
        latencies, spent = cpu_around(
            setup, contestant, server, lambda: [_timed(client, each) for each in requests]
        )
    cpu = spent.total / len(requests) * 1e6
    return {f"{name}_cpu": cpu, f"{name}_p50": quantile(latencies, 0.5)}


def _timed(client: Client, request: Request) -> float:
    """In milliseconds."""
    begun = time.perf_counter()
    answer = client.send(request)
    if answer.status not in (200, 201):
        raise BenchmarkError(f"{request.path}: {answer}")
    return (time.perf_counter() - begun) * 1e3


def _command_milliseconds(setup: Setup, contestant: Tokenhouse, command: list[str]) -> float:
    begun = time.perf_counter()
    done = run_command(setup, contestant.database_url(setup), *command)
    if done.returncode != 0:
        raise BenchmarkError(f"tokenhouse {' '.join(command)} failed: {done.stderr}")
    return (time.perf_counter() - begun) * 1e3


def _cells(row: dict, commands: dict[str, list[str]]) -> list[str]:
    return [
        row["title"],
        f"{row['users']:,}",
        number(row["check_cpu"]),
        number(row["check_p50"]),
        number(row["check_p99"]),
        number(row["register_cpu"]),
        number(row["register_p50"]),
        number(row["sign_in_cpu"]),
        number(row["sign_in_p50"]),
        number(row["start_ms"]),
        mebibytes(row["bytes"]),
        mebibytes(row["resident"]),
        *(number(row["commands"][name]) for name in commands),
    ]


def _method(setup: Setup, seconds: float) -> list[str]:
    return [
        f"Each size has a database of its own, with a token for every user. {setup.layout}; "
        "CPU time counts that of Postgres.",
        "Checks were made without sessions in memory, so that all of them ask the database.",
        f"A check draws from all tokens: its CPU time is that under {wrk.CONNECTIONS} connections "
        f"for {seconds:g} s, its latency that of one connection alone.",
        f"{REQUESTS} registrations and {REQUESTS} sign-ins one after the other, with hashes of "
        f"cost {COST}, so that the database's part shows. Each is on the disk when it is answered.",
        f"Start: from the start of the process to its first answer, median of {STARTS}.",
    ]
