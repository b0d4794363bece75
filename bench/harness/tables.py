"""Tables, for a terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells are texts; the first column is one of names, the others are figures."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """With columns padded to their widest cell."""
        columns = list(zip(self.heads, *self.rows))
        widths = [max(map(len, column)) for column in columns]
        lines = [_padded(self.heads, widths), "  ".join("-" * width for width in widths)]
        lines += [_padded(row, widths) for row in self.rows]
        return "\n".join([self.title, "", *lines, ""])

    def markdown(self) -> str:
        """A table of GitHub's Markdown, under a heading of the third order."""
        rule = ["---"] + ["---:"] * (len(self.heads) - 1)
        lines = [_bars(row) for row in (self.heads, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, ""])


def _padded(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(cells).rstrip()


def _bars(row: Sequence[str]) -> str:
    return "| " + " | ".join(row) + " |"


def number(value: float | None, digits: int = 3) -> str:
    """With so many significant digits, and commas in large ones; a dash for what is not."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if whole >= digits:
        return f"{value:,.0f}"
    places = digits - whole if whole else digits
    return f"{value:.{places}f}"


def percent(value: float) -> str:
    """A share of one; a small one with a decimal."""
    return f"{value * 100:.{0 if value >= 0.1 else 1}f} %"


def mebibytes(value: float) -> str:
    """Of bytes."""
    return number(value / 2**20)
