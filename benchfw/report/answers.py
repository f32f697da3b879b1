"""The answer in words: a headline and the verdicts for each block and classifier, and what is not shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import median
from typing import TYPE_CHECKING, Any

from benchfw.evidence import chance
from benchfw.metrics import metric_named
from benchfw.report.items import ItemVerdict, item_verdicts
from benchfw.report.verdicts import WORDS, Verdict, size, verdicts_of
from benchfw.statistics import CONFIDENCE, ENOUGH, PAIRS, WORTH, Lift, needed_pairs, student_quantile
from benchfw.summary import ADJUSTED_ONLY, REAL_ROWS_ONLY, UNCLEAR, digits_of, shown
from benchfw.tables import KEY, REFERENCE, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.metrics import Metric
    from benchfw.report.reading import Block, Run

    Record = Mapping[Any, Any]

NAMED = 3  # augmenters that a sentence names
YARDSTICKS = {"none": "none", "random": "random", "adjusted": ADJUSTED_ONLY}


@dataclass(frozen=True)
class Answer:
    """The verdicts of one classifier in one block, best first, with what is told above and below them."""

    block: Block
    classifier: str
    headline: str
    verdicts: list[Verdict]
    beside: list[str]
    limits: list[str]
    items: list[ItemVerdict]

    def of(self, augmenter: str) -> Verdict | None:
        """The verdict on one augmenter."""
        return next((one for one in self.verdicts if one.augmenter == augmenter), None)

    @property
    def counts(self) -> str:
        """The verdicts counted: `2 better, 3 no reliable difference`."""
        words = [one.none.word for one in self.verdicts if one.augmenter != "random"]
        return ", ".join(f"{words.count(word)} {text}" for word, text in WORDS.items() if word in words)

    @property
    def compared(self) -> bool:
        """Whether some augmenter has a result."""
        return any(one.none.lift.n for one in self.verdicts)


def answers(run: Run, frame: pd.DataFrame, metric: str) -> list[Answer]:
    """An answer for each block and classifier, those with a result first, else in the order of the plan."""
    asked, records = metric_named(metric), frame.to_dict("records")
    found = []
    for block, rows in run.blocks.items():
        lines = [record for record in records if tuple(record[axis] for axis in KEY[:3]) == block]
        for classifier in run.classifiers:
            own = [record for record in lines if record["classifier"] == classifier]
            members = [row for row in rows if row["axes"]["classifier"] == classifier]
            if own:
                verdicts = verdicts_of(own, members, asked)
                single = bool(verdicts) and max(one.none.lift.n for one in verdicts) == 1
                found.append(
                    Answer(
                        block,
                        classifier,
                        _headline(classifier, verdicts, asked),
                        verdicts,
                        _beside(own, asked, frame.attrs["reference"]),
                        _limits(verdicts, asked),
                        item_verdicts(run, members, metric) if single else [],
                    )
                )
    return sorted(found, key=lambda answer: (answer.block, not answer.compared))


@dataclass(frozen=True)
class Score:
    """How often an augmenter is better and worse than a yardstick, over all blocks and classifiers."""

    yardstick: str
    better: int
    unclear: int
    worse: int

    @property
    def of(self) -> int:
        """The comparisons."""
        return self.better + self.unclear + self.worse


def scores(found: Sequence[Answer]) -> list[Score]:
    """The count for each yardstick that somebody was compared with; `random` is a reference and does not count."""
    verdicts = [one for answer in found for one in answer.verdicts if one.augmenter != "random"]
    made = []
    for yardstick, name in YARDSTICKS.items():
        words = [getattr(one, yardstick).word for one in verdicts]
        made.append(Score(name, *(words.count(word) for word in ("better", "unclear", "worse"))))
    return [score for score in made if score.of]


def overview(found: Sequence[Answer], counted: Sequence[Score], metric: str) -> str:
    """The answer in a sentence or two."""
    if not counted:
        return "No augmenter has been compared with none yet."
    title, none = metric_named(metric).title, counted[0]
    many = sum(answer.compared for answer in found)
    where = "" if many == 1 else f", in {many} settings (data set, imbalance, extractor and classifier),"
    first = f"{none.better} of {none.of} comparisons with none{where} show that an augmenter helps {title}"
    told = f"{first}, {none.worse} that one harms it."
    for score in counted[1:]:
        if none.better and score.yardstick == YARDSTICKS["adjusted"]:
            told += f" Against {score.yardstick}, which costs nothing, {score.better} of {score.of} are better"
            told += f" and {score.worse} worse."
    return told


def _headline(classifier: str, verdicts: Sequence[Verdict], metric: Metric) -> str:
    asked = [one for one in verdicts if one.augmenter != "random" and one.none.lift.n]
    if not asked:
        return f"With {classifier}, no augmenter is compared with none{_why(verdicts)}."
    most = max(one.none.lift.n for one in asked)
    if most < ENOUGH:
        return _too_few(classifier, most, asked, metric)
    better = [one for one in asked if one.none.word == "better"]
    worse = [one for one in asked if one.none.word == "worse"]
    told = [f"With {classifier}, {_how_many(better, len(asked))} reliably better in {metric.title} than none"]
    if better:
        told[0] += f", first {better[0].augmenter} by {size(better[0].none.lift, metric, _unit(metric))}"
        told += [_also(better, "random", "random, which adds no new rows")]
        told += [_also(better, "adjusted", "logit adjustment alone, which costs nothing")]
    if worse:
        told += [f"Reliably worse than none: {_names(worse)}"]
    return f"{'. '.join(filter(None, told))}."


def _why(verdicts: Sequence[Verdict]) -> str:
    reasons = Counter(one.reason for one in verdicts if one.reason)
    if not reasons:
        return ""
    (reason, times), *others = reasons.most_common()
    return f": {reason} ({times} of {len(verdicts)} augmenters{', others for other reasons' * bool(others)})"


def _too_few(classifier: str, n: int, asked: Sequence[Verdict], metric: Metric) -> str:
    first = max(asked, key=lambda one: one.none.lift.mean * metric.sign)
    pairs = "one pair of repetitions is" if n == 1 else f"{n} pairs of repetitions are"
    found = f"Ahead of none by most: {first.augmenter}, {size(first.none.lift, metric, _unit(metric))}"
    ahead = found if first.none.lift.mean * metric.sign > 0 else "No augmenter is ahead of none"
    return f"With {classifier}, nothing may be called a difference: {pairs} too few. {ahead}."


def _how_many(some: Sequence[Verdict], of: int) -> str:
    are = "are" if len(some) > 1 else "is"
    return f"{len(some) or 'none'} of {of} augmenter{'s' * (of != 1)} {are}"


def _also(better: Sequence[Verdict], yardstick: str, name: str) -> str:
    """How those that are better than none compare with another yardstick; empty where nobody was compared with it."""
    amounts = [getattr(one, yardstick) for one in better]
    if not any(one.lift.n for one in amounts):
        return ""
    above = [one for one, amount in zip(better, amounts, strict=True) if amount.word == "better"]
    below = sum(amount.word == "worse" for amount in amounts)
    return f"Reliably better than {name}: {_names(above) or 'none of these'}; worse: {below or 'none'}"


def _names(some: Sequence[Verdict]) -> str:
    names = ", ".join(one.augmenter for one in some[:NAMED])
    return f"{names} and {len(some) - NAMED} more" if len(some) > NAMED else names


def _unit(metric: Metric) -> str:
    return " points" if metric.points else ""


def _beside(records: Sequence[Record], metric: Metric, reference: Mapping[str, str]) -> list[str]:
    """What is left without any augmenter, as gains of the table: the same training, and logit adjustment alone."""
    line = " + ".join(reference[axis] for axis in REFERENCE)
    told = []
    for record in records:
        gain = difference(record, metric.name, "gain") if f"{metric.name}_gain" in record else Lift()
        if record["augmenter"] == "none" and gain.n:
            adjusted = record["correction"] != "none"
            name = f"{ADJUSTED_ONLY} ({record['correction']})" if adjusted else REAL_ROWS_ONLY
            mark = "" if gain.marked else f"{UNCLEAR} "
            p = f", Holm p {chance(gain.holm)}" if chance(gain.holm) else ""
            note = f" (no interval: {gain.note})" if gain.note else ""
            told.append(f"{name}: {mark}{size(gain, metric, _unit(metric))}{note} against {line}{p}, n = {gain.n}")
    return told


def _limits(verdicts: Sequence[Verdict], metric: Metric) -> list[str]:
    """What the comparisons of one classifier cannot say."""
    lifts = [one.none.lift for one in verdicts if one.none.lift.n]
    if not lifts:
        return []
    n = max(lift.n for lift in lifts)
    few = f"n = {n}: with fewer than {ENOUGH} pairs nothing is called a difference, whatever an interval says."
    told = [few] if n < ENOUGH else []
    told += _power([lift for lift in lifts if not lift.marked and not isnan(lift.detectable)], metric)
    least = 2.0 ** (1 - n)
    if n == 1:
        told.append("One pair has neither interval nor p; what single test samples say stands above.")
    elif least > 1 - CONFIDENCE:
        floor = f"With {n} pairs a sign-flip test cannot give a p below {least:g}"
        told.append(f"{floor}: a mark rests on Student's t, that is, on differences that are about normal.")
    return told


def _power(open_: Sequence[Lift], metric: Metric) -> list[str]:
    """What the comparisons without a reliable difference would have found, and what it takes to find one point."""
    if not open_:
        return []
    sizes = sorted(shown(lift.detectable, metric) for lift in open_)
    digits = digits_of(metric)
    span = f" ({sizes[0]:.{digits}f} to {sizes[-1]:.{digits}f})" if len(sizes) > 1 else ""
    worth = WORTH if metric.points else 10 * WORTH
    needed = round(median(needed_pairs(_deviation(lift), worth) for lift in open_))
    whose = "the comparison" if len(sizes) == 1 else f"the {len(sizes)} comparisons"
    middle = f"{median(sizes):.{digits}f}{_unit(metric)}{span}"
    found = f"Taken one by one, {whose} without a reliable difference would find a true one of about {middle}"
    takes = f"about {needed}{' or more' * (needed >= PAIRS)} repetitions"
    aim = f"To find {'one point' if metric.points else f'{worth:g}'} so often takes {takes}."
    return [f"{found} four times in five, and miss a smaller one more often. {aim}"]


def _deviation(lift: Lift) -> float:
    """That of the differences, from the width of their interval."""
    return (lift.high - lift.low) / 2 * sqrt(lift.n) / student_quantile((1 + CONFIDENCE) / 2, lift.n - 1)
