"""Sign-ins with the correct password: their rate, compared with what the cores could reach if they
did nothing but hash, and what a second factor adds."""

import subprocess
import threading
import time
from dataclasses import dataclass, field

from ..contestant import BARE_PROGRAM, Contestant, Server, Setup, cpu_around
from ..databases import PASSWORD, User, sign_in_numbers
from ..load import Client, ClientError, Response
from ..machine import BenchmarkError, build_helper, pinned, quantile
from ..report import Result, Table, format_number, format_percent
from ..tokenhouse import Tokenhouse
from . import second_factor

COST = 12
HASH_SECONDS = 2
SINGLE_CLIENT_SECONDS = 5.0

# Seconds that a client waits after a refusal without Retry-After.
DEFAULT_RETRY_AFTER = 1.0

COLUMNS = (
    "contestant", "sign-ins/s", "of the cores", "p50 s", "p99 s", "refusals", "abandoned",
    "CPU ms/sign-in", "single client: p50 ms", "single client: p99 ms", "one hash ms",
)


@dataclass
class SignIns:
    """The sign-ins of all clients: seconds from the first attempt to success, the number of
    refusals on the way, and the time of the last success."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    refusals: int = 0
    # Clients whose retry would have come after the end.
    abandoned: int = 0
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record_success(self, start: float, attempt: float) -> None:
        """Records a sign-in that was first attempted at `attempt`, in a run begun at `start`."""
        now = time.monotonic()
        with self.lock:
            self.latencies.append(now - attempt)
            self.seconds = max(self.seconds, now - start)

    def record_refusal(self, is_final: bool) -> None:
        """Records a refusal; after a final one, the client does not retry."""
        with self.lock:
            self.refusals += 1
            self.abandoned += is_final


def sign_in(setup: Setup, contestants: list[Contestant], clients: int, seconds: float) -> Result:
    """Measures `clients` clients for `seconds` at each contestant, and a single client."""
    build_helper("bare")
    rows = []
    for contestant in contestants:
        row = _measure(setup, contestant, clients, seconds)
        rows.append(row)
        print(f"sign-in  {contestant.name:22} {row['rate']:6.2f}/s", flush=True)
    _compare_with_cores(rows)
    with_codes = [
        second_factor.second_factor(setup, contestant, _cores(setup))
        for contestant in contestants
        if isinstance(contestant, Tokenhouse)
    ]
    tables = [Table("A sign-in with the right password", COLUMNS, [_cells(row) for row in rows])]
    method = _method(setup, clients, seconds, contestants)
    if with_codes:
        tables.append(second_factor.table(with_codes))
        method.append(second_factor.METHOD)
    return Result(
        name="sign-in",
        title="Sign-ins",
        method=method,
        tables=tables,
        data={"rows": rows, "second_factor": with_codes},
        versions={k: v for c in contestants for k, v in c.versions().items()},
    )


def _cores(setup: Setup) -> tuple[int, ...]:
    """All cores: the clients need hardly any CPU time."""
    return tuple(sorted({*setup.layout.servers, *setup.layout.load}))


def _measure(setup: Setup, contestant: Contestant, clients: int, seconds: float) -> dict:
    cores = _cores(setup)
    hash_ms = _hash_milliseconds(cores)
    with contestant.running(setup, cores) as server:
        alone = _sign_in(setup, contestant, server, 1, SINGLE_CLIENT_SECONDS)
        crowd, usage = cpu_around(
            setup, contestant, server, lambda: _sign_in(setup, contestant, server, clients, seconds)
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
        "abandoned": crowd.abandoned,
        "cpu_ms": usage.total * 1e3 / count,
        "alone_p50_ms": quantile(alone.latencies, 0.5) * 1e3,
        "alone_p99_ms": quantile(alone.latencies, 0.99) * 1e3,
    }


def _compare_with_cores(rows: list[dict]) -> None:
    """Compares with the fastest hash of the run: slower ones were disturbed."""
    fastest = min(row["hash_ms"] for row in rows)
    for row in rows:
        row["hash_ms"] = fastest
        row["of_cores"] = row["rate"] / (row["cores"] * 1e3 / fastest)


def _hash_milliseconds(cores: tuple[int, ...]) -> float:
    command = pinned(cores[:1], [str(BARE_PROGRAM), "hash", str(COST), str(HASH_SECONDS)])
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _sign_in(
    setup: Setup, contestant: Contestant, server: Server, clients: int, seconds: float
) -> SignIns:
    """Runs the clients to completion. Sign-ins under way at the end are completed, so the server is
    busy for the whole time that counts."""
    results = SignIns()
    start = time.monotonic()
    numbers = sign_in_numbers(setup.rows, COST)
    threads = [
        threading.Thread(
            target=_client,
            args=(contestant, server, numbers[index::clients], start, seconds, results),
        )
        for index in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if results.failures or not results.latencies:
        raise BenchmarkError(f"{contestant.name}: sign-ins failed: {results.failures[:3]}")
    return results


def _client(
    contestant: Contestant,
    server: Server,
    numbers: range,
    start: float,
    seconds: float,
    results: SignIns,
) -> None:
    """Signs in as one user after another."""
    turn, until = 0, start + seconds
    # Longer than the slowest contestant takes to serve 64 clients.
    with Client(server.port, timeout=120) as client:
        while time.monotonic() < until:
            email = User(numbers[turn % len(numbers)], "", None).email
            attempt = time.monotonic()
            response = _retry_while_busy(contestant, client, email, until, results)
            if response is None:
                return
            if response.status != 200:
                results.failures.append(str(response))
                return
            results.record_success(start, attempt)
            turn += 1


def _retry_while_busy(
    contestant: Contestant, client: Client, email: str, until: float, results: SignIns
) -> Response | None:
    """Retries after the time that a busy server names. Returns None if there is no response, or if
    the retry would come after the end."""
    while True:
        try:
            response = client.send(contestant.sign_in(email, PASSWORD))
        except ClientError as error:
            results.failures.append(str(error))
            return None
        if response.status not in (429, 503):
            return response
        pause = float(response.headers.get("retry-after", DEFAULT_RETRY_AFTER))
        is_final = time.monotonic() + pause >= until
        results.record_refusal(is_final)
        if is_final:
            return None
        time.sleep(pause)


def _cells(row: dict) -> list[str]:
    return [
        row["title"],
        format_number(row["rate"]),
        format_percent(row["of_cores"]),
        format_number(row["p50"]),
        format_number(row["p99"]),
        str(row["refused"]),
        str(row["abandoned"]),
        format_number(row["cpu_ms"]),
        format_number(row["alone_p50_ms"]),
        format_number(row["alone_p99_ms"]),
        format_number(row["hash_ms"]),
    ]


def _method(
    setup: Setup, clients: int, seconds: float, contestants: list[Contestant]
) -> list[str]:
    notes = [
        f"{each.title}: {each.sign_in_note}." for each in contestants if each.sign_in_note
    ]
    return [
        f"{clients} clients for {seconds:g} s, each signing in as one user after another and "
        "retrying after Retry-After when the server is busy. Latencies count from the first "
        "attempt to success; a client whose retry would come after the end counts as abandoned. "
        "Then a single client.",
        f"Servers on all cores. 'Of the cores' compares with cores / time of one hash, where the "
        f"bcrypt crate's time for cost {COST} is measured in the same run.",
        f"{setup.rows:,} users; hashes of cost {COST}, the same for all users.",
        *notes,
    ]
