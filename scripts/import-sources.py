#!/usr/bin/env python3
"""Writes tests/data/import: sources for `tokenhouse import`, created by the libraries themselves.

    scripts/import-sources.py                       small databases for the tests
    scripts/import-sources.py --users N --out FILE  a database of the tutorial with N users

Each folder has an SQLite database as SQL text, `sqlite.sql`, and the same for Postgres if SQLAlchemy
creates the tables, `postgres.sql`. `people.json` has, for each folder, the passwords and tokens of its
users, and the expected result. Valid tokens live for a hundred years. The first run installs the libraries into
target/venvs/import-sources.
"""

import argparse
import asyncio
import hashlib
import json
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from support.server import ROOT, enter_venv

PACKAGES = [
    "SQLAlchemy==2.0.58",
    "aiosqlite==0.22.1",
    "passlib==1.7.4",
    "bcrypt==4.2.1",
    "fastapi-users[sqlalchemy]==14.0.2",
    "Django==5.2.19",
    "djangorestframework==3.18.3",
    "django-rest-knox==5.1.0",
]
enter_venv("import-sources", PACKAGES)

from passlib.context import CryptContext  # noqa: E402
from sqlalchemy import (  # noqa: E402
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    create_engine,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql  # noqa: E402
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column  # noqa: E402
from sqlalchemy.schema import CreateTable  # noqa: E402

OUT = ROOT / "tests" / "data" / "import"
CENTURY = timedelta(days=36_525)
BATCH_SIZE = 10_000
# Tables of Django without user data.
NOT_USERS = ["django_", "auth_permission", "auth_group", "auth_user_groups", "_user_permissions"]
Person = dict[str, object]
Made = tuple[list[Person], MetaData | None]


class Tutorial(DeclarativeBase):
    """The tutorial's tables."""


class User(Tutorial):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    surname: Mapped[str] = mapped_column(String)
    email: Mapped[str] = mapped_column(String, unique=True, index=True)
    website: Mapped[str] = mapped_column(String)
    hashed_password: Mapped[str] = mapped_column(String(255))


class AccessToken(Tutorial):
    __tablename__ = "access_tokens"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    access_token: Mapped[str] = mapped_column(String(255), index=True)
    expiration_date: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def person(email: str, password: str | None, token: str | None, live: bool = True) -> Person:
    """What the tests expect of a user."""
    return {"email": email, "password": password, "token": token, "live": live}


def make_tutorial(file: Path) -> Made:
    """Users of the tutorial, including a second spelling of an address and an invalid address."""
    context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4)
    engine = create_engine(f"sqlite:///{file}")
    Tutorial.metadata.create_all(engine)
    now = datetime.now(timezone.utc)
    people = []
    with Session(engine) as session:
        for number in range(20):
            live = number % 4 != 3
            email, password = f"Person{number}@Example.com", f"pässword {number}"
            token = secrets.token_urlsafe(32)
            user = User(
                name=f"Person {number}",
                surname="Пример",
                email=email,
                website=f"https://example.com/{number}",
                hashed_password=context.hash(password),
            )
            session.add(user)
            session.flush()
            ends = now + CENTURY if live else now - timedelta(days=1)
            session.add(AccessToken(user_id=user.id, access_token=token, expiration_date=ends))
            people.append(person(email, password, token, live))
        for email in ["person0@example.com", "nobody@localhost"]:
            session.add(User(name="x", surname="", email=email, website="", hashed_password="!"))
        session.commit()
    engine.dispose()
    return people, Tutorial.metadata


def make_fastapi_users(file: Path) -> Made:
    """Users of fastapi-users with its database strategy."""
    return asyncio.run(fastapi_users(file))


async def fastapi_users(file: Path) -> Made:
    from fastapi_users.authentication.strategy.db import DatabaseStrategy
    from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
    from fastapi_users.password import PasswordHelper
    from fastapi_users_db_sqlalchemy.access_token import (
        SQLAlchemyAccessTokenDatabase,
        SQLAlchemyBaseAccessTokenTableUUID,
    )
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    class Base(DeclarativeBase):
        pass

    class Member(SQLAlchemyBaseUserTableUUID, Base):
        pass

    class Token(SQLAlchemyBaseAccessTokenTableUUID, Base):
        pass

    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    # The default scheme at a low cost.
    argon2 = Argon2Hasher(time_cost=1, memory_cost=512, parallelism=2)
    helper = PasswordHelper(PasswordHash((argon2,)))
    people = []
    async with AsyncSession(engine, expire_on_commit=False) as session:
        users = SQLAlchemyUserDatabase(session, Member)
        strategy = DatabaseStrategy(SQLAlchemyAccessTokenDatabase(session, Token))
        for number in range(4):
            email, password = f"member{number}@example.com", f"secret {number}"
            user = await users.create(
                {
                    "email": email,
                    "hashed_password": helper.hash(password),
                    "is_active": number != 3,
                }
            )
            # The source accepts both tokens; Tokenhouse keeps one per user.
            await strategy.write_token(user)
            token = await strategy.write_token(user)
            active = number != 3
            people.append(person(email, password if active else None, token, active))
    await engine.dispose()
    return people, Base.metadata


def make_django(file: Path) -> Made:
    """Users of Django with tokens of Django REST framework and knox."""
    import django
    from django.conf import settings

    hashers = "django.contrib.auth.hashers."
    apps = ["django.contrib.auth", "django.contrib.contenttypes"]
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}},
        INSTALLED_APPS=[*apps, "rest_framework", "rest_framework.authtoken", "knox"],
        USE_TZ=True,
        PASSWORD_HASHERS=[
            f"{hashers}{name}PasswordHasher" for name in ["PBKDF2", "BCryptSHA256", "Argon2"]
        ],
    )
    django.setup()
    from django.contrib.auth import hashers as classes
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User as DjangoUser
    from django.core.management import call_command
    from knox.models import AuthToken
    from rest_framework.authtoken.models import Token

    classes.PBKDF2PasswordHasher.iterations = 1_000
    classes.BCryptSHA256PasswordHasher.rounds = 4
    classes.Argon2PasswordHasher.memory_cost = 512
    call_command("migrate", verbosity=0)
    people = []
    for number, hasher in enumerate(["pbkdf2_sha256", "bcrypt_sha256", "argon2"]):
        email, password = f"django{number}@example.com", f"password {number}"
        user = DjangoUser(
            username=f"django{number}", first_name="Django", last_name="User", email=email
        )
        user.password = make_password(password, hasher=hasher)
        user.save()
        people.append(person(email, password, Token.objects.create(user=user).key))
    # The user name is an address. knox stores digests of tokens only.
    user = DjangoUser.objects.create(username="knox@example.com", password=make_password("knox 1"))
    _row, token = AuthToken.objects.create(user, expiry=None)
    people.append(person("knox@example.com", "knox 1", token))
    DjangoUser.objects.create(username="nobody", password=make_password(None))
    return people, None


SOURCES = {
    "tutorial": make_tutorial,
    "fastapi-users": make_fastapi_users,
    "django": make_django,
}


def tables_only(file: Path) -> Iterator[str]:
    """Dumps the database as SQL, without tables that have no user data."""
    with sqlite3.connect(file) as connection:
        for statement in connection.iterdump():
            if not any(name in statement for name in NOT_USERS):
                yield statement


def on_postgres(file: Path, metadata: MetaData) -> Iterator[str]:
    """Dumps the same database as SQLAlchemy creates it on Postgres."""
    dialect = postgresql.dialect()
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            yield f"{str(CreateTable(table).compile(dialect=dialect)).strip()};"
            for row in connection.execute(select(table)).mappings():
                values = {column: at_utc(value) for column, value in row.items()}
                statement = insert(table).values(values)
                literal = {"literal_binds": True}
                yield f"{statement.compile(dialect=dialect, compile_kwargs=literal)};"
    engine.dispose()


def at_utc(value: object) -> object:
    """Restores the zone of a timestamp, which SQLite does not store."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value


def make_small() -> None:
    people_by_source = {}
    for name, make in SOURCES.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "source.db"
            people, metadata = make(file)
            (folder / "sqlite.sql").write_text("\n".join(tables_only(file)) + "\n")
            if metadata is not None:
                lines = on_postgres(file, metadata)
                (folder / "postgres.sql").write_text("\n".join(lines) + "\n")
        people_by_source[name] = people
        print(f"{folder.relative_to(ROOT)}: {len(people)} people")
    text = json.dumps(people_by_source, indent=1, ensure_ascii=False)
    (OUT / "people.json").write_text(text + "\n")


def make_large(count: int, file: Path) -> None:
    """Creates a large database of the tutorial. All users share a hash, since hashing is slow."""
    engine = create_engine(f"sqlite:///{file}")
    Tutorial.metadata.create_all(engine)
    hashed = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4).hash("one password for all")
    ends = datetime.now(timezone.utc) + CENTURY
    with engine.begin() as connection:
        for first in range(1, count + 1, BATCH_SIZE):
            ids = range(first, min(first + BATCH_SIZE, count + 1))
            users = [
                {
                    "id": id,
                    "name": f"Person {id}",
                    "surname": "Example",
                    "email": f"person{id}@example.com",
                    "website": f"https://example.com/{id}",
                    "hashed_password": hashed,
                }
                for id in ids
            ]
            tokens = [
                {
                    "user_id": id,
                    # The import skips weak tokens.
                    "access_token": hashlib.sha256(str(id).encode()).hexdigest(),
                    "expiration_date": ends,
                }
                for id in ids
            ]
            connection.execute(insert(User), users)
            connection.execute(insert(AccessToken), tokens)
    print(f"{file}: {count} users")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=int, help="create a large database with this many users")
    parser.add_argument("--out", type=Path, help="path of the large database")
    args = parser.parse_args()
    if args.users:
        make_large(args.users, args.out or parser.error("--users requires --out"))
    else:
        make_small()


if __name__ == "__main__":
    main()
