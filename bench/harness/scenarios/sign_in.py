"""Sign-ins with the right password: how many a second, and how close that is to what the cores
could do if they did nothing but hash."""

import subprocess
import threading
import time
from dataclasses import dataclass, field

from ..client import Answer, Client, ClientError
from ..contestants.bare import BCRYPT_PROGRAM, build_helper
from ..contestants.base import Contestant, Server
from ..failure import BenchmarkError
from ..machine import pinned
from ..measure import cpu_around
from ..people import PASSWORD, User, sign_in_numbers
from ..quantiles import quantile
from ..results import Result
from ..setup import Setup
from ..tables import Table, number, percent

COST = 12
HASH_SECONDS = 2
LONE_SECONDS = 5.0

# What a client waits that is refused without being told for how long, in seconds.
DEFAULT_RETRY = 1.0

HEADS = (
    "contestant", "sign-ins/s", "of the cores", "p50 s", "p99 s", "refusals", "never in",
    "CPU ms/sign-in", "alone: p50 ms", "alone: p99 ms", "one hash ms",
)


@dataclass
class Seen:
    """By all clients: seconds from the first attempt until in, how often they were refused on the
    way, and the time up to the last who was let in."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    refusals: int = 0
    # Refused so late that coming back would have been after the time was up.
    left: int = 0
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, start: float, begun: float) -> None:
        """Somebody is in who began then; all of them started at `start`."""
        now = time.monotonic()
        with self.lock:
            self.latencies.append(now - begun)
            self.seconds = max(self.seconds, now - start)

    def refuse(self, leaves: bool) -> None:
        """Somebody was told to come back, and will or will not."""
        with self.lock:
            self.refusals += 1
            self.left += leaves

def run(setup: Setup, contestants: list[Contestant], clients: int, seconds: float) -> Result:
    """Lets `clients` sign in for `seconds` at each contestant, and one alone for a while."""
    build_helper("bare")
    rows = []
    for contestant in contestants:
        row = _measure(setup, contestant, clients, seconds)
        rows.append(row)
        print(f"sign-in  {contestant.name:22} {row['rate']:6.2f}/s", flush=True)
    _compare_with_cores(rows)
    return Result(
        name="sign-in",
        title="Sign-ins",
        method=_method(setup, clients, seconds, contestants),
        tables=[Table("A sign-in with the right password", HEADS, [_cells(row) for row in rows])],
        data={"rows": rows},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _measure(setup: Setup, contestant: Contestant, clients: int, seconds: float) -> dict:
    # All of them: the clients need next to nothing.
    cores = tuple(sorted({*setup.layout.servers, *setup.layout.load}))
    hash_ms = _hash_milliseconds(cores)
    with contestant.running(setup, cores) as server:
        alone = _play(setup, contestant, server, 1, LONE_SECONDS)
        crowd, spent = cpu_around(
            setup, contestant, server, lambda: _play(setup, contestant, server, clients, seconds)
        )
    count = len(crowd.latencies)
    rate = count / crowd.seconds
    return {
        "name": contestant.name,
        "title": contestant.title,
        "rate": rate,
        "cores": len(cores),
        "hash_ms": hash_ms,
        "p50": quantile(crowd.latencies, 0.5),
        "p99": quantile(crowd.latencies, 0.99),
        "refused": crowd.refusals,
        "left": crowd.left,
        "cpu_ms": spent.total * 1e3 / count,
        "alone_p50_ms": quantile(alone.latencies, 0.5) * 1e3,
        "alone_p99_ms": quantile(alone.latencies, 0.99) * 1e3,
    }


def _compare_with_cores(rows: list[dict]) -> None:
    """Against the quickest hash of the run: what slows one of them says nothing about the cores."""
    quickest = min(row["hash_ms"] for row in rows)
    for row in rows:
        row["hash_ms"] = quickest
        row["of_cores"] = row["rate"] / (row["cores"] * 1e3 / quickest)


def _hash_milliseconds(cores: tuple[int, ...]) -> float:
    command = pinned(cores[:1], [str(BCRYPT_PROGRAM), str(COST), str(HASH_SECONDS)])
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _play(
    setup: Setup, contestant: Contestant, server: Server, clients: int, seconds: float
) -> Seen:
    """Until everybody is in who was not refused after the time was up: up to then the server has
    always something to do."""
    seen = Seen()
    start = time.monotonic()
    numbers = sign_in_numbers(setup.rows, COST)
    threads = [
        threading.Thread(
            target=_client,
            args=(contestant, server, numbers[index::clients], start, seconds, seen),
        )
        for index in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if seen.failures or not seen.latencies:
        raise BenchmarkError(f"{contestant.name}: sign-ins failed: {seen.failures[:3]}")
    return seen


def _client(
    contestant: Contestant,
    server: Server,
    numbers: range,
    start: float,
    seconds: float,
    seen: Seen,
) -> None:
    """Signs in as one user after the other."""
    turn, until = 0, start + seconds
    # Longer than the slowest contestant lets the last of 64 clients wait.
    with Client(server.port, timeout=120) as client:
        while time.monotonic() < until:
            email = User(numbers[turn % len(numbers)], "", None).email
            begun = time.monotonic()
            answer = _until_decided(contestant, client, email, until, seen)
            if answer is None:
                return
            if answer.status != 200:
                seen.failures.append(str(answer))
                return
            seen.record(start, begun)
            turn += 1


def _until_decided(
    contestant: Contestant, client: Client, email: str, until: float, seen: Seen
) -> Answer | None:
    """Asks again after the time that a busy server says; None without an answer, or when the time
    is up by then."""
    while True:
        try:
            answer = client.send(contestant.sign_in(email, PASSWORD))
        except ClientError as error:
            seen.failures.append(str(error))
            return None
        if answer.status not in (429, 503):
            return answer
        pause = float(answer.headers.get("retry-after", DEFAULT_RETRY))
        leaves = time.monotonic() + pause >= until
        seen.refuse(leaves)
        if leaves:
            return None
        time.sleep(pause)


def _cells(row: dict) -> list[str]:
    return [
        row["title"],
        number(row["rate"]),
        percent(row["of_cores"]),
        number(row["p50"]),
        number(row["p99"]),
        str(row["refused"]),
        str(row["left"]),
        number(row["cpu_ms"]),
        number(row["alone_p50_ms"]),
        number(row["alone_p99_ms"]),
        number(row["hash_ms"]),
    ]


def _method(
    setup: Setup, clients: int, seconds: float, contestants: list[Contestant]
) -> list[str]:
    notes = [
        f"{each.title}: {each.sign_in_note}." for each in contestants if each.sign_in_note
    ]
    return [
        f"{clients} clients for {seconds:g} s, each signing in as another user once it is in, and "
        "asking again after the time given in Retry-After when the server is busy. Latencies run "
        "from the first attempt until in; whoever would have to come back after the end counts as "
        "never in. Then one client alone.",
        f"Servers on all cores. 'Of the cores' is the share of cores / time of one hash, with the "
        f"time that the bcrypt crate takes for one at cost {COST}, measured in the same run.",
        f"{setup.rows:,} users; hashes of cost {COST}, made alike for everybody.",
        *notes,
    ]
