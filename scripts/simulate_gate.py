"""Simulate how often the gate fails a table that has not changed, and finds a loss that was planted; write its page.

    python scripts/simulate_gate.py              all blocks, in some twenty minutes
    python scripts/simulate_gate.py NAME ...     these blocks

A block stands between `<!-- simulated: NAME -->` and `<!-- end -->`, where NAME is one of `BLOCKS`; all other text is
written by hand. Every check goes through `benchfw.losses.judged`, as that of the command does.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from benchfw.hits import Sides, Split, changed_sides, class_weights
from benchfw.losses import Pair, judged
from benchfw.metrics import metric_named
from benchfw.noise import assumed, estimated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchfw.losses import Judgement

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "gate.md"
BLOCK = re.compile(r"(<!-- simulated: ([\w-]+) -->\n\n)(.*?)(\n\n<!-- end -->)", re.DOTALL)

CHECKS = 1_000  # a share of 5 % has a standard error of 0.7 points
PLANTS = 400  # one of 80 % has 2 points
BASELINES, EACH = 100, 100
CLASSIFIERS, AUGMENTERS = 3, 6  # of which the first is `none`; 18 lines
LINES = CLASSIFIERS * AUGMENTERS
METRICS = [metric_named(name) for name in ("balanced_accuracy", "minority_recall")]
SDS = (0.005, 0.015)  # of one training, of balanced accuracy; each line has its own between these
MINORITY = 2.0  # how much larger that of minority recall is
TOGETHER = 0.7  # the correlation of the two metrics
ITEM = 1 / 500
ASSUMED = 0.01  # the chance of training that is assumed without calibration: here it is the truth, on average
REPEATS = 5  # of a calibration
PLANTED = 4  # the line that gets worse; its augmenter is not `none`


@dataclass(frozen=True)
class World:
    """A matrix whose trainings are redrawn.

    shared: the part of the variance that all lines have from the extractor. tails: Student's t with 3 degrees in place
    of the normal, since now and then a training fails.
    """

    n: int
    shared: float = 0.6
    calibrated: bool = False
    tails: bool = False

    def sds(self, rng: np.random.Generator) -> np.ndarray:
        """(LINES, 2): the chance of training of each line and metric."""
        return rng.uniform(*SDS, size=(LINES, 1)) * [1, MINORITY]

    def trainings(self, rng: np.random.Generator, sds: np.ndarray, k: int) -> np.ndarray:
        """(k, n, LINES, 2): values of k trainings on the same n splits."""
        splits = 0.8 + 0.03 * rng.normal(size=(1, self.n, 1, 2))
        common, own = (self._drawn(rng, (k, self.n, lines, 2)) for lines in (1, LINES))
        chance = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own
        chance[..., 1] = TOGETHER * chance[..., 0] + np.sqrt(1 - TOGETHER**2) * chance[..., 1]
        return splits + sds * chance

    def _drawn(self, rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        return rng.standard_t(3, size) / np.sqrt(3) if self.tails else rng.normal(size=size)


def quantities(values: np.ndarray) -> np.ndarray:
    """(..., n, LINES, 2) values -> (..., n, Q): the same and the lifts over augmenter `none` of the same classifier."""
    by_augmenter = values.reshape(*values.shape[:-2], CLASSIFIERS, AUGMENTERS, 2)
    lifts = by_augmenter[..., 1:, :] - by_augmenter[..., :1, :]
    flat = values.shape[:-2]
    return np.concatenate([values.reshape(*flat, -1), lifts.reshape(*flat, -1)], axis=-1)


def check(before: np.ndarray, now: np.ndarray, again: np.ndarray | None = None) -> list[Judgement]:
    """Judge one training against another, (n, LINES, 2) both. again: (k, n, LINES, 2), a calibration's."""
    then, here = quantities(before), quantities(now)
    more = None if again is None else quantities(again)
    pairs = []
    for q in range(then.shape[1]):
        values = _by_repetition(then[:, q])
        drawn = None if more is None else [_by_repetition(run[:, q]) for run in more]
        lifts = q >= 2 * LINES
        pairs.append(
            Pair(
                metric=METRICS[q % 2],
                before=values,
                now=_by_repetition(here[:, q]),
                block=lifts,
                own=pairs[_own(q)] if lifts else None,
                noise=None if drawn is None else estimated(values, drawn, [], ITEM),
                item=ITEM,
                training=0.0 if lifts else ASSUMED * (1, MINORITY)[q % 2],
            )
        )
    return judged(pairs)


def _own(q: int) -> int:
    """The place of the values that lift q is of."""
    line, metric = divmod(q - 2 * LINES, 2)
    row, augmenter = divmod(line, AUGMENTERS - 1)
    return 2 * (row * AUGMENTERS + augmenter + 1) + metric


def _by_repetition(values: np.ndarray) -> dict[int, float]:
    return dict(enumerate(values.tolist()))


def fails(judgements: Iterable[Judgement]) -> bool:
    """Whether the check fails."""
    return any(found.verdict == "worse" for found in judgements)


def drawn(world: World, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A baseline, an unchanged table, and a calibration if there is one."""
    trainings = world.trainings(rng, world.sds(rng), 2 + REPEATS * world.calibrated)
    return trainings[0], trainings[1], trainings[2:] if world.calibrated else None


def false_alarms(world: World, checks: int = CHECKS, seed: int = 0) -> tuple[float, float, float]:
    """The share of unchanged tables that fail, and the median loss that is seen: of values, and of lifts."""
    rng = np.random.default_rng([seed, world.n, world.calibrated])
    failed, values, lifts = 0, [], []
    for _ in range(checks):
        found = check(*drawn(world, rng))
        failed += fails(found)
        values.append(median(judgement.detectable for judgement in found[: 2 * LINES : 2]))
        lifts.append(median(judgement.detectable for judgement in found[2 * LINES :: 2]))
    return failed / checks, median(values), median(lifts)


def found(world: World, loss: float, checks: int = PLANTS, seed: int = 1) -> float:
    """The share of checks that call a line worse which lost so much balanced accuracy, by its value or its lift."""
    rng = np.random.default_rng([seed, world.n, world.calibrated])
    seen = 0
    for _ in range(checks):
        before, now, again = drawn(world, rng)
        now[:, PLANTED, 0] -= loss
        judgements = check(before, now, again)
        theirs = [q for q in range(2 * LINES, len(judgements)) if _own(q) == 2 * PLANTED]
        seen += fails([judgements[q] for q in (2 * PLANTED, *theirs)])
    return seen / checks


def found_where(world: World, losses: tuple[float, ...], checks: int = PLANTS, seed: int = 4) -> float:
    """The same of a line that lost so much in each repetition: a number for each of them."""
    rng = np.random.default_rng([seed, world.n, world.calibrated])
    seen = 0
    for _ in range(checks):
        before, now, again = drawn(world, rng)
        now[:, PLANTED, 0] -= losses
        seen += check(before, now, again)[2 * PLANTED].verdict == "worse"
    return seen / checks


LOST = (0.1, 0.2, 0.3, 0.6)


def collapse() -> str:
    """How often a loss in one of the repetitions is found, all lines being redrawn."""
    lines = []
    for calibrated in (False, True):
        for n in (3, 5):
            world = World(n, 0.3, calibrated)
            power = (found_where(world, (0.0, loss, *[0.0] * (n - 2))) for loss in LOST)
            lines.append((f"{REPEATS} repeats" if calibrated else "none", n, *map(_percent, power)))
    lost = (f"{100 * loss:.0f} points lost in one" for loss in LOST)
    return _rows("calibration", "repetitions", *lost, lines=lines)


CHANCES = {
    "30 % shared": {"shared": 0.3},
    "90 % shared": {"shared": 0.9},
    "30 % shared, heavy tails": {"shared": 0.3, "tails": True},
}


def gate() -> str:
    """False alarms, sight and power, by repetitions, calibration and the chance of training."""
    lines = []
    for name, chance in CHANCES.items():
        for calibrated in (False, True):
            for n in (3, 5, 10):
                world = World(n, calibrated=calibrated, **chance)
                alarms, values, lifts = false_alarms(world)
                power = (found(world, values), found(world, 2 * values))
                points = (f"{100 * size:.1f}" for size in (values, lifts))
                noise = f"{REPEATS} repeats" if calibrated else "none"
                lines.append((name, noise, n, _percent(alarms), *points, *map(_percent, power)))
    heads = ("chance of training", "calibration", "repetitions", "unchanged, but fails", "seen: values", "seen: lifts")
    return _rows(*heads, "loss of that size found", "twice that", lines=lines)


# ---- one baseline, checked again and again ----


def of_one_baseline(world: World, baselines: int = BASELINES, each: int = EACH) -> list[float]:
    """For each of many baselines the share of checks of an unchanged table that fail."""
    rng = np.random.default_rng([2, world.n, world.calibrated])
    shares = []
    for _ in range(baselines):
        trainings = world.trainings(rng, world.sds(rng), 1 + REPEATS + each)
        again = trainings[1 : 1 + REPEATS] if world.calibrated else None
        shares.append(float(np.mean([fails(check(trainings[0], now, again)) for now in trainings[1 + REPEATS :]])))
    return shares


def again() -> str:
    """How the chance of a false alarm differs between baselines."""
    lines = []
    for calibrated in (False, True):
        shares = of_one_baseline(World(5, 0.6, calibrated))
        often = float(np.mean([share > 0.1 for share in shares]))
        spread = (float(np.mean(shares)), float(np.quantile(shares, 0.95)), often)
        lines.append((f"{REPEATS} repeats" if calibrated else "none", *map(_percent, spread)))
    return _rows("calibration", "mean", "one baseline in twenty: more than", "baselines above 10 %", lines=lines)


# ---- test items alone ----

CLASSES, PER_CLASS, FEW = 10, 54, 5
COUNTS = (122,) * FEW + (6,) * (CLASSES - FEW)
CLASS_CHANCE = 0.28  # times the root of the training samples: the sd of a class's recall, as in `benchfw.noise`


def by_items(n: int, class_chance: float, checks: int = CHECKS) -> float:
    """The share of unchanged tables that fail where test items and the assumed chance of training are all there is."""
    rng = np.random.default_rng([3, n, round(1000 * class_chance)])
    return float(np.mean([fails(judged(_item_pairs(rng, n, class_chance))) for _ in range(checks)]))


def _item_pairs(rng: np.random.Generator, n: int, class_chance: float) -> list[Pair]:
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    split = Split("", tuple(map(str, range(CLASSES))), COUNTS, (PER_CLASS,) * CLASSES)
    margins = rng.normal(0.9, 1, (n, len(labels)))  # how far each item is from being missed, by any training
    pairs = []
    for _ in range(LINES):
        hits = [[_hits(rng, margins[r], labels, class_chance) for r in range(n)] for _ in range(2)]
        pairs += [_item_pair(metric.name, labels, split, hits) for metric in METRICS]
    return pairs


def _hits(rng: np.random.Generator, margins: np.ndarray, labels: np.ndarray, class_chance: float) -> np.ndarray:
    density = 0.27  # of a standard normal at 0.9: what turns a shift of the margin into one of the recall
    shifts = class_chance / np.sqrt(COUNTS) / density * rng.normal(size=CLASSES)
    return margins + shifts[labels] + 0.3 * rng.normal(size=len(labels)) > 0


def _item_pair(name: str, labels: np.ndarray, split: Split, hits: list[list[np.ndarray]]) -> Pair:
    weights = class_weights(name, split, (100, 20))
    assert weights is not None
    worth = (np.array(weights) / PER_CLASS)[labels]
    before, now = ([float(worth @ hit) for hit in side] for side in hits)
    sides = [
        Sides(np.arange(len(labels)) + 1000 * r, labels, then, here, before[r], now[r])
        for r, (then, here) in enumerate(zip(*hits, strict=True))
    ]
    return Pair(
        metric=metric_named(name),
        before=dict(enumerate(before)),
        now=dict(enumerate(now)),
        item=1 / len(labels),
        training=assumed(weights, split.counts),
        items=lambda: changed_sides(sides, [weights] * len(sides)),
    )


def items() -> str:
    """False alarms of one and two repetitions without calibration, by how much chance there really is."""
    lines = [
        (n, f"{factor:g}", _percent(by_items(n, factor * CLASS_CHANCE))) for n in (1, 2) for factor in (0, 1, 2, 3)
    ]
    return _rows(
        "repetitions", "chance of a class, as a multiple of what `quick` has", "unchanged, but fails", lines=lines
    )


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _rows(*head: str, lines: Iterable[Iterable[object]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in table)


BLOCKS = {"gate": gate, "collapse": collapse, "again": again, "items": items}


def filled(text: str, written: Mapping[str, str]) -> str:
    """A page with these of its blocks written anew."""
    return BLOCK.sub(lambda match: match[1] + written.get(match[2], match[3]) + match[4], text)


def main(names: Iterable[str]) -> None:
    """Simulate first and read the page last, since it may be edited meanwhile."""
    written = {name: BLOCKS[name]() for name in names}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), written), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or BLOCKS)
