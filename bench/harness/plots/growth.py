"""What grows with the number of users."""

from pathlib import Path

from .style import OURS, PEER, headline, plt, short, write

PANELS = (
    ("check_cpu", 1, "token check, CPU µs"),
    ("check_p50", 1, "token check alone, p50 ms"),
    ("register_p50", 1, "registration, p50 ms"),
    ("sign_in_p50", 1, "sign-in, p50 ms"),
    ("start_ms", 1, "start to first answer, ms"),
    ("bytes", 2**20, "database, MiB"),
)
COLOURS = (OURS, "#d08c3f", PEER)


def draw(data: dict, plots: Path) -> None:
    """A small plot for each figure, a line for each database."""
    by_title: dict[str, list[dict]] = {}
    for row in data["rows"]:
        by_title.setdefault(row["title"], []).append(row)
    figure, grid = plt.subplots(2, 3, figsize=(10.5, 6.2))
    for axes, (key, unit, title) in zip(grid.flat, PANELS):
        last = sorted(rows[-1][key] for rows in by_title.values())
        for colour, (name, rows) in zip(COLOURS, by_title.items()):
            users = [row["users"] for row in rows]
            values = [row[key] / unit for row in rows]
            axes.plot(users, values, color=colour, marker="o", markersize=4.5, label=name)
            # Above the higher end and below the lower one: they may be close together.
            down = rows[-1][key] == last[0] and len(last) > 1
            axes.annotate(short(values[-1]), (users[-1], values[-1]), xytext=(0, -7 if down else 7),
                          textcoords="offset points", va="top" if down else "bottom",
                          ha="center", size=9, color=colour)
        axes.set_title(title, fontweight="normal")
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.grid(axis="y", color="#e6e8eb", linewidth=0.7)
        if key == "bytes":
            axes.set_yscale("log")
            axes.margins(y=0.2)
            axes.minorticks_off()
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(0, 1.2 * max(row[key] for row in data["rows"]) / unit)
        axes.margins(x=0.15)
    grid[0, 0].legend(frameon=False, fontsize=9, loc="lower right")
    headline(
        figure,
        "By the number of users",
        "Every user has a token, and checks draw from all of them; hashes of cost 4, so that the "
        "database's part shows.",
    )
    figure.subplots_adjust(left=0.06, right=0.985, top=0.84, bottom=0.06, hspace=0.32, wspace=0.22)
    write(figure, plots / "growth.svg")
