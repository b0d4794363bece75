"""The users and tokens that every database is filled with: the same ones each time.

Users 1 to `rows` have a token each. After them come two groups without, who sign in: with a hash
of cost 12, and with one of cost 4 for when hashing is not what is measured.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .paths import DATA

PASSWORD = "mulberry-Tram-71"
WRONG_PASSWORD = "mulberry-Tram-72"

# Of PASSWORD. One hash for all: a million would take three days, and no server can tell.
HASHES = {
    4: "$2b$04$qZbgNfqCgU5Sk11azyLhqeaQFsT.HUcdTpKuGWp3P8uHc8CkJWuRu",
    12: "$2b$12$KcXbTGzjGPqQE.LcR1MJi.g0F6T5bMDx0NqPGcgUOPcTYF1fzPghS",
}

GROUP = 2_000
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
    """The token of a user: 43 characters, the form of `secrets.token_urlsafe(32)`."""
    digest = hashlib.sha256(b"bench%d" % number).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def all_users(rows: int) -> Iterator[User]:
    """Everybody, in the order of their numbers, which count from 1."""
    for number in range(1, rows + 1):
        yield User(number, HASHES[12], token(number))
    for cost in (12, 4):
        for number in sign_in_numbers(rows, cost):
            yield User(number, HASHES[cost], None)


def sign_in_numbers(rows: int, cost: int) -> range:
    """The users without a token whose hash has that cost."""
    first = rows + 1 + (0 if cost == 12 else GROUP)
    return range(first, first + GROUP)


def user_json(number: int) -> str:
    """What Tokenhouse answers to `GET /users/me`, to the byte."""
    user = User(number, "", None)
    shown = {
        "id": number,
        "name": user.name,
        "surname": user.surname,
        "email": user.email,
        "website": user.website,
    }
    return json.dumps(shown, separators=(",", ":"))


def token_file(rows: int, load: str) -> Path:
    """A file with a token a line, of users spread evenly over all: `hot` has a thousand, `cold`
    everybody's, or a million where there are more, since wrk keeps them all in memory."""
    path = DATA / f"tokens-{load}-{rows}.txt"
    if not path.exists():
        step = max(1, rows // (HOT_TOKENS if load == "hot" else COLD_TOKENS))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{token(n)}\n" for n in range(1, rows + 1, step)))
        partial.rename(path)
    return path
