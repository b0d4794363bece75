"""What a token check costs, as a multiple of the handler that checks nothing."""

from pathlib import Path

from .style import bars, headline, plt, short, write


def draw(data: dict, plots: Path) -> None:
    """Bars on a scale of ratios: twice the distance from the left is the ratio squared."""
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
        "Multiples of a bare actix-web handler, logarithmic; with the database server's share.",
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
