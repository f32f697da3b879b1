"""One linear layer on features that are centred and scaled by what was measured on training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from benchfw import FeatureSet

CONSTANT = 1e-6  # a deviation this small beside the mean is rounding


class StandardisedLinear(nn.Module):
    """(B, *shape) -> logits (B, K) = W (rows - mean) / deviation + b, each feature by itself; plain until `measure`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int, n_classes: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.layer = nn.Linear(size, n_classes)

    def measure(self, train: FeatureSet) -> None:
        """Take mean and standard deviation from the real rows; a constant feature keeps deviation 1."""
        self.mean.zero_()
        for rows in train.blocks():
            self.mean += rows.flatten(1).sum(0) / len(train)
        variance = torch.zeros_like(self.mean)
        for rows in train.blocks():
            variance += (rows.flatten(1) - self.mean).square().sum(0) / len(train)
        deviation = variance.sqrt()
        self.deviation.copy_(deviation.where(deviation > CONSTANT * self.mean.abs(), 1.0))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, *shape) float32 -> logits (B, K)."""
        logits: Tensor = self.layer((rows.flatten(1) - self.mean) / self.deviation)
        return logits
