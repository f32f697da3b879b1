"""What the GAN knows of the training features before it trains: their centre, spread, floor and class means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw import DataError

if TYPE_CHECKING:
    from benchfw import FeatureSet

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
    """Measure a training set in one pass, in float64 on the CPU. Raises DataError when a value is not finite."""
    shape, classes = train.space.shape, train.space.n_classes
    sums = torch.zeros(classes, *shape, dtype=torch.float64)
    squares = torch.zeros(shape, dtype=torch.float64)
    floor = torch.full(shape, torch.inf, dtype=torch.float64)
    for c in train.labels.unique().tolist():
        for block in train.blocks((train.labels == c).nonzero()[:, 0]):
            rows = block.cpu().double()  # (B, *shape)
            sums[c] += rows.sum(0)
            squares += rows.square().sum(0)
            floor = torch.minimum(floor, rows.amin(0))
    if not bool(torch.isfinite(squares).all()):
        raise DataError("gan-feature: found NaN or infinite training features, wants finite ones; check the extractor")
    counts = train.counts().clamp(min=1).reshape(-1, *[1] * len(shape))
    shift, power = _per_entry(sums.sum(0) / len(train)), _per_entry(squares / len(train))
    variance = power - shift.square()
    scale = torch.where(variance > CONSTANT**2 * power, variance.clamp(min=0).sqrt(), 0.0)
    floor = floor if floor.ndim == 1 else floor.amin((1, 2), keepdim=True)
    return Scaling(*(values.float().to(train.device) for values in (shift, scale, floor, sums / counts)))


def _per_entry(values: Tensor) -> Tensor:
    """(D,) as it is; (C, H, W) averaged over the map, (C, 1, 1)."""
    return values if values.ndim == 1 else values.mean((1, 2), keepdim=True)
