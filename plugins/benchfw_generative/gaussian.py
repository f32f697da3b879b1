"""Class-wise Gaussians with shrunk covariances: fitting them exactly or by a sketch, and drawing from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchfw import FeatureSet

EXACT_SIZE = 2048  # the longest vector whose covariance is made, 32 MiB for each class
SKETCH_RANK = 512  # a variance in any one direction then has a relative standard error of sqrt(2 / 512) = 6 %
JITTER = 1e-9  # on the diagonal of a correlation matrix, which is singular where features outnumber rows
BLOCK_BYTES = 2**27


@dataclass(frozen=True, eq=False)
class Gaussians:
    """K fitted Gaussians, in float32. means: (K, D). factors: (K, R, D), F^T F is the covariance. floor: (D,)."""

    means: Tensor
    factors: Tensor
    floor: Tensor

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a row for each label: labels (M,) int64 -> (M, D) float32."""
        labels = labels.to(self.means.device)
        noise = self.means.new_empty(len(labels), self.factors.shape[1]).normal_(generator=rng)  # (M, R)
        rows = self.means[labels]
        for c in labels.unique().tolist():
            mine = labels == c
            rows[mine] += noise[mine] @ self.factors[c]
        return torch.maximum(rows, self.floor)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, from which `restore` makes the same product."""
        return {"means": self.means, "factors": self.factors, "floor": self.floor}


def fitted(train: FeatureSet, rng: torch.Generator, *, with_floor: bool) -> Gaussians:
    """Fit a Gaussian to each class of vectors; every class has a row. rng: for the sketch, on the set's device."""
    classes = range(train.space.n_classes)
    counts = train.counts().tolist()
    means = torch.stack([sum(rows.sum(dim=0) for rows in _rows_of(train, c)) / counts[c] for c in classes])  # (K, D)
    least = torch.stack([rows.amin(dim=0) for c in classes for rows in _rows_of(train, c)]).amin(dim=0)  # (D,)
    factors = exact_factors(train, means) if train.space.size <= EXACT_SIZE else sketched_factors(train, means, rng)
    return Gaussians(means, factors, least if with_floor else torch.full_like(least, -torch.inf))


def exact_factors(train: FeatureSet, means: Tensor) -> Tensor:
    """Factor the shrunk covariances (A_c + D S) / (v_c + D), with A_c the scatter around the mean and v_c = n_c - 1.

    means: (K, D). Returns (K, D, D) float32. In float64 on the CPU, as correlations: so features of any scale, constant
    ones and fewer rows than features are fine.
    """
    scatter = torch.stack([_scatter(train, c, mean) for c, mean in enumerate(means)])  # (K, D, D) float64
    freedom = (train.counts() - 1).double()
    pooled = scatter.sum(dim=0) / freedom.sum().clamp(min=1)
    size = train.space.size
    factors = [_factor((own + size * pooled) / (v + size)) for own, v in zip(scatter, freedom, strict=True)]
    return torch.stack(factors).float().to(means.device)


def _scatter(train: FeatureSet, c: int, mean: Tensor) -> Tensor:
    scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in _rows_of(train, c):
        centred = (rows - mean).cpu().double()
        scatter.addmm_(centred.T, centred)
    return scatter


def _factor(covariance: Tensor) -> Tensor:
    """Return F (D, D) with F^T F = covariance, by the Cholesky factor of the correlations."""
    sd = covariance.diagonal().sqrt()
    scale = sd.where(sd > 0, 1)
    correlation = covariance / scale / scale[:, None]
    correlation.diagonal().add_(JITTER)
    root: Tensor = torch.linalg.cholesky(correlation, upper=True)
    return root * sd


def sketched_factors(train: FeatureSet, means: Tensor, rng: torch.Generator) -> Tensor:
    """Factor the same covariances at rank R, without a D x D matrix, by Gaussian mixtures of the centred rows.

    With G an (R, N) matrix of standard normal numbers, G X is a sketch of X and (G X)^T (G X) / R an unbiased estimate
    of X^T X. means: (K, D). Returns (K, R, D) float32.

    Source: random projection, e.g. Halko, Martinsson and Tropp 2011.
    """
    own = means.new_zeros(len(means), SKETCH_RANK, train.space.size)
    pooled = torch.zeros_like(own[0])
    for c, mean in enumerate(means):
        for rows in _rows_of(train, c):
            for sketch in (own[c], pooled):  # with their own numbers, so that the sum below has no cross terms
                sketch.addmm_(rows.new_empty(SKETCH_RANK, len(rows)).normal_(generator=rng), rows - mean)
    freedom = (train.counts() - 1).to(own)[:, None, None]
    size = train.space.size
    own += pooled * (size / freedom.sum().clamp(min=1)).sqrt()
    return own / (SKETCH_RANK * (freedom + size)).sqrt()


def _rows_of(train: FeatureSet, c: int) -> Iterator[Tensor]:
    """Yield a class's rows in blocks (B, D) of bounded size."""
    members = (train.labels == c).nonzero()[:, 0]
    for block in members.split(max(1, BLOCK_BYTES // (4 * train.space.size))):
        yield train.rows(block)
