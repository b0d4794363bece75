"""Token checks: rate, CPU time and latency; and during a flood of sign-ins with wrong passwords."""

from dataclasses import asdict, dataclass
from statistics import median

from ..contestant import Contestant, Server, Setup, cpu_around
from ..databases import WRONG_PASSWORD, User, sign_in_numbers
from ..load import (
    WRK_CONNECTIONS,
    Plan,
    Request,
    WrkResult,
    on_the_wire,
    require_wrk,
    run_plan,
    run_wrk,
)
from ..machine import BenchmarkError, build_helper
from ..report import Result, Table, format_mebibytes, format_number, format_percent

WARM_UP_SECONDS = 1

CHECK_COLUMNS = (
    "contestant", "tokens", "requests/s", "min-max", "of bare", "CPU us/request", "x bare",
    "Postgres us", "p50 ms", "p99 ms", "p99.9 ms", "generator busy",
)


@dataclass(frozen=True)
class Figures:
    """One contestant in one round; CPU in microseconds per request, latencies in milliseconds."""

    rate: float
    cpu: float
    postgres_cpu: float | None
    p50: float
    p99: float
    p999: float
    generator_busy: float
    # Share of the servers' cores that other processes used.
    others: float


def check(setup: Setup, contestants: list[Contestant], rounds: int, seconds: float) -> Result:
    """Runs `rounds` rounds over all contestants and both loads."""
    require_wrk()
    runs = [(contestant, load) for contestant in contestants for load in contestant.loads]
    results: dict[tuple[str, str], list[Figures]] = {}
    for number_of_round in range(1, rounds + 1):
        for contestant, load in runs:
            figures = _measure_check(setup, contestant, load, seconds, number_of_round)
            results.setdefault((contestant.name, load), []).append(figures)
            print(
                f"round {number_of_round}/{rounds}  {contestant.name:22} {load:5}"
                f"{figures.rate:10,.0f}/s {figures.cpu:8.1f} us  p99 {figures.p99:8.2f} ms",
                flush=True,
            )
    rows = [_summary(contestant, load, results) for contestant, load in runs]
    others = median(each.others for figures in results.values() for each in figures)
    return Result(
        name="check",
        title="Token checks",
        method=[*_check_method(setup, rounds, seconds, contestants), *_disturbance(setup, others)],
        tables=[
            Table("A request with a token", CHECK_COLUMNS, [_check_cells(row) for row in rows])
        ],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure_check(
    setup: Setup, contestant: Contestant, load: str, seconds: float, number_of_round: int
) -> Figures:
    with contestant.running(setup, setup.layout.servers) as server:
        contestant.verify(setup, server)
        # Warm up with the hot tokens, so that the cache has not seen the cold ones.
        _run_wrk(setup, contestant, server, "hot", WARM_UP_SECONDS, number_of_round)
        result, cpu = cpu_around(
            setup,
            contestant,
            server,
            lambda: _run_wrk(setup, contestant, server, load, seconds, number_of_round),
        )
    micros = 1e6 / result.requests
    return Figures(
        rate=result.rate,
        cpu=cpu.server * micros,
        postgres_cpu=None if cpu.postgres is None else cpu.postgres * micros,
        p50=result.p50,
        p99=result.p99,
        p999=result.p999,
        generator_busy=result.generator_busy,
        others=cpu.others,
    )


def _run_wrk(
    setup: Setup, contestant: Contestant, server: Server, load: str, seconds: float, seed: int
) -> WrkResult:
    tokens = contestant.tokens(setup, load)
    target = contestant.target(server.port)
    result = run_wrk(target, tokens, seconds, setup.layout.load, seed=seed)
    if result.failures or not result.requests:
        raise BenchmarkError(
            f"{contestant.name}: {result.failures} of {result.requests} requests failed"
        )
    return result


def _summary(
    contestant: Contestant, load: str, results: dict[tuple[str, str], list[Figures]]
) -> dict:
    """Medians over the rounds. Ratios are computed per round, against bare under the same load in
    that round, so that a disturbance of the machine affects both sides."""
    figures = results[contestant.name, load]
    bare = results.get(("bare", load))
    medians = {
        name: None if value is None else median(getattr(each, name) for each in figures)
        for name, value in asdict(figures[0]).items()
    }
    rates = [each.rate for each in figures]
    ratios = {}
    if bare:
        pairs = list(zip(figures, bare))
        ratios = {
            "rate_ratio": median(each.rate / baseline.rate for each, baseline in pairs),
            "cpu_ratio": median(total_cpu(each) / baseline.cpu for each, baseline in pairs),
        }
    identity = {"name": contestant.name, "title": contestant.title, "load": load}
    return identity | medians | ratios | {"rate_min": min(rates), "rate_max": max(rates)}


def total_cpu(figures: Figures) -> float:
    """Server and database server together."""
    return figures.cpu + (figures.postgres_cpu or 0.0)


def _check_cells(row: dict) -> list[str]:
    return [
        row["title"],
        row["load"],
        format_number(row["rate"]),
        f"{format_number(row['rate_min'])}-{format_number(row['rate_max'])}",
        format_percent(row["rate_ratio"]) if "rate_ratio" in row else "-",
        format_number(row["cpu"]),
        format_number(row.get("cpu_ratio")),
        format_number(row["postgres_cpu"]),
        format_number(row["p50"]),
        format_number(row["p99"]),
        format_number(row["p999"]),
        format_percent(row["generator_busy"]),
    ]


def _disturbance(setup: Setup, others: float) -> list[str]:
    """Reports the load of other processes, which distorts the figures."""
    if setup.layout.servers == setup.layout.load:
        return []
    verdict = "too much to trust the figures" if others > 0.05 else "negligible"
    return [f"Other processes used {format_percent(others)} of the servers' cores: {verdict}."]


def _check_method(
    setup: Setup, rounds: int, seconds: float, contestants: list[Contestant]
) -> list[str]:
    notes = [f"{each.title}: {each.note}." for each in contestants if each.note]
    return [
        f"{rounds} rounds of {seconds:g} s, alternating between contestants; medians. "
        f"{setup.rows:,} users with a token each; hot: 1,000 tokens in use; cold: all tokens, "
        "drawn uniformly.",
        f"{setup.layout}; workers: {len(setup.layout.servers)}; {WRK_CONNECTIONS} connections, "
        "each sending the next request as soon as it has a response: latencies are those of a "
        "saturated server.",
        "CPU time is user and system time of the server's processes; 'x bare' includes Postgres. "
        "Where the generator is busy all the time, it is the bottleneck, not the server.",
        "Any unsuccessful response fails the run. Each server was verified to reject an invalid "
        "token.",
        *notes,
    ]


CAPACITY_SECONDS = 3
SHARE_OF_CAPACITY = 0.5
CHECK_CONNECTIONS = 64
HEALTH_RATE = 20.0
# All clients share one address, which the limits would block.
NO_LIMITS = {"TOKENHOUSE_LIMITS": "off"}
PHASES = ("before", "flood", "after")

FLOOD_COLUMNS = (
    "contestant", "clients", "phase", "checks due/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms",
    "failed", "health p50 ms", "health p99 ms", "health failed", "RSS MiB",
)
SIGN_IN_COLUMNS = ("contestant", "clients", "response", "per second", "p50 ms", "p99 ms", "max ms")


def flood(
    setup: Setup,
    contestants: list[Contestant],
    clients: list[int],
    seconds: float,
    pause_ms: int,
) -> Result:
    """Runs a flood of `seconds` per number of clients against each contestant."""
    require_wrk()
    build_helper("load")
    phases = (seconds / 2, seconds, seconds / 4)
    rows = []
    for contestant in contestants:
        for count in clients:
            rows.append(_measure_flood(setup, contestant, count, phases, pause_ms))
            print(f"flood  {contestant.name}  {count} clients: done", flush=True)
    tables = [
        Table("Token checks and health checks during the flood", FLOOD_COLUMNS, _flood_cells(rows)),
        Table("Responses to the wrong passwords", SIGN_IN_COLUMNS, _sign_in_cells(rows)),
    ]
    return Result(
        name="flood",
        title="A flood of wrong passwords",
        method=_flood_method(setup, phases, pause_ms),
        tables=tables,
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure_flood(
    setup: Setup,
    contestant: Contestant,
    clients: int,
    phases: tuple[float, float, float],
    pause_ms: int,
) -> dict:
    with contestant.running(setup, setup.layout.servers, NO_LIMITS) as server:
        contestant.verify(setup, server)
        capacity = _capacity(setup, contestant, server)
        plan = Plan(server.port, phases)
        rate = capacity * SHARE_OF_CAPACITY
        plan.add_paced("checks", _checks(setup, contestant, server), rate, CHECK_CONNECTIONS)
        health = on_the_wire(Request("GET", contestant.health_path), server.port)
        plan.add_paced("health", [health], HEALTH_RATE, 2)
        plan.set_flood("sign_ins", _wrong_passwords(setup, contestant, server), clients, pause_ms)
        seen, sizes = run_plan(plan, server.tree, setup.layout.load)
    return {
        "name": contestant.name,
        "title": contestant.title,
        "clients": clients,
        "capacity": capacity,
        "seconds": phases,
        "resident": sizes,
        **seen,
    }


def _capacity(setup: Setup, contestant: Contestant, server: Server) -> float:
    tokens = contestant.tokens(setup, "hot")
    target = contestant.target(server.port)
    return run_wrk(target, tokens, CAPACITY_SECONDS, setup.layout.load).rate


def _checks(setup: Setup, contestant: Contestant, server: Server) -> list[str]:
    tokens = contestant.tokens(setup, "hot").read_text().split()
    return [on_the_wire(contestant.check(token), server.port) for token in tokens]


def _wrong_passwords(setup: Setup, contestant: Contestant, server: Server) -> list[str]:
    """Sign-ins of existing users, one request per user."""
    emails = [User(number, "", None).email for number in sign_in_numbers(setup.rows, 12)]
    requests = [contestant.sign_in(email, WRONG_PASSWORD) for email in emails]
    return [on_the_wire(request, server.port) for request in requests]


def _flood_cells(rows: list[dict]) -> list[list[str]]:
    cells = []
    for row in rows:
        for index, phase in enumerate(PHASES):
            checks = _successes(row["checks"]["phases"][index])
            health = _successes(row["health"]["phases"][index])
            cells.append([
                row["title"],
                str(row["clients"]),
                phase,
                format_number(checks["count"] / row["seconds"][index]),
                format_number(checks["p50"]),
                format_number(checks["p99"]),
                format_number(checks["p999"]),
                format_number(checks["max"]),
                str(checks["failed"]),
                format_number(health["p50"]),
                format_number(health["p99"]),
                str(health["failed"]),
                format_mebibytes(_resident(row, index)),
            ])
    return cells


def _successes(by_status: dict[str, dict]) -> dict:
    """Statistics of the responses with status 200, and the number of other responses."""
    none = {"count": 0, "p50": None, "p99": None, "p999": None, "max": None}
    others = [seen["count"] for status, seen in by_status.items() if status != "200"]
    return {**none, **by_status.get("200", {}), "failed": sum(others)}


def _resident(row: dict, phase: int) -> float:
    """The median of a phase, from samples every tenth of a second."""
    begin = sum(row["seconds"][:phase])
    end = begin + row["seconds"][phase]
    sizes = row["resident"][round(begin * 10) : round(end * 10)]
    return median(sizes) if sizes else 0.0


def _sign_in_cells(rows: list[dict]) -> list[list[str]]:
    cells = []
    for row in rows:
        for status, seen in row["sign_ins"]["phases"][1].items():
            cells.append([
                row["title"],
                str(row["clients"]),
                "none" if status == "0" else status,
                format_number(seen["count"] / row["seconds"][1]),
                format_number(seen["p50"]),
                format_number(seen["p99"]),
                format_number(seen["max"]),
            ])
    return cells


def _flood_method(setup: Setup, phases: tuple[float, float, float], pause_ms: int) -> list[str]:
    before, during, after = phases
    waits = f"waits {pause_ms} ms after a 429 or 503" if pause_ms else "never waits"
    return [
        f"{before:g} s before, {during:g} s with, and {after:g} s after the flood. {setup.layout}.",
        f"Token checks arrive at {SHARE_OF_CAPACITY * 100:.0f} % of the rate measured "
        f"just before, over {CHECK_CONNECTIONS} connections, at a constant rate even if the server "
        "falls behind; latency counts from the time at which a request was due.",
        "Limits are off: they would block a flood from a single address.",
        f"Each client of the flood signs in with a wrong password of an existing user, sends the "
        f"next request as soon as it has a response, and {waits}. Latencies of the flood include "
        "only requests that started in it.",
        f"{setup.rows:,} users; hashes of cost 12; {HEALTH_RATE:g} health checks per second.",
    ]
