"""`python -m harness.plots RESULTS PLOTS` draws the plots of BENCHMARKS.md. It runs in a virtual
environment with matplotlib."""

# /// script
# dependencies = [
#     "contourpy==1.3.3",
#     "cycler==0.12.1",
#     "fonttools==4.68.0",
#     "kiwisolver==1.5.1",
#     "matplotlib==3.11.2",
#     "numpy==2.4.6",
#     "packaging==26.4",
#     "pillow==13.0.0",
#     "pyparsing==3.3.3",
#     "python-dateutil==4.0.0",
#     "tzdata==2026.6",
# ]
# ///

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

OURS = "#1f6f8b"
PEER = "#b9bec4"
FLOOR = "#5b6168"
ALARM = "#c8553d"
INK = "#24292f"
FAINT = "#8b949e"

plt.rcParams.update({
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    # Makes the output reproducible.
    "svg.hashsalt": "tokenhouse",
})


def colour(name: str) -> str:
    """Returns the colour of a contestant."""
    if name.startswith("tokenhouse"):
        return OURS
    return FLOOR if name == "bare" else PEER


def headline(figure: Figure, title: str, subtitle: str) -> None:
    """Adds a title and a subtitle."""
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.12 / height, title, size=13, weight="bold", va="top")
    figure.text(0.02, 1 - 0.40 / height, subtitle, size=9.5, color=FAINT, va="top")


def short(value: float) -> str:
    """Formats with at most three significant digits and thousands separators."""
    if value >= 100:
        return f"{value:,.0f}"
    places = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{places}f}"


def bars(
    axes: Axes,
    names: list[str],
    titles: list[str],
    values: list[float],
    labels: list[str],
    *,
    start: float = 0.0,
) -> None:
    """Draws horizontal bars from `start`, the first on top, each with a label."""
    positions = range(len(values))
    widths = [max(value - start, 0.0) for value in values]
    colours = [colour(name) for name in names]
    axes.barh(positions, widths, left=start, color=colours, height=0.66)
    axes.set_yticks(positions, titles)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    for position, value, label in zip(positions, values, labels):
        axes.annotate(label, (max(value, start), position), xytext=(5, 0),
                      textcoords="offset points", va="center", size=9.5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    axes.spines["left"].set_visible(start > 0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.minorticks_off()


def write(figure: Figure, path: Path) -> None:
    """Writes an SVG file without a date."""
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def draw_check(data: dict, plots: Path) -> None:
    """Draws the CPU time of a token check as bars on a logarithmic scale."""
    rows = [row for row in data["rows"] if "cpu_ratio" in row]
    rows = [row for row in rows if row["name"] != "bare" or row["load"] == "hot"]
    if not rows:
        return
    rows.sort(key=lambda row: row["cpu_ratio"])
    figure, axes = plt.subplots(figsize=(9.5, 1.15 + 0.36 * len(rows)))
    titles = [_title(row) for row in rows]
    ratios = [row["cpu_ratio"] for row in rows]
    labels = [_label(row) for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(1, max(ratios) * 12)
    bars(axes, [row["name"] for row in rows], titles, ratios, labels, start=1.0)
    headline(
        figure,
        "CPU time of a token check",
        "Multiples of a bare actix-web handler, logarithmic; includes the database server.",
    )
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.31, right=0.98, top=1 - 0.8 / height, bottom=0.15 / height)
    write(figure, plots / "check.svg")


def _title(row: dict) -> str:
    if row["name"] in ("bare", "tokenhouse-static-key"):
        return row["title"]
    return f"{row['title']}, {row['load']}"


def _label(row: dict) -> str:
    micros = short(row["cpu"] + (row["postgres_cpu"] or 0.0))
    return f"{short(row['cpu_ratio'])}×   {micros} µs   {row['rate']:,.0f}/s"


def draw_sign_in(data: dict, plots: Path) -> None:
    """Draws bars, and a line for cores that do nothing but hash."""
    rows = sorted(data["rows"], key=lambda row: -row["rate"])
    ceiling = rows[0]["cores"] * 1e3 / rows[0]["hash_ms"]
    figure, axes = plt.subplots(figsize=(9.5, 1.5 + 0.36 * len(rows)))
    labels = [
        f"{short(row['rate'])}/s   {row['of_cores'] * 100:.0f} %   p50 {short(row['p50'])} s"
        for row in rows
    ]
    rates = [row["rate"] for row in rows]
    bars(axes, [row["name"] for row in rows], [row["title"] for row in rows], rates, labels)
    axes.axvline(ceiling, color=ALARM, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    axes.annotate(
        f"{short(ceiling)}/s: one hash after another on every core",
        (ceiling, len(rows) - 0.45), xytext=(-4, 0), textcoords="offset points",
        ha="right", va="top", size=9, color=ALARM,
    )
    axes.set_xlim(0, max(ceiling, *rates) * 1.45)
    axes.set_ylim(len(rows) + 0.1, -0.6)
    headline(figure, "Sign-ins per second", "bcrypt of cost 12, 64 clients, all cores.")
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.26, right=0.98, top=1 - 0.8 / height, bottom=0.1 / height)
    write(figure, plots / "sign-in.svg")


def draw_beside(data: dict, plots: Path) -> None:
    """Draws the rate of checks over the rate of sign-ins, a line for each program, database and
    number of processes."""
    rows = data["rows"]
    figure, axes = plt.subplots(figsize=(9.5, 4.2))
    rates = [each["due"] for each in rows[0]["checks"]]
    positions = range(len(rates))
    ends = []
    for row in rows:
        shares = [each["of_quiet"] * 100 for each in row["checks"]]
        is_before = row["title"].endswith(" before")
        style = "--" if row["name"].endswith("sqlite") else "-"
        axes.plot(positions, shares, style, color=PEER if is_before else OURS, linewidth=1.8,
                  marker="o", markersize=4)
        ends.append((shares[-1], f"{shares[-1]:.0f} %  {_subject(row)}"))
    for height, label in _spread(ends, 6.0):
        axes.annotate(label, (positions[-1], height), xytext=(8, 0), textcoords="offset points",
                      va="center", size=9)
    axes.set_xticks(positions, [f"{rate}/s" for rate in rates])
    axes.set_xlabel("sign-ins")
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.grid(axis="y", color=PEER, linewidth=0.5)
    headline(
        figure,
        "Token checks while people sign in",
        "Checks per second of one process, compared with those without sign-ins.",
    )
    figure.subplots_adjust(left=0.07, right=0.66, top=0.83, bottom=0.12)
    write(figure, plots / "beside.svg")


def _subject(row: dict) -> str:
    count = row["processes"]
    return row["title"] + (f", {count} processes" if count > 1 else "")


def _spread(labels: list[tuple[float, str]], distance: float) -> list[tuple[float, str]]:
    """Moves labels up so that they do not overlap."""
    placed: list[tuple[float, str]] = []
    for height, label in sorted(labels):
        lowest = placed[-1][0] + distance if placed else height
        placed.append((max(height, lowest), label))
    return placed


DRAW = {"check": draw_check, "beside": draw_beside, "sign-in": draw_sign_in}


def main() -> None:
    """Draws the results that have a plot."""
    results, plots = map(Path, sys.argv[1:])
    for name, draw in DRAW.items():
        path = results / f"{name}.json"
        if path.exists():
            draw(json.loads(path.read_text())["data"], plots)


if __name__ == "__main__":
    main()
