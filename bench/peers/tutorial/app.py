"""The FastAPI tutorial's token service, as Tokenhouse's conformance cases describe it: users with
passlib's bcrypt hashes, one random token per signed-in user, and a static key.

    python app.py           creates the tables
    uvicorn app:app         serves
"""

# /// script
# dependencies = [
#     "aiosqlite==0.22.1",
#     "annotated-doc==0.0.7",
#     "annotated-types==0.8.0",
#     "anyio==4.16.0",
#     # passlib 1.7.4 cannot detect bcrypt 4.1 and later.
#     "bcrypt==4.0.1",
#     "click==8.5.1",
#     "dnspython==2.9.2",
#     "email-validator==2.4.0",
#     "fastapi==0.165.0",
#     "greenlet==3.5.6",
#     "h11==0.16.0",
#     "httptools==0.9.0",
#     "idna==3.20",
#     "opentelemetry-api==1.45.2",
#     "passlib==1.7.4",
#     "pydantic==2.14.3",
#     "pydantic_core==2.50.4",
#     "python-multipart==0.0.34",
#     "SQLAlchemy==2.1.9",
#     "starlette==1.10.0",
#     "typing-inspection==0.4.5",
#     "typing_extensions==4.16.0",
#     "uvicorn==0.54.0",
#     "uvloop==0.23.0",
# ]
# ///

import hmac
import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from passlib.context import CryptContext
from pydantic import BaseModel, ConfigDict, EmailStr, Field
from sqlalchemy import ForeignKey, String, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PATH = os.environ["DATABASE"]


class Base(DeclarativeBase):
    """The registry of the tables."""


class User(Base):
    """A registered user."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    surname: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True, index=True)
    website: Mapped[str]
    hashed_password: Mapped[str] = mapped_column(String(255))


class AccessToken(Base):
    """One row per signed-in user, with the token in plain text as in the tutorial."""

    __tablename__ = "access_tokens"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    access_token: Mapped[str] = mapped_column(String(255), index=True)
    # UTC without a zone, since SQLite does not store one.
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


STATIC_KEY = os.environ.get("API_KEY_TOKEN", "")
LIFETIME = timedelta(days=1)

passwords = CryptContext(schemes=["bcrypt"])
bearer = OAuth2PasswordBearer(tokenUrl="token", auto_error=False)
app = FastAPI()


class UserRead(BaseModel):
    """The public fields of a user."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(min_length=5)
    surname: str
    email: EmailStr
    website: str


class UserCreate(UserRead):
    """The body of a registration."""

    password: str


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


async def current_user(
    database: Database,
    presented: Annotated[str | None, Depends(bearer)],
    token: Annotated[str | None, Header()] = None,
) -> User:
    """Returns the user whose token is in `Token` or `Authorization`."""
    challenge = {"WWW-Authenticate": "Bearer"}
    credential = token or presented
    if not credential:
        raise HTTPException(401, "Not authenticated", challenge)
    query = (
        select(User, AccessToken.expiration_date)
        .join(AccessToken, AccessToken.user_id == User.id)
        .where(AccessToken.access_token == credential)
    )
    found = (await database.execute(query)).first()
    if found is None or found.expiration_date <= _now():
        raise HTTPException(401, "Could not validate credentials", challenge)
    return found.User


async def require_static_key(token: Annotated[str | None, Header()] = None) -> None:
    """Rejects requests without the static key."""
    if not token or not hmac.compare_digest(token.encode(), STATIC_KEY.encode()):
        raise HTTPException(403)


@app.post("/register", status_code=201, response_model=UserRead)
async def register(form: UserCreate, database: Database) -> User:
    """Creates a user."""
    taken = HTTPException(409, "User email already exist")
    if await database.scalar(select(User.id).where(User.email == form.email)):
        raise taken
    hashed = await run_in_threadpool(passwords.hash, form.password)
    user = User(**form.model_dump(exclude={"password"}), hashed_password=hashed)
    database.add(user)
    try:
        await database.commit()
    except IntegrityError as error:
        raise taken from error
    return user


@app.post("/token")
async def create_token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], database: Database
) -> dict[str, str]:
    """Issues a token, which replaces the user's earlier one."""
    user = await database.scalar(select(User).where(User.email == form.username))
    # In a thread pool, where FastAPI runs the synchronous handlers of the original.
    if user is None or not await run_in_threadpool(
        passwords.verify, form.password, user.hashed_password
    ):
        raise HTTPException(401)
    fresh = {"access_token": secrets.token_urlsafe(32), "expiration_date": _now() + LIFETIME}
    statement = insert(AccessToken).values(user_id=user.id, **fresh)
    await database.execute(
        statement.on_conflict_do_update(index_elements=["user_id"], set_=fresh)
    )
    await database.commit()
    return {"access_token": fresh["access_token"]}


@app.get("/users/me", response_model=UserRead)
async def read_users_me(user: Annotated[User, Depends(current_user)]) -> User:
    """Returns the authenticated user."""
    return user


@app.get("/protected", dependencies=[Depends(require_static_key)])
async def protected() -> dict[str, str]:
    """A route guarded by the static key."""
    return {"hello": "FASTAPI"}


if __name__ == "__main__":
    Base.metadata.create_all(create_engine(f"sqlite:///{PATH}"))
