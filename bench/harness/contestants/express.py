"""The peer in JavaScript: Express, bcrypt and better-sqlite3."""

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

from ..failure import BenchmarkError
from ..paths import LOGS, WORK
from ..people import User
from ..processes import run_logged
from ..setup import Setup
from .base import Command
from .peer import Peer

# Milliseconds since 1970: the year 2099.
EXPIRES_MS = 4_070_908_800_000


class Express(Peer):
    """What a Node programmer writes by hand."""

    name = "express"
    title = "Express, better-sqlite3"
    note = "one cluster process a core, NODE_ENV=production"
    sign_in_note = "npm's bcrypt, on libuv's four threads in each process"
    health_path = "/health"
    user_insert = (
        "INSERT INTO users (id, name, surname, email, website, password_hash) VALUES (?,?,?,?,?,?)"
    )
    token_insert = "INSERT INTO tokens (digest, user_id, expires_at) VALUES (?,?,?)"

    # A copy of its folder with its packages, since Node looks for them beside the source.
    copy = WORK / "node" / "express"

    def installed(self, setup: Setup) -> Path:
        return self.copy

    def build(self, setup: Setup) -> None:
        if not shutil.which("npm"):
            raise BenchmarkError("npm is missing: install Node (Debian: nodejs, npm)")
        self.copy.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "server.js", self.copy)
        wanted = (self.folder / "package-lock.json").read_text()
        # Written last, so that an installation that broke off is redone.
        stamp = self.copy / "installed.json"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(self.folder / name, self.copy)
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        if Path("/usr/include/node").exists():
            # better-sqlite3 is compiled; without this its build looks for headers on the network.
            command.append("--nodedir=/usr")
        run_logged(command, LOGS / "build-express.log", cwd=self.copy)
        stamp.write_text(wanted)

    def versions(self) -> dict[str, str]:
        packages = json.loads((self.folder / "package.json").read_text())["dependencies"]
        return {f"npm {name}": version for name, version in packages.items()}

    def tables_source(self) -> str:
        return (self.folder / "tables.sql").read_text()

    def make_tables(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(self.tables_source())
        connection.close()

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        settings = {"DATABASE": str(self.path(setup)), "PORT": str(port), "WORKERS": str(workers)}
        return Command(
            [shutil.which("node") or "node", "server.js"],
            {"NODE_ENV": "production", **settings},
            self.copy,
        )

    def user_row(self, user: User) -> tuple:
        shown = (user.name, user.surname, user.email, user.website)
        return (user.number, *shown, user.password_hash)

    def token_row(self, user: User) -> tuple:
        digest = hashlib.sha256(user.token.encode()).digest()
        return (digest, user.number, EXPIRES_MS)
