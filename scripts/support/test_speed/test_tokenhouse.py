"""The same tests of clients/python/example_app.py, with a reset and a new user in each."""

import pytest
from fastapi.testclient import TestClient

EMAIL = "ada@example.com"


@pytest.fixture(scope="session")
def client(tokenhouse_server):
    from example_app import app

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("number", range(200))
def test_notes(client, auth_headers, number):
    assert client.get("/notes", headers=auth_headers(EMAIL)).json() == {"notes_of": EMAIL}
