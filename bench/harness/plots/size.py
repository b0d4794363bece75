"""Memory in use, and the time to the first answer."""

from pathlib import Path

from .style import bars, headline, plt, short, write


def draw(data: dict, plots: Path) -> None:
    """Two columns of bars that share their names."""
    rows = sorted(data["rows"], key=lambda row: row["loaded_proportional"])
    names, titles = [row["name"] for row in rows], [row["title"] for row in rows]
    figure, grid = plt.subplots(1, 2, figsize=(9.5, 1.5 + 0.36 * len(rows)), sharey=True)
    memory = [row["loaded_proportional"] / 2**20 for row in rows]
    starts = [row["start_ms"] for row in rows]
    panels = (("memory after load, MiB", memory), ("start to first answer, ms", starts))
    for axes, (title, values) in zip(grid, panels):
        bars(axes, names, titles, values, [short(value) for value in values])
        axes.set_title(title, fontweight="normal")
        axes.set_xlim(0, max(values) * 1.2)
    # Both share the axis, which is the right way up after an even number of turns.
    grid[0].set_ylim(len(rows) - 0.4, -0.6)
    headline(figure, "Memory and start", "Without the Postgres server; workers: one a core.")
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.25, right=0.98, top=1 - 1.1 / height, bottom=0.15 / height)
    write(figure, plots / "size.svg")
