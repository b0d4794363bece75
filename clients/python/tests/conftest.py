"""What the tests of an app need: the plugin, the app, and a client."""

import pytest
from fastapi.testclient import TestClient

pytest_plugins = ["pytest_tokenhouse", "pytester"]


@pytest.fixture(scope="session")
def client(tokenhouse_server):
    # Only now, as the app reads the settings that the server's fixture makes.
    from example_app import app

    with TestClient(app) as client:
        yield client
