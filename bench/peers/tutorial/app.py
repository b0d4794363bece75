"""The FastAPI tutorial's token service, as Tokenhouse's conformance cases describe it: users with
passlib's bcrypt hashes, one random token for each who is in, and a static key."""

import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from database import AccessToken, Database, User
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from passlib.context import CryptContext
from pydantic import BaseModel, ConfigDict, EmailStr, Field
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError

STATIC_KEY = os.environ.get("API_KEY_TOKEN", "")
LIFETIME = timedelta(days=1)

passwords = CryptContext(schemes=["bcrypt"])
bearer = OAuth2PasswordBearer(tokenUrl="token", auto_error=False)
app = FastAPI()


class UserRead(BaseModel):
    """A user as others see one."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(min_length=5)
    surname: str
    email: EmailStr
    website: str


class UserCreate(UserRead):
    """A registration."""

    password: str


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


async def current_user(
    database: Database,
    presented: Annotated[str | None, Depends(bearer)],
    token: Annotated[str | None, Header()] = None,
) -> User:
    """Whose token stands in `Token` or in `Authorization`."""
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
    """Refuses whoever does not have it."""
    if not token or not hmac.compare_digest(token.encode(), STATIC_KEY.encode()):
        raise HTTPException(403)


@app.post("/register", status_code=201, response_model=UserRead)
async def register(form: UserCreate, database: Database) -> User:
    """Makes a user."""
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
    """Gives a token in place of the user's earlier one."""
    user = await database.scalar(select(User).where(User.email == form.username))
    # In a thread, as FastAPI runs the handlers of the reference, which are no coroutines.
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
    """Who am I?"""
    return user


@app.get("/protected", dependencies=[Depends(require_static_key)])
async def protected() -> dict[str, str]:
    """For whoever has the static key."""
    return {"hello": "FASTAPI"}
