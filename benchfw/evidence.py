"""What the tests say of each difference, as people read it: the lines of `tables.comparisons` as text.

Shares are shown in points, that is, times 100.
"""

from __future__ import annotations

from itertools import groupby
from math import isnan
from typing import TYPE_CHECKING, Any

from benchfw.metrics import metric_named
from benchfw.statistics import BCA_FROM, ENOUGH, EXACT_TO, PAIRS, Lift
from benchfw.summary import UNCLEAR, block_of, digits_of, escaped, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from benchfw.metrics import Metric

HEADS = ("kind", "augmenter", "classifier", "correction", "n", "difference", "BCa", "p", "Holm p", "sign flips p")
ONE_REPETITION = (
    "One repetition has no interval. `benchfw report` compares its predictions item by item, with McNemar's test and a "
    "bootstrap; that speaks of other test samples, not of training again."
)
SIZES = ("effect g", "detectable", "needed n")


def headings() -> list[str]:
    """The heads of the columns that `cells` fills."""
    return [*HEADS, *SIZES]


def cells(record: Mapping[Any, Any], metric: str) -> list[str]:
    """One line of `tables.comparisons` as text, for each of `headings`; empty where there is no number."""
    asked = metric_named(metric)
    lift = Lift(*(record[name] for name in ("n", "mean", "low", "high", "p", "holm")))
    return [
        *(str(record[name]) for name in HEADS[:4]),
        str(lift.n),
        f"{'' if lift.marked else f'{UNCLEAR} '}{_signed(lift.mean, asked)}{_interval(lift.low, lift.high, asked)}",
        _interval(record["bca_low"], record["bca_high"], asked).strip(),
        chance(lift.p),
        chance(lift.holm),
        _flips(record),
        "" if isnan(record["effect"]) else f"{record['effect']:+.2f}",
        "" if isnan(record["detectable"]) else f"{shown(record['detectable'], asked):.{digits_of(asked)}f}",
        _needed(record["needed"]),
    ]


def footnote(metric: str) -> str:
    """What the columns mean."""
    asked = metric_named(metric)
    worth = "one point" if asked.points else f"a difference of {asked.worth:g}"
    return (
        f"difference: mean of {asked.title}, paired by repetition, with Student's 95 % interval; {UNCLEAR} unless Holm "
        f"p is at most 5 % and n at least {ENOUGH}. BCa: bootstrap interval, from {BCA_FROM} pairs on; with fewer it "
        f"covers too rarely. p: Student's, of this comparison by itself. Holm p: adjusted over the family: lifts of "
        f"one block, classifier and correction, or gains of one block and correction. "
        f"sign flips p: exact up to {EXACT_TO} pairs, assuming symmetry alone; in brackets the least that n pairs can "
        f"give, 0.0625 for 5. effect g: Hedges' g of the differences. detectable: the true difference that n such "
        f"pairs find four times in five; needed n: pairs that would find {worth} as often, {ENOUGH} at least; both by "
        f"itself, before Holm. Kinds: lift, from augmenter none with the same classifier and correction; gain, from "
        f"the reference line."
    )


def chance(p: float) -> str:
    """A probability as text: `0.034`, `<0.001`; empty for NaN."""
    if isnan(p):
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def to_markdown(frame: pd.DataFrame, metric: str) -> str:
    """A table for each data set, imbalance and extractor, and the footnote, as Markdown."""
    parts = []
    for block, records in groupby(frame.to_dict("records"), key=block_of):
        texts = [
            headings(),
            ["---"] * len(headings()),
            *([escaped(text) for text in cells(r, metric)] for r in records),
        ]
        parts += [f"**{escaped(', '.join(block))}**", "\n".join(f"| {' | '.join(text)} |" for text in texts)]
    return "\n\n".join([*parts, escaped(footnote(metric))]) + "\n"


def _signed(value: float, metric: Metric) -> str:
    return f"{shown(value, metric):+.{digits_of(metric)}f}"


def _interval(low: float, high: float, metric: Metric) -> str:
    if isnan(low):
        return ""
    digits = digits_of(metric)
    return f" [{shown(low, metric):.{digits}f}, {shown(high, metric):.{digits}f}]"


def _flips(record: Mapping[Any, Any]) -> str:
    return "" if isnan(record["sign_flip"]) else f"{chance(record['sign_flip'])} ({chance(record['sign_flip_least'])})"


def _needed(pairs: float) -> str:
    if isnan(pairs):
        return ""
    return f"{PAIRS}+" if pairs >= PAIRS else str(int(pairs))
