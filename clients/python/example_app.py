"""An app that authenticates with Tokenhouse: TOKENHOUSE_CLIENT_KEY=tkh_… uvicorn example_app:app --port 9000"""

from typing import Annotated

from fastapi import Depends, FastAPI, Security

from tokenhouse_fastapi import User, current_user, requires

app = FastAPI(title="Example app")


@app.get("/notes")
def notes(user: Annotated[User, Depends(current_user)]) -> dict[str, str]:
    return {"notes_of": user.email}


@app.get("/orders")
async def orders(user: Annotated[User, Depends(requires("orders:read"))]) -> dict[str, str]:
    return {"orders_of": user.email}


@app.post("/orders", dependencies=[Security(current_user, scopes=["orders:read", "orders:write"])])
def order() -> dict[str, str]:
    return {"order": "taken"}


@app.post("/refunds")
def refund(user: Annotated[User, Depends(requires("orders:read", mfa=True, max_age=300))]) -> dict[str, str]:
    return {"refunded_by": user.email}


@app.get("/me")
def me(user: Annotated[User, Depends(current_user)]) -> User:
    return user
