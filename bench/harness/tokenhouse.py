"""Tokenhouse in three configurations: the static key, and login tokens on either database."""

import hashlib
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from . import databases
from .contestant import BASE_ENVIRONMENT, Command, Contestant, Server, Setup
from .databases import CREATED, EXPIRES, User
from .load import Client, Request
from .machine import DATA, LOGS, MIGRATIONS, ROOT, BenchmarkError, run_logged, server_target

STATIC_KEY = "the-static-key-of-the-benchmarks-43-letters"

USER_COLUMNS = (
    "id, name, surname, email, email_key, website, hashed_password, scopes, created_at, disabled_at"
)
SESSION_COLUMNS = (
    "id, user_id, slot, kind, name, user_agent, first_ip, last_ip, created_at, last_used_at, "
    "expires_at, amr, scopes"
)
TOKEN_COLUMNS = "user_id, access_token, expiration_date, scopes, created_at"


def build(setup: Setup) -> None:
    """Builds the program as the packages have it unless --binary was given."""
    if setup.binary is None:
        command = ["cargo", "build", "--profile", "dist", "--locked", "--bin", "tokenhouse"]
        run_logged(command, LOGS / "build-tokenhouse.log", cwd=ROOT)


def binary(setup: Setup) -> Path:
    """The program that is measured."""
    path = setup.binary or server_target() / "dist" / "tokenhouse"
    if not path.exists():
        raise BenchmarkError(f"{path} does not exist")
    return path.resolve()


def run(setup: Setup, url: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a tokenhouse command on a database."""
    return subprocess.run(
        [binary(setup), *arguments],
        env={**BASE_ENVIRONMENT, "DATABASE_URL": url},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def user_row(user: User) -> tuple:
    """In the order of USER_COLUMNS."""
    profile = (user.name, user.surname, user.email, user.email, user.website)
    return (user.number, *profile, user.password_hash, "", CREATED, None)


def token_row(user: User) -> tuple | None:
    """In the order of TOKEN_COLUMNS."""
    if user.token is None:
        return None
    digest = hashlib.sha256(user.token.encode()).hexdigest()
    return (user.number, digest, EXPIRES, "", CREATED)


def session_row(user: User) -> tuple | None:
    """In the order of SESSION_COLUMNS. The session has the number of the user."""
    if user.token is None:
        return None
    times = (CREATED, CREATED, EXPIRES)
    return (user.number, user.number, 0, "api", "", "", "", "", *times, "pwd", "")


def tables(has_sessions: bool) -> dict[str, Callable[[User], tuple | None]]:
    """The tables with their columns, in the order in which they are filled. Programs of before
    2026-11-29 have no sessions."""
    users = {f"users ({USER_COLUMNS})": user_row}
    if not has_sessions:
        return users | {f"access_tokens ({TOKEN_COLUMNS})": token_row}
    return users | {
        f"sessions ({SESSION_COLUMNS})": session_row,
        f"access_tokens ({TOKEN_COLUMNS}, session_id)": lambda user: (
            (*token_row(user), user.number) if user.token else None
        ),
    }


class Tokenhouse(Contestant):
    """What the three configurations have in common."""

    def build(self, setup: Setup) -> None:
        build(setup)

    def installed(self, setup: Setup) -> Path:
        return binary(setup)

    def database_url(self, setup: Setup) -> str:
        """The URL of the database with `setup.rows` users."""
        raise NotImplementedError

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        settings = {
            "DATABASE_URL": self.database_url(setup),
            "API_KEY_TOKEN": STATIC_KEY,
            "TOKENHOUSE_BIND": f"127.0.0.1:{port}",
            "TOKENHOUSE_WORKERS": str(workers),
        }
        return Command([str(binary(setup)), "serve"], settings)

    def insert(self, setup: Setup, table: str, rows: list[tuple]) -> None:
        """Replaces the rows of a table."""
        raise NotImplementedError

    def seed_anew(self, setup: Setup) -> None:
        """Replaces what is in the database with `setup.rows` users."""
        raise NotImplementedError

    def sign_in(self, email: str, password: str, **more: str) -> Request:
        form = urlencode({"username": email, "password": password, **more})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", "/token", headers, form.encode())

    def list_sessions(self, token: str) -> Request:
        """Returns the request with which a user lists their sessions."""
        return Request("GET", "/users/me/sessions", {"Authorization": f"Bearer {token}"})

    def end_session(self, token: str, session: int) -> Request:
        """Returns the request with which a user ends one of their sessions."""
        headers = {"Authorization": f"Bearer {token}"}
        return Request("DELETE", f"/users/me/sessions/{session}", headers)

    def register(self, email: str, password: str) -> Request:
        """Returns the request of a registration."""
        user = User(1, "", None)
        body = {"name": user.name, "surname": user.surname, "website": user.website}
        body |= {"email": email, "password": password}
        headers = {"Content-Type": "application/json"}
        return Request("POST", "/register", headers, json.dumps(body).encode())

    def versions(self) -> dict[str, str]:
        git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        done = subprocess.run(git, capture_output=True, text=True, check=False)
        return {"Tokenhouse": done.stdout.strip() or "unknown"}

    def database_bytes(self, setup: Setup) -> int:
        """The size of the database with its indexes."""
        raise NotImplementedError


class TokenhouseSqlite(Tokenhouse):
    """Login tokens on SQLite."""

    name = "tokenhouse-sqlite"
    title = "Tokenhouse, SQLite"
    note = "default settings"

    def path(self, setup: Setup) -> Path:
        """The database file."""
        return DATA / f"tokenhouse-{setup.rows}.db"

    def database_url(self, setup: Setup) -> str:
        return f"sqlite://{self.path(setup)}"

    def seed(self, setup: Setup) -> None:
        databases.seed_once(self.path(setup), _migrations("sqlite"), lambda: self.seed_anew(setup))

    def seed_anew(self, setup: Setup) -> None:
        path = self.path(setup)
        databases.remove_sqlite(path)
        _migrate(setup, self.database_url(setup))
        inserts = {
            f"INSERT INTO {table} VALUES ({','.join('?' * (table.count(',') + 1))})": row
            for table, row in tables(databases.has_sqlite_table(path, "sessions")).items()
        }
        databases.fill_sqlite(path, setup.rows, inserts)

    def insert(self, setup: Setup, table: str, rows: list[tuple]) -> None:
        places = ",".join("?" * len(rows[0]))
        with closing(sqlite3.connect(self.path(setup), timeout=30)) as connection, connection:
            connection.execute(f"DELETE FROM {table}")
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)

    def database_bytes(self, setup: Setup) -> int:
        path = self.path(setup)
        wal = path.with_name(path.name + "-wal")
        return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


class TokenhousePostgres(Tokenhouse):
    """Login tokens on Postgres."""

    name = "tokenhouse-postgres"
    title = "Tokenhouse, Postgres"
    note = "default settings, over TCP on the loopback interface, Postgres on the servers' cores"
    uses_postgres = True

    def database(self, setup: Setup) -> str:
        """The name of the database."""
        return f"tokenhouse_{setup.rows}"

    def database_url(self, setup: Setup) -> str:
        return setup.cluster().url(self.database(setup))

    def seed(self, setup: Setup) -> None:
        marker = self._marker(setup)
        if not setup.cluster().exists(self.database(setup)):
            marker.unlink(missing_ok=True)
        databases.seed_once(marker, _migrations("postgres"), lambda: self.seed_anew(setup))

    def seed_anew(self, setup: Setup) -> None:
        cluster, database = setup.cluster(), self.database(setup)
        cluster.query(f"DROP DATABASE IF EXISTS {database}")
        cluster.query(f"CREATE DATABASE {database}")
        _migrate(setup, cluster.url(database))
        has_sessions = cluster.query("SELECT to_regclass('sessions')", database) != ""
        for table, row in tables(has_sessions).items():
            cluster.copy(database, table, databases.copy_lines(setup.rows, row))
        for table in ("users", "sessions") if has_sessions else ("users",):
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            cluster.query(f"SELECT setval({sequence}, max(id)) FROM {table}", database)
        cluster.query("VACUUM ANALYZE", database)
        cluster.query("CHECKPOINT", database)
        self._marker(setup).touch()

    def insert(self, setup: Setup, table: str, rows: list[tuple]) -> None:
        cluster, database = setup.cluster(), self.database(setup)
        cluster.query(f"DELETE FROM {table}", database)
        lines = ("\t".join(map(str, row)) + "\n" for row in rows)
        cluster.copy(database, table, lines)

    def _marker(self, setup: Setup) -> Path:
        return DATA / f"postgres-{self.database(setup)}"

    def database_bytes(self, setup: Setup) -> int:
        sql = f"SELECT pg_database_size('{self.database(setup)}')"
        return int(setup.cluster().query(sql))


class StaticKey(TokenhouseSqlite):
    """The static key, which needs no database access."""

    name = "tokenhouse-static-key"
    title = "Tokenhouse, static key"
    # Limits are off: after the wrong key of `verify`, they would count every key for a minute.
    note = "GET /protected with the header Token, without limits"
    loads = ("hot",)
    check_path = "/protected"
    token_header = "Token"
    token_prefix = ""

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        command = super().command(setup, port, workers)
        return replace(command, environment={**command.environment, "TOKENHOUSE_LIMITS": "off"})

    def tokens(self, setup: Setup, load: str) -> Path:
        path = DATA / "static-key.txt"
        # A thousand lines, so that the load generator does the same work as for tokens.
        path.write_text(f"{STATIC_KEY}\n" * 1_000)
        return path

    def verify(self, setup: Setup, server: Server) -> None:
        with Client(server.port) as client:
            valid = client.send(self.check(STATIC_KEY))
            invalid = client.send(self.check(STATIC_KEY[:-1] + "X"))
        if (valid.status, invalid.status) != (200, 403):
            raise BenchmarkError(f"{self.name}: {valid} and {invalid} instead of 200 and 403")


def _migrate(setup: Setup, url: str) -> None:
    done = run(setup, url, "migrate")
    if done.returncode != 0:
        raise BenchmarkError(f"tokenhouse migrate failed: {done.stderr}")


def _migrations(database: str) -> str:
    """A text that changes whenever the tables change."""
    files = sorted((MIGRATIONS / database).glob("*/up.sql"))
    return "\n".join(file.read_text() for file in files)
