"""A flood of sign-ins with wrong passwords, and what the token checks beside it notice."""

from statistics import median

from .. import load, wrk
from ..contestants.base import Contestant, Request, Server
from ..people import WRONG_PASSWORD, User, sign_in_numbers
from ..results import Result
from ..setup import Setup
from ..tables import Table, mebibytes, number

CAPACITY_SECONDS = 3
SHARE_OF_CAPACITY = 0.5
CHECK_CONNECTIONS = 64
HEALTH_RATE = 20.0
# All clients have one address; behind many, the throttles would not be in the way.
NO_LIMITS = {"TOKENHOUSE_LIMITS": "off"}
PHASES = ("before", "flood", "after")

CHECK_HEADS = (
    "contestant", "clients", "phase", "checks due/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms",
    "failed", "health p50 ms", "health p99 ms", "health failed", "RSS MiB",
)
SIGN_IN_HEADS = ("contestant", "clients", "answer", "a second", "p50 ms", "p99 ms", "max ms")


def run(
    setup: Setup,
    contestants: list[Contestant],
    clients: list[int],
    seconds: float,
    pause_ms: int,
) -> Result:
    """Plays a flood of `seconds` for each number of clients against each contestant."""
    wrk.require()
    load.build()
    phases = (seconds / 2, seconds, seconds / 4)
    rows = []
    for contestant in contestants:
        for count in clients:
            rows.append(_measure(setup, contestant, count, phases, pause_ms))
            print(f"flood  {contestant.name}  {count} clients: done", flush=True)
    tables = [
        Table("Token checks and health beside the flood", CHECK_HEADS, _check_cells(rows)),
        Table("What became of the wrong passwords", SIGN_IN_HEADS, _sign_in_cells(rows)),
    ]
    return Result(
        name="flood",
        title="A flood of wrong passwords",
        method=_method(setup, phases, pause_ms),
        tables=tables,
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure(
    setup: Setup,
    contestant: Contestant,
    clients: int,
    phases: tuple[float, float, float],
    pause_ms: int,
) -> dict:
    with contestant.running(setup, setup.layout.servers, NO_LIMITS) as server:
        contestant.verify(setup, server)
        capacity = _capacity(setup, contestant, server)
        plan = load.Plan(server.port, phases)
        rate = capacity * SHARE_OF_CAPACITY
        plan.pace("checks", _checks(setup, contestant, server), rate, CHECK_CONNECTIONS)
        health = load.on_the_wire(Request("GET", contestant.health_path), server.port)
        plan.pace("health", [health], HEALTH_RATE, 2)
        plan.hammer("sign_ins", _wrong(setup, contestant, server), clients, pause_ms)
        seen, sizes = load.play(plan, server, setup.layout.load)
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
    return wrk.run(target, tokens, CAPACITY_SECONDS, setup.layout.load).rate


def _checks(setup: Setup, contestant: Contestant, server: Server) -> list[str]:
    tokens = contestant.tokens(setup, "hot").read_text().split()
    return [load.on_the_wire(contestant.check(token), server.port) for token in tokens]


def _wrong(setup: Setup, contestant: Contestant, server: Server) -> list[str]:
    """Of users who exist, each with another's turn before it comes again."""
    emails = [User(number, "", None).email for number in sign_in_numbers(setup.rows, 12)]
    requests = [contestant.sign_in(email, WRONG_PASSWORD) for email in emails]
    return [load.on_the_wire(request, server.port) for request in requests]


def _check_cells(rows: list[dict]) -> list[list[str]]:
    cells = []
    for row in rows:
        for index, phase in enumerate(PHASES):
            checks = _one(row["checks"]["phases"][index])
            health = _one(row["health"]["phases"][index])
            cells.append([
                row["title"],
                str(row["clients"]),
                phase,
                number(checks["count"] / row["seconds"][index]),
                number(checks["p50"]),
                number(checks["p99"]),
                number(checks["p999"]),
                number(checks["max"]),
                str(checks["failed"]),
                number(health["p50"]),
                number(health["p99"]),
                str(health["failed"]),
                mebibytes(_resident(row, index)),
            ])
    return cells


def _one(by_status: dict[str, dict]) -> dict:
    """The answers with status 200, and how many others there were."""
    none = {"count": 0, "p50": None, "p99": None, "p999": None, "max": None}
    others = [seen["count"] for status, seen in by_status.items() if status != "200"]
    return {**none, **by_status.get("200", {}), "failed": sum(others)}


def _resident(row: dict, phase: int) -> float:
    """The median of the phase; its samples are tenths of a second."""
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
                number(seen["count"] / row["seconds"][1]),
                number(seen["p50"]),
                number(seen["p99"]),
                number(seen["max"]),
            ])
    return cells


def _method(setup: Setup, phases: tuple[float, float, float], pause_ms: int) -> list[str]:
    before, during, after = phases
    waits = f"waits {pause_ms} ms after a 429 or 503" if pause_ms else "never waits"
    return [
        f"{before:g} s of calm, {during:g} s of flood, {after:g} s after it. {setup.layout}.",
        f"Token checks arrive at {SHARE_OF_CAPACITY * 100:.0f} % of the rate that the server "
        f"managed just before, over {CHECK_CONNECTIONS} connections, whether or not it keeps up; "
        "their latency counts from when they should have been sent.",
        "Throttling by address is off: it would turn such a flood away, as it comes from one.",
        f"Each client of the flood signs in with a wrong password for a user who exists, sends "
        f"the next request once it has an answer, and {waits}. Latencies of the flood count those "
        "that began in it.",
        f"{setup.rows:,} users; hashes of cost 12; health is asked {HEALTH_RATE:g} times a second.",
    ]
