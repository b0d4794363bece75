"""A Postgres cluster of the harness's own: durable, on a free port, stopped at the end. Its folder
stays, so that what was seeded need not be seeded again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from .failure import BenchmarkError
from .machine import pinned
from .paths import LOGS, WORK
from .processes import Tree

FOLDER = WORK / "postgres"
ROLE = "bench"

# The defaults but for memory, of which they take little. What is committed is on the disk.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "max_connections": "200",
}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cluster:
    """A running cluster."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._programs = _programs()
        self._as_other = _as_ordinary_user()
        self.port = free_port()
        if not (FOLDER / "PG_VERSION").exists():
            self._initialise()
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = [str(self._programs / "postgres"), "-D", str(FOLDER), "-p", str(self.port)]
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / "postgres.log").open("w") as log:
            self._process = subprocess.Popen(
                pinned(cores, [*self._as_other, *command, *settings]),
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
        if self._as_other:
            account = _ordinary_account()
            os.chown(FOLDER, account.pw_uid, account.pw_gid)
        command = [str(self._programs / "initdb"), "-D", str(FOLDER), "-U", ROLE, "-A", "trust"]
        done = subprocess.run(
            [*self._as_other, *command, "-E", "UTF8", "--no-locale"],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _wait(self) -> None:
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise BenchmarkError(f"Postgres does not start:\n{(LOGS / 'postgres.log').read_text()}")

    def url(self, database: str) -> str:
        """What DATABASE_URL has to be."""
        return f"postgres://{ROLE}@127.0.0.1:{self.port}/{database}"

    def query(self, sql: str, database: str = "postgres") -> str:
        """What the query answers, unaligned and without headings."""
        command = self._command(database, ["-c", sql])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"psql failed: {done.stderr}")
        return done.stdout.strip()

    def copy(self, database: str, into: str, lines: Iterable[str]) -> None:
        """COPY INTO, of lines in its text format."""
        command = self._command(database, ["-c", f"COPY {into} FROM STDIN"])
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as psql:
            psql.stdin.writelines(lines)
        if psql.returncode != 0:
            raise BenchmarkError(f"COPY {into} failed")

    def exists(self, database: str) -> bool:
        """Whether there is such a database."""
        sql = f"SELECT count(*) FROM pg_database WHERE datname = '{database}'"
        return self.query(sql) == "1"

    def _command(self, database: str, arguments: list[str]) -> list[str]:
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return [str(self._programs / "psql"), self.url(database), *options, *arguments]

    def stop(self) -> None:
        """Ends it in good order (SIGINT is its word for fast), so that nothing is lost."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def version(self) -> str:
        return self.query("SHOW server_version").split()[0]


def _programs() -> Path:
    """The newest version's folder, as Debian lays them out, or that on the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    folders = sorted(versions, key=lambda found: int(found.parent.parent.name), reverse=True)
    found = folders[0] if folders else shutil.which("initdb")
    if not found:
        raise BenchmarkError("Postgres is missing: install it (Debian: apt-get install postgresql)")
    return Path(found).parent


def _ordinary_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BenchmarkError("Postgres does not run as root, and there is no user postgres or nobody")


def _as_ordinary_user() -> list[str]:
    """What comes before a command, since Postgres refuses to run as root. setpriv becomes the
    command; runuser would stay its parent."""
    if os.geteuid() != 0:
        return []
    account = _ordinary_account()
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]
