"""Synthetic features beside held-out and training ones, class by class, each number with its floor from real rows.

Letters: N rows of a set, M rows on each side of a comparison, D numbers of a row as it is compared, Q principal axes,
K classes. Distances are Euclidean, in units of the training rows' standard deviations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw import likeness
from benchfw.data import Synthesis
from benchfw.lens import Units, compact, discriminant, head_oracle, principal_axes, second_moment
from benchfw.measures import MEASURES
from benchfw.plane import SHOWN, Points, plane
from benchfw.seeding import seed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchfw.data import FeatureSet, Sample
    from benchfw.likeness import Numbers

    Row = dict[str, float | int | str | None]

ROWS = 1000  # of a class on each side of a comparison, at most
JUDGED = 256  # rows of a class that the oracle sees, at most: a convolutional head is slower than all the rest

FEWEST = 20  # rows on a side for an alarm
LOW_DIVERSITY = 0.3
HIGH_ENERGY = 0.3
NOISE_DIVERSITY = 1.3
LOW_CONSISTENCY = 0.5
LEAK = 0.01


def fidelity(sample: Sample, train: FeatureSet, test: FeatureSet, *, seed: int) -> list[Row]:
    """Compare generated rows with held-out and with training rows: a dict for each class, and a last one for "all".

    sample: labels (M,) int64, generator -> rows (M, *shape). train: the rows it was fitted to. test: held-out rows of
    the same space. seed: decides what is drawn; with one seed, all samples meet the same real rows and floors.

    Keys: `class`, its number or "all"; `n_train`, `n_test`, its real rows; `n_fake`, generated ones; `n`, rows on each
    side where sizes must match: the least of n_train, n_test and 1,000; `d`, numbers of a row as compared; then each of
    `MEASURES` and its floor, None where too few rows are behind it. Classes with as many training rows as the largest
    get no synthetic rows, so none is drawn: n_fake is 0 and all measures are None. "all" sums the counts of the other
    classes and averages their measures where defined; its c2st_p is that of all scored rows together.

    Raises PluginError for generated rows that could not be rows of `train`.
    """
    return Bench(sample, train, test, seed).rows()


def alarms(rows: Sequence[Row], class_names: Sequence[str]) -> list[str]:
    """One line for each thing that is wrong with generated rows, naming the classes. rows: what `fidelity` returned.

    Thresholds give way to the floors: where training rows themselves differ from held-out ones, as behind an extractor
    that has learnt its training images by heart, a generator cannot be blamed for it. Classes with fewer than 20 rows
    on a side are passed over: chance alone goes beyond the thresholds there.
    """
    judged = [(row, name) for row, name in zip(rows, class_names, strict=False) if _number(row, "n") >= FEWEST]
    lines = []
    for what, wrong in _ALARMS.items():
        named = [name for row, name in judged if wrong(row)]
        if named:
            lines.append(f"generated rows of {', '.join(named)} {what}")
    return lines


def _number(row: Row, name: str) -> float:
    value = row[name]
    return math.nan if value is None else float(value)  # no comparison with NaN is true


def _collapsed(row: Row) -> bool:
    return _number(row, "diversity") < LOW_DIVERSITY * min(1, _number(row, "diversity_floor"))


def _elsewhere(row: Row) -> bool:
    return _number(row, "energy") > HIGH_ENERGY + max(0, _number(row, "energy_floor"))


def _noise(row: Row) -> bool:
    wide = _number(row, "diversity") > NOISE_DIVERSITY * max(1, _number(row, "diversity_floor"))
    return wide and _number(row, "consistency") < LOW_CONSISTENCY


def _leaking(row: Row) -> bool:
    return _number(row, "leakage") > LEAK + 2 * _number(row, "leakage_floor")


_ALARMS: dict[str, Callable[[Row], bool]] = {
    f"vary less than {LOW_DIVERSITY} times as much as real ones: collapsed": _collapsed,
    f"lie {HIGH_ENERGY} farther from held-out ones than training rows do, in relative energy distance": _elsewhere,
    "vary too much, and fewer than half are given their class: noise": _noise,
    "repeat held-out rows far more often than training rows do: a leak": _leaking,
}


class Bench:
    """Training and held-out rows as they are compared, and what the classes share: units and oracle.

    Its arguments are those of `fidelity`.
    """

    def __init__(self, sample: Sample, train: FeatureSet, test: FeatureSet, seed: int):
        self.train, self.test, self.seed = train, test, seed
        self.synthesis = Synthesis(sample, train.targets, seed)
        train_rows, test_rows = (torch.cat([compact(block) for block in part.blocks()]) for part in (train, test))
        self.units = Units.of(train_rows)
        self.train_rows, self.test_rows = self.units(train_rows), self.units(test_rows)
        self.moment = second_moment(self.train_rows)
        self.oracle = head_oracle(train) or discriminant(self.train_rows, train.labels, self.units)

    def rows(self) -> list[Row]:
        """What `fidelity` returns."""
        rows = [self.row(c) for c in range(self.train.space.n_classes)]
        return [*rows, _overall(rows)]

    def points(self) -> Points:
        """Rows of each kind on the plane that the training rows choose, so the same one for all samples."""
        axes = plane(self.train_rows, self.train.labels)
        shown = [self.shown(c) for c in range(self.train.space.n_classes)]
        kinds = [torch.full((len(rows),), kind) for groups in shown for kind, rows in enumerate(groups)]
        labels = [torch.full((len(rows),), c) for c, groups in enumerate(shown) for rows in groups]
        places = torch.cat([rows.float() for groups in shown for rows in groups]) @ axes
        return Points(places.numpy(), torch.cat(labels).numpy(), torch.cat(kinds).numpy())

    def shown(self, c: int) -> tuple[Tensor, Tensor, Tensor]:
        """Some training, held-out and generated rows of a class, as they are compared: (n, D), n up to 60."""
        train, test = self.order("train", self.train, c)[:SHOWN], self.order("test", self.test, c)[:SHOWN]
        fake = self.train_rows[:0] if self.whole(c) else self.drawn(c, SHOWN)[0]
        return self.train_rows[train], self.test_rows[test], fake

    def whole(self, c: int) -> bool:
        """Whether a class gets no synthetic rows: it is empty, or as large as the largest."""
        return not 0 < int(self.train.counts()[c]) < int(self.train.counts().max())

    def row(self, c: int) -> Row:
        """All numbers of one class."""
        n_train, n_test = int(self.train.counts()[c]), int(self.test.counts()[c])
        row: Row = {"class": c, "n_train": n_train, "n_test": n_test, "n_fake": 0, "n": 0, "d": len(self.moment)}
        row |= _unmeasured()
        if self.whole(c):
            return row
        n, n_fake = min(ROWS, n_train, n_test), min(ROWS, max(n_train, n_test))
        values, floors = self.measured(c, n, n_fake)
        named = {MEASURES[name].floor: floor for name, floor in floors.items()}
        return row | {"n_fake": n_fake, "n": n} | values | named

    def measured(self, c: int, n: int, n_fake: int) -> tuple[Numbers, Numbers]:
        """The measures of a class and their floors, whose rows are disjoint from what they are compared with."""
        in_train, in_test = self.order("train", self.train, c), self.order("test", self.test, c)
        train, held = self.train_rows[in_train].double(), self.test_rows[in_test].double()
        fake, assigned = self.drawn(c, n_fake)
        axes = principal_axes(self.moment - second_moment(train[:n]))  # rows that choose the axes vary more along them
        half = min(n, len(train) // 2)
        values: Numbers = likeness.compared(fake[:n], held[:n], axes) | likeness.memory(fake, train)
        values["nearer_train"] = likeness.nearer(fake[:n], train[:n], held[:n])
        values["leakage"] = likeness.leakage(fake, held, ROWS)
        values["consistency"] = _share(assigned == c)
        floors: Numbers = likeness.compared(train[:n], held[:n], axes) | likeness.memory(held[:ROWS], train)
        floors["nearer_train"] = likeness.nearer(train[:half], train[half : 2 * half], held[:half])
        floors["leakage"] = likeness.leakage(train[:ROWS], held, ROWS)
        floors["consistency"] = _share(self.oracle(self.test.rows(in_test[:JUDGED])) == c)
        return values, floors

    def order(self, part: str, features: FeatureSet, c: int) -> Tensor:
        """The positions of a class, shuffled by the seed, the part and the class alone: (n_c,) int64."""
        members = (features.labels == c).nonzero()[:, 0]
        rng = torch.Generator().manual_seed(seed_for(self.seed, "fidelity", part, c))
        return members[torch.randperm(len(members), generator=rng)]

    def drawn(self, c: int, n_fake: int) -> tuple[Tensor, Tensor]:
        """Generated rows as they are compared, (n_fake, D) float64, and the classes that the oracle gives the first."""
        rng = torch.Generator(self.train.device).manual_seed(seed_for(self.seed, "fidelity", "fake", c))
        rows: list[Tensor] = []
        assigned: list[Tensor] = []
        for labels in torch.full((n_fake,), c).split(JUDGED):  # in blocks, since a map may have 51,200 numbers
            made = self.synthesis.rows(labels, rng, self.train)
            rows.append(self.units(compact(made)))
            assigned = assigned or [self.oracle(made)]
        return torch.cat(rows).double(), assigned[0]


def _share(right: Tensor) -> float | None:
    return float(right.double().mean()) if len(right) else None


def _unmeasured() -> Row:
    return dict.fromkeys(key for measure in MEASURES.values() for key in (measure.name, measure.floor))


def _overall(rows: Sequence[Row]) -> Row:
    """The sums of the counts and the means of the measures over the classes that rows were drawn for."""
    judged = [row for row in rows if row["n_fake"]]
    counts = {name: sum(int(_number(row, name)) for row in judged) for name in ("n_train", "n_test", "n_fake", "n")}
    means = {name: _mean([_number(row, name) for row in judged]) for name in _unmeasured()}
    tests = {MEASURES["c2st_p"].name: "c2st", MEASURES["c2st_p"].floor: MEASURES["c2st"].floor}
    pooled = {name: _pooled_chance(judged, accuracy) for name, accuracy in tests.items()}
    return {"class": "all", **counts, "d": rows[0]["d"], **means, **pooled}


def _mean(values: Sequence[float]) -> float | None:
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else None


def _pooled_chance(rows: Sequence[Row], accuracy: str) -> float | None:
    tested = [row for row in rows if row[accuracy] is not None]
    scored = [2 * (n - n // 2) for n in (int(_number(row, "n")) for row in tested)]
    hits = sum(round(_number(row, accuracy) * size) for row, size in zip(tested, scored, strict=True))
    return likeness.chance(hits, sum(scored)) if tested else None
