"""What the GAN knows of the training features before it trains: their centre, spread, floor and class means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw import DataError

if TYPE_CHECKING:
    from benchfw import FeatureSet

BLOCK = 2**22  # numbers in memory at a time: a training set may be larger than the memory
CONSTANT = 1e-6  # a spread below this share of the root mean square is rounding


@dataclass(frozen=True, eq=False)
class Scaling:
    """The scale of training features, one entry for each dimension of vectors and for each channel of maps.

    shift, scale: mean and standard deviation, 0 where the feature is constant; floor: smallest value; all float32 (D,)
    or (C, 1, 1). means: (K, *shape) float32, the mean row of each class.
    """

    shift: Tensor
    scale: Tensor
    floor: Tensor
    means: Tensor

    def standardise(self, rows: Tensor) -> Tensor:
        """Rows (B, *shape) with mean 0 and deviation 1 in each entry; 0 where the feature is constant."""
        return (rows - self.shift) * torch.where(self.scale > 0, 1 / self.scale, 0.0)


def measure(train: FeatureSet) -> Scaling:
    """Measure a training set in one pass. Raises DataError when a value is not finite."""
    shape, classes = train.space.shape, train.space.n_classes
    sums = torch.zeros(classes, *shape, dtype=torch.float64, device=train.device)
    squares = torch.zeros(shape, dtype=torch.float64, device=train.device)
    floor = torch.full(shape, torch.inf, device=train.device)
    for index in torch.arange(len(train)).split(max(1, BLOCK // train.space.size)):
        rows = train.rows(index)  # (B, *shape)
        sums.index_add_(0, train.labels[index].to(rows.device), rows.double())
        squares += rows.double().square().sum(0)
        floor = torch.minimum(floor, rows.amin(0))
    if not bool(torch.isfinite(squares).all()):
        raise DataError("gan-feature: found NaN or infinite training features, wants finite ones; check the extractor")
    counts = train.counts().to(sums.device).clamp(min=1).reshape(-1, *[1] * len(shape))
    shift, power = _per_entry(sums.sum(0) / len(train)), _per_entry(squares / len(train))
    variance = power - shift.square()
    scale = torch.where(variance > CONSTANT**2 * power, variance.clamp(min=0).sqrt(), 0.0)
    floor = floor if floor.ndim == 1 else floor.amin((1, 2), keepdim=True)
    return Scaling(shift.float(), scale.float(), floor, (sums / counts).float())


def _per_entry(values: Tensor) -> Tensor:
    """(D,) as it is; (C, H, W) averaged over the map, (C, 1, 1)."""
    return values if values.ndim == 1 else values.mean((1, 2), keepdim=True)
