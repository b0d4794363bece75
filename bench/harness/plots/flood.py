"""The token checks over time, before, in and after a flood of wrong passwords."""

from pathlib import Path

from matplotlib.axes import Axes

from .style import ALARM, CALM, FAINT, OURS, OURS_LIGHT, headline, plt, write

STEP = 0.1
SECOND = 10

# What an answer to a wrong password is: its statuses, its name and its colour.
ANSWERS = (
    (("429", "503"), "busy (503)", FAINT),
    (("401", "400", "403"), "wrong (401)", CALM),
    (("0",), "no answer", ALARM),
)


def draw(data: dict, plots: Path) -> None:
    """A file for each contestant, a column for each number of clients."""
    by_name: dict[str, list[dict]] = {}
    for row in data["rows"]:
        by_name.setdefault(row["name"], []).append(row)
    for name, rows in by_name.items():
        _draw_one(rows, plots / f"flood-{name}.svg")


def _draw_one(rows: list[dict], path: Path) -> None:
    figure, grid = plt.subplots(
        3, len(rows), figsize=(max(7.0, 4.2 * len(rows)), 7.4), sharex="col", sharey="row",
        squeeze=False, gridspec_kw={"height_ratios": [3, 2, 1.3]},
    )
    for column, row in enumerate(rows):
        for axes in grid[:, column]:
            _shade(axes, row["seconds"])
        _latencies(grid[0, column], row)
        _answers(grid[1, column], row)
        _memory(grid[2, column], row)
        grid[0, column].set_title(f"{row['clients']:,} clients")
        grid[2, column].set_xlabel("seconds")
    grid[0, 0].set_ylabel("token check, ms")
    grid[1, 0].set_ylabel("wrong passwords\nanswered a second")
    grid[2, 0].set_ylabel("memory, MiB")
    grid[0, 0].legend(loc="upper left", frameon=False, fontsize=9)
    grid[1, 0].legend(loc="upper left", frameon=False, fontsize=9)
    grid[2, 0].set_ylim(bottom=0)
    headline(
        figure,
        f"{rows[0]['title']}: token checks beside a flood of wrong passwords",
        "Checks at half of what the server can do, counted from when they should have been sent; "
        "the flood is shaded.",
    )
    figure.align_ylabels(grid[:, 0])
    figure.subplots_adjust(left=0.09, right=0.985, top=0.875, bottom=0.07, hspace=0.14, wspace=0.06)
    write(figure, path)


def _shade(axes: Axes, seconds: list[float]) -> None:
    axes.axvspan(seconds[0], seconds[0] + seconds[1], color="#f4efe6", zorder=-1)
    axes.set_xlim(0, sum(seconds))
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)


def _latencies(axes: Axes, row: dict) -> None:
    samples = row["checks"]["samples"]
    times = [index * STEP for index in range(len(samples))]
    for quantile, colour, label in (("p99", OURS_LIGHT, "p99"), ("p50", OURS, "p50")):
        values = [sample.get("200", {}).get(quantile, float("nan")) for sample in samples]
        axes.plot(times, values, color=colour, linewidth=1.3, label=label)
    failed = [
        time
        for time, sample in zip(times, samples)
        if any(status != "200" for status in sample)
    ]
    if failed:
        top = [0.97] * len(failed)
        axes.scatter(failed, top, marker="v", s=14, color=ALARM, label="failed",
                     transform=axes.get_xaxis_transform())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.minorticks_off()


def _answers(axes: Axes, row: dict) -> None:
    """By whole seconds: with few answers, tenths are noise. Logarithmic, since a refusal at once
    costs a thousandth of a hash."""
    samples = row["sign_ins"]["samples"]
    seconds = [samples[index : index + SECOND] for index in range(0, len(samples), SECOND)]
    middles = [second + 0.5 for second in range(len(seconds))]
    for statuses, label, colour in ANSWERS:
        counts = [
            sum(sample.get(status, {}).get("count", 0) for sample in second for status in statuses)
            for second in seconds
        ]
        if any(counts):
            shown = [count or float("nan") for count in counts]
            axes.plot(middles, shown, color=colour, label=label, marker="o", markersize=3,
                      linewidth=1.3)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.minorticks_off()


def _memory(axes: Axes, row: dict) -> None:
    sizes = [size / 2**20 for size in row["resident"]]
    times = [index * STEP for index in range(len(sizes))]
    axes.plot(times, sizes, color=FAINT, linewidth=1.3)
