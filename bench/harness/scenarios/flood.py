"""A flood of sign-ins with wrong passwords, and its effect on concurrent token checks."""

from statistics import median

from ..contestant import Contestant, Server, Setup
from ..load import Plan, Request, on_the_wire, require_wrk, run_plan, run_wrk
from ..report import Result, Table, format_mebibytes, format_number
from ..seeding import WRONG_PASSWORD, User, sign_in_numbers
from ..workspace import build_helper

CAPACITY_SECONDS = 3
SHARE_OF_CAPACITY = 0.5
CHECK_CONNECTIONS = 64
HEALTH_RATE = 20.0
# All clients share one address, which the limits would block.
NO_LIMITS = {"TOKENHOUSE_LIMITS": "off"}
PHASES = ("before", "flood", "after")

CHECK_COLUMNS = (
    "contestant", "clients", "phase", "checks due/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms",
    "failed", "health p50 ms", "health p99 ms", "health failed", "RSS MiB",
)
SIGN_IN_COLUMNS = ("contestant", "clients", "response", "per second", "p50 ms", "p99 ms", "max ms")


def run(
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
            rows.append(_measure(setup, contestant, count, phases, pause_ms))
            print(f"flood  {contestant.name}  {count} clients: done", flush=True)
    tables = [
        Table("Token checks and health checks during the flood", CHECK_COLUMNS, _check_cells(rows)),
        Table("Responses to the wrong passwords", SIGN_IN_COLUMNS, _sign_in_cells(rows)),
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


def _check_cells(rows: list[dict]) -> list[list[str]]:
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


def _method(setup: Setup, phases: tuple[float, float, float], pause_ms: int) -> list[str]:
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
