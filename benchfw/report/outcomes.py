"""One pass over the kept predictions: of each line, who is taken for whom and how sure it was, summed over repetitions.

Letters: N test samples, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.metrics import ECE_BINS, readouts
from benchfw.tables import AXES

if TYPE_CHECKING:
    from benchfw.report.reading import Row, Run

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
        right = predicted == labels
        place = np.clip(np.ceil(sure * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
        self.count += np.bincount(place, minlength=ECE_BINS)
        self.confidence += np.bincount(place, weights=sure, minlength=ECE_BINS)
        self.correct += np.bincount(place, weights=right, minlength=ECE_BINS)
        self.n += 1
        if self.confusion is not None:
            k = len(self.confusion)
            self.confusion += np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)

    @property
    def ece(self) -> float:
        """The calibration error of all repetitions together."""
        return float(np.abs(self.correct - self.confidence).sum() / max(self.count.sum(), 1))


def outcomes(run: Run) -> tuple[dict[Line, Outcomes], int]:
    """The outcomes of every line that has its own numbers, and how many done cells have no predictions to read."""
    found: dict[Line, Outcomes] = {}
    missing = 0
    for row in run.done:
        kept = run.predictions(row)
        if kept is None or "prior" not in row:
            missing += 1
            continue
        for correction, log_p in _readouts(row, kept["log_scores"]).items():
            line = (*(row["axes"][axis] for axis in AXES), correction)
            if line not in found:
                k = len(row["class_names"])
                matrix = np.zeros((k, k), dtype=np.int64) if k <= MOST_CLASSES else None
                found[line] = Outcomes(row["class_names"], matrix)
            if found[line].class_names == row["class_names"]:
                found[line].add(log_p, kept["labels"])
    return found, missing


def _readouts(row: Row, log_scores: Floats) -> dict[str, Floats]:
    """The log-probabilities of each correction that is not another's repetition."""
    made = readouts(
        log_scores.astype(np.float64),
        prior=np.asarray(row["prior"]),
        natural_prior=np.asarray(row["natural_prior"]),
        corrected="la-natural" not in row["scores"],
    )
    return {name: readout.log_scores for name, readout in made.items() if name not in row.get("repeats", {})}
