"""One line of the table on both sides: what its values, and the predictions that were kept, tell of each metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from typing import TYPE_CHECKING

from benchfw.hits import Sides, changed_sides, class_weights, unpacked
from benchfw.losses import FEW, Items, Pair
from benchfw.noise import assumed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchfw.baseline import Line
    from benchfw.hits import Split
    from benchfw.measured import Measured, Reading
    from benchfw.metrics import Metric

LEAST = 0.001  # what one test item is taken to be worth in a metric that is no share: this part of its value


@dataclass(frozen=True, eq=False)
class Both:
    """A line before, and now in those repetitions that can be compared, with the run that they are of."""

    line: Line
    now: Mapping[int, Reading]
    run: Measured

    def lost(self, metric: str) -> list[int]:
        """The repetitions in which the metric had a value and has none now."""
        return [r for r in self.line.values(metric) if r in self.now and isnan(self.now[r].value(metric))]

    def pair(self, metric: Metric, tolerance: float | None, *, lift: bool) -> Pair | None:
        """All there is to tell of a metric, or of its lift; None when nothing can be held against each other."""
        before = self.line.values(metric.name, lift=lift)
        now = {r: self.run.value(self.line.labels, r, metric.name, lift=lift) for r in self.now}
        shared = [r for r in before if not isnan(now.get(r, nan))]
        if not shared:
            return None
        split, value = self._split(shared[0]), self.line.values(metric.name)[shared[0]]
        pair = Pair(
            metric=metric,
            before=before,
            now=now,
            block=(*self.line.labels[:3], lift),
            noise=self.line.noise_of(lift=lift).get(metric.name),
            tolerance=tolerance,
            item=worth_of_item(metric, split, value),
        )
        if lift:  # of which test items tell nothing by themselves
            own = self.pair(metric, tolerance, lift=False)
            return replace(pair, own=own) if own and (pair.noise or len(shared) >= FEW) else None
        return replace(
            pair,
            training=self._training(metric, split),
            items=lambda: self._items(metric, shared),
            resampled=lambda: self._resampled(metric, shared),
        )

    def _split(self, repetition: int) -> Split:
        split = self.now[repetition].cell.split
        assert split is not None  # a repetition with values is done
        return split

    def _training(self, metric: Metric, split: Split) -> float:
        """The assumed chance of training; of a share that is no mean of recalls, what balanced accuracy has."""
        if not metric.points:
            return 0.0
        weights = class_weights(metric.name, split, self.run.bounds)
        return assumed(weights or class_weights("balanced_accuracy", split, self.run.bounds) or [], split.counts)

    def _items(self, metric: Metric, repetitions: list[int]) -> Items | None:
        """Which items changed sides, where both sides kept them for every repetition."""
        kept_hits = {outcome.repetition: outcome.hits for outcome in self.line.done}
        before = self.line.values(metric.name)
        sides, weights = [], []
        for r in repetitions:
            split, kept = self._split(r), self.now[r].cell.predictions()
            of_class = class_weights(metric.name, split, self.run.bounds)
            then = unpacked(kept_hits[r] or "", sum(split.test_counts))
            if of_class is None or kept is None or then is None:
                return None
            now = kept.hits(self.now[r].cell.row, self.now[r].correction)
            sides.append(Sides(kept.ids, kept.labels, then, now, before[r], self.now[r].value(metric.name)))
            weights.append(of_class)
        return changed_sides(sides, weights)

    def _resampled(self, metric: Metric, repetitions: list[int]) -> float | None:
        """The standard error of the mean now, over test items; items are taken to be others in each repetition."""
        told = [self.now[r].left_out(metric.name, self.run.bounds) for r in repetitions]
        known = [se for se in told if se is not None]
        return sqrt(sum(se**2 for se in known)) / len(known) if len(known) == len(told) else None


def worth_of_item(metric: Metric, split: Split, value: float) -> float:
    """What one test item is worth: of a share one item's part, of another metric a thousandth of its value."""
    return 1 / max(1, sum(split.test_counts)) if metric.points else LEAST * abs(value)
