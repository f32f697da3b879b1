"""The plane on which the classes lie farthest apart, and where real and generated rows fall on it.

Letters: N rows of a set, D numbers of a row as it is compared, K classes, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from benchfw.lens import principal_axes, scatter

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = 60  # rows of a class and a kind, at most


@dataclass(frozen=True, eq=False)
class Points:
    """Rows as points of a plane.

    places: (P, 2) float32, in standard deviations within a class. labels: (P,) int64. kinds: (P,) int64, positions in
    `KINDS`.
    """

    KINDS: ClassVar = ("training", "held out", "generated")

    places: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    kinds: np.ndarray[Any, Any]

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What a file of them holds, by name."""
        return {"places": self.places, "place_labels": self.labels, "place_kinds": self.kinds}

    @classmethod
    def read(cls, path: Path) -> Points:
        """From an npz file with those arrays. Raises OSError, KeyError or ValueError when it cannot be read."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["places"], arrays["place_labels"], arrays["place_kinds"])


def plane(rows: Tensor, labels: Tensor) -> Tensor:
    """The two directions along which class means differ most, in units of the spread within the classes: (D, 2).

    rows: (N, D) float32, standardised training rows. labels: (N,) int64. All classes weigh the same, however many rows
    they have. With two classes one direction tells them apart; the second is where rows vary most within them. Each
    direction points to where its largest number is positive, so equal rows give equal planes.

    Source: Fisher's linear discriminant for K classes (Rao 1948), with the covariance of `benchfw.lens.scatter`.
    """
    classes, position = labels.unique(return_inverse=True)
    means = torch.stack([rows[position == c].double().mean(0) for c in range(len(classes))])  # (K, D)
    within = scatter(rows, position, means)
    centred = means - means.mean(0)
    solved = torch.linalg.solve(within, centred.T)  # (D, K)
    strength, mix = torch.linalg.eigh(centred @ solved)  # (K,), ascending
    apart = strength > 1e-9 * strength[-1].clamp_min(1e-12)
    axes = (solved @ mix[:, apart] / strength[apart].sqrt()).flip(1)[:, :2]
    while axes.shape[1] < 2:
        axes = torch.cat([axes, _widest(within, axes)], 1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))  # (1, 2)
    pointed: Tensor = axes * largest.sign()
    return pointed.float()


def _widest(within: Tensor, axes: Tensor) -> Tensor:
    """The widest direction within the classes that is uncorrelated with `axes`, its deviation 1: (D, 1)."""
    free = torch.eye(len(within), dtype=torch.float64) - axes @ (axes.T @ within)  # takes the axes out of a row
    left = free.T @ within @ free
    direction = principal_axes(left)[:, -1:]
    spread = (direction.T @ left @ direction).clamp_min(1e-12).sqrt()
    widest: Tensor = free @ direction / spread
    return widest
