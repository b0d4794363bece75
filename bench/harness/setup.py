"""What every part of a run has to know."""

from dataclasses import dataclass
from pathlib import Path

from .machine import Layout
from .postgres import Cluster


class Postgres:
    """The one cluster of a run, started by whoever asks first."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores = cores
        self._cluster: Cluster | None = None

    def cluster(self) -> Cluster:
        """The running cluster."""
        if self._cluster is None:
            self._cluster = Cluster(self._cores)
        return self._cluster

    def stop(self) -> None:
        """Stops it if it was started."""
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None


@dataclass(frozen=True)
class Setup:
    """The options of a run. Copies with other options share the cluster."""

    rows: int
    layout: Layout
    postgres: Postgres
    binary: Path | None = None

    def cluster(self) -> Cluster:
        """The Postgres cluster, on the servers' cores."""
        return self.postgres.cluster()
