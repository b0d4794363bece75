"""What the peers share: a folder under bench/peers, and an SQLite file."""

from abc import abstractmethod
from pathlib import Path
from urllib.parse import urlencode

from .. import seeding
from ..paths import DATA, PEERS
from ..people import User
from ..setup import Setup
from .base import Contestant, Request


class Peer(Contestant):
    """Something that people use in Tokenhouse's place."""

    sign_in_path = "/token"
    user_insert: str
    token_insert: str

    @property
    def folder(self) -> Path:
        """Its source."""
        return PEERS / self.name.replace("-", "_")

    def path(self, setup: Setup) -> Path:
        """The file of its database."""
        return DATA / f"{self.name}-{setup.rows}.db"

    def seed(self, setup: Setup) -> None:
        what = self.tables_source() + self.user_insert + self.token_insert
        seeding.once(self.path(setup), what, lambda: self._seed(setup))

    def _seed(self, setup: Setup) -> None:
        path = self.path(setup)
        seeding.remove_sqlite(path)
        self.make_tables(path)
        seeding.fill_sqlite(
            path,
            setup.rows,
            self.user_insert,
            self.user_row,
            self.token_insert,
            lambda user: self.token_row(user) if user.token else None,
        )

    @abstractmethod
    def tables_source(self) -> str:
        """A text that changes when the tables do."""

    @abstractmethod
    def make_tables(self, path: Path) -> None:
        """Makes the empty tables in a new file."""

    @abstractmethod
    def user_row(self, user: User) -> tuple:
        """For `user_insert`."""

    @abstractmethod
    def token_row(self, user: User) -> tuple:
        """For `token_insert`; only of users with a token."""

    def sign_in(self, email: str, password: str) -> Request:
        form = urlencode({"username": email, "password": password})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", self.sign_in_path, headers, form.encode())
