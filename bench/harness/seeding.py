"""Filling databases, once for each number of rows: a stamp beside the data says what it holds."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .paths import DATA
from .people import User, all_users
from .processes import Stopwatch

# What a user and a token are in a table: the columns' values, or nothing for no row.
Row = tuple | None


def once(path: Path, what: str, seed: Callable[[], None]) -> None:
    """Runs `seed` unless it has run for the same `what`: a text that changes with the tables."""
    stamp = DATA / f"{path.name}.seeded"
    wanted = json.dumps({"what": hashlib.sha256(what.encode()).hexdigest()})
    if stamp.exists() and stamp.read_text() == wanted and path.exists():
        return
    stamp.unlink(missing_ok=True)
    watch = Stopwatch()
    print(f"seeding {path.name} ...", end=" ", flush=True)
    seed()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)
    print(f"{watch.seconds():.0f} s", flush=True)


def fill_sqlite(
    path: Path,
    rows: int,
    user_insert: str,
    user_row: Callable[[User], Row],
    token_insert: str,
    token_row: Callable[[User], Row],
) -> None:
    """Inserts everybody into a database that has the tables, in one transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    # A seed that breaks off is begun anew, so it need not survive anything.
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
    """The rows in the text format of Postgres's COPY. The values hold nothing to be escaped."""
    for row in _rows(rows, make):
        yield "\t".join("\\N" if value is None else str(value) for value in row) + "\n"


def remove_sqlite(path: Path) -> None:
    """Deletes a database and the files beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
