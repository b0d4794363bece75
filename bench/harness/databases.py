"""The databases: users and tokens and how databases are filled with them, and a Postgres cluster.

Users 1 to `rows` have a token each. Two groups of users without tokens follow, for sign-ins: one
with hashes of cost 12, one with hashes of cost 4 for scenarios that do not measure hashing.

The cluster is durable, on a free port, and stopped at the end of a run. Its data directory is kept,
so that databases are seeded only once.
"""

import base64
import hashlib
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .machine import DATA, LOGS, WORK, BenchmarkError, Stopwatch, Tree, free_port, pinned

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


def fill_sqlite(path: Path, rows: int, inserts: dict[str, Callable[[User], Row]]) -> None:
    """Inserts all users into a database with empty tables, in one transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    # An interrupted seed is repeated, so durability does not matter.
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("BEGIN")
    for insert, make in inserts.items():
        connection.executemany(insert, _rows(rows, make))
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.close()


def has_sqlite_table(path: Path, name: str) -> bool:
    """Whether a database has a table of this name."""
    with closing(sqlite3.connect(path)) as connection:
        find = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(find, (name,)).fetchone() is not None


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


FOLDER = WORK / "postgres"
ROLE = "bench"

# Defaults except for memory. Commits are durable.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "max_connections": "200",
}


class Cluster:
    """A running cluster."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._bin = _bin_directory()
        self._run_as = _unprivileged_prefix()
        self.port = free_port()
        if not (FOLDER / "PG_VERSION").exists():
            self._initialise()
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = [str(self._bin / "postgres"), "-D", str(FOLDER), "-p", str(self.port)]
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / "postgres.log").open("w") as log:
            self._process = subprocess.Popen(
                pinned(cores, [*self._run_as, *command, *settings]),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.tree = Tree(self._process.pid)
        self._wait()

    def _initialise(self) -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True, mode=0o700)
        if self._run_as:
            account = _unprivileged_account()
            os.chown(FOLDER, account.pw_uid, account.pw_gid)
        command = [str(self._bin / "initdb"), "-D", str(FOLDER), "-U", ROLE, "-A", "trust"]
        done = subprocess.run(
            [*self._run_as, *command, "-E", "UTF8", "--no-locale"],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _wait(self) -> None:
        ready = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise BenchmarkError(f"Postgres does not start:\n{(LOGS / 'postgres.log').read_text()}")

    def url(self, database: str) -> str:
        """Returns the value of DATABASE_URL for a database."""
        return f"postgres://{ROLE}@127.0.0.1:{self.port}/{database}"

    def query(self, sql: str, database: str = "postgres") -> str:
        """Runs a query and returns its output, unaligned and without headings."""
        command = self._command(database, ["-c", sql])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"psql failed: {done.stderr}")
        return done.stdout.strip()

    def copy(self, database: str, table: str, lines: Iterable[str]) -> None:
        """Runs COPY with lines in its text format."""
        command = self._command(database, ["-c", f"COPY {table} FROM STDIN"])
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as psql:
            psql.stdin.writelines(lines)
        if psql.returncode != 0:
            raise BenchmarkError(f"COPY {table} failed")

    def exists(self, database: str) -> bool:
        """Whether a database of this name exists."""
        sql = f"SELECT count(*) FROM pg_database WHERE datname = '{database}'"
        return self.query(sql) == "1"

    def _command(self, database: str, arguments: list[str]) -> list[str]:
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return [str(self._bin / "psql"), self.url(database), *options, *arguments]

    def stop(self) -> None:
        """Shuts down in fast mode (SIGINT), which loses nothing."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def version(self) -> str:
        """The server version."""
        return self.query("SHOW server_version").split()[0]


def _bin_directory() -> Path:
    """The programs of the newest Debian version, or those on the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_first = sorted(versions, key=lambda path: int(path.parent.parent.name), reverse=True)
    found = newest_first[0] if newest_first else shutil.which("initdb")
    if not found:
        raise BenchmarkError("Postgres is missing: install it (Debian: apt-get install postgresql)")
    return Path(found).parent


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BenchmarkError("Postgres does not run as root, and there is no user postgres or nobody")


def _unprivileged_prefix() -> list[str]:
    """Command prefix that drops privileges, since Postgres refuses to run as root. setpriv execs
    the command; runuser would stay its parent."""
    if os.geteuid() != 0:
        return []
    account = _unprivileged_account()
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]


class Postgres:
    """The single cluster of a run, started on first use."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores = cores
        self._cluster: Cluster | None = None

    def cluster(self) -> Cluster:
        """The running cluster."""
        if self._cluster is None:
            self._cluster = Cluster(self._cores)
        return self._cluster

    def stop(self) -> None:
        """Stops it if it was started."""
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None
