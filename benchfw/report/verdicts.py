"""The verdicts: what each augmenter does with each classifier, against none, random and logit adjustment alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Literal

from benchfw.evidence import chance
from benchfw.statistics import Lift, in_family, paired
from benchfw.summary import UNCLEAR, digits_of, shown, verdict
from benchfw.tables import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchfw.metrics import Metric
    from benchfw.report.reading import Row

    Record = Mapping[Any, Any]
    Values = dict[tuple[str, str], dict[int, float]]  # augmenter, correction -> repetition -> value

Word = Literal["better", "worse", "unclear", "nothing"]

WORDS: dict[str, str] = {
    "better": "better",
    "unclear": "no reliable difference",
    "worse": "worse",
    "nothing": "not compared",
}
ORDER = tuple(WORDS)


@dataclass(frozen=True)
class Amount:
    """A difference as a reader sees it: what may be said of it, `≈ +1.2 [-0.5, 2.9]`, and Holm's p as text."""

    lift: Lift
    word: Word
    text: str
    p: str

    @property
    def brief(self) -> str:
        """The text without its interval: `≈ +1.2`."""
        return self.text.partition(" [")[0]


@dataclass(frozen=True)
class Verdict:
    """What one augmenter does: against `none`, against `random`, and against logit adjustment of `none`.

    planned: repetitions. reason: why there is no result.
    """

    augmenter: str
    none: Amount
    random: Amount
    adjusted: Amount
    planned: int
    reason: str

    @property
    def pairs(self) -> str:
        """`3`, or `2 of 3` where some are missing."""
        n = self.none.lift.n
        return str(n) if n == self.planned else f"{n} of {self.planned}"


def verdicts_of(records: Sequence[Record], rows: Sequence[Row], metric: Metric) -> list[Verdict]:
    """The verdicts on the augmenters of one block and classifier, without correction, the best first.

    records: its lines of the table. rows: its cells.
    """
    plain = {str(record["augmenter"]): record for record in records if record["correction"] == "none"}
    labels = [label for label in plain if label != "none"]
    values = _values(rows, metric.name)
    random, adjusted = (_against(values, labels, line) for line in (("random", "none"), ("none", "la-natural")))
    found = [
        Verdict(
            label,
            amount(lift_of(plain[label], metric), metric),
            amount(random[label], metric),
            amount(adjusted[label], metric),
            planned=sum(row["axes"]["augmenter"] == label for row in rows),
            reason=_reason(plain[label], metric),
        )
        for label in labels
    ]
    return sorted(found, key=lambda one: _place(one, metric))


def amount(lift: Lift, metric: Metric) -> Amount:
    """A difference in the unit in which it is shown, and what may be said of it."""
    word = verdict(lift, metric.name)
    if not lift.n:
        return Amount(lift, word, "", "")
    mark = "" if lift.marked else f"{UNCLEAR} "
    return Amount(lift, word, f"{mark}{size(lift, metric)}", chance(lift.holm))


def _reason(record: Record, metric: Metric) -> str:
    """Why a line has no lift; empty where it has one."""
    if not record["n"]:
        return str(record["status"])
    return "" if lift_of(record, metric).n else "there is nothing of none to pair it with"


def lift_of(record: Record, metric: Metric) -> Lift:
    """The lift that a line of the table holds; no pairs where it has no such metric."""
    return difference(record, metric.name, "lift") if f"{metric.name}_lift" in record else Lift()


def _place(one: Verdict, metric: Metric) -> tuple[int, float]:
    mean = one.none.lift.mean
    return ORDER.index(one.none.word), 0.0 if isnan(mean) else -mean * metric.sign


def _values(rows: Iterable[Row], metric: str) -> Values:
    found: Values = {}
    for row in rows:
        for correction, scores in row.get("scores", {}).items():
            value = scores.get(metric)
            line = found.setdefault((row["axes"]["augmenter"], correction), {})
            line[row["axes"]["repetition"]] = nan if value is None else value
    return found


def _against(values: Values, labels: Sequence[str], reference: tuple[str, str]) -> dict[str, Lift]:
    """Each augmenter without correction against one line, adjusted by Holm over these augmenters."""
    others = [label for label in labels if (label, "none") != reference]
    lifts = [paired(values.get((label, "none"), {}), values.get(reference, {})) for label in others]
    return dict.fromkeys(labels, Lift()) | dict(zip(others, in_family(lifts), strict=True))


def size(lift: Lift, metric: Metric, unit: str = "") -> str:
    """`+1.2 [-0.5, 2.9]`, or `+1.2` where there is no interval. unit: what follows the number."""
    digits = digits_of(metric)
    mean, low, high = (shown(value, metric) for value in (lift.mean, lift.low, lift.high))
    return f"{mean:+.{digits}f}{unit}" + ("" if isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")
