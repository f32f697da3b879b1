"""Class by class: the recall of each line, and its difference from `none`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.metrics import RECALL, metric_named
from benchfw.report.verdicts import NO_AUGMENTATION, size
from benchfw.summary import UNCLEAR, shown, verdict
from benchfw.tables import AXES, KEY, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.report.reading import Block, Row, Run

    Record = Mapping[Any, Any]

MEANS = ("minority_recall", "many_recall", "medium_recall", "few_recall")
MOST_CLASSES = 30  # columns; of more classes those with the fewest training samples are shown
MOST_LINES = 40  # of a block and classifier


@dataclass(frozen=True)
class ClassHead:
    """A column of recalls: a class or a mean over some. counts: training samples; minority: where it is one."""

    name: str
    counts: str = ""
    minority: str = ""


@dataclass(frozen=True)
class Recall:
    """A recall in points, its shade from 0 to 10, and its difference from `none`: `+4.4`, the mark, all in words.

    hole: `n = 3` or `3 pairs` where that is not what the line has.
    """

    text: str
    shade: int
    lift: str
    mark: str
    title: str
    hole: str = ""


@dataclass(frozen=True)
class RecallLine:
    """A line of recalls. n: repetitions, of as many planned; pairs: those shared with `none`, if any."""

    augmenter: str
    correction: str
    n: int
    planned: int
    pairs: int
    recalls: list[Recall]


@dataclass(frozen=True)
class RecallTable:
    """The recalls of one block and classifier."""

    block: Block
    classifier: str
    heads: list[ClassHead]
    lines: list[RecallLine]
    note: str


def recall_tables(run: Run, frame: pd.DataFrame) -> list[RecallTable]:
    """A table for each block and classifier: every augmenter without correction, and `none` with each."""
    records = [record for record in frame.to_dict("records") if record["n"]]
    made = []
    for block, rows in run.blocks.items():
        done = [row for row in rows if row["status"] == "done"]
        for classifier in run.classifiers:
            own = [record for record in records if _is_shown(record, block, classifier)]
            if own:
                made.append(_table(block, classifier, own, done, planned=run.planned))
    return made


def _is_shown(record: Record, block: Block, classifier: str) -> bool:
    here = tuple(record[axis] for axis in KEY[:3]) == block and record["classifier"] == classifier
    return here and (record["correction"] == "none" or record["augmenter"] == "none")


def _table(
    block: Block,
    classifier: str,
    records: Sequence[Record],
    rows: Sequence[Row],
    *,
    planned: Mapping[tuple[str, ...], int],
) -> RecallTable:
    names, counts = rows[0]["class_names"], _counts(rows)
    fixed = all(len(set(found)) == 1 for found in counts.T.tolist())
    order = np.argsort(counts.mean(axis=0), kind="stable").tolist()
    kept = order[:MOST_CLASSES]
    kept = kept[::-1] if fixed else sorted(kept)
    means = _means(records)
    heads = [ClassHead(name.removesuffix("_recall")) for name in means]
    heads += [_head(names[c], counts[:, c], counts.mean(axis=1)) for c in kept]
    metrics = [*means, *(f"{RECALL}{names[c]}" for c in kept)]
    lines = [_line(record, metrics, planned) for record in records[:MOST_LINES]]
    return RecallTable(block, classifier, heads, lines, _left_out(len(names) - len(kept), len(records) - len(lines)))


def _line(record: Record, metrics: Sequence[str], planned: Mapping[tuple[str, ...], int]) -> RecallLine:
    n, of = int(record["n"]), planned[tuple(str(record[axis]) for axis in AXES)]
    pairs = max((int(record[f"{metric}_lift_n"]) for metric in metrics), default=0)
    recalls = [_recall(record, metric, pairs) for metric in metrics]
    return RecallLine(str(record["augmenter"]), str(record["correction"]), n, of, pairs, recalls)


def _means(records: Sequence[Record]) -> list[str]:
    """Those over groups of classes that are known, and do not repeat one before."""
    found: dict[tuple[float, ...], str] = {}
    for name in MEANS:
        values = tuple(record.get(f"{name}_mean", nan) for record in records)
        if not all(map(isnan, values)):
            found.setdefault(tuple(round(value, 9) for value in values), name)
    return list(found.values())


def _left_out(classes: int, lines: int) -> str:
    """What the table does not show, and where it is."""
    told = [f"the {classes} classes with the most training samples"] if classes else []
    told += [f"{lines} lines"] if lines > 0 else []
    return f"Left out: {' and '.join(told)}; see the columns recall:… of table.csv." if told else ""


def _counts(rows: Sequence[Row]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(R, K): the training samples of each class in each repetition."""
    by_repetition = {row["axes"]["repetition"]: row["counts"] for row in rows}
    return np.array([by_repetition[repetition] for repetition in sorted(by_repetition)])


def _head(name: str, counts: np.ndarray[Any, Any], mean: np.ndarray[Any, Any]) -> ClassHead:
    """counts, mean: (R,), of the class and of all classes."""
    low, high, times, of = counts.min(), counts.max(), int((counts < mean).sum()), len(counts)
    minority = {0: "", of: "minority"}.get(times, f"minority in {times} of {of}")
    return ClassHead(name, f"{low}" if low == high else f"{low} to {high}", minority)


def _recall(record: Record, name: str, pairs: int) -> Recall:
    """pairs: those of most of the line's recalls."""
    metric = metric_named(name)
    value = record.get(f"{name}_mean")
    if value is None or isnan(value):
        return Recall("", 0, "", ".", "no test samples, or none known")
    lift = difference(record, name, "lift")
    points = shown(value, metric)
    n = int(record[f"{name}_n"])
    title, hole = f"recall {points:.1f}, n = {n}", f"n = {n}" if n != record["n"] else ""
    if not lift.n:
        return Recall(f"{points:.1f}", shade(value), "", ".", title, hole)
    if not hole and lift.n != pairs:
        hole = f"{lift.n} pair{'s' * (lift.n != 1)}"
    mark = {"better": "b", "worse": "w"}.get(verdict(lift, name), ".")
    told = f"{'' if lift.marked else f'{UNCLEAR} '}{size(lift, metric)}"
    p = "" if isnan(lift.holm) else f", Holm p {lift.holm:.3f}"
    told = f"{told}, n = {lift.n}"
    change = f"{'' if lift.marked else UNCLEAR}{shown(lift.mean, metric):+.1f}"
    return Recall(f"{points:.1f}", shade(value), change, mark, f"{title}; from {NO_AUGMENTATION}: {told}{p}", hole)


def shade(share: float) -> int:
    """A share from 0 to 1 as one of eleven shades."""
    return min(10, max(0, round(share * 10)))
