"""The table for people: its lines as they are shown, Markdown, and the answer in a sentence.

Shares are shown in points, that is, times 100.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from math import isnan
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from benchfw.errors import UsageError, did_you_mean
from benchfw.metrics import metric_named
from benchfw.statistics import ENOUGH, Lift
from benchfw.tables import AXES, REFERENCE, difference
from benchfw.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.metrics import Metric

PRIMARY = "balanced_accuracy"
MINORITY = "minority_recall"
UNCLEAR = "≈"
REAL_ROWS_ONLY = "the same training on real rows only"
BEST_OF_ALL = "the best line of all"
ADJUSTED_ONLY = "logit adjustment alone"


@dataclass(frozen=True)
class SummaryLine:
    """A line of the table with the numbers that a reader wants, in the unit in which they are shown.

    block: dataset, imbalance, extractor. n: repetitions done. mean, sd, lift, gain: of the metric that was asked for,
    mean_n: the repetitions that have a value of it. minority: mean recall of the minority classes, minority_n and
    minority_lift alike. seconds: augmenting and classifying, mean of a
    repetition. Numbers that are not there are NaN.
    """

    block: tuple[str, str, str]
    augmenter: str
    classifier: str
    correction: str
    n: int
    status: str
    mean: float
    mean_n: int
    sd: float
    lift: Lift
    gain: Lift
    minority: float
    minority_n: int
    minority_lift: Lift
    seconds: float


def summary(frame: pd.DataFrame, costs: pd.DataFrame, metric: str = PRIMARY) -> list[SummaryLine]:
    """The lines of a table (`tables.table`) with their costs (`tables.costs`), in the order of the table.

    Raises UsageError for a metric that the table does not have.
    """
    asked, minority = _metric(frame, metric), metric_named(MINORITY)
    spent = {tuple(str(line[axis]) for axis in AXES): line for line in costs.to_dict("records")}
    lines = []
    for record in frame.to_dict("records"):
        cost: Mapping[Any, Any] = spent.get(tuple(str(record[axis]) for axis in AXES), {})
        lines.append(
            SummaryLine(
                block=block_of(record),
                augmenter=record["augmenter"],
                classifier=record["classifier"],
                correction=record["correction"],
                n=record["n"],
                status=record["status"],
                mean=shown(record.get(f"{metric}_mean"), asked),
                mean_n=int(record.get(f"{metric}_n", 0)),
                sd=shown(record.get(f"{metric}_sd"), asked),
                lift=_difference(record, asked, "lift"),
                gain=_difference(record, asked, "gain"),
                minority=shown(record.get(f"{MINORITY}_mean"), minority),
                minority_n=int(record.get(f"{MINORITY}_n", 0)),
                minority_lift=_difference(record, minority, "lift"),
                seconds=cost.get("augment_seconds", float("nan")) + cost.get("classify_seconds", float("nan")),
            )
        )
    return lines


def verdict(lift: Lift, metric: str) -> Literal["better", "worse", "unclear", "nothing"]:
    """What a difference says: `unclear` when it must not be called one, `nothing` when there are no pairs."""
    if not lift.n:
        return "nothing"
    if not lift.marked:
        return "unclear"
    return "better" if lift.mean * metric_named(metric).sign > 0 else "worse"


def headings(metric: str = PRIMARY) -> list[str]:
    """The heads of the columns that `cells` fills."""
    asked = metric_named(metric)
    title = asked.title if asked.direction == "higher" else f"{asked.title} (lower is better)"
    return ["augmenter", "classifier", "correction", "n", title, "lift", "gain", "minority recall", "seconds", "status"]


def cells(line: SummaryLine, metric: str = PRIMARY) -> list[str]:
    """One line as text, for each of `headings`; an empty text where there is no number.

    A mean over fewer repetitions than the line has says how many.
    """
    digits = digits_of(metric_named(metric))
    mean = "" if isnan(line.mean) else f"{line.mean:.{digits}f}"
    if not isnan(line.sd):
        mean += f" ± {line.sd:.{digits}f}"
    minority = "" if isnan(line.minority) else f"{line.minority:.1f}"
    if line.minority_lift.n:
        minority += f" ({_mark(line.minority_lift)}{line.minority_lift.mean:+.1f})"
    return [
        line.augmenter,
        line.classifier,
        line.correction,
        str(line.n),
        mean + _of_fewer(line.mean_n, line.n),
        _as_text(line.lift, line.n, digits),
        _as_text(line.gain, line.n, digits),
        minority + _of_fewer(line.minority_n, line.n),
        "" if isnan(line.seconds) else f"{line.seconds:.1f}",
        line.status,
    ]


def footnote(frame: pd.DataFrame, metric: str = PRIMARY) -> str:
    """What lift, gain, the marks and n mean in the lines of this table."""
    reference = " + ".join(frame.attrs["reference"][axis] for axis in REFERENCE)
    unit = "Shares are in points (x 100). " if metric_named(metric).points else ""
    return (
        f"{unit}n: repetitions done; ±: their standard deviation. lift: difference from augmenter none with the same "
        f"classifier and correction. gain: difference from {reference} of the same data set, imbalance and extractor. "
        f"Both are means of differences paired by repetition, with [95 % interval] by Student's t, which speaks of "
        f"more repetitions on this data, not of other data. Without brackets there is no interval (one pair, or equal "
        f"differences). {UNCLEAR}: no reliable difference, since p is above 5 % once Holm has adjusted it (over the "
        f"lifts with that classifier and correction, or the gains with that correction), or there are fewer than "
        f"{ENOUGH} pairs. minority recall: mean recall of the classes with fewer training samples than the mean, and "
        f"its lift. seconds: to augment and classify, mean of a repetition."
    )


def to_markdown(frame: pd.DataFrame, costs: pd.DataFrame, metric: str = PRIMARY) -> str:
    """The answer, a table for each data set, imbalance and extractor, and the footnote, as Markdown."""
    heads = headings(metric)
    parts = [escaped(answer(frame, metric))]
    for block, lines in groupby(summary(frame, costs, metric), key=lambda line: line.block):
        texts = [heads, ["---"] * len(heads), *([escaped(text) for text in cells(line, metric)] for line in lines)]
        parts += [f"**{escaped(', '.join(block))}**", "\n".join(f"| {' | '.join(text)} |" for text in texts)]
    return "\n\n".join([*parts, escaped(footnote(frame, metric))]) + "\n"


def answer(frame: pd.DataFrame, metric: str = PRIMARY) -> str:
    """What each augmenter does to the metric, in one sentence for each data set, imbalance and extractor.

    It reads the gains without correction, best first, of the first classifier that an augmenter changes; then what is
    left without any augmenter: the same training on real rows only, where that is not the reference, and logit
    adjustment by itself; then the best line of all. Raises UsageError for a metric that the table does not have.
    """
    asked = _metric(frame, metric)
    sentences = [
        _sentence(list(records), asked, frame.attrs["classifier"], frame.attrs["reference"])
        for _, records in groupby(frame.to_dict("records"), key=block_of)
    ]
    return "\n\n".join(sentences)


def _sentence(records: Sequence[Mapping[Any, Any]], metric: Metric, first: str, reference: dict[str, str]) -> str:
    classifier = _spoken_of(records, first)
    names = {("none", classifier, "none"): REAL_ROWS_ONLY, ("none", first, "la-natural"): ADJUSTED_ONLY}
    if classifier != first:
        names["none", classifier, "la-natural"] = f"{REAL_ROWS_ONLY}, with logit adjustment,"
    clauses, others, gains = [], [], []
    for record in records:
        line = tuple(record[axis] for axis in REFERENCE)
        gain = _difference(record, metric, "gain")
        augmented = line[0] != "none" and line[1:] == (classifier, "none")
        if (augmented or line in names) and line != tuple(reference.values()):
            text = _clause(names.get(line, line[0]), gain, metric, record["status"])
            clauses.append((not augmented, isnan(gain.mean), -gain.mean * metric.sign, text))
            gains.append(gain)
        elif gain.n:
            others.append((-gain.mean * metric.sign, _clause(f"{BEST_OF_ALL} ({' + '.join(line)})", gain, metric, "")))
    usual = tuple(reference.values()) == ("none", classifier, "none")
    against = "" if usual else f" against {' + '.join(reference.values())}"
    where = f"{', '.join(block_of(records[0]))}: {metric.title} with {classifier}{against}: "
    if not clauses:
        return f"{where}nothing was compared."
    spoken = min([0.0, *(worth for _, missing, worth, _ in clauses if not missing)])  # 0: the reference itself
    best = [text for worth, text in sorted(others)[:1] if worth < spoken]
    told = "; ".join([*(text for *_, text in sorted(clauses)), *best])
    most = max(record["n"] for record in records)
    return f"{where}{told} ({most} repetition{'s' * (most != 1)}; 95 % intervals in brackets{_power(gains, metric)})."


def _power(gains: Sequence[Lift], metric: Metric) -> str:
    """What the comparisons can miss, where one of them found nothing: the median of what they detect."""
    detectable = [gain.detectable for gain in gains if gain.n >= ENOUGH and not isnan(gain.detectable)]
    if not detectable or all(gain.marked for gain in gains):
        return ""
    size = f"{median(detectable):.{digits_of(metric)}f}{' points' * metric.points}"
    return f"; taken by itself, a true difference of about {size} would be found four times in five"


def _spoken_of(records: Sequence[Mapping[Any, Any]], first: str) -> str:
    """The first classifier that has a result with some augmenter; one that trains on nothing has none."""
    changed = [record["classifier"] for record in records if record["augmenter"] != "none" and record["n"]]
    return first if first in changed or not changed else changed[0]


def _clause(name: str, gain: Lift, metric: Metric, status: str) -> str:
    if not gain.n:
        return f"{name} has no result ({status})" if status != "done" else f"{name} has nothing to be paired with"
    digits = digits_of(metric)
    unit = " points" if metric.points else ""
    size = f"{abs(gain.mean):.{digits}f}{unit}"
    signed = f"{gain.mean:+.{digits}f}{unit}"
    if isnan(gain.low):
        return f"{name} differs by {signed} (no interval: {gain.note})"
    interval = f"[{gain.low:.{digits}f}, {gain.high:.{digits}f}]"
    if gain.marked:
        return f"{name} {'lifts' if gain.mean > 0 else 'lowers'} it by {size} {interval}"
    if gain.excludes_zero:
        side = "above" if gain.mean > 0 else "below"
        few = f"{gain.n} pairs are too few to rely on"
        many = f"chance may give that among so many comparisons (Holm p = {gain.holm:.2g})"
        return f"{name} ends {size} {side} {interval}, but {few if gain.n < ENOUGH else many}"
    return f"{name} makes no reliable difference ({signed} {interval})"


def _metric(frame: pd.DataFrame, name: str) -> Metric:
    metric = metric_named(name)
    known = [column.removesuffix("_mean") for column in frame.columns if column.endswith("_mean")]
    if known and name not in known:
        raise UsageError(f"the table has no metric {name!r}{did_you_mean(name, known)}")
    return metric


def block_of(record: Mapping[Any, Any]) -> tuple[str, str, str]:
    """Data set, imbalance and extractor of a line of the table."""
    return record["dataset"], record["imbalance"], record["extractor"]


def digits_of(metric: Metric) -> int:
    """Decimals that a metric is shown with, in points or as it is."""
    return 1 if metric.points else 3


def shown(value: float | None, metric: Metric) -> float:
    """A value in the unit in which it is shown: shares times 100."""
    return float("nan") if value is None else value * (100 if metric.points else 1)


def _difference(record: Mapping[Any, Any], metric: Metric, kind: Literal["lift", "gain"]) -> Lift:
    if f"{metric.name}_{kind}" not in record:
        return Lift()
    lift = difference(record, metric.name, kind)
    return replace(lift, mean=shown(lift.mean, metric), low=shown(lift.low, metric), high=shown(lift.high, metric))


def _mark(lift: Lift) -> str:
    return "" if lift.marked else f"{UNCLEAR} "


def _as_text(lift: Lift, n: int, digits: int) -> str:
    """`≈ +1.2 [-0.5, 2.9]`, with the number of pairs when it is not the line's."""
    if not lift.n:
        return ""
    interval = "" if isnan(lift.low) else f" [{lift.low:.{digits}f}, {lift.high:.{digits}f}]"
    return f"{_mark(lift)}{lift.mean:+.{digits}f}{interval}{_of_fewer(lift.n, n)}"


def _of_fewer(own: int, n: int) -> str:
    """` (n = 3)` behind a number that rests on other repetitions than the line; nothing where there is no number."""
    return f" (n = {own})" if own not in (0, n) else ""


def escaped(text: str) -> str:
    """Text for a cell of a Markdown table, which no label can break, and in which none is markup."""
    plain = re.sub(r"([\\|*`~])", r"\\\1", printable(text).replace("\n", " "))
    return plain.replace("![", "!\\[").replace("](", "]\\(").replace("&", "&amp;").replace("<", "&lt;")
