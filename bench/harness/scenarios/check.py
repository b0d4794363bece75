"""Token checks: rate, CPU time and latency."""

from dataclasses import asdict, dataclass
from statistics import median

from ..contestant import Contestant, Server, Setup, cpu_around
from ..load import WRK_CONNECTIONS, WrkResult, require_wrk, run_wrk
from ..report import Result, Table, format_number, format_percent
from ..workspace import BenchmarkError

WARM_UP_SECONDS = 1

COLUMNS = (
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


def run(setup: Setup, contestants: list[Contestant], rounds: int, seconds: float) -> Result:
    """Runs `rounds` rounds over all contestants and both loads."""
    require_wrk()
    runs = [(contestant, load) for contestant in contestants for load in contestant.loads]
    results: dict[tuple[str, str], list[Figures]] = {}
    for number_of_round in range(1, rounds + 1):
        for contestant, load in runs:
            figures = _measure(setup, contestant, load, seconds, number_of_round)
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
        method=[*_method(setup, rounds, seconds, contestants), *_disturbance(setup, others)],
        tables=[Table("A request with a token", COLUMNS, [_cells(row) for row in rows])],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure(
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


def _cells(row: dict) -> list[str]:
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


def _method(
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
