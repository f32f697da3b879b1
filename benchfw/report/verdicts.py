"""The verdicts: what each augmenter does with each classifier, against none, random and logit adjustment alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Literal

from benchfw.evidence import chance
from benchfw.statistics import ENOUGH, Lift, in_family, paired
from benchfw.summary import UNCLEAR, digits_of, shown, verdict
from benchfw.tables import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchfw.metrics import Metric
    from benchfw.report.reading import Row

    Record = Mapping[Any, Any]
    Values = dict[tuple[str, str], dict[int, float]]  # augmenter, correction -> repetition -> value

Word = Literal["better", "worse", "unclear", "few", "nothing"]

WORDS: dict[str, str] = {
    "better": "better",
    "unclear": "no reliable difference",
    "worse": "worse",
    "few": "too few",
    "nothing": "not compared",
}
ORDER = tuple(WORDS)
PLAIN, RANDOM = "none", "random"
NO_AUGMENTATION = "no augmentation"  # what a reader calls the augmenter `none`
TITLES = {
    "g_mean": "geometric mean of the recalls",
    "g_mean_corrected": "geometric mean of the recalls, corrected",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "mcc": "Matthews' correlation",
    "ece": "calibration error",
    "nll": "negative log-likelihood",
}
MOST_DIGITS = 4


@dataclass(frozen=True)
class Amount:
    """A difference as a reader sees it: what may be said of it, `≈ +1.2 [-0.5, 2.9] (n = 4)`, and Holm's p as text.

    hole: `(n = 4)` where repetitions are missing, else empty; it ends the text.
    """

    lift: Lift
    word: Word
    text: str
    p: str
    hole: str = ""

    @property
    def brief(self) -> str:
        """The text without its interval: `≈ +1.2 (n = 4)`."""
        mean = self.text.removesuffix(self.hole).strip().partition(" [")[0]
        return f"{mean} {self.hole}".strip()


@dataclass(frozen=True)
class Verdict:
    """What one augmenter does: against `none`, against `random`, and against logit adjustment of `none`.

    planned: repetitions. reason: why there is no result. reference: whether it is `random`, which adds no new rows.
    """

    augmenter: str
    none: Amount
    random: Amount
    adjusted: Amount
    planned: int
    reason: str
    reference: bool

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
    labels = [label for label in plain if label != PLAIN]
    values = _values(rows, metric.name)
    yardsticks = ((random_of(labels), "none"), (PLAIN, "la-natural"))
    random, adjusted = (_against(values, labels, line) for line in yardsticks)
    nothing = bool(plain.get(PLAIN, {}).get("n")) and not plain[PLAIN].get(f"{metric.name}_n")
    found = []
    for label in labels:
        planned = sum(row["axes"]["augmenter"] == label for row in rows)
        found.append(
            Verdict(
                label,
                amount(lift_of(plain[label], metric), metric),
                amount(random[label], metric, planned),
                amount(adjusted[label], metric, planned),
                planned=planned,
                reason=_reason(plain[label], metric, nothing=nothing),
                reference=is_random(label),
            )
        )
    return sorted(found, key=lambda one: _place(one, metric))


def is_random(label: str) -> bool:
    """Whether a label is one of the component `random`: a reference, whatever its parameters."""
    return label.partition("@")[0] == RANDOM


def random_of(labels: Iterable[str]) -> str:
    """The label that `against random` means: `random`, else the first of the component."""
    found = [label for label in labels if is_random(label)]
    return RANDOM if RANDOM in found or not found else found[0]


def title(metric: Metric) -> str:
    """The metric in words."""
    return TITLES.get(metric.name, metric.title)


def amount(lift: Lift, metric: Metric, planned: int | None = None) -> Amount:
    """A difference in the unit in which it is shown, and what may be said of it.

    planned: repetitions; where fewer pairs are there, the text says how many.
    """
    word = word_of(lift, metric)
    if not lift.n:
        return Amount(lift, word, "", "")
    mark = "" if lift.marked else f"{UNCLEAR} "
    hole = "" if planned is None or lift.n == planned else f"(n = {lift.n})"
    return Amount(lift, word, f"{mark}{size(lift, metric)} {hole}".rstrip(), chance(lift.holm), hole)


def word_of(lift: Lift, metric: Metric) -> Word:
    """What may be said of a difference; fewer than 5 pairs are too few to say anything."""
    return "few" if 0 < lift.n < ENOUGH else verdict(lift, metric.name)


def _reason(record: Record, metric: Metric, *, nothing: bool) -> str:
    """Why a line has no lift; empty where it has one. nothing: `none` ran, and has no value of the metric."""
    if not record["n"]:
        return str(record["status"])
    if lift_of(record, metric).n:
        return ""
    if not record.get(f"{metric.name}_n"):
        return f"{record['augmenter']} has no value of this metric"
    return f"{NO_AUGMENTATION} has {'no value of this metric' if nothing else 'no result to pair it with'}"


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
    digits = digits_for(lift, metric)
    mean, low, high = (shown(value, metric) for value in (lift.mean, lift.low, lift.high))
    return f"{mean:+.{digits}f}{unit}" + ("" if isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def moved(lift: Lift, metric: Metric) -> str:
    """What a difference does to a metric, without its sign: `lowers calibration error by 1.2 points [0.5, 1.9]`."""
    turned = lift if lift.mean >= 0 else replace(lift, mean=-lift.mean, low=-lift.high, high=-lift.low)
    verb = "lifts" if lift.mean >= 0 else "lowers"
    return f"{verb} {title(metric)} by {size(turned, metric, unit_of(metric)).removeprefix('+')}"


def unit_of(metric: Metric) -> str:
    """What follows a number of the metric."""
    return " points" if metric.points else ""


def digits_for(lift: Lift, metric: Metric) -> int:
    """Decimals of a difference: more than usual where a reliable one, or an end of its interval, would look like 0."""
    digits = digits_of(metric)
    told = [abs(shown(value, metric)) for value in (lift.mean, lift.low, lift.high)]
    while lift.marked and digits < MOST_DIGITS and any(round(value, digits) == 0 for value in told):
        digits += 1
    return digits
