"""Paired differences over repetitions, with Student's t interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, isfinite, isnan, nan, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIDENCE = 0.95
ENOUGH = 5  # pairs below which nothing is marked, whatever the interval says


@dataclass(frozen=True)
class Lift:
    """A mean paired difference. n: pairs. low, high: the ends of its 95 % interval, NaN where there is none."""

    n: int = 0
    mean: float = nan
    low: float = nan
    high: float = nan

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and 0 is outside."""
        return self.low > 0 or self.high < 0

    @property
    def marked(self) -> bool:
        """Whether it may be called a difference: the interval excludes 0 and there are at least 5 pairs."""
        return self.excludes_zero and self.n >= ENOUGH

    @property
    def note(self) -> str:
        """Why there is no interval; empty where there is one."""
        if not isnan(self.low):
            return ""
        return {0: "no pairs", 1: "one pair"}.get(self.n, "equal differences")


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Lift:
    """The mean of values - reference over the repetitions that both have, with Student's t interval.

    values, reference: by repetition; a pair with a value that is not finite is left out. With fewer than two pairs, or
    with equal differences, whose spread is unknown rather than 0, there is no interval.
    """
    shared = sorted(values.keys() & reference.keys())
    pairs = [(values[r], reference[r]) for r in shared if isfinite(values[r]) and isfinite(reference[r])]
    differences = [value - other for value, other in pairs]
    n = len(differences)
    if not n:
        return Lift()
    mean = fmean(differences)
    if n < 2 or isclose(min(differences), max(differences), rel_tol=1e-9, abs_tol=1e-12):
        return Lift(n, mean)
    half = _quantile(n - 1) * stdev(differences) / sqrt(n)
    return Lift(n, mean, mean - half, mean + half)


def _quantile(freedom: int) -> float:
    """Student's t at the upper end of the interval, e.g. 2.776 for 4 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
