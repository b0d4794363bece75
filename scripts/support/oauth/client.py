"""What every client is asked to do, whatever its own words for that are."""

import re
from dataclasses import dataclass
from typing import Protocol

# Seconds.
ANSWERS_WITHIN = 10

# A public client needs no name; some libraries want one all the same.
CLIENT_ID = "any-app"


@dataclass(frozen=True)
class Setup:
    """What a client is configured with."""

    base: str
    email: str
    password: str
    # The static key: the secret of the client that introspects.
    secret: str
    # An API key with the scope `introspect`.
    app_key: str

    @property
    def token_endpoint(self) -> str:
        return f"{self.base}/token"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.base}/revoke"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.base}/introspect"

    @property
    def me(self) -> str:
        return f"{self.base}/users/me"


class Refused(Exception):
    """The client reports a refusal: its status where it tells, and the error's code."""

    def __init__(self, status: int | None, error: str | None) -> None:
        super().__init__(f"refused: status {status}, error {error}")
        self.status, self.error = status, error


class Client(Protocol):
    """A client, and the token that it got last."""

    name: str
    # Whether it reports the challenge of a 401 and leaves the body, with the error's code, unread.
    stops_at_challenge: bool

    def __init__(self, setup: Setup) -> None: ...

    def sign_in(self, scope: str | None = None) -> dict:
        """The password grant; gives the token response."""

    def read_me(self) -> dict:
        """Reads /users/me with the token."""

    def revoke(self) -> None:
        """Ends the token at the revocation endpoint."""

    def introspect(self, token: str) -> dict:
        """Asks about a token, as a client with a secret."""

    def introspect_with_key(self, token: str) -> dict:
        """Asks about a token, as an app with an API key."""


def challenge_error(challenge: str | None) -> str | None:
    """The error's code in the value of WWW-Authenticate."""
    found = re.search(r'error="([^"]*)"', challenge or "")
    return found and found[1]
