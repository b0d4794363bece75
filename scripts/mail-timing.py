#!/usr/bin/env python3
"""Checks that the response time of the routes for mail does not reveal who has an account.

    scripts/mail-timing.py [--binary PATH] [--samples 1000]

Measures /forgot-password, /verify-email/request, wrong codes at /reset-password and, with
TOKENHOUSE_REGISTER_ANSWER=uniform, /register, as scripts/timing.py measures sign-ins: classes of addresses in
random order, one request at a time, each pair compared by Welch's t and the AUC. Each route has a negative
control, a request that is refused before the database is asked, which must be distinguishable.
"""

import contextlib
import http.client
import json
import random
import sqlite3
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from support.server import PASSWORD, argument_parser, running
from timing import CONTROL, RESPONSE_TIMEOUT, address, database, hash_password, report

COST = 6

# Users per class; the limits are off, so that each may be asked for often.
USERS = 50

NO_ADDRESS = "no address, but as long as the others are"


class Client:
    """A connection that sends one request at a time."""

    def __init__(self, base: str) -> None:
        netloc = urllib.parse.urlsplit(base).netloc
        self.connection = http.client.HTTPConnection(netloc, timeout=RESPONSE_TIMEOUT)

    def post(self, path: str, body: dict, status: int) -> float:
        """Returns the time to the response in milliseconds. It must have this status."""
        # All bodies have the same length.
        text = json.dumps(body).ljust(400).encode()
        headers = {"Content-Type": "application/json"}
        start = time.perf_counter()
        self.connection.request("POST", path, text, headers)
        response = self.connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        if response.status != status:
            raise RuntimeError(f"{path} {body}: {response.status} {answer[:200]}")
        return seconds * 1_000


def insert_users(file: Path, stored: str) -> None:
    """Users of the classes known, verified and disabled."""
    at = "2026-01-01 00:00:00"
    rows = [
        (
            address(kind, number),
            stored,
            at if kind == "disabled" else None,
            at if kind == "verified" else None,
        )
        for kind in ("known", "verified", "disabled")
        for number in range(USERS)
    ]
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(
            "INSERT INTO users (name, surname, email, email_key, website, hashed_password,"
            " disabled_at, email_verified_at, created_at)"
            " VALUES ('Test user', '', ?1, ?1, '', ?2, ?3, ?4, '2026-01-01 00:00:00')",
            rows,
        )


def ask(email: str) -> dict:
    return {"email": email}


def guess(email: str) -> dict:
    return {"email": email, "code": "ZZZZZZZZ", "password": "another password, long enough"}


def register(email: str) -> dict:
    return {"name": "Test user", "surname": "", "email": email, "website": "", "password": PASSWORD}


# The path, the body for an address, the status, and the classes.
ROUTES = [
    ("/forgot-password", ask, 202, ["known", "verified", "disabled", "unknown"]),
    ("/verify-email/request", ask, 202, ["known", "verified", "disabled", "unknown"]),
    ("/reset-password", guess, 400, ["known", "disabled", "unknown"]),
    ("/register", register, 202, ["known", "unknown"]),
]


def measure(client: Client, route: tuple, samples: int) -> dict[str, list[float]]:
    path, body, status, classes = route
    order = [(kind, number) for kind in [*classes, CONTROL] for number in range(samples)]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in [*classes, CONTROL]}
    for kind, number in order:
        if kind == CONTROL:
            times[kind].append(client.post(path, body(NO_ADDRESS), 422))
            continue
        # Unknown addresses are others each time.
        of_class = number if kind == "unknown" else number % USERS
        email = address(f"{kind}{path.replace('/', '-')}" if kind == "unknown" else kind, of_class)
        times[kind].append(client.post(path, body(email), status))
    return times


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--samples", type=int, default=1_000, help="per class; default: %(default)s")
    args = parser.parse_args()
    outcomes = []
    with database(args.binary) as file, tempfile.TemporaryDirectory() as mails:
        insert_users(file, hash_password(args.binary, COST))
        settings = {
            "DATABASE_URL": f"sqlite://{file}",
            "TOKENHOUSE_BCRYPT_COST": str(COST),
            "TOKENHOUSE_HASH_QUEUE_MS": "60000",
            "TOKENHOUSE_LIMITS": "off",
            "TOKENHOUSE_MAIL": f"file:{mails}",
            "TOKENHOUSE_MAIL_PER_HOUR": "1000000",
            "TOKENHOUSE_PUBLIC_URL": "https://auth.example",
            "TOKENHOUSE_REGISTER_ANSWER": "uniform",
        }
        with running(args.binary, **settings) as base:
            client = Client(base)
            for route in ROUTES:
                print(f"\n{route[0]}\n")
                outcomes.append(report(measure(client, route, args.samples)))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
