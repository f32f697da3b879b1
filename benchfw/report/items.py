"""What one repetition can tell: two lines on the same test samples, which says nothing of training again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchfw.evidence import chance
from benchfw.items import ItemComparison, by_items
from benchfw.metrics import metric_named
from benchfw.summary import digits_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw.report.reading import Arrays, Row, Run


@dataclass(frozen=True)
class ItemVerdict:
    """How one augmenter's hits differ from those of `none`. gained, lost: test samples. Texts are ready to show."""

    augmenter: str
    n: int
    gained: int
    lost: int
    mcnemar: str
    difference: str
    p: str
    note: str


def compared_in(metric: str) -> str:
    """The metric in which items are compared: accuracy where that was asked for, else balanced accuracy."""
    return "accuracy" if metric == "accuracy" else "balanced_accuracy"


def item_verdicts(run: Run, rows: Sequence[Row], metric: str) -> list[ItemVerdict]:
    """Each augmenter against `none` on the test samples of the first repetition that both finished.

    rows: of one block and classifier. Where predictions are missing, or are of other samples, there is none.
    """
    done = [row for row in rows if row["status"] == "done"]
    plain = {row["axes"]["repetition"]: row for row in done if row["axes"]["augmenter"] == "none"}
    found: dict[str, ItemVerdict] = {}
    for row in done:
        augmenter, reference = row["axes"]["augmenter"], plain.get(row["axes"]["repetition"])
        if augmenter != "none" and augmenter not in found and reference is not None:
            pair = run.predictions(row), run.predictions(reference)
            if pair[0] is not None and pair[1] is not None and np.array_equal(pair[0]["ids"], pair[1]["ids"]):
                found[augmenter] = _verdict(augmenter, _compared(pair[0], pair[1], metric), metric)
    return list(found.values())


def _compared(own: Arrays, reference: Arrays, metric: str) -> ItemComparison:
    hits, others = (arrays["log_scores"].argmax(axis=1) == arrays["labels"] for arrays in (own, reference))
    balanced = compared_in(metric) != "accuracy"
    return by_items(hits, others, own["labels"] if balanced else None)


def _verdict(augmenter: str, found: ItemComparison, metric: str) -> ItemVerdict:
    asked = metric_named(compared_in(metric))
    mean, low, high = (f"{shown(value, asked):.{digits_of(asked)}f}" for value in (found.mean, found.low, found.high))
    signed = mean if mean.startswith("-") else f"+{mean}"
    return ItemVerdict(
        augmenter,
        found.n,
        found.gained,
        found.lost,
        chance(found.mcnemar),
        f"{signed} [{low}, {high}]",
        chance(found.p),
        found.note,
    )
