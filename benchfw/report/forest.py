"""Lifts as a forest plot: a line of the table, its interval on a common axis, and the same in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isnan, log10
from statistics import median
from typing import TYPE_CHECKING, Any

from benchfw.metrics import metric_named
from benchfw.report.verdicts import Amount, amount, lift_of
from benchfw.summary import shown
from benchfw.tables import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.metrics import Metric
    from benchfw.report.reading import Block, Run
    from benchfw.statistics import Lift

    Record = Mapping[Any, Any]

WIDTH = 320  # units of the axis
EDGE = 6  # units left free at both ends
MOST_ROWS = 40  # of a forest
TICKS = 8


@dataclass(frozen=True)
class ForestRow:
    """One lift. low, middle, high: units along the axis; cut_low, cut_high: the interval goes on beyond it."""

    augmenter: str
    amount: Amount
    middle: float
    low: float | None
    high: float | None
    cut_low: bool
    cut_high: bool


@dataclass(frozen=True)
class Forest:
    """The lifts of one block, classifier and correction, best first. zero, ticks: units along the axis."""

    block: Block
    classifier: str
    correction: str
    rows: list[ForestRow]
    zero: float
    ticks: list[tuple[float, str]]
    left_out: int


def forests(run: Run, frame: pd.DataFrame, metric: str) -> list[Forest]:
    """A forest for each block, classifier and correction that has lifts; those of a block share their axis."""
    asked = metric_named(metric)
    records = frame.to_dict("records")
    made = []
    for block in run.blocks:
        lifts = [(r, lift_of(r, asked)) for r in records if tuple(r[axis] for axis in KEY[:3]) == block]
        lifts = [(record, lift) for record, lift in lifts if lift.n]
        if lifts:
            axis = _Axis.over([lift for _, lift in lifts], asked)
            groups: dict[tuple[str, str], list[tuple[Record, Lift]]] = {}
            for record, lift in lifts:
                groups.setdefault((record["classifier"], record["correction"]), []).append((record, lift))
            order = sorted(groups, key=lambda key: (run.classifiers.index(key[0]), key[1] != "none", key[1]))
            made += [_forest(block, key, groups[key], axis, asked) for key in order]
    return made


@dataclass(frozen=True)
class _Axis:
    """From low to high in shown units, 0 always on it."""

    low: float
    high: float

    @classmethod
    def over(cls, lifts: Sequence[Lift], metric: Metric) -> _Axis:
        """Wide enough for all means; an interval much wider than most is cut."""
        means = [shown(lift.mean, metric) for lift in lifts]
        halves = [shown((lift.high - lift.low) / 2, metric) for lift in lifts if not isnan(lift.low)]
        most = 5 * median(halves) if halves else 0.0
        reach = [min(most, shown((lift.high - lift.low) / 2, metric)) if not isnan(lift.low) else 0.0 for lift in lifts]
        low = min(0.0, *(mean - half for mean, half in zip(means, reach, strict=True)))
        high = max(0.0, *(mean + half for mean, half in zip(means, reach, strict=True)))
        if low == high:
            low, high = -1.0, 1.0
        return cls(low, high)

    def at(self, value: float) -> float:
        """Where a value lies, in units."""
        return round(EDGE + (WIDTH - 2 * EDGE) * (value - self.low) / (self.high - self.low), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers along it."""
        rough = (self.high - self.low) / TICKS
        power = 10 ** floor(log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        digits = max(0, -floor(log10(step)))
        first, last = -floor(-self.low / step), floor(self.high / step)
        return [(self.at(k * step), f"{k * step + 0.0:+.{digits}f}" if k else "0") for k in range(first, last + 1)]


def _forest(
    block: Block, key: tuple[str, str], lifts: Sequence[tuple[Record, Lift]], axis: _Axis, metric: Metric
) -> Forest:
    best = sorted(lifts, key=lambda pair: -pair[1].mean * metric.sign)
    rows = [_row(str(record["augmenter"]), lift, axis, metric) for record, lift in best[:MOST_ROWS]]
    return Forest(block, *key, rows, axis.at(0.0), axis.ticks(), max(0, len(best) - MOST_ROWS))


def _row(augmenter: str, lift: Lift, axis: _Axis, metric: Metric) -> ForestRow:
    mean, low, high = (shown(value, metric) for value in (lift.mean, lift.low, lift.high))
    return ForestRow(
        augmenter,
        amount(lift, metric),
        axis.at(mean),
        low=None if isnan(low) else axis.at(max(low, axis.low)),
        high=None if isnan(high) else axis.at(min(high, axis.high)),
        cut_low=low < axis.low,
        cut_high=high > axis.high,
    )
