"""Sign-ins a second, beside what the cores could do."""

from pathlib import Path

from .style import ALARM, bars, headline, plt, short, write


def draw(data: dict, plots: Path) -> None:
    """Bars, and a line for cores that do nothing but hash."""
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
        f"{short(ceiling)}/s: one hash after the other on every core",
        (ceiling, len(rows) - 0.45), xytext=(-4, 0), textcoords="offset points",
        ha="right", va="top", size=9, color=ALARM,
    )
    axes.set_xlim(0, max(ceiling, *rates) * 1.45)
    axes.set_ylim(len(rows) + 0.1, -0.6)
    headline(figure, "Sign-ins a second", "bcrypt of cost 12, 64 clients, all cores.")
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.26, right=0.98, top=1 - 0.8 / height, bottom=0.1 / height)
    write(figure, plots / "sign-in.svg")
