"""The peers in Python: the tutorial itself, FastAPI Users, and Django with django-rest-knox."""

import hashlib
import uuid
from pathlib import Path

from .. import venvs
from ..paths import LOGS
from ..people import CREATED, EXPIRES, User
from ..processes import run_logged
from ..setup import Setup
from .base import BASE_ENVIRONMENT, Command
from .peer import Peer


class PythonPeer(Peer):
    """In a virtual environment of its own."""

    # Those of its packages that a report names.
    packages: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        """Its pinned packages."""
        return self.folder / "requirements.txt"

    def python(self) -> Path:
        """Its interpreter."""
        return venvs.python(self.name, self.requirements)

    def build(self, setup: Setup) -> None:
        self.python()

    def installed(self, setup: Setup) -> Path:
        return self.python().parent.parent

    def versions(self) -> dict[str, str]:
        return venvs.versions(self.requirements, self.packages)

    def run(self, arguments: list[str], path: Path) -> None:
        """Runs a module of its own on a database."""
        run_logged(
            [str(self.python()), *arguments],
            LOGS / f"tables-{self.name}.log",
            cwd=self.folder,
            env={**BASE_ENVIRONMENT, **self.environment(path)},
        )

    def environment(self, path: Path) -> dict[str, str]:
        """Its settings."""
        return {"DATABASE": str(path)}


class FastApiPeer(PythonPeer):
    """Under uvicorn."""

    def tables_source(self) -> str:
        return (self.folder / "database.py").read_text()

    def make_tables(self, path: Path) -> None:
        self.run(["database.py"], path)

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        options = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        options += ["--loop", "uvloop", "--http", "httptools"]
        options += ["--no-access-log", "--log-level", "warning"]
        command = [str(self.python()), "-m", "uvicorn", "app:app", *options]
        return Command(command, self.environment(self.path(setup)), self.folder)


class Tutorial(FastApiPeer):
    """What Tokenhouse replaces."""

    name = "tutorial"
    title = "FastAPI tutorial"
    note = "SQLAlchemy, aiosqlite, uvicorn with uvloop and httptools, one worker a core"
    sign_in_note = "passlib's bcrypt, in the thread pool"
    # There is no health route; this is the cheapest.
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
        shown = (user.name, user.surname, user.email, user.website)
        return (user.number, *shown, user.password_hash)

    def token_row(self, user: User) -> tuple:
        return (user.number, user.token, EXPIRES)


class FastApiUsers(FastApiPeer):
    """The library that people reach for next."""

    name = "fastapi-users"
    title = "FastAPI Users"
    note = "tokens in the database, uvicorn as above"
    sign_in_note = (
        "pwdlib's bcrypt of cost 12 in place of its default, Argon2; it hashes on the event loop"
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
        shown = (user.name, user.surname, user.website)
        return (_uuid(user), user.email, user.password_hash, *shown)

    def token_row(self, user: User) -> tuple:
        return (user.token, CREATED, _uuid(user))


class DjangoKnox(PythonPeer):
    """The usual choice with Django."""

    name = "django-knox"
    title = "Django, DRF, knox"
    note = "gunicorn with gthread, one worker of four threads a core; Django's own user"
    sign_in_note = "BCryptPasswordHasher (plain bcrypt) of 12 rounds in place of PBKDF2"
    # An answer of 404 costs less than any other.
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

    def environment(self, path: Path) -> dict[str, str]:
        return {"DATABASE": str(path), "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": "."}

    def tables_source(self) -> str:
        return self.requirements.read_text()

    def make_tables(self, path: Path) -> None:
        self.run(["-m", "django", "migrate", "--verbosity", "0"], path)

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        options = ["--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        options += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"]
        command = [str(self.python()), "-m", "gunicorn", *options, "--log-level", "warning", "wsgi"]
        return Command(command, self.environment(self.path(setup)), self.folder)

    def user_row(self, user: User) -> tuple:
        shown = (user.email, user.name, user.surname, user.email)
        return (user.number, f"bcrypt${user.password_hash}", *shown, CREATED)

    def token_row(self, user: User) -> tuple:
        digest = hashlib.sha512(user.token.encode()).hexdigest()
        return (digest, user.token[:15], user.number, CREATED, EXPIRES)


def _uuid(user: User) -> str:
    return str(uuid.UUID(int=user.number, version=4))
