"""FastAPI Users as its documentation sets it up, with opaque tokens in the database.

Its default hash is Argon2; here it is told to use bcrypt of cost 12, so that sign-ins can be
compared."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

from database import AccessToken, User, tokens, users
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher

# Ten years: the tokens of the benchmark are older than a production's would be.
LIFETIME_SECONDS = 10 * 365 * 24 * 60 * 60

passwords = PasswordHelper(PasswordHash((BcryptHasher(rounds=12),)))


class UserRead(schemas.BaseUser[uuid.UUID]):
    """A user as others see one."""

    name: str
    surname: str
    website: str


class UserCreate(schemas.BaseUserCreate):
    """A registration."""

    name: str
    surname: str
    website: str


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """The rules for users: the defaults."""


async def user_manager(
    database: Annotated[SQLAlchemyUserDatabase, Depends(users)],
) -> AsyncIterator[UserManager]:
    """For each request."""
    yield UserManager(database, passwords)


def strategy(
    database: Annotated[AccessTokenDatabase[AccessToken], Depends(tokens)],
) -> DatabaseStrategy:
    """Tokens are rows."""
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
    """Who am I?"""
    return user
