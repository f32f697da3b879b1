"""Which test items a cell got right: kept as packed bits, and what a change of sides says of a loss.

Letters: N test items, K classes.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from math import nan, sqrt
from typing import TYPE_CHECKING, Any

from benchfw.losses import Items
from benchfw.metrics import RECALL, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Bools = np.ndarray[Any, np.dtype[np.bool_]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Bounds = tuple[int, int]  # the experiment's many_over and few_under

RECALLS = ("balanced_accuracy", "minority_recall", "many_recall", "medium_recall", "few_recall")
FOLDS = 20  # of the items that are left out in turn
AGREE = 1e-6  # how closely hits must give the value that stands in the row


@dataclass(frozen=True)
class Split:
    """The data of one repetition, by which two runs are comparable.

    fingerprint: of the data set. counts, test_counts: (K,) samples of each class. items: digest of the test items' ids
    and labels in their order; None where no prediction was kept.
    """

    fingerprint: str
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    items: str | None = None

    __pydantic_config__ = {"extra": "forbid"}  # as it stands in a baseline file

    def differs(self, other: Split) -> str:
        """In what another split is not this one; empty where nothing says so."""
        told = {
            "the fingerprint of the data": self.fingerprint != other.fingerprint,
            "the list of classes": self.class_names != other.class_names,
            "the count of training samples": self.counts != other.counts,
            "the count of test samples": self.test_counts != other.test_counts,
            "the list of test items": None not in (self.items, other.items) and self.items != other.items,
        }
        return next((what for what, differs in told.items() if differs), "")


@dataclass(frozen=True, eq=False)
class Sides:
    """One repetition of a line on both sides. before, now: (N,) bool, hits. value_before, value_now: of the metric."""

    ids: Ints
    labels: Ints
    before: Bools
    now: Bools
    value_before: float
    value_now: float


def packed(hits: Bools) -> str:
    """Hits as text: bits, deflated, base64."""
    import numpy as np

    return b64encode(zlib.compress(np.packbits(hits).tobytes(), 9)).decode()


def unpacked(text: str, n: int) -> Bools | None:
    """The (n,) hits that `packed` wrote; None when it is no such text."""
    import numpy as np

    size = (n + 7) // 8
    try:
        content = zlib.decompressobj().decompress(b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error):
        return None
    if len(content) != size:
        return None
    return np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=n).astype(bool)


def class_weights(metric: str, split: Split, bounds: Bounds) -> list[float] | None:
    """(K,): what the recall of each class counts in a metric that is a mean of recalls; None for any other."""
    if metric == "accuracy":
        return [count / sum(split.test_counts) for count in split.test_counts]
    if metric not in RECALLS and not metric.startswith(RECALL):
        return None
    mean = sum(split.counts) / len(split.counts)
    classes = zip(split.class_names, split.counts, split.test_counts, strict=True)
    chosen = [shown > 0 and _counts(metric, name, n, mean, bounds) for name, n, shown in classes]
    return [there / sum(chosen) for there in chosen] if any(chosen) else None


def _counts(metric: str, name: str, n: int, mean: float, bounds: Bounds) -> bool:
    """Whether the recall of the class of that name, with n training samples, enters the metric."""
    many_over, few_under = bounds
    match metric:
        case "balanced_accuracy":
            return True
        case "minority_recall":
            return n < mean
        case "many_recall":
            return n > many_over
        case "few_recall":
            return n < few_under
        case "medium_recall":
            return few_under <= n <= many_over
        case _:
            return metric == RECALL + name


def changed_sides(repetitions: Sequence[Sides], weights: Sequence[Sequence[float]]) -> Items | None:
    """How uncertain a loss is by the items that changed sides, in all repetitions together.

    weights: for each repetition what the recall of each class counts. Changes of one item in several repetitions stand
    together, since they may have one cause. None when hits do not give the values that are compared.
    """
    import numpy as np

    ids, moved = [], []
    for sides, of_class in zip(repetitions, weights, strict=True):
        per_class = np.bincount(sides.labels, minlength=len(of_class))
        worth = (np.array(of_class) / np.maximum(per_class, 1))[sides.labels]  # (N,)
        found = float(worth @ sides.before), float(worth @ sides.now)
        if not (_agrees(found[0], sides.value_before) and _agrees(found[1], sides.value_now)):
            return None
        ids.append(sides.ids)
        moved.append(worth * (sides.before.astype(np.int64) - sides.now) / len(repetitions))
    _, place = np.unique(np.concatenate(ids), return_inverse=True)
    net = np.bincount(place, weights=np.concatenate(moved))
    return Items(se=float(np.sqrt((net**2).sum())), largest=float(np.abs(net).max(initial=0.0)))


def left_out(
    log_scores: Floats, labels: Ints, metric: str, value: float, *, split: Split, bounds: Bounds
) -> float | None:
    """The standard error of any metric over test items: the jackknife, a twentieth of each class left out in turn.

    log_scores: (N, K); labels: (N,). value: the metric of all items, as it stands in the row; None when the items do
    not give it. Source: the delete-a-group jackknife (Shao and Tu 1995, section 2.3).
    """
    import numpy as np

    def scored(kept: Bools) -> float:
        found = score(
            log_scores[kept],
            labels[kept],
            counts=split.counts,
            class_names=split.class_names,
            many_over=bounds[0],
            few_under=bounds[1],
        )
        return found.get(metric, nan)

    order = np.argsort(labels, kind="stable")
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    if not _agrees(scored(np.ones(len(labels), dtype=bool)), value):
        return None
    left = np.array([scored(fold != out) for out in range(FOLDS)])
    return sqrt((FOLDS - 1) / FOLDS * float(((left - left.mean()) ** 2).sum()))


def _agrees(found: float, value: float) -> bool:
    return abs(found - value) <= AGREE
