#!/usr/bin/env python3
"""Checks that the response time of a refused sign-in does not reveal the reason.

    scripts/timing.py [--binary PATH] [--samples 1000] [--cost 6 8]

Signs in at a real server over loopback with different classes of refusals, in random order, one at a
time, and compares each pair of classes: Welch's t, Welch's t without the slowest twentieth, and the
AUC, the probability that a sample of one class takes longer than one of the other. Fails unless
|t| < 4.5 and 0.45 <= AUC <= 0.55 for all pairs. Some hashes, of bcrypt and argon2id, are more expensive
than the server's own: with the first cost argon2id is the most expensive, with the second bcrypt.

The last class is the negative control: correct passwords, answered as soon as they are verified. It
must be distinguishable from every other class, or the run proves nothing.

With the default costs, 30 and 45 ms per refusal, a run takes fifteen minutes on an idle machine. With
fewer than 1,000 samples per class, an AUC may leave its bounds by chance. Hash threads run at idle
priority: on a busy Linux machine, `setsid -w scripts/timing.py` gives the run a fair share.
"""

import contextlib
import http.client
import itertools
import math
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.server import PASSWORD, argument_parser, running

# Longer than passlib accepts, in characters.
OVER_LONG = "x" * 5_000

# All bodies have the same length, so that the length of the request has no effect.
BODY_LENGTH = 5_200

WRONG = "a wrong password"

# Failures after which an account is blocked.
MAX_FAILURES = 100

# Wrong passwords per user, few enough that none is blocked.
SAMPLES_PER_USER = 50

CONTROL = "control"

# Seconds until the server, which checks every two seconds, has found and measured the most expensive
# hash.
SETTLE_TIME = 10

# The hash of an unknown password.
ARGON2ID = "$argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "a" * 42 + "A"
PBKDF2 = "pbkdf2_sha256$30000$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M="

RESPONSE_TIMEOUT = 60

MAX_T = 4.5
MIN_AUC, MAX_AUC = 0.45, 0.55

# The share of samples that the second t uses, without the slowest: a single stall of the machine hides
# what a thousand samples show.
FAST_SHARE = 0.95


@dataclass(frozen=True)
class Pair:
    """The difference between two sets of samples."""

    t: float
    t_fast: float
    auc: float

    def is_indistinguishable(self) -> bool:
        auc_ok = MIN_AUC <= self.auc <= MAX_AUC
        return abs(self.t) < MAX_T and abs(self.t_fast) < MAX_T and auc_ok


def compare(one: Sequence[float], other: Sequence[float]) -> Pair:
    """Compares two sets: Welch's t, the same without the slowest of both, and the AUC."""
    slowest = sorted([*one, *other])[int(FAST_SHARE * (len(one) + len(other)))]
    fast = [[time for time in times if time < slowest] for times in (one, other)]
    return Pair(welch_t(one, other), welch_t(*fast), auc(one, other))


def welch_t(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns Welch's t, which needs variance on both sides."""
    if min(len(one), len(other)) < 2:
        return math.inf
    error = math.sqrt(
        statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    )
    return (statistics.fmean(one) - statistics.fmean(other)) / error if error else math.inf


def auc(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns the probability that a sample of one exceeds one of the other (Mann-Whitney's U)."""
    ranked = sorted([(time, True) for time in one] + [(time, False) for time in other])
    below, above = 0, 0
    for _, is_of_one in ranked:
        if is_of_one:
            above += below
        else:
            below += 1
    return above / (len(one) * len(other))


@dataclass(frozen=True)
class Class:
    """A class of sign-ins: the stored hash, if the user exists, and the password that is sent."""

    name: str
    stored: str | None
    password: str
    disabled: bool = False
    status: int = 401


def classes(binary: Path, cost: int) -> list[Class]:
    correct, cheaper, costlier = (hash_password(binary, number) for number in (cost, cost - 2, cost + 1))
    return [
        Class("unknown", None, WRONG),
        Class("wrong", correct, WRONG),
        Class("disabled", correct, PASSWORD, disabled=True),
        Class("blocked", correct, PASSWORD),
        Class("no usable hash", "!", PASSWORD),
        Class("cheaper hash", cheaper, WRONG),
        Class("over-long", correct, OVER_LONG),
        Class("import-only", "$argon2id$v=19$m=4096,t=1,p=4$c29tZXNhbHQ$aGFzaA", PASSWORD),
        Class("costlier hash", costlier, WRONG),
        Class("argon2id", ARGON2ID, WRONG),
        Class("pbkdf2", PBKDF2, WRONG),
        Class(CONTROL, correct, PASSWORD, status=200),
    ]


def hash_password(binary: Path, cost: int) -> str:
    command = [binary.resolve(), "hash", "--cost", str(cost)]
    return subprocess.run(
        command, input=PASSWORD, capture_output=True, text=True, check=True
    ).stdout.strip()


@contextlib.contextmanager
def database(binary: Path) -> Iterator[Path]:
    """Creates an SQLite database, in memory if possible, since a disk adds noise."""
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tokenhouse-timing-", dir=parent) as folder:
        file = Path(folder) / "tokenhouse.db"
        settings = {"DATABASE_URL": f"sqlite://{file}", "RUST_LOG": "warn"}
        migrate = [binary.resolve(), "migrate"]
        subprocess.run(migrate, cwd=folder, env=settings, stdout=subprocess.DEVNULL, check=True)
        yield file


def address(name: str, number: int) -> str:
    return f"{name.replace(' ', '.')}.{number}@example.com"


def insert_users(file: Path, kinds: list[Class], users: int) -> None:
    rows = [
        (address(kind.name, number), kind.stored, "2026-01-01 00:00:00" if kind.disabled else None)
        for kind in kinds
        if kind.stored
        for number in range(users)
    ]
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(
            "INSERT INTO users (name, surname, email, email_key, website, hashed_password,"
            " disabled_at, created_at)"
            " VALUES ('Test user', '', ?1, ?1, '', ?2, ?3, '2026-01-01 00:00:00')",
            rows,
        )


class Client:
    """A connection that sends one request at a time."""

    def __init__(self, base: str) -> None:
        netloc = urllib.parse.urlsplit(base).netloc
        self.connection = http.client.HTTPConnection(netloc, timeout=RESPONSE_TIMEOUT)

    def sign_in(self, username: str, password: str, status: int = 401) -> float:
        """Returns the time to the response in milliseconds. It must have this status."""
        form = urllib.parse.urlencode({"username": username, "password": password})
        body = (form + "&client_id=").ljust(BODY_LENGTH, "x").encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        start = time.perf_counter()
        self.connection.request("POST", "/token", body, headers)
        response = self.connection.getresponse()
        response.read()
        seconds = time.perf_counter() - start
        if response.status != status:
            raise RuntimeError(f"{username}: {response.status}")
        return seconds * 1_000


def measure(
    base: str, file: Path, kinds: list[Class], samples: int, users: int
) -> dict[str, list[float]]:
    client = Client(base)
    time.sleep(SETTLE_TIME)
    blocked = next(kind for kind in kinds if kind.name == "blocked")
    for _ in range(MAX_FAILURES):
        client.sign_in(address(blocked.name, 0), WRONG)
    # Extends the block beyond the end of the run.
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "UPDATE login_failures SET failures = failures + 20,"
            " next_at = datetime('now', '+59 minutes') WHERE failures >= ?",
            [MAX_FAILURES],
        )
    order = [(kind, number) for kind in kinds for number in range(samples)]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for kind, number in order:
        # Unknown users have a different name each time.
        of_user = number % users if kind.stored else number
        username = address(kind.name, 0 if kind is blocked else of_user)
        times[kind.name].append(client.sign_in(username, kind.password, kind.status))
    return times


def report(times: dict[str, list[float]]) -> bool:
    """Prints all pairs and returns whether exactly the control is distinguishable."""
    for name, of_class in times.items():
        median, mean = statistics.median(of_class), statistics.fmean(of_class)
        print(f"{name:<16} {len(of_class):>6} samples, median {median:.3f} ms, mean {mean:.3f} ms")
    print(f"\n{'':<34} {'t':>8} {'t (95 %)':>9} {'AUC':>7}")
    unexpected = [
        names
        for names in itertools.combinations(times, 2)
        if not is_as_expected(names, compare(times[names[0]], times[names[1]]))
    ]
    pairs = len(times) * (len(times) - 1) // 2
    print(f"\n{pairs} pairs, {len(times) - 1} of them with the negative control")
    print(f"{len(unexpected)} pairs are not as expected")
    return not unexpected


def is_as_expected(names: tuple[str, str], pair: Pair) -> bool:
    expected = pair.is_indistinguishable() != (CONTROL in names)
    remark = "" if expected else ("   INDISTINGUISHABLE" if CONTROL in names else "   DISTINGUISHABLE")
    shown = " / ".join(names)
    print(f"{shown:<34} {pair.t:>8.2f} {pair.t_fast:>9.2f} {pair.auc:>7.3f}{remark}")
    return expected


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--samples", type=int, default=1_000, help="per class; default: %(default)s")
    parser.add_argument(
        "--cost", type=int, nargs="+", default=[6, 8], help="bcrypt costs, 6 to 14; %(default)s"
    )
    args = parser.parse_args()
    outcomes = []
    for cost in args.cost:
        print(f"\nconfigured cost {cost}\n")
        outcomes.append(report(measure_at(args.binary, cost, args.samples)))
    return 0 if all(outcomes) else 1


def measure_at(binary: Path, cost: int, samples: int) -> dict[str, list[float]]:
    """Measures a server whose own hashes have this cost."""
    kinds = classes(binary, cost)
    users = -(-samples // SAMPLES_PER_USER)
    with database(binary) as file:
        insert_users(file, kinds, users)
        settings = {
            "DATABASE_URL": f"sqlite://{file}",
            "TOKENHOUSE_BCRYPT_COST": str(cost),
            "TOKENHOUSE_HASH_QUEUE_MS": "60000",
            "TOKENHOUSE_LIMITS": "on",
            "TOKENHOUSE_LIMIT_ACCOUNT": str(MAX_FAILURES),
            "TOKENHOUSE_LIMIT_ADDRESS": "1000000",
            "TOKENHOUSE_LIMIT_SIGN_INS": "1000000",
        }
        with running(binary, **settings) as base:
            return measure(base, file, kinds, samples, users)


if __name__ == "__main__":
    sys.exit(main())
