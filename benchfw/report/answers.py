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
from benchfw.report.shared import SharedTest, shared_test
from benchfw.report.verdicts import (
    NO_AUGMENTATION,
    WORDS,
    Amount,
    Verdict,
    moved,
    random_of,
    size,
    title,
    unit_of,
    verdicts_of,
)
from benchfw.statistics import CONFIDENCE, ENOUGH, PAIRS, Lift, needed_pairs, student_quantile
from benchfw.summary import ADJUSTED_ONLY, REAL_ROWS_ONLY, UNCLEAR, digits_of, shown
from benchfw.tables import KEY, difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.metrics import Metric
    from benchfw.report.reading import Block, Row, Run

    Record = Mapping[Any, Any]

NAMED = 3  # augmenters that a sentence names
YARDSTICKS = {"none": NO_AUGMENTATION, "random": "random", "adjusted": ADJUSTED_ONLY}


@dataclass(frozen=True)
class Answer:
    """The verdicts of one classifier in one block, best first, with what is told above and below them.

    random: the label that stands for `random` here.
    """

    block: Block
    classifier: str
    random: str
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
        words = [one.none.word for one in self.verdicts if not one.reference]
        return ", ".join(f"{words.count(word)} {text}" for word, text in WORDS.items() if word in words)

    @property
    def compared(self) -> bool:
        """Whether some augmenter has a result."""
        return any(one.none.lift.n for one in self.verdicts)

    @property
    def best(self) -> Verdict | None:
        """The best augmenter apart from `random`, of those with pairs enough where there are some."""
        return _best(self.verdicts)


def answers(run: Run, frame: pd.DataFrame, metric: str) -> list[Answer]:
    """An answer for each block and classifier, those with a result first, else in the order of the plan."""
    records = frame.to_dict("records")
    found = []
    for block, rows in run.blocks.items():
        shared = shared_test(run, block)
        lines = [record for record in records if tuple(record[axis] for axis in KEY[:3]) == block]
        for classifier in run.classifiers:
            own = [record for record in lines if record["classifier"] == classifier]
            members = [row for row in rows if row["axes"]["classifier"] == classifier]
            if own:
                found.append(_answer(run, (block, classifier), own, members, metric=metric, shared=shared))
    return sorted(found, key=lambda answer: (answer.block, not answer.compared))


def _answer(
    run: Run,
    setting: tuple[Block, str],
    records: Sequence[Record],
    rows: Sequence[Row],
    *,
    metric: str,
    shared: SharedTest | None,
) -> Answer:
    asked = metric_named(metric)
    verdicts = verdicts_of(records, rows, asked)
    random = random_of(one.augmenter for one in verdicts)
    single = bool(verdicts) and max(one.none.lift.n for one in verdicts) == 1
    items = item_verdicts(run, rows, metric, [one.augmenter for one in verdicts], random) if single else []
    return Answer(
        *setting,
        random,
        _headline(setting[1], verdicts, asked, random=random, listed=bool(items)),
        verdicts,
        _beside(records, asked, run.classifiers[0]),
        _limits(verdicts, asked, shared),
        items,
    )


@dataclass(frozen=True)
class Score:
    """How often an augmenter is better and worse than a yardstick, over all blocks and classifiers."""

    yardstick: str
    better: int
    unclear: int
    worse: int
    few: int

    @property
    def of(self) -> int:
        """The comparisons."""
        return self.better + self.unclear + self.worse + self.few


def scores(found: Sequence[Answer]) -> list[Score]:
    """The count for each yardstick that somebody was compared with; `random` is a reference and does not count."""
    verdicts = [one for answer in found for one in answer.verdicts if not one.reference]
    made = []
    for yardstick, name in YARDSTICKS.items():
        words = [getattr(one, yardstick).word for one in verdicts]
        made.append(Score(name, *(words.count(word) for word in ("better", "unclear", "worse", "few"))))
    return [score for score in made if score.of]


def overview(found: Sequence[Answer], metric: str) -> str:
    """The answer: the best augmenter by name, with all that it is held against."""
    asked = metric_named(metric)
    told = [(answer, best) for answer in found if (best := answer.best) is not None]
    if not told:
        return f"No augmenter has been compared with {NO_AUGMENTATION} yet."
    answer, _ = max(told, key=lambda pair: _worth(pair[1], asked))
    if len(told) == 1:
        return answer.headline
    better, worse = (
        sum(any(one.none.word == word and not one.reference for one in answer.verdicts) for answer, _ in told)
        for word in ("better", "worse")
    )
    where = f"{len(told)} settings (data set, imbalance, extractor and classifier)"
    than = f"reliably better than {NO_AUGMENTATION}"
    first = f"In {better} of {where} an augmenter is {than}" if better else f"In none of {where} is an augmenter {than}"
    first += f"; in {worse} one is reliably worse" if worse else ""
    most = max(_most(answer.verdicts) for answer, _ in told)
    counted = (
        f"{first}. {'The largest difference' if better else 'The best'}: {', '.join(answer.block)}. "
        if most >= ENOUGH
        else ""
    )
    return f"{counted}{answer.headline}"


def _worth(best: Verdict, metric: Metric) -> tuple[bool, bool, float]:
    lift = best.none.lift
    return best.none.word == "better", lift.n >= ENOUGH, lift.mean * metric.sign


def _asked(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The augmenters apart from `random` that have a result."""
    return [one for one in verdicts if one.none.lift.n and not one.reference]


def _most(verdicts: Sequence[Verdict]) -> int:
    return max((one.none.lift.n for one in _asked(verdicts)), default=0)


def _best(verdicts: Sequence[Verdict]) -> Verdict | None:
    asked = _asked(verdicts)  # sorted: those that are better, then by their means
    enough = [one for one in asked if one.none.word in ("better", "unclear", "worse")]
    return next(iter(enough or asked), None)


def _headline(classifier: str, verdicts: Sequence[Verdict], metric: Metric, *, random: str, listed: bool) -> str:
    best, asked = _best(verdicts), _asked(verdicts)
    if best is None:
        return f"With {classifier}, no augmenter is compared with {NO_AUGMENTATION}{_why(verdicts)}."
    apart = f", {random} apart," if any(one.reference and one.none.lift.n for one in verdicts) else ""
    beside = [_against(best.random, random, metric), _against(best.adjusted, ADJUSTED_ONLY, metric)]
    held = "; ".join(filter(None, beside))
    told = [_first(classifier, best, metric, apart=apart), held[:1].upper() + held[1:]]
    most = _most(verdicts)
    if most < ENOUGH:
        told.insert(0, _too_few(most, best.planned, listed=listed))
        return f"{'. '.join(filter(None, told))}."
    better, worse = ([one for one in asked if one.none.word == word] for word in ("better", "worse"))
    told.append(f"{_how_many(better, len(asked))} reliably better than {NO_AUGMENTATION}" if better else "")
    told.append(f"Reliably worse: {_names(worse)}" if worse else "")
    return f"{'. '.join(filter(None, told))}."


def _why(verdicts: Sequence[Verdict]) -> str:
    asked = [one for one in verdicts if not one.reference]
    reasons = Counter(one.reason for one in asked if one.reason)
    if not reasons:
        return ""
    (reason, times), *others = reasons.most_common()
    return f": {reason} ({times} of {len(asked)} augmenters{', others for other reasons' * bool(others)})"


def _too_few(n: int, planned: int, *, listed: bool) -> str:
    pairs = "One repetition" if n == 1 else f"{n} repetitions" if n == planned else f"{n} pairs of repetitions"
    told = f"{pairs} cannot show a difference, which takes at least {ENOUGH}"
    return f"{told}; what single test samples say stands in the list below" if listed else told


def _first(classifier: str, best: Verdict, metric: Metric, *, apart: str) -> str:
    """What the best augmenter does to the metric, against no augmentation."""
    lift, facts = best.none.lift, _facts(best.none)
    if best.none.word == "better":
        return f"With {classifier}, {best.augmenter} {moved(lift, metric)} over {NO_AUGMENTATION} ({facts})"
    some = f"With {classifier}, "
    if best.none.word != "few":
        some += f"no augmenter is reliably better in {title(metric)} than {NO_AUGMENTATION}; "
    ahead = f"furthest ahead of {'it' if best.none.word != 'few' else NO_AUGMENTATION}"
    place = ahead if lift.mean * metric.sign > 0 else "none is ahead, and the least behind"
    where = f" in {title(metric)}" if best.none.word == "few" else ""
    return f"{some}{place}{where}{apart} is {best.augmenter}: {_sized(lift, metric)} ({facts})"


def _sized(lift: Lift, metric: Metric) -> str:
    return f"{'' if lift.marked else f'{UNCLEAR} '}{size(lift, metric, unit_of(metric))}"


def _facts(amount: Amount) -> str:
    n = f"n\u00a0=\u00a0{amount.lift.n}"
    return f"Holm\u00a0p\u00a0{amount.p}, {n}" if amount.p else n


def _against(amount: Amount, name: str, metric: Metric) -> str:
    """`against random: +1.2 points [0.5, 1.9], better (Holm p 0.010, n = 5)`; empty where there are no pairs."""
    if not amount.lift.n:
        return ""
    word = "" if amount.word == "few" else f", {WORDS[amount.word]}"
    return f"against {name}: {_sized(amount.lift, metric)}{word} ({_facts(amount)})"


def _how_many(some: Sequence[Verdict], of: int) -> str:
    return f"{len(some)} of {of} augmenter{'s' * (of != 1)} {'are' if len(some) > 1 else 'is'}"


def _names(some: Sequence[Verdict]) -> str:
    names = ", ".join(one.augmenter for one in some[:NAMED])
    return f"{names} and {len(some) - NAMED} more" if len(some) > NAMED else names


def _beside(records: Sequence[Record], metric: Metric, first: str) -> list[str]:
    """What is left without any augmenter, as gains of the table: the same training, and logit adjustment alone.

    first: the classifier of the line that gains are against.
    """
    told = []
    for record in records:
        gain = difference(record, metric.name, "gain") if f"{metric.name}_gain" in record else Lift()
        if record["augmenter"] == "none" and gain.n:
            adjusted = record["correction"] != "none"
            name = f"{ADJUSTED_ONLY} ({record['correction']})" if adjusted else REAL_ROWS_ONLY
            p = f", Holm p {chance(gain.holm)}" if chance(gain.holm) else ""
            note = f" (no interval: {gain.note})" if gain.note else ""
            against = f"against {NO_AUGMENTATION} with {first}"
            told.append(f"{name}: {_sized(gain, metric)}{note} {against}{p}, n = {gain.n}")
    return told


def _limits(verdicts: Sequence[Verdict], metric: Metric, shared: SharedTest | None) -> list[str]:
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
    return told + ([_same_samples(shared)] if shared else [])


def _same_samples(shared: SharedTest) -> str:
    half = f"{100 * shared.half_width:.{1 if shared.half_width >= 0.001 else 2}f}"
    return (
        f"All {shared.repetitions} repetitions are tested on the same {shared.n} samples: intervals speak of training "
        f"again, not of other samples. One accuracy on these {shared.n} samples has by itself a 95 % half-width of "
        f"{half} points (binomial, at an accuracy of {100 * shared.accuracy:.1f})."
    )


def _power(open_: Sequence[Lift], metric: Metric) -> list[str]:
    """What the comparisons without a reliable difference would have found, and what it takes to find one point.

    With fewer than 5 pairs nothing would have been found, so nothing is said of it.
    """
    if not open_:
        return []
    needed = max(ENOUGH, round(median(needed_pairs(_deviation(lift), metric.worth) for lift in open_)))
    takes = f"about {needed}{' or more' * (needed >= PAIRS)} repetitions"
    worth = "one point" if metric.points else f"{metric.worth:g}"
    alone = "by itself, before Holm's adjustment"
    aim = f"To find a true difference of {worth} four times in five takes {takes} ({alone})."
    enough = [lift for lift in open_ if lift.n >= ENOUGH]
    if not enough:
        return [aim]
    sizes = sorted(shown(lift.detectable, metric) for lift in enough)
    digits = digits_of(metric)
    span = f" ({sizes[0]:.{digits}f} to {sizes[-1]:.{digits}f})" if len(sizes) > 1 else ""
    whose = "the comparison" if len(sizes) == 1 else f"each of the {len(sizes)} comparisons"
    middle = f"{median(sizes):.{digits}f}{unit_of(metric)}{span}"
    found = f"Taken {alone}, {whose} without a reliable difference would find a true one of about {middle}"
    return [f"{found} four times in five, and miss a smaller one more often. {aim}"]


def _deviation(lift: Lift) -> float:
    """That of the differences, from the width of their interval."""
    return (lift.high - lift.low) / 2 * sqrt(lift.n) / student_quantile((1 + CONFIDENCE) / 2, lift.n - 1)
