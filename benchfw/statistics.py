"""Paired differences over repetitions: Student's t, Holm over a family, sign flips, BCa, effect size and power.

Nothing here loads numpy or scipy before it is called, so that the command line stays quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import exp, isclose, isfinite, isnan, lgamma, nan, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
ENOUGH = 5  # pairs below which nothing is marked, whatever the interval says
BCA_FROM = 20  # pairs from which the BCa bootstrap covers nearly as often as Student's t, heavy tails apart
POWER = 0.8  # the share of experiments that would find a detectable difference; Cohen's convention
WORTH = 0.01  # one point: the difference that a comparison is expected to find, unless the caller says otherwise
PAIRS = 1000  # where `needed_pairs` stops counting
EXACT_TO = 20  # pairs up to which every sign pattern is tried, 2 ** 19 up to symmetry
PATTERNS = 100_000  # random sign patterns above that
RESAMPLES = 9_999  # of the BCa bootstrap; scipy's default


@dataclass(frozen=True)
class Lift:
    """A mean paired difference. n: pairs. low, high: the ends of its 95 % interval, NaN where there is none.

    p: two-sided, of Student's t, against no difference; NaN where there is no interval. holm: p adjusted over the
    family it was asked in, p itself in a family of one.
    """

    n: int = 0
    mean: float = nan
    low: float = nan
    high: float = nan
    p: float = nan
    holm: float = nan

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and 0 is outside."""
        return self.low > 0 or self.high < 0

    @property
    def marked(self) -> bool:
        """Whether it may be called a difference: adjusted p of 5 % at most, and at least 5 pairs."""
        return self.holm <= 1 - CONFIDENCE and self.n >= ENOUGH

    @property
    def detectable(self) -> float:
        """The true difference that so many pairs of this spread find with 80 % power; NaN without an interval."""
        if isnan(self.low):
            return nan
        error = (self.high - self.low) / 2 / student_quantile((1 + CONFIDENCE) / 2, self.n - 1)
        return _noncentrality(self.n) * error

    @property
    def note(self) -> str:
        """Why there is no interval; empty where there is one."""
        if not isnan(self.low):
            return ""
        return {0: "no pairs", 1: "one pair"}.get(self.n, "equal differences")


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Lift:
    """The mean of values - reference over the repetitions that both have, with Student's t interval and p.

    values, reference: by repetition; a pair with a value that is not finite is left out. With fewer than two pairs, or
    with equal differences, whose spread is unknown rather than 0, there is no interval and no p.
    """
    return _lift(_differences(values, reference))


def in_family(lifts: Sequence[Lift]) -> list[Lift]:
    """The same lifts, each with its p adjusted by Holm over all of them; one without p is no member and stays."""
    adjusted = holm([lift.p for lift in lifts])
    return [replace(lift, holm=p) for lift, p in zip(lifts, adjusted, strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """Step-down adjusted p, in the given order, which hold the chance of any false finding at the level.

    p: each in [0, 1], or NaN, which stays NaN and counts for nothing. Source: Holm 1979.
    """
    order = sorted((i for i, value in enumerate(p) if not isnan(value)), key=lambda i: p[i])
    adjusted, highest = [nan] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = highest
    return adjusted


@dataclass(frozen=True)
class Comparison:
    """All that n pairs say about one difference; NaN wherever they are too few, or equal.

    sd: of the differences. bca_low, bca_high: the BCa bootstrap interval, from 20 pairs on. sign_flip: two-sided p of
    the mean when each difference may take either sign; sign_flip_least: the smallest that n pairs can give. effect:
    Hedges' g, the mean in units of sd, unbiased. detectable: the true difference that n pairs of this sd find with 80 %
    power. worth: the difference that one would not want to miss, in the metric's unit.
    """

    lift: Lift
    sd: float = nan
    bca_low: float = nan
    bca_high: float = nan
    sign_flip: float = nan
    sign_flip_least: float = nan
    effect: float = nan
    detectable: float = nan
    worth: float = field(default=WORTH, kw_only=True)

    @property
    def underpowered(self) -> bool:
        """Whether silence means nothing: no difference found, and one of `worth` would have been missed too often.

        Found means marked, so with fewer than 5 pairs nothing ever is. The detectable difference is not held against
        the mean found: it exceeds that whenever p is above 5 %, so the answer would only repeat p (Hoenig and Heisey
        2001).
        """
        return not self.lift.marked and (self.lift.n < ENOUGH or self.detectable > self.worth)


def compare(values: Mapping[int, float], reference: Mapping[int, float], *, worth: float = WORTH) -> Comparison:
    """The whole story of values - reference, paired by repetition as in `paired`.

    values, reference: by repetition, in the metric's unit. worth: the difference one would not want to miss. The random
    parts have a fixed seed, so equal data give equal numbers.
    """
    differences = _differences(values, reference)
    lift, n = _lift(differences), len(differences)
    if not n:
        return Comparison(lift, worth=worth)
    flips = {"sign_flip": _sign_flip(differences), "sign_flip_least": 2.0 ** (1 - n)}
    if n < 2:
        return Comparison(lift, **flips, worth=worth)
    sd = stdev(differences)
    if lift.note:
        return Comparison(lift, sd, **flips, worth=worth)
    low, high = bca(differences) if n >= BCA_FROM else (nan, nan)
    found = {"effect": lift.mean / sd * _unbiased(n), "detectable": lift.detectable}
    return Comparison(lift, sd, low, high, **flips, **found, worth=worth)


def needed_pairs(sd: float, difference: float) -> int:
    """How many pairs would find this true difference with 80 % power at two-sided 5 %: 5 to 1000, since 5 make a mark.

    sd: of the paired differences, e.g. a pilot's. The level is that of the comparison by itself. 1000 also stands for
    more, and for what cannot be told: a difference of 0, or a number that is not finite.
    """
    size = abs(difference)
    if not (isfinite(sd) and isfinite(size)) or size == 0:
        return PAIRS
    few, many = ENOUGH - 1, PAIRS
    while many - few > 1:
        n = (few + many) // 2
        few, many = (few, n) if size >= _noncentrality(n) * sd / sqrt(n) else (n, many)
    return many


def student_p(t: float, freedom: float, *, one_sided: bool = False) -> float:
    """The p of a t statistic: of one as far from 0, or, one-sided, of one as large. freedom: of the degrees, > 0."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -t)) if one_sided else float(2 * stdtr(freedom, -abs(t)))


def student_quantile(p: float, freedom: float) -> float:
    """The t below which a share p lies, e.g. 2.776 for 0.975 and 4 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, p))


def bca(differences: Sequence[float], *, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The ends of the 95 % BCa bootstrap interval of the mean; the resamples have a fixed seed.

    differences: at least two, not all equal. Source: Efron 1987 (Better bootstrap confidence intervals); for the mean
    the jackknife acceleration is the skewness over 6 sqrt(n).
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    d = np.asarray(differences, dtype=np.float64)
    means = _weights(len(d), resamples) @ d  # (resamples,)
    bias = ndtri(((means < d.mean()).mean() + (means <= d.mean()).mean()) / 2)
    centred = d - d.mean()
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = bias + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


@lru_cache(maxsize=1)  # the lines of a table mostly have the same number of pairs
def _weights(n: int, resamples: int) -> Floats:
    """(resamples, n): how often each of n values is drawn again in each resample, over n."""
    import numpy as np

    return np.asarray(np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples) / n)


def _differences(values: Mapping[int, float], reference: Mapping[int, float]) -> list[float]:
    shared = sorted(values.keys() & reference.keys())
    pairs = [(values[r], reference[r]) for r in shared if isfinite(values[r]) and isfinite(reference[r])]
    return [value - other for value, other in pairs]


def _lift(differences: Sequence[float]) -> Lift:
    n = len(differences)
    if not n:
        return Lift()
    mean = fmean(differences)
    if n < 2 or isclose(min(differences), max(differences), rel_tol=1e-9, abs_tol=1e-12):
        return Lift(n, mean)
    error = stdev(differences) / sqrt(n)
    half = student_quantile((1 + CONFIDENCE) / 2, n - 1) * error
    p = student_p(mean / error, n - 1)
    return Lift(n, mean, mean - half, mean + half, p, p)


def _sign_flip(differences: Sequence[float]) -> float:
    """The share of sign patterns whose sum is as far from 0 as the one found.

    Of 2 ** n patterns half mirror the other half, so the first sign stays. Random patterns count the one found as well,
    and so never give 0 (Phipson and Smyth 2010).
    """
    import numpy as np

    d = np.asarray(differences, dtype=np.float64)
    least = abs(d.sum()) - 1e-9 * np.abs(d).sum() - 1e-12 * len(d)  # sums that are equal but for rounding count
    if len(d) > EXACT_TO:
        return float((1 + (np.abs(_random_sums(d)) >= least).sum()) / (1 + PATTERNS))
    sums = d[:1]
    for value in d[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= least).mean())


def _random_sums(d: Floats, batch: int = 10_000) -> Floats:
    """(PATTERNS,): sums of d under random signs, a batch at a time to bound the memory."""
    import numpy as np

    rng = np.random.default_rng(0)
    flipped = [rng.integers(0, 2, (batch, len(d)), dtype=np.int8) @ d for _ in range(PATTERNS // batch)]
    return np.asarray(d.sum() - 2 * np.concatenate(flipped))


def _unbiased(n: int) -> float:
    """What takes the bias out of mean / sd of n differences; NaN for two, whose ratio has no mean.

    Source: Hedges 1981 (Distribution theory for Glass's estimator of effect size), the exact factor.
    """
    half = (n - 1) / 2
    return exp(lgamma(half) - lgamma(half - 0.5)) / sqrt(half) if n > 2 else nan


def _noncentrality(n: int) -> float:
    """The true difference in standard errors that n pairs find with 80 % power at two-sided 5 %.

    Found means found with its own sign; the other tail of the noncentral t would add 1e-6 to the power.
    """
    from scipy.special import nctdtrinc

    return float(nctdtrinc(n - 1, 1 - POWER, student_quantile((1 + CONFIDENCE) / 2, n - 1)))
