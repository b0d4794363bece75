"""The users and tokens of every database, and filling databases with them.

Users 1 to `rows` have a token each. Two groups of users without tokens follow, for sign-ins: one
with hashes of cost 12, one with hashes of cost 4 for scenarios that do not measure hashing.
"""

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .processes import Stopwatch
from .workspace import DATA

PASSWORD = "mulberry-Tram-71"
WRONG_PASSWORD = "mulberry-Tram-72"

# Hashes of PASSWORD by cost. All users share them: a million hashes would take three days.
HASHES = {
    4: "$2b$04$qZbgNfqCgU5Sk11azyLhqeaQFsT.HUcdTpKuGWp3P8uHc8CkJWuRu",
    12: "$2b$12$KcXbTGzjGPqQE.LcR1MJi.g0F6T5bMDx0NqPGcgUOPcTYF1fzPghS",
}

SIGN_IN_USERS = 2_000
HOT_TOKENS = 1_000
COLD_TOKENS = 1_000_000

CREATED = "2026-01-01 00:00:00.000000"
EXPIRES = "2099-01-01 00:00:00.000000"


@dataclass(frozen=True)
class User:
    """A seeded user."""

    number: int
    password_hash: str
    token: str | None

    @property
    def email(self) -> str:
        return f"user{self.number}@example.com"

    @property
    def name(self) -> str:
        return f"Bench User {self.number}"

    @property
    def surname(self) -> str:
        return "Bench"

    @property
    def website(self) -> str:
        return f"https://example.com/{self.number}"


def token(number: int) -> str:
    """Returns a user's token: 43 characters, in the form of `secrets.token_urlsafe(32)`."""
    digest = hashlib.sha256(b"bench%d" % number).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def all_users(rows: int) -> Iterator[User]:
    """Yields all users in the order of their numbers, from 1."""
    for number in range(1, rows + 1):
        yield User(number, HASHES[12], token(number))
    for cost in (12, 4):
        for number in sign_in_numbers(rows, cost):
            yield User(number, HASHES[cost], None)


def sign_in_numbers(rows: int, cost: int) -> range:
    """The users without a token whose hash has this cost."""
    first = rows + 1 + (0 if cost == 12 else SIGN_IN_USERS)
    return range(first, first + SIGN_IN_USERS)


def user_json(number: int) -> str:
    """Returns the exact body of Tokenhouse's response to `GET /users/me`."""
    user = User(number, "", None)
    profile = {
        "id": number,
        "name": user.name,
        "surname": user.surname,
        "email": user.email,
        "website": user.website,
    }
    return json.dumps(profile, separators=(",", ":"))


def token_file(rows: int, load: str) -> Path:
    """Returns a file with one token per line, of users spread evenly over all: a thousand for
    `hot`; for `cold` all of them, up to a million, since wrk keeps them in memory."""
    path = DATA / f"tokens-{load}-{rows}.txt"
    if not path.exists():
        step = max(1, rows // (HOT_TOKENS if load == "hot" else COLD_TOKENS))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{token(n)}\n" for n in range(1, rows + 1, step)))
        partial.rename(path)
    return path


# The values of a row's columns, or None for no row.
Row = tuple | None


def seed_once(path: Path, schema: str, seed: Callable[[], None]) -> None:
    """Runs `seed` unless it has already run for this schema. A stamp file records the schema."""
    stamp = DATA / f"{path.name}.seeded"
    expected = json.dumps({"schema": hashlib.sha256(schema.encode()).hexdigest()})
    if stamp.exists() and stamp.read_text() == expected and path.exists():
        return
    stamp.unlink(missing_ok=True)
    watch = Stopwatch()
    print(f"seeding {path.name} ...", end=" ", flush=True)
    seed()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(expected)
    print(f"{watch.seconds():.0f} s", flush=True)


def fill_sqlite(
    path: Path,
    rows: int,
    user_insert: str,
    user_row: Callable[[User], Row],
    token_insert: str,
    token_row: Callable[[User], Row],
) -> None:
    """Inserts all users into a database with empty tables, in one transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    # An interrupted seed is repeated, so durability does not matter.
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("BEGIN")
    connection.executemany(user_insert, _rows(rows, user_row))
    connection.executemany(token_insert, _rows(rows, token_row))
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.close()


def _rows(rows: int, make: Callable[[User], Row]) -> Iterator[tuple]:
    return (row for user in all_users(rows) if (row := make(user)) is not None)


def copy_lines(rows: int, make: Callable[[User], Row]) -> Iterable[str]:
    """Returns rows in the text format of Postgres's COPY. No value needs escaping."""
    for row in _rows(rows, make):
        yield "\t".join("\\N" if value is None else str(value) for value in row) + "\n"


def remove_sqlite(path: Path) -> None:
    """Deletes a database and its sidecar files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
