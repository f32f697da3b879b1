"""What one repetition can tell: two lines on the same test samples, which says nothing of training again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchfw.evidence import chance
from benchfw.items import ItemComparison, by_items
from benchfw.metrics import metric_named
from benchfw.statistics import holm
from benchfw.summary import digits_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchfw.predictions import Predictions
    from benchfw.report.reading import Row, Run


@dataclass(frozen=True)
class ItemDifference:
    """How an augmenter's hits differ from another line's. gained, lost: test samples. Texts are ready to show.

    mcnemar, p: of McNemar's test of accuracy, and of the bootstrap; mcnemar_holm, p_holm: adjusted over the list.
    """

    n: int
    gained: int
    lost: int
    mcnemar: str
    mcnemar_holm: str
    difference: str
    p: str
    p_holm: str
    note: str


@dataclass(frozen=True)
class ItemVerdict:
    """One augmenter against `none` and against `random` on the same test samples; None where it was not compared."""

    augmenter: str
    none: ItemDifference | None
    random: ItemDifference | None


def compared_in(metric: str) -> str:
    """The metric in which items are compared: accuracy where that was asked for, else balanced accuracy."""
    return "accuracy" if metric == "accuracy" else "balanced_accuracy"


def item_verdicts(run: Run, rows: Sequence[Row], metric: str, order: Sequence[str], random: str) -> list[ItemVerdict]:
    """Each augmenter against `none` and against random, on the test samples of the first repetition that both finished.

    rows: of one block and classifier. order: the augmenters as they are listed. random: the label of that reference.
    Where predictions are missing, or are of other samples, there is no comparison.
    """
    kept: dict[str, dict[int, Predictions]] = {}
    for row in rows:
        if row["status"] == "done" and (found := run.predictions(row)) is not None:
            kept.setdefault(row["axes"]["augmenter"], {})[row["axes"]["repetition"]] = found
    plain, other = (_against(kept, order, reference, metric) for reference in ("none", random))
    return [
        ItemVerdict(label, plain.get(label), other.get(label)) for label in order if label in plain or label in other
    ]


def _against(
    kept: Mapping[str, Mapping[int, Predictions]], order: Sequence[str], reference: str, metric: str
) -> dict[str, ItemDifference]:
    """Every augmenter that can be compared with one line, adjusted by Holm over all of them."""
    found = {}
    for label in order:
        own, others = kept.get(label, {}), kept.get(reference, {})
        shared = sorted(own.keys() & others.keys())
        if label != reference and shared and np.array_equal(own[shared[0]].ids, others[shared[0]].ids):
            found[label] = _compared(own[shared[0]], others[shared[0]], metric)
    mcnemar, p = holm([one.mcnemar for one in found.values()]), holm([one.p for one in found.values()])
    return {
        label: _difference(one, metric, *adjusted)
        for (label, one), *adjusted in zip(found.items(), mcnemar, p, strict=True)
    }


def _compared(own: Predictions, reference: Predictions, metric: str) -> ItemComparison:
    hits, others = (kept.log_scores.argmax(axis=1) == kept.labels for kept in (own, reference))
    balanced = compared_in(metric) != "accuracy"
    return by_items(hits, others, own.labels if balanced else None)


def _difference(found: ItemComparison, metric: str, mcnemar_holm: float, p_holm: float) -> ItemDifference:
    asked = metric_named(compared_in(metric))
    mean, low, high = (shown(value, asked) for value in (found.mean, found.low, found.high))
    digits = digits_of(asked)
    return ItemDifference(
        found.n,
        found.gained,
        found.lost,
        chance(found.mcnemar),
        chance(mcnemar_holm),
        f"{mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]",
        chance(found.p),
        chance(p_holm),
        found.note,
    )
