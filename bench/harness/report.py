"""BENCHMARKS.md and the plots, from what was kept."""

import subprocess

from . import venvs
from .failure import BenchmarkError
from .paths import BENCH, PLOTS, REPORT, RESULTS
from .results import Result, load_all

ORDER = ("check", "sign-in", "flood", "growth", "size")

INTRODUCTION = """\
# Benchmarks

Measured by `bench/run`, which builds everything that is compared, and written by it with `--save`:
[bench/README.md](bench/README.md) tells how. Figures of one table come from one machine, and
where they are compared, from rounds that were played in turn. A check is a request with a token
that is answered with the user's JSON.
"""


def write() -> None:
    """Writes both."""
    results = sorted(load_all(), key=lambda result: ORDER.index(result.name))
    if not results:
        raise BenchmarkError("nothing was kept yet: run a scenario with --save")
    _draw()
    sections = [INTRODUCTION, *map(_section, results)]
    REPORT.write_text("\n".join(sections))
    print(f"wrote {REPORT} and {PLOTS}")


def _draw() -> None:
    """In a process of its own: matplotlib lives in a virtual environment."""
    python = venvs.python("plots", BENCH / "plots.txt")
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    command = [str(python), "-m", "harness.plots", str(RESULTS), str(PLOTS)]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"the plots were not drawn:\n{done.stderr}")


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
