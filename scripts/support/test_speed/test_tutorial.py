"""Tests of an app with the users and tokens of FastAPI's tutorial. The user is registered once."""

import secrets
from typing import Annotated

import bcrypt
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from fastapi.testclient import TestClient

app = FastAPI()
EMAIL, PASSWORD = "ada@example.com", "mulberry-Tram-71"
users = {EMAIL: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12))}
tokens: dict[str, str] = {}


@app.post("/token")
def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    if not bcrypt.checkpw(form.password.encode(), users[form.username]):
        raise HTTPException(401)
    token = secrets.token_urlsafe()
    tokens[token] = form.username
    return {"access_token": token, "token_type": "bearer"}


@app.get("/notes")
def notes(token: Annotated[str, Depends(OAuth2PasswordBearer("token"))]) -> dict[str, str]:
    if token not in tokens:
        raise HTTPException(401)
    return {"notes_of": tokens[token]}


@pytest.fixture(scope="session")
def client():
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("number", range(200))
def test_notes(client, number):
    signed_in = client.post("/token", data={"username": EMAIL, "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    assert client.get("/notes", headers=headers).json() == {"notes_of": EMAIL}
