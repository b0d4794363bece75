"""Whether two sets of times can be told apart."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST_T = 4.5
LEAST_AUC, MOST_AUC = 0.45, 0.55

# The slowest of both are left out for the second t: one stall of the machine hides what a
# thousand samples tell.
KEPT = 0.95


@dataclass(frozen=True)
class Pair:
    """How two sets differ."""

    t: float
    t_of_fast: float
    auc: float

    def is_alike(self) -> bool:
        within = LEAST_AUC <= self.auc <= MOST_AUC
        return abs(self.t) < MOST_T and abs(self.t_of_fast) < MOST_T and within


def compare(one: Sequence[float], other: Sequence[float]) -> Pair:
    """Compares the sets: Welch's t, the same without the slowest of both, and the AUC."""
    slowest = sorted([*one, *other])[int(KEPT * (len(one) + len(other)))]
    fast = [[time for time in times if time < slowest] for times in (one, other)]
    return Pair(welch_t(one, other), welch_t(*fast), auc(one, other))


def welch_t(one: Sequence[float], other: Sequence[float]) -> float:
    """Welch's t. Without variance on both sides there is nothing that it could say."""
    if min(len(one), len(other)) < 2:
        return math.inf
    error = math.sqrt(
        statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    )
    return (statistics.fmean(one) - statistics.fmean(other)) / error if error else math.inf


def auc(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability that a sample of the one is above one of the other (Mann-Whitney's U)."""
    ranked = sorted([(time, True) for time in one] + [(time, False) for time in other])
    below, above = 0, 0
    for _, is_of_one in ranked:
        if is_of_one:
            above += below
        else:
            below += 1
    return above / (len(one) * len(other))
