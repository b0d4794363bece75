"""The tutorial's two tables, on SQLite through aiosqlite."""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from sqlalchemy import ForeignKey, String, create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PATH = os.environ["DATABASE"]


class Base(DeclarativeBase):
    """The tables know each other by it."""


class User(Base):
    """Who registered."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    surname: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True, index=True)
    website: Mapped[str]
    hashed_password: Mapped[str] = mapped_column(String(255))


class AccessToken(Base):
    """One for each user who is in, in the clear, as the tutorial keeps it."""

    __tablename__ = "access_tokens"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    access_token: Mapped[str] = mapped_column(String(255), index=True)
    # UTC, without a zone: SQLite keeps none.
    expiration_date: Mapped[datetime]


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


Database = Annotated[AsyncSession, Depends(_session)]


if __name__ == "__main__":
    Base.metadata.create_all(create_engine(f"sqlite:///{PATH}"))
