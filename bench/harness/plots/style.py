"""How all plots look: few lines, words where the values are, one colour for what is ours."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

OURS = "#1f6f8b"
OURS_LIGHT = "#8fbecb"
PEER = "#b9bec4"
FLOOR = "#5b6168"
ALARM = "#c8553d"
CALM = "#7aa874"
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
    # The same figures make the same file.
    "svg.hashsalt": "tokenhouse",
})


def colour(name: str) -> str:
    """Of a contestant."""
    if name.startswith("tokenhouse"):
        return OURS
    return FLOOR if name == "bare" else PEER


def headline(figure: Figure, title: str, below: str) -> None:
    """What the plot says, and what it shows."""
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.12 / height, title, size=13, weight="bold", va="top")
    figure.text(0.02, 1 - 0.40 / height, below, size=9.5, color=FAINT, va="top")


def short(value: float) -> str:
    """With three significant digits at most, and commas."""
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
    """Horizontal bars from `start` on, the first on top, each with its value beside it."""
    places = range(len(values))
    widths = [max(value - start, 0.0) for value in values]
    colours = [colour(name) for name in names]
    axes.barh(places, widths, left=start, color=colours, height=0.66)
    axes.set_yticks(places, titles)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    for place, value, label in zip(places, values, labels):
        axes.annotate(label, (max(value, start), place), xytext=(5, 0),
                      textcoords="offset points", va="center", size=9.5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    axes.spines["left"].set_visible(start > 0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.minorticks_off()


def write(figure: Figure, path: Path) -> None:
    """As SVG, without the date."""
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
