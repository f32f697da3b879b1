"""The predictions that a run kept of each finished cell, read back: scores can be read out again at any time.

Letters: N test samples, K classes.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.metrics import readouts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Row = Mapping[str, Any]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # what a damaged file raises


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one cell predicted. ids, labels: (N,) int64. log_scores: (N, K) float64, finite."""

    ids: Ints
    labels: Ints
    log_scores: Floats

    def readouts(self, row: Row) -> dict[str, Floats]:
        """The log-probabilities (N, K) by correction, all that the cell's row has scores of."""
        made = readouts(
            self.log_scores,
            prior=np.asarray(row["prior"]),
            natural_prior=np.asarray(row["natural_prior"]),
            corrected="la-natural" not in row["scores"],
        )
        return {name: readout.log_scores for name, readout in made.items()}

    def hits(self, row: Row, correction: str) -> Bools:
        """(N,): which samples are classified correctly under a correction."""
        found: Bools = self.readouts(row)[correction].argmax(axis=1) == self.labels
        return found


def read(results: Path, row: Row) -> Predictions | None:
    """What a finished cell predicted, or None where that was not kept, is damaged, or does not fit the row.

    results: the run's directory. row: of a done cell.
    """
    try:
        path = results / "predictions" / f"{row['id']}.npz"
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            ids, labels, log_scores = (file[name] for name in ("ids", "labels", "log_scores"))
    except UNREADABLE:
        return None
    if not (_integers(ids) and _integers(labels) and log_scores.dtype.kind == "f"):
        return None
    fits = len(ids) == len(labels) > 0 and log_scores.shape == (len(labels), len(row["class_names"]))
    if not fits or labels.min() < 0 or labels.max() >= log_scores.shape[1] or not np.isfinite(log_scores).all():
        return None
    return Predictions(ids, labels, log_scores.astype(np.float64))


def _integers(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 1 and array.dtype == np.int64
