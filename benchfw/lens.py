"""Rows as fidelity sees them: short vectors in the training rows' units, their axes, and who says what class they are.

Letters: N rows of a set, B of a batch, D numbers of a row as it is compared, Q principal axes, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from benchfw.likeness import shrunk
from benchfw.measures import AXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.data import FeatureSet

    Oracle = Callable[[Tensor], Tensor]
    """rows (B, *shape) -> the classes they look like, (B,) int64 on the CPU"""

MAP_NUMBERS = 1024  # larger maps are averaged over a coarser grid
VECTOR_NUMBERS = 2048  # longer vectors are averaged over runs of neighbouring numbers
ORACLE_BATCH = 64


@dataclass(frozen=True, eq=False)
class Units:
    """Standardises compact rows by the mean and the standard deviation, (D,) each, of the training rows."""

    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Units:
        """From training rows (N, D). A number that never varies keeps its unit."""
        sd, mean = torch.std_mean(rows, dim=0, correction=0)
        return cls(mean, torch.where(sd > 1e-6 * mean.abs(), sd, 1))

    def __call__(self, rows: Tensor) -> Tensor:
        """(B, D) -> (B, D) float32, the same for the same row in every batch."""
        return (rows - self.mean) / self.sd


def compact(rows: Tensor) -> Tensor:
    """Rows as vectors of a size for distances, on the CPU: (B, *shape) -> (B, D) float32.

    Maps are averaged over the finest square grid with at most 1,024 numbers, which for 512 channels is the mean of each
    channel; vectors of more than 2,048 numbers over as many runs of neighbours.
    """
    if rows.ndim == 2:
        return rows.cpu() if rows.shape[1] <= VECTOR_NUMBERS else _averaged(rows)
    _, channels, height, width = rows.shape
    side = max(1, math.isqrt(MAP_NUMBERS // channels))
    return F.adaptive_avg_pool2d(rows, (min(height, side), min(width, side))).flatten(1).cpu()


def _averaged(rows: Tensor) -> Tensor:
    return F.adaptive_avg_pool1d(rows[:, None], VECTOR_NUMBERS)[:, 0].cpu()


def second_moment(rows: Tensor) -> Tensor:
    """The sum of x x^T over rows (N, D): (D, D) float64."""
    moment = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for block in rows.split(4096):
        moment += block.double().T @ block.double()
    return moment


def principal_axes(moment: Tensor) -> Tensor:
    """The directions in which rows of this second moment (D, D) vary most: (D, Q), orthonormal, Q = min(D, 64)."""
    from scipy.linalg import eigh

    size = len(moment)
    vectors = eigh(moment.numpy(), subset_by_index=[max(0, size - AXES), size - 1])[1]
    return torch.from_numpy(vectors)


def head_oracle(train: FeatureSet) -> Oracle | None:
    """The extractor's trained head, corrected for the prior that it was trained with; None where there is none."""
    head = train.space.new_head()
    if head is None:
        return None
    head = head.to(train.device).eval()
    log_prior = train.natural_prior.log().where(train.counts() > 0, torch.inf).float().to(train.device)

    def assigned(rows: Tensor) -> Tensor:
        with torch.inference_mode():
            blocks = [(head(block) - log_prior).argmax(1) for block in rows.split(ORACLE_BATCH)]
        return torch.cat(blocks).cpu()

    return assigned


def discriminant(rows: Tensor, labels: Tensor, units: Units) -> Oracle:
    """Fisher's linear discriminant with equal priors, on compact training rows (N, D) in those units."""
    counts = labels.bincount().double()
    onehot = F.one_hot(labels).double()  # (N, K)
    means = (onehot.T @ rows.double()) / counts.clamp_min(1)[:, None]  # (K, D)
    weights = torch.linalg.solve(scatter(rows, labels, means), means.T)  # (D, K)
    bias = (-0.5 * (means.T * weights).sum(0)).where(counts > 0, -torch.inf)
    return lambda raw: (units(compact(raw)).double() @ weights + bias).argmax(1)


def scatter(rows: Tensor, labels: Tensor, means: Tensor) -> Tensor:
    """The shrunk covariance within the classes: (D, D) float64.

    rows: (N, D) float32, standardised. labels: (N,) int64. means: (K, D) float64, of the classes.
    """
    within = shrunk(second_moment(rows - means[labels].float()) / len(rows), len(rows))
    return within + 1e-3 * torch.eye(len(within))  # for numbers that never vary, in units of standard deviations
