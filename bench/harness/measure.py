"""CPU time around a piece of work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .contestants.base import Contestant, Server
from .machine import busy_seconds
from .processes import Stopwatch
from .setup import Setup

T = TypeVar("T")


@dataclass(frozen=True)
class Spent:
    """CPU seconds, of the server's process tree and of the Postgres cluster it uses; and the share
    of the servers' cores that others took meanwhile."""

    server: float
    postgres: float | None
    others: float

    @property
    def total(self) -> float:
        """Of the server and its database server."""
        return self.server + (self.postgres or 0.0)


def cpu_around(
    setup: Setup, contestant: Contestant, server: Server, work: Callable[[], T]
) -> tuple[T, Spent]:
    """Does the work and tells what it cost the server."""
    trees = [server.tree]
    if contestant.uses_postgres:
        trees.append(setup.cluster().tree)

    def read() -> list[float]:
        return [*(tree.cpu_seconds() for tree in trees), busy_seconds(setup.layout.servers)]

    before, watch = read(), Stopwatch()
    done = work()
    seconds = watch.seconds()
    used = [end - begin for begin, end in zip(before, read())]
    own, cores = used[:-1], used[-1]
    postgres = own[1] if contestant.uses_postgres else None
    others = max(0.0, cores - sum(own)) / (seconds * len(setup.layout.servers))
    return done, Spent(own[0], postgres, others)
