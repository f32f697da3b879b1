"""When a line of the table is worse than before by more than chance: tolerances, one-sided tests, Holm over a check.

A loss is counted in the direction of the metric, so that more is always worse. Nothing here loads numpy or scipy before
it is called.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from math import erfc, inf, isclose, isfinite, isinf, isnan, nan, sqrt
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Literal

from benchfw.noise import LEVEL, noncentrality
from benchfw.statistics import POWER, holm, student_p

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from benchfw.metrics import Metric
    from benchfw.noise import Noise

SHARE = 0.005  # default tolerance of shares: half a point
RELATIVE = 0.01  # of other metrics: this part of the value before
TAILS = 3  # degrees of freedom of one repetition by itself: now and then a training fails
FEW = 3  # pairs below which their own spread says too little
COMPANY = 6  # lines from which their mean spread is as good as further pairs of each

SAME = "the same values"
CALIBRATED = "Student's t with calibrated noise"
PAIRED = "paired Student's t"
PRIOR = "paired Student's t, half of its spread an assumed chance of training"
ALONE = "its worst repetition by itself"
IN_COMPANY = "paired Student's t, half of its spread that of the lines beside it"
BY_ITEM = "test items that changed sides, and an assumed chance of training"
RESAMPLED = "test items left out in turn, and an assumed chance of training"
UNTESTED = "nothing to test it by"


@dataclass(frozen=True)
class Items:
    """Items that changed sides between two trainings: the loss of the metric as a sum over test items.

    se: its standard error, if each item that changed could as well have changed the other way. largest: what one item
    moved at most, the correction for continuity.
    """

    se: float
    largest: float


@dataclass(frozen=True, eq=False)
class Pair:
    """One metric of a line, before and now, by repetition, with all that can tell a loss from chance.

    block: lines with the same one lend each other their spread. own: for lifts, the values of the line itself. item:
    what one test item is worth, the least spread that is believed. training: the assumed sd of one value by chance in
    training, 0 if none is. items and resampled are asked only if needed, and give None where nothing was kept;
    resampled gives the standard error of the mean now.
    """

    metric: Metric
    before: Mapping[int, float]
    now: Mapping[int, float]
    block: Hashable = ()
    own: Pair | None = None
    noise: Noise | None = None
    tolerance: float | None = None
    item: float = 0.0
    training: float = 0.0
    items: Callable[[], Items | None] = lambda: None
    resampled: Callable[[], float | None] = lambda: None

    @cached_property
    def shared(self) -> list[int]:
        """The repetitions with a number on both sides."""
        both = sorted(self.before.keys() & self.now.keys())
        return [r for r in both if isfinite(self.before[r]) and isfinite(self.now[r])]

    @cached_property
    def reference(self) -> Mapping[int, float]:
        """What the values now are held against: the expected ones where calibrated, else those before."""
        expected = self.noise.expected if self.noise else {}
        return expected if all(r in expected for r in self.shared) else self.before

    @cached_property
    def losses(self) -> list[float]:
        """By repetition, more is worse."""
        return [self.metric.sign * (self.reference[r] - self.now[r]) for r in self.shared]

    @property
    def loss(self) -> float:
        """Their mean; 0 where nothing changed, whatever was expected."""
        return 0.0 if self.unchanged else fmean(self.losses)

    @property
    def unchanged(self) -> bool:
        """Whether every value is what it was, to the bit."""
        return all(self.before[r] == self.now[r] for r in self.shared)


@dataclass(frozen=True)
class Evidence:
    """A loss with its standard error; freedom inf is the normal distribution.

    less: taken off for continuity. idle: it is tolerated, so nobody asked for its p, and 1 stands for it. losses: by
    repetition, with spread, the sd of one of them as calibrated or assumed; NaN where neither is known. lent: another
    standard error of the same loss. Each test that there is takes its part of the level.
    """

    test: str
    loss: float
    se: float = nan
    freedom: float = inf
    less: float = 0.0
    idle: bool = False
    losses: tuple[float, ...] = ()
    spread: float = nan
    lent: Evidence | None = None

    @property
    def worse(self) -> float:
        """The one-sided p of such a loss; NaN where nothing tests it, or nothing has changed."""
        return self._p(1)

    @property
    def better(self) -> float:
        """The one-sided p of such a gain."""
        return self._p(-1)

    def test_of(self, sign: int) -> str:
        """Which test the p of a loss (1) or of a gain (-1) is of."""
        found = {} if self.test == SAME else self._tests(sign)
        return min(found, key=lambda test: found[test]) if len(found) > 1 else self.test

    def _p(self, sign: int) -> float:
        if self.test == SAME:
            return nan
        if self.idle:
            return 1.0
        found = self._tests(sign)
        return found[self.test] if len(found) == 1 else min(1.0, len(found) * min(found.values()))

    def _tests(self, sign: int) -> dict[str, float]:
        found = {self.test: self._of_mean(sign)}
        if self.lent is not None:
            found[self.lent.test] = self.lent._of_mean(sign)
        if len(self.losses) > 1 and self.spread > 0:
            found[ALONE] = self._of_one(sign)
        return found

    def _of_mean(self, sign: int) -> float:
        if self.se == 0:
            return 0.0 if sign * self.loss > 0 else 1.0
        return nan if isnan(self.se) else _beyond((sign * self.loss - self.less) / self.se, self.freedom)

    def _of_one(self, sign: int) -> float:
        """Of the largest, times their number. The mean hides it: its own size is part of the spread that it is in."""
        largest = max(sign * loss for loss in self.losses)
        return min(1.0, len(self.losses) * _beyond(largest / self.spread, TAILS))

    def detectable(self, level: float) -> float:
        """The true loss that is found at this level with 80 % power; NaN where that is not known."""
        if isnan(self.se):
            return nan
        level /= len(self._tests(1))
        own = self.less + self.se * noncentrality(self.freedom, level)
        return own if self.lent is None else min(own, self.lent.se * noncentrality(self.lent.freedom, level))


@dataclass(frozen=True)
class Judgement:
    """What is said of one metric of a line.

    before: the mean that now is held against. p: of the side that the loss is on, adjusted by Holm. detectable: the
    smallest true loss that this check finds with 80 % power, its first step of Holm being the hardest.
    """

    verdict: Literal["fine", "worse", "better"]
    n: int
    before: float
    now: float
    loss: float
    tolerance: float
    test: str
    p: float
    detectable: float

    @property
    def same(self) -> bool:
        """Whether every value is what it was, to the bit."""
        return self.test == SAME


def judged(pairs: Sequence[Pair]) -> list[Judgement]:
    """Judge all metrics of all lines of one check together; each pair has at least one shared repetition.

    A line is worse when it lost more than its tolerance, and by chance that, or more, would come up in any of the lines
    in 5 % of checks at most. What is the same to the bit is not among these, since chance has not touched it. What
    nothing can test is worse by its tolerance alone. A lift that fell while its line did not says that augmenter `none`
    got better, which is no loss.
    """
    companies = Counter(map(_company, pairs))
    together = _mean_spreads(pairs)
    found = [
        _unchanged(pair, companies[_company(pair)]) if pair.unchanged else _evidence(pair, together.get(_company(pair)))
        for pair in pairs
    ]
    worse, better = holm([e.worse for e in found]), holm([e.better for e in found])
    level = LEVEL / (sum(not isnan(e.worse) for e in found) or max(1, len(found)))
    return [
        _judgement(pair, evidence, evidence.loss >= 0, (down if evidence.loss >= 0 else up), level)
        for pair, evidence, down, up in zip(pairs, found, worse, better, strict=True)
    ]


def _beyond(t: float, freedom: float) -> float:
    return 0.5 * erfc(t / sqrt(2)) if isinf(freedom) else student_p(t, freedom, one_sided=True)


def _judgement(pair: Pair, evidence: Evidence, down: bool, p: float, level: float) -> Judgement:
    tolerance, now = _tolerance(pair), fmean(pair.now[r] for r in pair.shared)
    certain = p <= LEVEL or evidence.test == UNTESTED
    beyond = abs(evidence.loss) > tolerance + 1e-12  # rounding of what stands in a file is no loss
    moved = pair.own is None or pair.own.loss * evidence.loss > 0
    least = tolerance + evidence.se * NormalDist().inv_cdf(POWER)  # what exceeds the tolerance in 80 %
    return Judgement(
        verdict=("worse" if down else "better") if certain and beyond and moved else "fine",
        n=len(pair.shared),
        before=now + pair.metric.sign * evidence.loss,
        now=now,
        loss=evidence.loss,
        tolerance=tolerance,
        test=evidence.test_of(1 if down else -1),
        p=p,
        detectable=min(max(least, evidence.detectable(level)), _most(pair)),
    )


def _most(pair: Pair) -> float:
    """The most that there is to lose: of a share, and of the lift of one, no more than to the end of its range."""
    if not pair.metric.points:
        return inf
    values = (pair.own or pair).before
    mean = fmean(values[r] for r in pair.shared)
    return mean if pair.metric.sign > 0 else 1 - mean


def _tolerance(pair: Pair) -> float:
    if pair.tolerance is not None:
        return pair.tolerance
    if pair.noise is not None:
        return pair.noise.tolerance
    values = (pair.own or pair).before
    return SHARE if pair.metric.points else RELATIVE * abs(fmean(values[r] for r in pair.shared))


# ---- the tests, the first that can be done ----


def _evidence(pair: Pair, together: float | None) -> Evidence:
    loss, n = pair.loss, len(pair.shared)
    if pair.noise is not None:
        return _calibrated(pair, pair.noise, loss)
    if n >= FEW and not _equal(pair.losses):
        return _by_spread(pair, loss, together)
    return _by_item(pair, loss) or _by_resampling(pair, loss) or Evidence(UNTESTED, loss)


def _calibrated(pair: Pair, noise: Noise, loss: float) -> Evidence:
    """The variance of a difference from the calibration, and from the differences themselves, by their degrees."""
    n = len(pair.shared)
    factor = noise.factor if pair.reference is noise.expected else 2
    squares = noise.freedom * factor * noise.sd**2 + (n - 1) * _variance(pair.losses)
    freedom = noise.freedom + n - 1
    se, spread = max(sqrt(squares / freedom), pair.item) / sqrt(n), max(noise.sd * sqrt(factor), pair.item)
    return Evidence(CALIBRATED, loss, se, freedom, losses=tuple(pair.losses), spread=spread)


def _by_spread(pair: Pair, loss: float, together: float | None) -> Evidence:
    """The variance of the differences; with enough lines beside it, the mean of its own and theirs.

    The mean spread of many lines has at least the degrees that one line has, even if all of them move as one. Without
    such lines an assumed chance lends as many, in a test of its own.
    """
    n, own, chance = len(pair.shared), _variance(pair.losses), 2 * pair.training**2

    def tested(test: str, variance: float, freedom: int) -> Evidence:
        return Evidence(test, loss, max(sqrt(variance), pair.item) / sqrt(n), freedom)

    if together is not None:
        found = tested(IN_COMPANY, (own + together) / 2, 2 * (n - 1))
    else:
        found = tested(PAIRED, own, n - 1)
        if chance:
            found = replace(found, lent=tested(PRIOR, (own + chance) / 2, 2 * (n - 1)))
    return replace(found, losses=tuple(pair.losses), spread=sqrt(chance) or nan)


def _by_item(pair: Pair, loss: float) -> Evidence | None:
    items = pair.items()
    if items is None:
        return None
    return Evidence(BY_ITEM, loss, sqrt(max(items.se, pair.item) ** 2 + _assumed(pair) ** 2), less=items.largest)


def _by_resampling(pair: Pair, loss: float) -> Evidence | None:
    """Only for a loss or gain that could count, since it scores again and again."""
    if abs(loss) <= _tolerance(pair):
        return Evidence(RESAMPLED, loss, _assumed(pair) or nan, idle=True)
    se = pair.resampled()
    return None if se is None else Evidence(RESAMPLED, loss, sqrt(2 * se**2 + _assumed(pair) ** 2))


def _unchanged(pair: Pair, company: int) -> Evidence:
    """No loss, and how uncertain one would be, as far as is known. company: the lines that would lend their spread."""
    n = len(pair.shared)
    losses = tuple(pair.losses) if n >= FEW or pair.noise else ()
    if pair.noise is not None:
        sd = max(pair.noise.sd * sqrt(pair.noise.factor), pair.item)
        return Evidence(SAME, 0.0, sd / sqrt(n), pair.noise.freedom, losses=losses, spread=sd)
    freedom = inf if n < FEW else (n - 1) * (2 if company >= COMPANY or pair.training else 1)
    se = _assumed(pair) or nan
    return Evidence(SAME, 0.0, se, freedom, losses=losses, spread=se * sqrt(n))


def _assumed(pair: Pair) -> float:
    """The standard error of a mean difference of two trainings, by the assumed chance of training alone."""
    return pair.training * sqrt(2 / len(pair.shared))


def _variance(values: Sequence[float]) -> float:
    return stdev(values) ** 2 if len(values) > 1 else 0.0


def _equal(values: Sequence[float]) -> bool:
    return isclose(min(values), max(values), rel_tol=1e-9, abs_tol=1e-12)


def _company(pair: Pair) -> Hashable:
    return pair.block, pair.metric.name, len(pair.shared), pair.noise is None


def _mean_spreads(pairs: Sequence[Pair]) -> dict[Hashable, float]:
    """The mean variance of the differences of lines that stand together, where there are enough of them."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for pair in pairs:
        if pair.noise is None and len(pair.shared) >= FEW and not pair.unchanged:
            found[_company(pair)].append(_variance(pair.losses))
    return {company: fmean(spreads) for company, spreads in found.items() if len(spreads) >= COMPANY}
