"""The alternatives that people use instead of Tokenhouse. Each has a folder in bench/peers and an
SQLite database."""

import hashlib
import json
import shutil
import uuid
from abc import abstractmethod
from pathlib import Path
from urllib.parse import urlencode

from . import databases
from .contestant import BASE_ENVIRONMENT, Command, Contestant, Setup
from .databases import CREATED, EXPIRES, User
from .load import Request
from .machine import (
    DATA,
    LOGS,
    PEERS,
    WORK,
    BenchmarkError,
    dependencies,
    pinned_versions,
    run_logged,
    venv_python,
)


class Peer(Contestant):
    """An alternative to Tokenhouse."""

    sign_in_path = "/token"
    user_insert: str
    token_insert: str

    @property
    def folder(self) -> Path:
        """The folder of its source."""
        return PEERS / self.name.replace("-", "_")

    def path(self, setup: Setup) -> Path:
        """The database file."""
        return DATA / f"{self.name}-{setup.rows}.db"

    def seed(self, setup: Setup) -> None:
        schema = self.tables_source() + self.user_insert + self.token_insert
        databases.seed_once(self.path(setup), schema, lambda: self._seed(setup))

    def _seed(self, setup: Setup) -> None:
        path = self.path(setup)
        databases.remove_sqlite(path)
        self.make_tables(path)
        inserts = {
            self.user_insert: self.user_row,
            self.token_insert: lambda user: self.token_row(user) if user.token else None,
        }
        databases.fill_sqlite(path, setup.rows, inserts)

    @abstractmethod
    def tables_source(self) -> str:
        """A text that changes whenever the tables change."""

    @abstractmethod
    def make_tables(self, path: Path) -> None:
        """Creates the empty tables in a new file."""

    @abstractmethod
    def user_row(self, user: User) -> tuple:
        """The values for `user_insert`."""

    @abstractmethod
    def token_row(self, user: User) -> tuple:
        """The values for `token_insert`; called for users with a token only."""

    def sign_in(self, email: str, password: str) -> Request:
        form = urlencode({"username": email, "password": password})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", self.sign_in_path, headers, form.encode())


class PythonPeer(Peer):
    """A peer in its own virtual environment."""

    # The packages whose versions the report lists.
    packages: tuple[str, ...]

    @property
    def app(self) -> Path:
        """Its source, which lists the pinned packages."""
        return self.folder / "app.py"

    def python(self) -> Path:
        """The interpreter."""
        return venv_python(self.name, self.app)

    def build(self, setup: Setup) -> None:
        self.python()

    def installed(self, setup: Setup) -> Path:
        return self.python().parent.parent

    def versions(self) -> dict[str, str]:
        return pinned_versions(self.app, self.packages)

    def run(self, arguments: list[str], path: Path) -> None:
        """Runs its interpreter on a database."""
        command = [str(self.python()), *arguments]
        env = {**BASE_ENVIRONMENT, "DATABASE": str(path)}
        run_logged(command, LOGS / f"tables-{self.name}.log", cwd=self.folder, env=env)


class FastApiPeer(PythonPeer):
    """A FastAPI app under uvicorn."""

    def tables_source(self) -> str:
        return self.app.read_text()

    def make_tables(self, path: Path) -> None:
        self.run(["app.py"], path)

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        options = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        options += ["--loop", "uvloop", "--http", "httptools"]
        options += ["--no-access-log", "--log-level", "warning"]
        command = [str(self.python()), "-m", "uvicorn", "app:app", *options]
        return Command(command, {"DATABASE": str(self.path(setup))}, self.folder)


class Tutorial(FastApiPeer):
    """The service that Tokenhouse replaces."""

    name = "tutorial"
    title = "FastAPI tutorial"
    note = "SQLAlchemy, aiosqlite, uvicorn with uvloop and httptools, one worker per core"
    sign_in_note = "passlib's bcrypt, in the thread pool"
    # It has no health route; this one is the cheapest.
    health_path = "/openapi.json"
    packages = ("fastapi", "uvicorn", "SQLAlchemy", "aiosqlite", "passlib", "bcrypt")
    user_insert = (
        "INSERT INTO users (id, name, surname, email, website, hashed_password) "
        "VALUES (?,?,?,?,?,?)"
    )
    token_insert = (
        "INSERT INTO access_tokens (user_id, access_token, expiration_date) VALUES (?,?,?)"
    )

    def user_row(self, user: User) -> tuple:
        profile = (user.name, user.surname, user.email, user.website)
        return (user.number, *profile, user.password_hash)

    def token_row(self, user: User) -> tuple:
        return (user.number, user.token, EXPIRES)


class FastApiUsers(FastApiPeer):
    """The usual library for FastAPI."""

    name = "fastapi-users"
    title = "FastAPI Users"
    note = "tokens in the database, uvicorn as above"
    sign_in_note = (
        "pwdlib's bcrypt of cost 12 instead of its default, Argon2; it hashes on the event loop"
    )
    health_path = "/openapi.json"
    sign_in_path = "/auth/login"
    packages = ("fastapi-users", "fastapi-users-db-sqlalchemy", "pwdlib")
    user_insert = (
        "INSERT INTO user (id, email, hashed_password, is_active, is_superuser, is_verified, "
        "name, surname, website) VALUES (?,?,?,1,0,1,?,?,?)"
    )
    token_insert = "INSERT INTO accesstoken (token, created_at, user_id) VALUES (?,?,?)"

    def user_row(self, user: User) -> tuple:
        profile = (user.name, user.surname, user.website)
        return (_uuid(user), user.email, user.password_hash, *profile)

    def token_row(self, user: User) -> tuple:
        return (user.token, CREATED, _uuid(user))


class DjangoKnox(PythonPeer):
    """The usual choice with Django."""

    name = "django-knox"
    title = "Django, DRF, knox"
    note = "gunicorn with gthread, one worker of four threads per core; Django's own user model"
    sign_in_note = "BCryptPasswordHasher (plain bcrypt) of 12 rounds instead of PBKDF2"
    # A 404 is the cheapest response.
    health_path = "/health"
    token_prefix = "Token "
    packages = ("Django", "djangorestframework", "django-rest-knox", "gunicorn")
    user_insert = (
        "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, "
        "email, is_staff, is_active, date_joined) VALUES (?,?,0,?,?,?,?,0,1,?)"
    )
    token_insert = (
        "INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry) "
        "VALUES (?,?,?,?,?)"
    )

    def tables_source(self) -> str:
        return "\n".join(dependencies(self.app))

    def make_tables(self, path: Path) -> None:
        self.run(["app.py", "migrate", "--verbosity", "0"], path)

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        options = ["--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        options += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"]
        command = [str(self.python()), "-m", "gunicorn", *options, "--log-level", "warning", "app"]
        return Command(command, {"DATABASE": str(self.path(setup))}, self.folder)

    def user_row(self, user: User) -> tuple:
        profile = (user.email, user.name, user.surname, user.email)
        return (user.number, f"bcrypt${user.password_hash}", *profile, CREATED)

    def token_row(self, user: User) -> tuple:
        digest = hashlib.sha512(user.token.encode()).hexdigest()
        return (digest, user.token[:15], user.number, CREATED, EXPIRES)


def _uuid(user: User) -> str:
    return str(uuid.UUID(int=user.number, version=4))


# Milliseconds since 1970: the year 2099.
EXPIRES_MS = 4_070_908_800_000


class Express(Peer):
    """A hand-written service in Node."""

    name = "express"
    title = "Express, better-sqlite3"
    note = "one cluster process per core, NODE_ENV=production"
    sign_in_note = "npm's bcrypt, on libuv's four threads in each process"
    health_path = "/health"
    user_insert = (
        "INSERT INTO users (id, name, surname, email, website, password_hash) VALUES (?,?,?,?,?,?)"
    )
    token_insert = "INSERT INTO tokens (digest, user_id, expires_at) VALUES (?,?,?)"

    # A copy of the folder with the packages, which Node looks for next to the source.
    copy = WORK / "node" / "express"

    def installed(self, setup: Setup) -> Path:
        return self.copy

    def build(self, setup: Setup) -> None:
        if not shutil.which("npm"):
            raise BenchmarkError("npm is missing: install Node (Debian: nodejs, npm)")
        self.copy.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "server.js", self.copy)
        required = (self.folder / "package-lock.json").read_text()
        # Written last, so that an interrupted installation is repeated.
        stamp = self.copy / "installed.json"
        if stamp.exists() and stamp.read_text() == required:
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(self.folder / name, self.copy)
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        if Path("/usr/include/node").exists():
            # better-sqlite3 is compiled; without this option its build downloads the headers.
            command.append("--nodedir=/usr")
        run_logged(command, LOGS / "build-express.log", cwd=self.copy)
        stamp.write_text(required)

    def versions(self) -> dict[str, str]:
        packages = json.loads((self.folder / "package.json").read_text())["dependencies"]
        return {f"npm {name}": version for name, version in packages.items()}

    def tables_source(self) -> str:
        return (self.folder / "server.js").read_text()

    def make_tables(self, path: Path) -> None:
        command = ["node", "server.js", "create-tables"]
        env = {**BASE_ENVIRONMENT, "DATABASE": str(path)}
        run_logged(command, LOGS / "tables-express.log", cwd=self.copy, env=env)

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        settings = {"DATABASE": str(self.path(setup)), "PORT": str(port), "WORKERS": str(workers)}
        return Command(
            [shutil.which("node") or "node", "server.js"],
            {"NODE_ENV": "production", **settings},
            self.copy,
        )

    def user_row(self, user: User) -> tuple:
        profile = (user.name, user.surname, user.email, user.website)
        return (user.number, *profile, user.password_hash)

    def token_row(self, user: User) -> tuple:
        digest = hashlib.sha256(user.token.encode()).digest()
        return (digest, user.number, EXPIRES_MS)
