#!/usr/bin/env python3
"""Writes crates/passlib/tests/data/other_formats.json: hashes created by other libraries.

    scripts/hash-vectors.py

Each vector is a password, a hash by one of the libraries, and whether that library says that they
match. Salts are random, so every run creates other hashes. The first run installs the libraries into
target/venvs/hash-vectors.
"""

import argparse
import base64
import json
from collections.abc import Callable, Iterator

from support.server import ROOT, enter_venv

PACKAGES = [
    "passlib==1.7.4",
    "bcrypt==4.0.1",
    "Django==5.2.19",
    "argon2-cffi==25.1.0",
    "pwdlib[argon2]==0.3.1",
]
enter_venv("hash-vectors", PACKAGES)

import django.contrib.auth.hashers as django_hashers  # noqa: E402
from argon2 import PasswordHasher, exceptions  # noqa: E402
from django.conf import settings  # noqa: E402
from passlib.hash import bcrypt_sha256, pbkdf2_sha256  # noqa: E402
from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: E402

Hash = Callable[[str], str]
Verify = Callable[[str, str], bool]

OUT = ROOT / "crates" / "passlib" / "tests" / "data" / "other_formats.json"

PASSWORDS = [
    "correct horse battery staple",
    "",
    "p\u00e4ssw\u00f6rd \u043f\u0430\u0440\u043e\u043b\u044c \U0001f511",
    "e\u0301 decomposed",
    " spaces ",
    "x" * 72,
    "x" * 73,
    "\u20ac" * 60,
    "long" * 250,
]
# Other passwords to try.
WRONG = [lambda text: text + "x", lambda text: text[:-1] + "\u00df", lambda text: "y" * 72 + text]

HASHERS = "django.contrib.auth.hashers."
settings.configure(
    PASSWORD_HASHERS=[
        HASHERS + name
        for name in [
            "PBKDF2PasswordHasher",
            "BCryptSHA256PasswordHasher",
            "BCryptPasswordHasher",
            "Argon2PasswordHasher",
        ]
    ]
)


def django_hasher(name: str, **cheaper: int) -> tuple[Hash, Verify]:
    """A hasher of Django, optionally at a lower cost."""
    hasher = django_hashers.get_hasher(name)
    for attribute, value in cheaper.items():
        setattr(type(hasher), attribute, value)
    return (
        lambda password: hasher.encode(password, hasher.salt()),
        lambda password, encoded: hasher.verify(password, encoded),
    )


def argon2_hasher(hasher: PasswordHasher) -> tuple[Hash, Verify]:
    """A hasher of argon2-cffi."""

    def verify(password: str, encoded: str) -> bool:
        try:
            return hasher.verify(encoded, password)
        except exceptions.VerifyMismatchError:
            return False

    return hasher.hash, verify


def passlib_hasher(handler: object) -> tuple[Hash, Verify]:
    """A handler of passlib."""
    return handler.hash, handler.verify


def bcrypt_sha256_v1() -> tuple[Hash, Verify]:
    """passlib's format before 1.7.3, which 1.7.4 can still write."""
    return passlib_hasher(bcrypt_sha256.using(version=1, rounds=5))


MAKERS = {
    "passlib bcrypt_sha256 v2": lambda: passlib_hasher(bcrypt_sha256.using(rounds=4)),
    "passlib bcrypt_sha256 v1": bcrypt_sha256_v1,
    "passlib pbkdf2_sha256": lambda: passlib_hasher(pbkdf2_sha256.using(rounds=1_000)),
    "django pbkdf2_sha256": lambda: django_hasher("pbkdf2_sha256", iterations=1_000),
    "django bcrypt_sha256": lambda: django_hasher("bcrypt_sha256", rounds=4),
    "django bcrypt": lambda: django_hasher("bcrypt", rounds=4),
    "django argon2": lambda: django_hasher("argon2", time_cost=1, memory_cost=512, parallelism=2),
    "argon2-cffi": lambda: argon2_hasher(PasswordHasher(time_cost=2, memory_cost=256, parallelism=3)),
}

# At the libraries' default cost, once each, because they are slow to verify.
AT_FULL_COST = {
    "passlib pbkdf2_sha256 at full cost": lambda: passlib_hasher(pbkdf2_sha256),
    "argon2-cffi at full cost": lambda: argon2_hasher(PasswordHasher()),
    "pwdlib at full cost": lambda: (lambda hasher: (hasher.hash, hasher.verify))(Argon2Hasher()),
}


def vectors() -> Iterator[dict[str, object]]:
    """Yields all vectors in a fixed order."""
    for maker, make in MAKERS.items():
        make_hash, verify = make()
        for number, password in enumerate(PASSWORDS):
            encoded = make_hash(password)
            wrong = WRONG[number % len(WRONG)](password)
            for tried in (password, wrong):
                yield vector(maker, tried, encoded, verify(tried, encoded))
    for maker, make in AT_FULL_COST.items():
        make_hash, verify = make()
        encoded = make_hash(PASSWORDS[0])
        for tried in PASSWORDS[:2]:
            yield vector(maker, tried, encoded, verify(tried, encoded))


def vector(maker: str, password: str, encoded: str, matches: bool) -> dict[str, object]:
    """Formats a vector."""
    return {
        "maker": maker,
        "password_b64": base64.b64encode(password.encode()).decode(),
        "hash": encoded,
        "matches": matches,
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    lines = [json.dumps(one) for one in vectors()]
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{OUT.relative_to(ROOT)}: {len(lines)} vectors")


if __name__ == "__main__":
    main()
