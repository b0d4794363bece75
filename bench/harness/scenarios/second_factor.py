"""What a second factor adds to a sign-in: a single client signs in as one user with the password
alone, and as another with the password and the code of an authenticator app in the same request."""

import base64
import hmac
import json
import statistics
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..contestant import Server, Setup
from ..databases import PASSWORD, User, sign_in_numbers
from ..load import Client, Request, Response
from ..machine import BenchmarkError, quantile
from ..report import Table, format_number
from ..tokenhouse import Tokenhouse

# Users with a factor, and as many without: a code counts once, so each signs in once.
USERS = 200

# The size of a database that no other scenario has, because the factors stay in it.
ROWS = 1_999

# The length of a step of an authenticator app, in seconds (RFC 6238).
STEP = 30

SETTINGS = {
    "TOKENHOUSE_MFA": "optional",
    "TOKENHOUSE_SECRET_KEY": "the-secret-key-of-the-benchmarks-of-43-letters",
    # Each user adds a factor, all from one address.
    "TOKENHOUSE_LIMIT_CHANGES": "10000",
}

COLUMNS = (
    "contestant", "password: p50 ms", "password: p99 ms", "with a code: p50 ms",
    "with a code: p99 ms", "added: median ms", "ratio",
)


METHOD = (
    f"With a code: by turns, a single client signs in {USERS} times with the password, and as "
    "often with the password and the code of an authenticator app in the same request. The added "
    "time and the ratio are medians of the pairs."
)


@dataclass(frozen=True)
class App:
    """The authenticator app of a user."""

    email: str
    seed: bytes

    def code(self, step: int) -> str:
        """The code in a step since 1970 (RFC 6238)."""
        digest = hmac.digest(self.seed, struct.pack(">q", step), "sha1")
        offset = digest[-1] & 15
        number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
        return f"{number % 1_000_000:06}"


def second_factor(setup: Setup, contestant: Tokenhouse, cores: tuple[int, ...]) -> dict:
    """Measures both kinds of sign-in alternately."""
    setup = replace(setup, rows=ROWS)
    contestant.seed_anew(setup)
    numbers = sign_in_numbers(ROWS, 12)
    emails = [User(number, "", None).email for number in numbers[: 2 * USERS]]
    with contestant.running(setup, cores, SETTINGS) as server:
        with ThreadPoolExecutor(len(cores)) as pool:
            enrolled = pool.map(lambda email: _enrol(contestant, server, email), emails[:USERS])
            apps = list(enrolled)
        # Until the codes with which the apps were added are not those of now.
        time.sleep(STEP - time.time() % STEP)
        with Client(server.port) as client:
            pairs = [
                _both(contestant, client, number, app, email)
                for number, (app, email) in enumerate(zip(apps, emails[USERS:]))
            ]
    alone, coded = zip(*pairs)
    return {
        "title": contestant.title,
        "password_p50_ms": quantile(alone, 0.5) * 1e3,
        "password_p99_ms": quantile(alone, 0.99) * 1e3,
        "code_p50_ms": quantile(coded, 0.5) * 1e3,
        "code_p99_ms": quantile(coded, 0.99) * 1e3,
        "added_ms": statistics.median(code - password for password, code in pairs) * 1e3,
        "ratio": statistics.median(code / password for password, code in pairs),
    }


def table(rows: list[dict]) -> Table:
    """The table of these measurements."""
    cells = [
        [title, *(format_number(figure) for figure in figures)]
        for title, *figures in (row.values() for row in rows)
    ]
    return Table("A sign-in with the code of an authenticator app", COLUMNS, cells)


def _enrol(contestant: Tokenhouse, server: Server, email: str) -> App:
    """Adds an authenticator app, as a user would."""
    with Client(server.port, timeout=120) as client:
        token = _expect(200, client.send(contestant.sign_in(email, PASSWORD)))["access_token"]
        path = "/users/me/factors"
        new = _expect(201, client.send(_post(path, token, {"kind": "totp", "name": "Phone"})))
        app = App(email, base64.b32decode(new["secret"] + "=" * (-len(new["secret"]) % 8)))
        otp = {"otp": app.code(int(time.time()) // STEP)}
        _expect(200, client.send(_post(f"{path}/{new['id']}/confirm", token, otp)))
    return app


def _both(
    contestant: Tokenhouse, client: Client, number: int, app: App, email: str
) -> tuple[float, float]:
    """The seconds of a sign-in with this user's password, and of one with a code of the app."""
    code = app.code(int(time.time()) // STEP)
    alone = contestant.sign_in(email, PASSWORD)
    coded = contestant.sign_in(app.email, PASSWORD, otp=code)
    # Each is first in half of the pairs.
    if number % 2:
        seconds = _seconds(client, coded), _seconds(client, alone)
        return seconds[1], seconds[0]
    return _seconds(client, alone), _seconds(client, coded)


def _seconds(client: Client, request: Request) -> float:
    start = time.monotonic()
    response = client.send(request)
    seconds = time.monotonic() - start
    _expect(200, response)
    return seconds


def _post(path: str, token: str, body: dict) -> Request:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Request("POST", path, headers, json.dumps(body).encode())


def _expect(status: int, response: Response) -> dict:
    if response.status != status:
        raise BenchmarkError(f"{response} instead of {status}")
    return json.loads(response.body)
