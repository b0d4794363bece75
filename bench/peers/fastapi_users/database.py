"""FastAPI Users' own tables for users and access tokens, on SQLite, with the columns that the
other contestants have too."""

import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from fastapi_users.authentication.strategy.db import AccessTokenDatabase
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped

PATH = os.environ["DATABASE"]


class Base(DeclarativeBase):
    """The tables know each other by it."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """Who registered."""

    name: Mapped[str]
    surname: Mapped[str]
    website: Mapped[str]


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """One for each sign-in."""


engine = create_async_engine(f"sqlite+aiosqlite:///{PATH}", connect_args={"timeout": 30})
new_session = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def _configure(connection, _record) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


async def _session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]


async def users(session: Session) -> AsyncIterator[SQLAlchemyUserDatabase]:
    """The users."""
    yield SQLAlchemyUserDatabase(session, User)


async def tokens(session: Session) -> AsyncIterator[AccessTokenDatabase[AccessToken]]:
    """The tokens."""
    yield SQLAlchemyAccessTokenDatabase(session, AccessToken)


if __name__ == "__main__":
    Base.metadata.create_all(create_engine(f"sqlite:///{PATH}"))
