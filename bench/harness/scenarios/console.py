"""What administrators wait for: searches among all users, and the overview of the console."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlencode

from ..contestant import Server, Setup
from ..databases import PASSWORD, User, sign_in_numbers
from ..load import Client, Request
from ..machine import BenchmarkError, quantile
from ..tokenhouse import Tokenhouse
from ..tokenhouse import run as run_command

REQUESTS = 100

# The overview of a week of this many hours, each as full as it gets.
HOURS = 168
ADDRESSES = 100

# The columns and the keys of what is measured.
COLUMNS = {
    "search: p50 ms": "search_p50",
    "search: p99 ms": "search_p99",
    "overview: p50 ms": "overview_p50",
    "overview: p99 ms": "overview_p99",
}

METHOD = (
    f"Searches: {7 * REQUESTS} by an administrator, one after another, for parts of names and addresses that "
    "one user has, a thousand have, all have and nobody has.",
    f"Overview: {REQUESTS} pages of a week, with {ADDRESSES} addresses in each hour.",
)


def measure(setup: Setup, contestant: Tokenhouse, server: Server, cost: int) -> dict:
    """Returns the latencies in milliseconds, by key."""
    email = User(sign_in_numbers(setup.rows, cost)[0], "", None).email
    grant = ["user", "grant", email, "users:read", "events:read"]
    done = run_command(setup, contestant.database_url(setup), *grant)
    if done.returncode != 0:
        raise BenchmarkError(f"tokenhouse user grant failed: {done.stderr}")
    contestant.insert(setup, "hourly_stats", list(_statistics()))
    with Client(server.port) as client:
        signed_in = client.send(contestant.sign_in(email, PASSWORD))
        token = json.loads(signed_in.body)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        searches = [
            _milliseconds(client, Request("GET", f"/admin/users?search={quote(text)}", headers))
            for text in _texts(setup.rows)
        ]
        overview = Request("GET", f"/console?hours={HOURS}", _browser(client, email))
        overviews = [_milliseconds(client, overview) for _ in range(REQUESTS)]
    return {
        "search_p50": quantile(searches, 0.5),
        "search_p99": quantile(searches, 0.99),
        "overview_p50": quantile(overviews, 0.5),
        "overview_p99": quantile(overviews, 0.99),
    }


def _texts(rows: int) -> Iterator[str]:
    """What is searched for."""
    for index in range(REQUESTS):
        number = index * rows // REQUESTS + 1
        yield from (f"user{number}@", f"User {number}", str(number)[:4], f"ser{number // 1_000}")
        yield from ("example.com", "Bench", f"nobody{index}")


def _statistics() -> Iterator[tuple[str, str, str, int]]:
    """The rows of full hours."""
    now = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    labels = {
        "sign-in": ("ok", "refused"),
        "refusal": ("wrong-password", "unknown-user", "disabled", "scope.refused"),
        "sessions": ("",),
        "users": ("",),
        "hash-wait": tuple(str(1_000 << power) for power in range(12)),
        "address": tuple(f"192.0.2.{number}" for number in range(ADDRESSES)),
    }
    # The present hour is that of the server.
    for hour in range(1, HOURS):
        at = (now - timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S")
        for name, each in labels.items():
            yield from ((name, at, label, 1_000 + hour) for label in each)


def _browser(client: Client, email: str) -> dict[str, str]:
    """The headers of a browser that is signed in."""
    form = urlencode({"email": email, "password": PASSWORD})
    headers = {"Host": "localhost", "Sec-Fetch-Site": "same-origin"}
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    response = client.send(Request("POST", "/signin", headers | content, form.encode()))
    if response.status != 303:
        raise BenchmarkError(f"/signin: {response}")
    return headers | {"Cookie": response.headers["set-cookie"].partition(";")[0]}


def _milliseconds(client: Client, request: Request) -> float:
    start = time.perf_counter()
    response = client.send(request)
    if response.status != 200:
        raise BenchmarkError(f"{request.path}: {response}")
    return (time.perf_counter() - start) * 1e3
