"""One pass over the kept predictions: of each line, who is taken for whom and how sure it was, summed over repetitions.

Letters: N test samples, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.metrics import ECE_BINS, calibration_bins
from benchfw.tables import AXES

if TYPE_CHECKING:
    from benchfw.report.reading import Run

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Line = tuple[str, ...]  # a label for each axis, and a correction

MOST_CLASSES = 30  # beyond, a matrix is no picture any more


@dataclass(eq=False)
class Outcomes:
    """What became of the test samples of a line. n: repetitions.

    confusion: (K, K), samples of the row's class that were taken for the column's; None with very many classes. count,
    confidence, correct: (15,), of the samples in each bin of the largest probability, as `metrics.ece` has them.
    """

    class_names: list[str]
    confusion: Ints | None
    n: int = 0
    count: Floats = field(default_factory=lambda: np.zeros(ECE_BINS))
    confidence: Floats = field(default_factory=lambda: np.zeros(ECE_BINS))
    correct: Floats = field(default_factory=lambda: np.zeros(ECE_BINS))

    def add(self, log_p: Floats, labels: Ints) -> None:
        """Count one repetition in. log_p: (N, K) log-probabilities. labels: (N,)."""
        predicted, sure = log_p.argmax(axis=1), np.exp(log_p.max(axis=1))
        count, confidence, correct = calibration_bins(sure, predicted == labels)
        self.count += count
        self.confidence += confidence
        self.correct += correct
        self.n += 1
        if self.confusion is not None:
            k = len(self.confusion)
            self.confusion += np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def outcomes(run: Run) -> tuple[dict[Line, Outcomes], int]:
    """The outcomes of every line that has its own numbers, and how many done cells have no predictions to read."""
    found: dict[Line, Outcomes] = {}
    missing = 0
    for row in run.done:
        kept = run.predictions(row)
        if kept is None or "prior" not in row:
            missing += 1
            continue
        for correction, log_p in kept.readouts(row).items():
            if correction in row.get("repeats", {}):
                continue
            line = (*(row["axes"][axis] for axis in AXES), correction)
            if line not in found:
                k = len(row["class_names"])
                matrix = np.zeros((k, k), dtype=np.int64) if k <= MOST_CLASSES else None
                found[line] = Outcomes(row["class_names"], matrix)
            if found[line].class_names == row["class_names"]:
                found[line].add(log_p, kept.labels)
    return found, missing
