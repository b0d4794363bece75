"""Token checks while people sign in, and how many sign-ins one database carries; with several
processes on Postgres. Hashes have cost 4, so that hashing is not the limit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..contestant import CpuUsage, Server, Setup, cpu_around
from ..databases import PASSWORD, User, sign_in_numbers
from ..load import Plan, on_the_wire, require_wrk, run_wrk, running_plans
from ..machine import BenchmarkError, build_helper
from ..report import Result, Table, format_number, format_percent
from ..tokenhouse import Tokenhouse

# Enough for a sign-in of each user every five seconds at the highest rate.
ROWS = 2_000
COST = 4
# Sign-ins per second, over all processes.
RATES = (0, 20, 100, 400)
SIGN_IN_CONNECTIONS = 16
CLIENTS = 64
WARM_UP_SECONDS = 1.0
SETTINGS = {
    "TOKENHOUSE_BCRYPT_COST": str(COST),
    # All clients share one address and few accounts, which the limits would block.
    "TOKENHOUSE_LIMITS": "off",
    # Otherwise checks that use a whole core leave no time for hashes.
    "TOKENHOUSE_HASH_LOW_PRIORITY": "false",
    "TOKENHOUSE_WORKERS": "1",
}

CHECK_COLUMNS = (
    "contestant", "processes", "sign-ins/s due", "sign-ins/s", "refused/s", "p50 ms", "p99 ms",
    "checks/s", "of quiet", "p50 ms", "p99 ms", "p99.9 ms", "CPU us/check", "Postgres us",
)
CAPACITY_COLUMNS = (
    "contestant", "processes", "sign-ins/s", "refused/s", "p50 ms", "p99 ms", "CPU ms/sign-in",
    "Postgres ms",
)


@dataclass(frozen=True)
class Subject:
    """What is measured: a program on a database, in a number of processes."""

    contestant: Tokenhouse
    setup: Setup
    processes: int
    title: str


@dataclass(frozen=True)
class SignIns:
    """The sign-ins of a run, over all processes. Latencies are in milliseconds."""

    rate: float
    refused: float
    p50: float
    p99: float


def subjects(setup: Setup, contestants: Sequence[Tokenhouse], before: Path | None) -> list[Subject]:
    """Each database with each number of processes, before and after a change if two programs are
    given."""
    setup = replace(setup, rows=ROWS)
    programs = [("", setup)]
    if before is not None:
        programs = [(" before", replace(setup, binary=before)), (" after", setup)]
    return [
        Subject(contestant, each, processes, contestant.title + label)
        for contestant in contestants
        for processes in ((1, 2, 4) if contestant.uses_postgres else (1,))
        for label, each in programs
    ]


def beside(chosen: list[Subject], rounds: int, seconds: float) -> Result:
    """Runs `rounds` rounds over all subjects, and keeps the median round of each."""
    require_wrk()
    build_helper("load")
    rows: dict[tuple[str, int], list[dict]] = {}
    for number in range(1, rounds + 1):
        for subject in chosen:
            row = _measure(subject, seconds)
            rows.setdefault((subject.title, subject.processes), []).append(row)
            slowest = row["checks"][-1]
            print(
                f"round {number}/{rounds}  {subject.title:28} {subject.processes} "
                f"{row['capacity']['rate']:8,.0f} sign-ins/s, {slowest['rate']:,.0f} checks/s "
                f"beside {slowest['sign_ins']:.0f}",
                flush=True,
            )
    medians = [_median(each) for each in rows.values()]
    return Result(
        name="beside",
        title="While people sign in",
        method=_method(chosen, rounds, seconds),
        tables=[
            Table("Token checks beside sign-ins", CHECK_COLUMNS, _check_cells(medians)),
            Table("Sign-ins of cost 4", CAPACITY_COLUMNS, _capacity_cells(medians)),
        ],
        data={"rows": medians},
        versions={k: v for each in chosen for k, v in each.contestant.versions().items()},
    )


def _measure(subject: Subject, seconds: float) -> dict:
    subject.contestant.seed_anew(subject.setup)
    with _running(subject) as servers:
        # First, so that each of the users has a token that the next sign-in replaces.
        capacity = _capacity(subject, servers, seconds)
        checks = [_checks(subject, servers, rate, seconds) for rate in RATES]
    for row in checks:
        row["of_quiet"] = row["rate"] / checks[0]["rate"]
    return {
        "name": subject.contestant.name,
        "title": subject.title,
        "processes": subject.processes,
        "capacity": capacity,
        "checks": checks,
    }


@contextmanager
def _running(subject: Subject) -> Iterator[list[Server]]:
    """Runs the processes, with one worker each, on the servers' cores."""
    cores = subject.setup.layout.servers
    with ExitStack() as stack:
        yield [
            stack.enter_context(subject.contestant.running(subject.setup, cores, SETTINGS))
            for _ in range(subject.processes)
        ]


def _checks(subject: Subject, servers: list[Server], rate: int, seconds: float) -> dict:
    """Checks on the first process as fast as it answers, while users sign in on all of them."""
    layout, contestant = subject.setup.layout, subject.contestant
    tokens = contestant.tokens(subject.setup, "hot")
    target = contestant.target(servers[0].port)
    lead = 2 * WARM_UP_SECONDS
    plans = []
    for server, requests in zip(servers, _sign_ins(subject, servers)) if rate else ():
        plan = Plan(server.port, (lead + seconds, 0.0, 0.0))
        share = rate / subject.processes
        plan.add_paced("sign_ins", requests, share, SIGN_IN_CONNECTIONS // subject.processes)
        plans.append(plan)
    with running_plans(plans, layout.load) as reports:
        run_wrk(target, tokens, WARM_UP_SECONDS, layout.load)
        result, cpu = _cpu(
            subject, servers, lambda: run_wrk(target, tokens, seconds, layout.load)
        )
    if result.failures or not result.requests:
        failures = f"{result.failures} of {result.requests} checks failed"
        raise BenchmarkError(f"{subject.title}: {failures}")
    sign_ins = _summary(subject, reports, "sign_ins", 0, lead + seconds) if rate else None
    micros = 1e6 / result.requests
    return {
        "due": rate,
        "sign_ins": sign_ins.rate if sign_ins else 0.0,
        "refused": sign_ins.refused if sign_ins else 0.0,
        "sign_in_p50": sign_ins.p50 if sign_ins else None,
        "sign_in_p99": sign_ins.p99 if sign_ins else None,
        "rate": result.rate,
        "p50": result.p50,
        "p99": result.p99,
        "p999": result.p999,
        "cpu": cpu.server * micros,
        "postgres_cpu": None if cpu.postgres is None else cpu.postgres * micros,
    }


def _capacity(subject: Subject, servers: list[Server], seconds: float) -> dict:
    """Clients that sign in as fast as they are answered."""
    plans = []
    for server, requests in zip(servers, _sign_ins(subject, servers)):
        plan = Plan(server.port, (WARM_UP_SECONDS, seconds, 0.0))
        plan.set_flood("sign_ins", requests, CLIENTS // subject.processes, 0)
        plans.append(plan)

    def run() -> list[dict]:
        with running_plans(plans, subject.setup.layout.load) as reports:
            pass
        return reports

    reports, cpu = _cpu(subject, servers, run)
    sign_ins = _summary(subject, reports, "sign_ins", 1, seconds)
    millis = 1e3 / (sign_ins.rate * seconds)
    return {
        "rate": sign_ins.rate,
        "refused": sign_ins.refused,
        "p50": sign_ins.p50,
        "p99": sign_ins.p99,
        "cpu_ms": cpu.server * millis,
        "postgres_ms": None if cpu.postgres is None else cpu.postgres * millis,
    }


T = TypeVar("T")


def _cpu(subject: Subject, servers: list[Server], work: Callable[[], T]) -> tuple[T, CpuUsage]:
    """Does the work, and measures the CPU time that all processes used for it."""
    others = [server.tree for server in servers[1:]]
    before = sum(tree.cpu_seconds() for tree in others)
    result, cpu = cpu_around(subject.setup, subject.contestant, servers[0], work)
    more = sum(tree.cpu_seconds() for tree in others) - before
    return result, replace(cpu, server=cpu.server + more)


def _sign_ins(subject: Subject, servers: list[Server]) -> list[list[str]]:
    """The requests for each process: each user signs in on one of them."""
    numbers = sign_in_numbers(subject.setup.rows, COST)
    return [
        [
            on_the_wire(subject.contestant.sign_in(User(number, "", None).email, PASSWORD), port)
            for number in numbers[index :: len(servers)]
        ]
        for index, port in enumerate(server.port for server in servers)
    ]


def _summary(
    subject: Subject, reports: list[dict], load: str, phase: int, seconds: float
) -> SignIns:
    """Adds the rates of all processes. The median latency is the mean of their medians, p99 is that
    of the slowest process."""
    seen = [report[load]["phases"][phase] for report in reports]
    failed = {status for statuses in seen for status in statuses if status not in ("200", "503")}
    good = [statuses["200"] for statuses in seen if "200" in statuses]
    if failed or len(good) < len(seen):
        raise BenchmarkError(f"{subject.title}: sign-ins failed: {sorted(failed)}")
    refused = sum(statuses["503"]["count"] for statuses in seen if "503" in statuses)
    return SignIns(
        rate=sum(each["count"] for each in good) / seconds,
        refused=refused / seconds,
        p50=sum(each["p50"] for each in good) / len(good),
        p99=max(each["p99"] for each in good),
    )


def _median(rows: list[dict]) -> dict:
    """The round whose checks beside the most sign-ins are the median, compared with quiet."""
    ordered = sorted(rows, key=lambda row: row["checks"][-1]["of_quiet"])
    return ordered[len(ordered) // 2]


def _check_cells(rows: list[dict]) -> list[list[str]]:
    return [
        [
            row["title"],
            str(row["processes"]),
            str(each["due"]),
            format_number(each["sign_ins"]),
            format_number(each["refused"]),
            format_number(each["sign_in_p50"]),
            format_number(each["sign_in_p99"]),
            format_number(each["rate"]),
            format_percent(each["of_quiet"]),
            format_number(each["p50"]),
            format_number(each["p99"]),
            format_number(each["p999"]),
            format_number(each["cpu"]),
            format_number(each["postgres_cpu"]),
        ]
        for row in rows
        for each in row["checks"]
    ]


def _capacity_cells(rows: list[dict]) -> list[list[str]]:
    return [
        [
            row["title"],
            str(row["processes"]),
            format_number(row["capacity"]["rate"]),
            format_number(row["capacity"]["refused"]),
            format_number(row["capacity"]["p50"]),
            format_number(row["capacity"]["p99"]),
            format_number(row["capacity"]["cpu_ms"]),
            format_number(row["capacity"]["postgres_ms"]),
        ]
        for row in rows
    ]


def _method(chosen: list[Subject], rounds: int, seconds: float) -> list[str]:
    layout = chosen[0].setup.layout
    return [
        f"{rounds} rounds of {seconds:g} s for each figure, alternating; the round with the median "
        f"ratio at {RATES[-1]} sign-ins per second. {layout}, Postgres on the servers' cores; one "
        "worker in each process.",
        "wrk checks hot tokens of other users on the first process as fast as it answers; sign-ins "
        "are spread over all processes and arrive at a constant rate, each of a user whose token "
        "it replaces. Their latency counts from the time at which they were due.",
        f"Hashes of cost {COST}, so that hashing is not the limit; {ROWS:,} users who sign in; "
        "limits off, hash threads at normal priority.",
        "CPU time is that of all processes, sign-ins included, per check.",
        f"Sign-ins of cost {COST}: {CLIENTS} clients, spread over the processes, each signing in "
        "again as soon as it has a response, without checks.",
    ]
