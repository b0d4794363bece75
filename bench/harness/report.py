"""Results: printed, saved as JSON, and written to BENCHMARKS.md and the plots."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from .machine import BENCH, PLOTS, REPORT, RESULTS, BenchmarkError, facts, venv_python


@dataclass(frozen=True)
class Table:
    """A table of strings: names in the first column, figures in the others."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Formats for a terminal, with padded columns."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows)]
        lines = [_padded(self.columns, widths), "  ".join("-" * width for width in widths)]
        lines += [_padded(row, widths) for row in self.rows]
        return "\n".join([self.title, "", *lines, ""])

    def markdown(self) -> str:
        """Formats as GitHub Markdown, under a level 3 heading."""
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        lines = [_markdown_row(row) for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, ""])


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(cells).rstrip()


def _markdown_row(row: Sequence[str]) -> str:
    return "| " + " | ".join(row) + " |"


def format_number(value: float | None, digits: int = 3) -> str:
    """Formats with `digits` significant digits and thousands separators; a dash for None."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if whole >= digits:
        return f"{value:,.0f}"
    places = digits - whole if whole else digits
    return f"{value:.{places}f}"


def format_percent(value: float) -> str:
    """Formats a ratio as a percentage, small ones with one decimal place."""
    return f"{value * 100:.{0 if value >= 0.1 else 1}f} %"


def format_mebibytes(value: float) -> str:
    """Formats bytes as MiB."""
    return format_number(value / 2**20)


@dataclass
class Result:
    """The result of a scenario."""

    name: str
    title: str
    # How it was measured: a sentence or two per item.
    method: list[str]
    tables: list[Table]
    # The input of the plots.
    data: dict
    versions: dict[str, str]
    command: str = field(default_factory=lambda: shlex.join(["bench/run", *sys.argv[1:]]))
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    machine: dict[str, str] = field(default_factory=facts)

    def text(self) -> str:
        """Formats for the terminal."""
        return "\n".join([f"== {self.title} ==", "", *self.method, "", *self._tables_as_text()])

    def _tables_as_text(self) -> list[str]:
        return [table.text() for table in self.tables]

    def save(self) -> None:
        """Saves the result, replacing the scenario's earlier one."""
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (RESULTS / f"{self.name}.json").write_text(text + "\n")


def load_results() -> list[Result]:
    """Loads the saved results."""
    results = []
    for path in sorted(RESULTS.glob("*.json")):
        fields = json.loads(path.read_text())
        fields["tables"] = [Table(**table) for table in fields["tables"]]
        results.append(Result(**fields))
    return results


SECTIONS = (
    "Token checks",
    "While people sign in",
    "Sign-ins",
    "A flood of wrong passwords",
    "Growth",
    "Size",
)

INTRODUCTION = """\
# Benchmarks

Measured and written by `bench/run --save`, which builds everything that it compares;
[bench/README.md](bench/README.md) explains how. The figures of one table come from one machine.
Where programs are compared, rounds alternate between them. A check is a request with a token,
answered with the user's JSON.
"""


def write() -> None:
    """Draws the plots and replaces the sections of BENCHMARKS.md that have saved results."""
    results = load_results()
    if not results:
        raise BenchmarkError("no results yet: run a scenario with --save")
    _draw()
    sections = _existing_sections() | {result.title: _section(result) for result in results}
    ordered = [sections[title] for title in SECTIONS if title in sections]
    REPORT.write_text("\n".join([INTRODUCTION, *ordered]))
    print(f"wrote {REPORT} and {PLOTS}")


def _existing_sections() -> dict[str, str]:
    """The sections of BENCHMARKS.md by title. Results are not in version control, so those of
    other machines and earlier runs exist only there."""
    sections = {}
    text = REPORT.read_text() if REPORT.exists() else ""
    for section in text.split("\n## ")[1:]:
        title = section.split("\n", 1)[0]
        sections[title] = f"## {section.rstrip()}\n"
    return sections


def _draw() -> None:
    """Draws in a separate process: matplotlib is installed in a virtual environment."""
    python = venv_python("plots", BENCH / "harness" / "plots.py")
    PLOTS.mkdir(exist_ok=True)
    command = [str(python), "-m", "harness.plots", str(RESULTS), str(PLOTS)]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"drawing the plots failed:\n{done.stderr}")


def _section(result: Result) -> str:
    plots = sorted(PLOTS.glob(f"{result.name}*.svg"))
    images = [f"![{result.title}](bench/plots/{plot.name})\n" for plot in plots]
    facts = "; ".join(f"{name}: {value}" for name, value in result.machine.items())
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return "\n".join([
        f"## {result.title}\n",
        *images,
        *(table.markdown() for table in result.tables),
        *(f"- {sentence}" for sentence in result.method),
        f"- `{result.command}`, {result.date}",
        f"- {facts}",
        f"- {versions}",
        "",
    ])
