"""Quantiles of what was measured one by one."""

from math import ceil


def quantile(values: list[float], share: float) -> float:
    """The value that this share of the others does not exceed."""
    ordered = sorted(values)
    return ordered[ceil((len(ordered) - 1) * share)]
