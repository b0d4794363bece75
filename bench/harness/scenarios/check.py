"""Token checks: how many a second, at what cost, and how late."""

from dataclasses import asdict, dataclass
from statistics import median

from .. import wrk
from ..contestants.base import Contestant, Server
from ..failure import BenchmarkError
from ..measure import cpu_around
from ..results import Result
from ..setup import Setup
from ..tables import Table, number, percent

WARM_UP_SECONDS = 1

HEADS = (
    "contestant", "tokens", "requests/s", "min-max", "of bare", "CPU us/request", "x bare",
    "Postgres us", "p50 ms", "p99 ms", "p99.9 ms", "generator busy",
)


@dataclass(frozen=True)
class Figures:
    """Of one contestant in one round; CPU in microseconds a request, latencies in milliseconds."""

    rate: float
    cpu: float
    postgres_cpu: float | None
    p50: float
    p99: float
    p999: float
    generator_busy: float
    # What others used of the servers' cores: a share of their time.
    others: float


def run(setup: Setup, contestants: list[Contestant], rounds: int, seconds: float) -> Result:
    """Plays `rounds` rounds over all contestants and both kinds of load."""
    wrk.require()
    runs = [(contestant, load) for contestant in contestants for load in contestant.loads]
    found: dict[tuple[str, str], list[Figures]] = {}
    for number_of_round in range(1, rounds + 1):
        for contestant, load in runs:
            figures = _measure(setup, contestant, load, seconds, number_of_round)
            found.setdefault((contestant.name, load), []).append(figures)
            print(
                f"round {number_of_round}/{rounds}  {contestant.name:22} {load:5}"
                f"{figures.rate:10,.0f}/s {figures.cpu:8.1f} us  p99 {figures.p99:8.2f} ms",
                flush=True,
            )
    rows = [_summary(contestant, load, found) for contestant, load in runs]
    others = median(each.others for figures in found.values() for each in figures)
    return Result(
        name="check",
        title="Token checks",
        method=[*_method(setup, rounds, seconds, contestants), *_disturbance(setup, others)],
        tables=[Table("A request with a token", HEADS, [_cells(row) for row in rows])],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure(
    setup: Setup, contestant: Contestant, load: str, seconds: float, number_of_round: int
) -> Figures:
    with contestant.running(setup, setup.layout.servers) as server:
        contestant.verify(setup, server)
        # With the thousand tokens, so that the others meet a cache that has not seen them.
        _play(setup, contestant, server, "hot", WARM_UP_SECONDS, number_of_round)
        done, spent = cpu_around(
            setup,
            contestant,
            server,
            lambda: _play(setup, contestant, server, load, seconds, number_of_round),
        )
    micros = 1e6 / done.requests
    return Figures(
        rate=done.rate,
        cpu=spent.server * micros,
        postgres_cpu=None if spent.postgres is None else spent.postgres * micros,
        p50=done.p50,
        p99=done.p99,
        p999=done.p999,
        generator_busy=done.generator_busy,
        others=spent.others,
    )


def _play(
    setup: Setup, contestant: Contestant, server: Server, load: str, seconds: float, seed: int
) -> wrk.Load:
    tokens = contestant.tokens(setup, load)
    target = contestant.target(server.port)
    done = wrk.run(target, tokens, seconds, setup.layout.load, seed=seed)
    if done.failures or not done.requests:
        raise BenchmarkError(
            f"{contestant.name}: {done.failures} of {done.requests} answers were no success"
        )
    return done


def _summary(
    contestant: Contestant, load: str, found: dict[tuple[str, str], list[Figures]]
) -> dict:
    """Medians. A ratio is that of each round, against bare under the same load in that round, so
    that what slows the machine for a while slows both sides of it."""
    figures = found[contestant.name, load]
    bare = found.get(("bare", load))
    middle = {
        name: None if value is None else median(getattr(each, name) for each in figures)
        for name, value in asdict(figures[0]).items()
    }
    rates = [each.rate for each in figures]
    ratios = {}
    if bare:
        pairs = list(zip(figures, bare))
        ratios = {
            "rate_ratio": median(each.rate / floor.rate for each, floor in pairs),
            "cpu_ratio": median(total_cpu(each) / floor.cpu for each, floor in pairs),
        }
    identity = {"name": contestant.name, "title": contestant.title, "load": load}
    return identity | middle | ratios | {"rate_min": min(rates), "rate_max": max(rates)}


def total_cpu(figures: Figures) -> float:
    """Of the server and its database server."""
    return figures.cpu + (figures.postgres_cpu or 0.0)


def _cells(row: dict) -> list[str]:
    return [
        row["title"],
        row["load"],
        number(row["rate"]),
        f"{number(row['rate_min'])}-{number(row['rate_max'])}",
        percent(row["rate_ratio"]) if "rate_ratio" in row else "-",
        number(row["cpu"]),
        number(row.get("cpu_ratio")),
        number(row["postgres_cpu"]),
        number(row["p50"]),
        number(row["p99"]),
        number(row["p999"]),
        percent(row["generator_busy"]),
    ]


def _disturbance(setup: Setup, others: float) -> list[str]:
    """A machine that has something else to do makes figures that mean little."""
    if setup.layout.servers == setup.layout.load:
        return []
    verdict = "too much to trust the figures" if others > 0.05 else "next to nothing"
    return [f"Others took {percent(others)} of the servers' cores in the meantime: {verdict}."]


def _method(
    setup: Setup, rounds: int, seconds: float, contestants: list[Contestant]
) -> list[str]:
    notes = [f"{each.title}: {each.note}." for each in contestants if each.note]
    return [
        f"{rounds} rounds of {seconds:g} s over all contestants in turn; medians. "
        f"{setup.rows:,} users with a token each; hot: 1,000 tokens in use, cold: all of them, "
        "drawn evenly.",
        f"{setup.layout}; workers: {len(setup.layout.servers)}; "
        f"{wrk.CONNECTIONS} connections, each with the next request once it has its answer, so "
        "latencies are those of a server at its limit.",
        "CPU time is that of the server's processes, user and system; 'x bare' counts that of "
        "Postgres too. Where the generator is busy all the time, it is the limit, not the server.",
        "A run in which any answer is not a success fails; each server was seen to refuse a bad "
        "token.",
        *notes,
    ]
