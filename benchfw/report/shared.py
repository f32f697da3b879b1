"""Whether all repetitions are tested on the same samples, and how much so many samples can tell by themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

import numpy as np

from benchfw.statistics import CONFIDENCE

if TYPE_CHECKING:
    from benchfw.report.reading import Block, Group, Row, Run


@dataclass(frozen=True)
class SharedTest:
    """A test part that several repetitions share. n: its samples. accuracy: of the line looked at, a mean."""

    repetitions: int
    n: int
    accuracy: float

    @property
    def half_width(self) -> float:
        """Half the 95 % interval that one accuracy has for its samples alone, as a share; binomial."""
        return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * sqrt(self.accuracy * (1 - self.accuracy) / self.n)


def shared_test(run: Run, block: Block) -> SharedTest | None:
    """The test part of a block, where at least two repetitions have the same samples; None where they differ.

    It reads the predictions of the line that has most repetitions, `none` before others.
    """
    lines: dict[Group, list[Row]] = defaultdict(list)
    for row in run.blocks[block]:
        if row["status"] == "done":
            lines[row["axes"]["augmenter"], row["axes"]["classifier"]].append(row)
    if not lines:
        return None
    rows = max(lines.items(), key=lambda item: (len(item[1]), item[0][0] == "none"))[1]
    kept = [found for row in rows if (found := run.predictions(row)) is not None]
    alike = [np.array_equal(one.ids, kept[0].ids) and np.array_equal(one.labels, kept[0].labels) for one in kept]
    if len(kept) < 2 or not all(alike):
        return None
    hits = fmean(float((one.log_scores.argmax(axis=1) == one.labels).mean()) for one in kept)
    return SharedTest(len(kept), len(kept[0].ids), hits)
