"""Tables to sort and filter, as texts for each metric: the lines, the tests behind them, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

from benchfw import evidence, summary, tables
from benchfw.metrics import metric_named
from benchfw.report.verdicts import title
from benchfw.statistics import BCA_FROM, Lift
from benchfw.tables import AXES, KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.report.reading import Run

    Record = Mapping[Any, Any]

MAIN = ("balanced_accuracy", "minority_recall", "accuracy", "macro_f1", "g_mean", "macro_auroc", "ece", "nll")
BOOTSTRAPPED, TESTED = 20, 300  # lines with a bootstrap, and lines, above which only one metric gets its tests
CHOOSABLE = 40  # values of a column, up to which they are offered as a choice
MARKS = {"better": "b", "worse": "w", "unclear": ".", "nothing": "."}
HOLE = "h"
SKIPPED = "s"


@dataclass(frozen=True)
class Column:
    """A column: its head, whether it holds numbers, and what it means."""

    head: str
    numeric: bool = True
    help: str = ""


@dataclass(frozen=True)
class Variant:
    """What a metric puts into the columns that depend on it. marks: a letter for each of the cells of a row.

    footnote: what the columns mean in this metric.
    """

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marks: list[str]
    footnote: str = ""


@dataclass(frozen=True)
class Grid:
    """A table that a reader sorts and filters.

    rows: texts for every column; those of `variants[metric]` stand in the columns from `first` on. marks: a letter for
    each cell, `b` better, `w` worse, `h` a hole, `s` skipped, `.` nothing. coloured: the column of augmenters. choices:
    column -> the values it may be filtered by; chosen: column -> the one it is filtered by at first.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    marks: list[str]
    coloured: int | None = None
    choices: dict[int, list[str]] = field(default_factory=dict)
    first: int = 0
    chosen: dict[int, str] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    note: str = ""


def metrics_of(run: Run, frame: pd.DataFrame, asked: str) -> list[str]:
    """The metrics that a reader may choose: the one asked for first, then the main ones that the table has."""
    there = {column.removesuffix("_mean") for column in frame.columns if column.endswith("_mean")}
    return list(dict.fromkeys([asked, *(name for name in (run.experiment.metric, *MAIN) if name in there)]))


def line_grid(run: Run, frame: pd.DataFrame, costs: pd.DataFrame, metrics: Sequence[str]) -> Grid:
    """The lines of the table: what the terminal shows of them, with the adjusted p, for each metric."""
    summaries = {metric: summary.summary(columns_of(frame, metric), costs, metric) for metric in metrics}
    lines = summaries[metrics[0]]
    axes = [tuple(str(record[axis]) for axis in KEY) for record in frame[list(KEY)].to_dict("records")]
    kept = _varying(axes)
    texts = [summary.cells(line) for line in lines]
    fixed = [tuple(line[place] for place in kept) for line in axes]
    counts = [_count(line.n, run.planned[key[:-1]]) for line, key in zip(lines, axes, strict=True)]
    variants = {
        metric: _line_variant(found, metric, summary.footnote(frame, metric)) for metric, found in summaries.items()
    }
    own = variants[metrics[0]]
    told = any(line.status != "done" for line in lines)
    ends = [(*t[7:9], t[9].partition(":")[0])[: 2 + told] for t in texts]  # reasons stand where all troubles do
    rows = [(*f, c, *v, *e) for f, c, v, e in zip(fixed, counts, own.rows, ends, strict=True)]
    holes = [_hole(line.status) for line in lines]
    marks = [
        "." * len(f) + _count_mark(c, h) + m + ".." + h * told
        for f, c, m, h in zip(fixed, counts, own.marks, holes, strict=True)
    ]
    columns = (
        *(Column(KEY[place], numeric=False) for place in kept),
        Column("n", help="repetitions done"),
        *(Column(head) for head in own.heads),
        Column(
            "minority recall", help="mean recall of the classes with fewer training samples than the mean, its lift"
        ),
        Column("seconds", help="to augment and classify, mean of a repetition"),
        *([Column("status", numeric=False)] if told else []),
    )
    return Grid(
        "lines",
        _caption(axes, kept),
        columns,
        rows,
        marks,
        coloured=_place("augmenter", kept),
        choices=choices(rows, len(kept)),
        first=len(kept) + 1,
        variants=variants,
    )


def test_grid(run: Run, metrics: Sequence[str]) -> Grid:
    """What the tests say of each lift and gain, for each metric."""
    frames = {metrics[0]: tables.comparisons(run.rows, classifiers=run.classifiers, metric=metrics[0])}
    slow = int((frames[metrics[0]]["n"] >= BCA_FROM).sum()) > BOOTSTRAPPED or len(frames[metrics[0]]) > TESTED
    for metric in metrics[1:]:
        if not slow:
            frames[metric] = tables.comparisons(run.rows, classifiers=run.classifiers, metric=metric)
    found = {metric: {_named(r): r for r in frame.to_dict("records")} for metric, frame in frames.items()}
    keys = list(dict.fromkeys(key for records in found.values() for key in records))
    axes = [key[:-1] for key in keys]
    kept = _varying(axes)
    heads = evidence.headings()[4:]  # behind kind and the three axes
    variants = {metric: _test_variant(records, keys, metric, heads) for metric, records in found.items()}
    own = variants[metrics[0]]
    fixed = [(key[-1], *(key[place] for place in kept)) for key in keys]
    rows = [(*f, *v) for f, v in zip(fixed, own.rows, strict=True)]
    marks = ["." * len(f) + m for f, m in zip(fixed, own.marks, strict=True)]
    columns = (Column("kind", numeric=False), *(Column(KEY[place], numeric=False) for place in kept))
    left = "Other metrics: benchfw table DIR --tests --metric NAME." if slow and len(metrics) > 1 else ""
    place = _place("augmenter", kept)
    return Grid(
        "tests",
        _caption(axes, kept),
        (*columns, *(Column(head) for head in heads)),
        rows,
        marks,
        coloured=None if place is None else place + 1,
        choices=choices(rows, len(columns)),
        first=len(columns),
        variants=variants,
        note=left,
    )


def cost_grid(costs: pd.DataFrame) -> Grid:
    """What the cells cost: the means of the repetitions."""
    records = costs.to_dict("records")
    axes = [tuple(str(record[axis]) for axis in AXES) for record in records]
    kept = _varying(axes)
    names = [name for name in costs.columns if name not in AXES]
    rows = [
        (*(line[place] for place in kept), *(_plain(record[name], name) for name in names))
        for line, record in zip(axes, records, strict=True)
    ]
    columns = (
        *(Column(AXES[place], numeric=False) for place in kept),
        *(Column(name.replace("_", " ")) for name in names),
    )
    marks = ["." * len(columns)] * len(rows)
    return Grid(
        "costs",
        _caption(axes, kept),
        columns,
        rows,
        marks,
        coloured=_place("augmenter", kept),
        choices=choices(rows, len(kept)),
    )


def columns_of(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The part of the table that one summary reads: it may have a column for each of a thousand classes."""
    wanted = {
        f"{name}{part}"
        for name in (metric, summary.MINORITY)
        for part in ("_n", "_mean", "_sd", *(f"_{k}{p}" for k in ("lift", "gain") for p in _LIFT))
    }
    return frame[[column for column in frame.columns if column in wanted or column in (*KEY, "n", "status")]]


_LIFT = ("", "_low", "_high", "_p", "_holm", "_n")


def _line_variant(lines: Sequence[summary.SummaryLine], metric: str, footnote: str) -> Variant:
    asked = metric_named(metric)
    head = f"{title(asked)} (lower is better)" if asked.direction == "lower" else title(asked)
    heads = (head, "lift", "Holm p", "gain", "Holm p")
    rows: list[tuple[str, ...]] = []
    marks = []
    for line in lines:
        texts = summary.cells(line, metric)
        rows.append((texts[4], texts[5], evidence.chance(line.lift.holm), texts[6], evidence.chance(line.gain.holm)))
        lift, gain = (MARKS[summary.verdict(one, metric)] for one in (line.lift, line.gain))
        marks.append(f".{lift}.{gain}.")
    return Variant(title(asked), heads, rows, marks, footnote)


def _test_variant(
    records: Mapping[tuple[str, ...], Record], keys: Sequence[tuple[str, ...]], metric: str, heads: Sequence[str]
) -> Variant:
    rows, marks = [], []
    for key in keys:
        record = records.get(key)
        rows.append(tuple(evidence.cells(record, metric)[4:]) if record else ("",) * len(heads))
        mark = MARKS[summary.verdict(_lift(record), metric)] if record else "."
        marks.append(f".{mark}{'.' * (len(heads) - 2)}")
    return Variant(title(metric_named(metric)), tuple(heads), rows, marks, evidence.footnote(metric))


def _lift(record: Record) -> Lift:
    return Lift(int(record["n"]), record["mean"], record["low"], record["high"], record["p"], record["holm"])


def _named(record: Record) -> tuple[str, ...]:
    return (*(str(record[axis]) for axis in KEY), str(record["kind"]))


def _hole(status: str) -> str:
    """The letter for a status: what was left out on purpose is no hole."""
    if status == "done":
        return "."
    return SKIPPED if status.startswith("skipped") else HOLE


def _count_mark(count: str, status: str) -> str:
    if " of " not in count:
        return "."
    return SKIPPED if status == SKIPPED else HOLE


def _count(n: int, planned: int) -> str:
    return str(n) if n == planned else f"{n} of {planned}"


def _varying(axes: Sequence[tuple[str, ...]]) -> list[int]:
    """The places that differ between lines, and always that of the augmenter."""
    places = range(len(axes[0]) if axes else len(KEY))
    return [place for place in places if len({line[place] for line in axes}) > 1 or KEY[place] == "augmenter"]


def _caption(axes: Sequence[tuple[str, ...]], kept: Sequence[int]) -> str:
    """What all lines share: `dataset digits, classifier head`."""
    if not axes:
        return ""
    return ", ".join(f"{KEY[place]} {text}" for place, text in enumerate(axes[0]) if place not in kept)


def _place(axis: str, kept: Sequence[int]) -> int | None:
    return kept.index(KEY.index(axis)) if KEY.index(axis) in kept else None


def choices(rows: Sequence[tuple[str, ...]], width: int) -> dict[int, list[str]]:
    """What the first columns may be filtered by: their values, where there are some and not too many."""
    found = {place: list(dict.fromkeys(row[place] for row in rows)) for place in range(width)}
    return {place: values for place, values in found.items() if 1 < len(values) <= CHOOSABLE}


def _plain(value: float, name: str) -> str:
    if isnan(value):
        return ""
    return f"{value:.0f}" if name in ("n", "peak_mib", "synthetic_rows") else f"{value:.2f}"
