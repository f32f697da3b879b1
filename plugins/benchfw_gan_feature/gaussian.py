"""Class Gaussians to draw beside the generator: their covariances shrunk towards the pooled one, as random sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchfw import FeatureSet

RANK = 512  # a sketched variance in any one direction has a relative standard error of sqrt(2 / 512) = 6 %
NUMBERS = 2**26  # numbers that the factors of all classes have together, at most: 256 MiB


@dataclass(frozen=True, eq=False)
class Residuals:
    """Gaussian residuals around class means. factors: (K, R, *shape) float32; A_c^T A_c is class c's covariance."""

    factors: Tensor

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a residual for each label: labels (M,) int64 on the device of the factors -> (M, *shape) float32."""
        weights = torch.randn(len(labels), self.factors.shape[1], generator=rng, device=rng.device)
        residuals = self.factors.new_empty(len(labels), *self.factors.shape[2:])
        for c in labels.unique().tolist():
            mine = labels == c
            residuals[mine] = torch.tensordot(weights[mine], self.factors[c], dims=1)
        return residuals


def sketched(train: FeatureSet, means: Tensor, rng: torch.Generator) -> Residuals:
    """Sketch the covariance (X_c^T X_c + D S) / (v_c + D) of every class without making a matrix of D x D.

    X_c: the rows of class c around their mean, v_c = n_c - 1, S the pooled covariance within classes. A factor is a sum
    of Gaussian mixtures of rows, so the covariance that it stands for is unbiased in every entry. means: (K, *shape).

    Source: Friedman 1989 (shrinkage); random projection, e.g. Halko, Martinsson and Tropp 2011.
    """
    classes, size = train.space.n_classes, train.space.size
    rank = max(1, min(RANK, NUMBERS // (classes * size)))
    freedom = (train.counts() - 1).clamp(min=0).tolist()
    own, pooled = means.new_zeros(classes, rank, *train.space.shape), means.new_zeros(rank, *train.space.shape)
    for c in range(classes):
        for rows in train.blocks((train.labels == c).nonzero()[:, 0]):
            weights = torch.randn(2 * rank, len(rows), generator=rng, device=rng.device)
            mixed, others = torch.tensordot(weights, rows - means[c], dims=1).split(rank)
            own[c] += mixed
            pooled += others
    share = size / max(1, sum(freedom))
    factors = [(a + share**0.5 * pooled) / (rank * (v + size)) ** 0.5 for a, v in zip(own, freedom, strict=True)]
    return Residuals(torch.stack(factors))
