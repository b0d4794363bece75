"""What a scenario has found, as it is printed, kept and made into a report."""

import json
import shlex
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from .machine import facts
from .paths import RESULTS
from .tables import Table


@dataclass
class Result:
    """Of one scenario."""

    name: str
    title: str
    # How it was measured, a sentence or two each.
    method: list[str]
    tables: list[Table]
    # What the plots are drawn from.
    data: dict
    versions: dict[str, str]
    command: str = field(default_factory=lambda: shlex.join(["bench/run", *sys.argv[1:]]))
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    machine: dict[str, str] = field(default_factory=facts)

    def text(self) -> str:
        """For the terminal."""
        return "\n".join([f"== {self.title} ==", "", *self.method, "", *self._tables_as_text()])

    def _tables_as_text(self) -> list[str]:
        return [table.text() for table in self.tables]

    def save(self) -> None:
        """Keeps it, in place of what the same scenario found before."""
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (RESULTS / f"{self.name}.json").write_text(text + "\n")


def load_all() -> list[Result]:
    """Those that are kept."""
    results = []
    for path in sorted(RESULTS.glob("*.json")):
        fields = json.loads(path.read_text())
        fields["tables"] = [Table(**table) for table in fields["tables"]]
        results.append(Result(**fields))
    return results
