"""A small HTTP/1.1 client over one connection, for what is too slow to need a load generator."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contestants.base import Request


class ClientError(Exception):
    """No answer."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A connection that is kept, and opened anew when the server has closed it."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def send(self, request: Request) -> Answer:
        """Sends and reads to the end of the answer."""
        try:
            self._connection.request(
                request.method, request.path, body=request.body or None, headers=request.headers
            )
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise ClientError(str(error)) from error
