"""A Postgres cluster for the benchmarks: durable, on a free port, stopped at the end of a run. Its
data directory is kept, so that databases are seeded only once."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from .processes import Tree, free_port, pinned
from .workspace import LOGS, WORK, BenchmarkError

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
