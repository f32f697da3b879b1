"""Rows of independent normal numbers, alike for all classes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchfw import FeatureSet


@dataclass(frozen=True, eq=False)
class NoiseRows:
    """Normal rows with this mean and deviation, not below the floor; all three (*shape) float32."""

    mean: Tensor
    deviation: Tensor
    floor: Tensor

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a row for each label, whatever the label: labels (M,) int64 -> (M, *shape) float32."""
        noise = self.mean.new_empty(len(labels), *self.mean.shape).normal_(generator=rng)
        return torch.maximum(self.mean + self.deviation * noise, self.floor)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, from which `restore` makes the same product."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def measured(train: FeatureSet) -> NoiseRows:
    """Measure all real rows together, block by block: two passes in float64."""
    mean = sum((rows.double().sum(0) for rows in train.blocks()), torch.zeros(())) / len(train)
    squares = sum(((rows.double() - mean).square().sum(0) for rows in train.blocks()), torch.zeros(()))
    floor = torch.stack([rows.amin(0) for rows in train.blocks()]).amin(0)
    return NoiseRows(mean.float(), (squares / len(train)).sqrt().float(), floor)
