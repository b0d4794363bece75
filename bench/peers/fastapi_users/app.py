"""FastAPI Users as its documentation sets it up, with opaque tokens in an SQLite database.

Its default hash is Argon2; here it uses bcrypt of cost 12, so that sign-ins are comparable.

    python app.py           creates the tables
    uvicorn app:app         serves
"""

# /// script
# dependencies = [
#     "aiosqlite==0.22.1",
#     "annotated-doc==0.0.7",
#     "annotated-types==0.8.0",
#     "anyio==4.16.0",
#     "argon2-cffi==25.1.0",
#     "argon2-cffi-bindings==26.2.0",
#     "bcrypt==5.0.0",
#     "cffi==2.1.1",
#     "click==8.5.1",
#     "cryptography==50.0.2",
#     "dnspython==2.9.2",
#     "email-validator==2.3.0",
#     "fastapi==0.165.0",
#     "fastapi-users==15.0.5",
#     "fastapi-users-db-sqlalchemy==7.0.0",
#     "greenlet==3.5.6",
#     "h11==0.16.0",
#     "httptools==0.9.0",
#     "idna==3.20",
#     "makefun==1.16.0",
#     "opentelemetry-api==1.45.2",
#     "pwdlib==0.3.0",
#     "pycparser==3.12",
#     "pydantic==2.14.4",
#     "pydantic_core==2.50.5",
#     "PyJWT==2.15.1",
#     "python-multipart==0.0.34",
#     "SQLAlchemy==2.0.58",
#     "starlette==1.10.0",
#     "typing-inspection==0.4.5",
#     "typing_extensions==4.16.0",
#     "uvicorn==0.54.0",
#     "uvloop==0.23.0",
# ]
# ///

import os
import uuid
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped

PATH = os.environ["DATABASE"]


class Base(DeclarativeBase):
    """The registry of the tables."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """A registered user, with the columns that the other contestants have."""

    name: Mapped[str]
    surname: Mapped[str]
    website: Mapped[str]


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """One row per sign-in."""


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
    """The table of users."""
    yield SQLAlchemyUserDatabase(session, User)


async def tokens(session: Session) -> AsyncIterator[AccessTokenDatabase[AccessToken]]:
    """The table of tokens."""
    yield SQLAlchemyAccessTokenDatabase(session, AccessToken)


# Ten years: the seeded tokens have a fixed creation time.
LIFETIME_SECONDS = 10 * 365 * 24 * 60 * 60

passwords = PasswordHelper(PasswordHash((BcryptHasher(rounds=12),)))


class UserRead(schemas.BaseUser[uuid.UUID]):
    """The public fields of a user."""

    name: str
    surname: str
    website: str


class UserCreate(schemas.BaseUserCreate):
    """The body of a registration."""

    name: str
    surname: str
    website: str


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """Default rules."""


async def user_manager(
    database: Annotated[SQLAlchemyUserDatabase, Depends(users)],
) -> AsyncIterator[UserManager]:
    """Returns the user manager of a request."""
    yield UserManager(database, passwords)


def strategy(
    database: Annotated[AccessTokenDatabase[AccessToken], Depends(tokens)],
) -> DatabaseStrategy:
    """Keeps tokens in the database."""
    return DatabaseStrategy(database, lifetime_seconds=LIFETIME_SECONDS)


backend = AuthenticationBackend(
    name="database",
    transport=BearerTransport(tokenUrl="auth/login"),
    get_strategy=strategy,
)
fastapi_users = FastAPIUsers[User, uuid.UUID](user_manager, [backend])
current_user = fastapi_users.current_user(active=True)

app = FastAPI()
app.include_router(fastapi_users.get_auth_router(backend), prefix="/auth")
app.include_router(fastapi_users.get_register_router(UserRead, UserCreate), prefix="/auth")


@app.get("/users/me", response_model=UserRead)
async def read_users_me(user: Annotated[User, Depends(current_user)]) -> User:
    """Returns the authenticated user."""
    return user


if __name__ == "__main__":
    Base.metadata.create_all(create_engine(f"sqlite:///{PATH}"))
