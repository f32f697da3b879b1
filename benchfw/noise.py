"""The chance of training: how far a line moves when nothing but the seeds of its training changes.

Calibrated by running again, or, where nobody has, assumed from the number of training samples.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import isinf, sqrt
from statistics import NormalDist, fmean
from typing import Annotated

from pydantic import Field

from benchfw.statistics import CONFIDENCE, POWER, student_quantile

LEVEL = 1 - CONFIDENCE  # the chance that a check of an unchanged table fails
# When `quick` was trained again, the recall of a class moved by 0.11 (6 training samples) and by 0.028 (122), each by
# itself. That is 0.27 and 0.31 over the root of the samples; a third more is assumed, as other data may move more.
TRAINING = 0.4

Values = Mapping[int, float]  # by repetition


@dataclass(frozen=True)
class Noise:
    """What chance in training does to a line's metric, or to its lift, as calibrated.

    sd: of one value under other seeds of training, at least what one test item is worth. freedom: degrees behind it.
    draws: trainings behind each of `expected`. expected: the mean of the draws by repetition; empty where the line has
    changed since, and then the value before stands for one draw. tolerance: the loss that an unchanged line exceeds by
    chance in 5 %. nondeterminism: sd of one value under the same seeds; None where that was not asked.
    """

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # as it stands in a baseline file

    sd: Annotated[float, Field(ge=0)]
    freedom: Annotated[float, Field(ge=1)]
    draws: Annotated[int, Field(ge=1)]
    tolerance: Annotated[float, Field(ge=0)]
    expected: Mapping[int, float] = field(default_factory=dict)
    nondeterminism: float | None = None

    @property
    def factor(self) -> float:
        """How the variance of a difference from before relates to that of one value."""
        return 1 + 1 / self.draws

    def detectable(self, n: int, family: int) -> float:
        """The true loss that a check of so many lines and metrics finds in n repetitions with 80 % power."""
        return self.sd * sqrt(self.factor / n) * noncentrality(self.freedom, LEVEL / family)

    def of_repetitions(self, shared: Collection[int]) -> Noise:
        """The same noise where only these repetitions are left, with the values that they had."""
        expected = {r: value for r, value in self.expected.items() if r in shared}
        tolerance = tolerance_of(self.sd, self.freedom, self.draws, len(shared))
        return replace(self, expected=expected, tolerance=tolerance)

    def of_changed(self, n: int) -> Noise:
        """The same noise for a line that has new values, which nobody has drawn again yet. n: its repetitions."""
        return replace(self, draws=1, expected={}, tolerance=tolerance_of(self.sd, self.freedom, 1, n))


def estimated(before: Values, reseeded: Sequence[Values], same: Sequence[Values], least: float) -> Noise:
    """The noise of one metric of a line: its spread within the repetitions, pooled over them.

    before, reseeded, same: values by repetition, of the baseline and of each run. least: what one test item is worth.
    """
    nondeterminism = _spread([before, *same]) if same else None
    sd = max(_spread([before, *reseeded]), nondeterminism or 0.0, least)
    freedom, draws, n = len(before) * len(reseeded), len(reseeded) + 1, len(before)
    return Noise(
        sd=sd,
        freedom=freedom,
        draws=draws,
        tolerance=tolerance_of(sd, freedom, draws, n),
        expected={r: fmean(values[r] for values in (before, *reseeded)) for r in before},
        nondeterminism=nondeterminism,
    )


def tolerance_of(sd: float, freedom: float, draws: int, n: int) -> float:
    """The loss in the mean of n repetitions that an unchanged line exceeds by chance in 5 %."""
    return student_quantile(CONFIDENCE, freedom) * sd * sqrt((1 + 1 / draws) / n)


@cache
def noncentrality(freedom: float, level: float) -> float:
    """The true loss in standard errors that a one-sided test at this level finds with 80 % power."""
    if isinf(freedom):
        return NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(POWER)
    from scipy.special import nctdtrinc

    return float(nctdtrinc(freedom, 1 - POWER, student_quantile(1 - level, freedom)))


def assumed(weights: Sequence[float], counts: Sequence[int]) -> float:
    """The chance of training of a mean of recalls, where nothing better is known.

    weights, counts: of each class, what its recall counts and how many samples it is trained on.
    """
    return TRAINING * sqrt(sum(weight**2 / max(1, count) for weight, count in zip(weights, counts, strict=True)))


def _spread(runs: Sequence[Values]) -> float:
    """The standard deviation within repetitions, pooled over them."""
    squares = 0.0
    for r in runs[0]:
        values = [run[r] for run in runs]
        squares += sum((value - fmean(values)) ** 2 for value in values)
    return sqrt(squares / (len(runs[0]) * (len(runs) - 1)))
