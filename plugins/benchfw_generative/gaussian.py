"""Class-wise Gaussians with shrunk covariances: fitting them exactly or by a sketch, and drawing from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchfw import FeatureSet

EXACT_SIZE = 2048  # the longest vector for which D x D matrices are made, 32 MiB each
SKETCH_RANK = 512  # a sketched variance in any one direction has a relative standard error of sqrt(2 / 512) = 6 %
JITTER = 1e-9  # on the diagonal of a correlation matrix, which is singular where features depend on each other


@dataclass(frozen=True, eq=False)
class Gaussians:
    """K fitted Gaussians, in float32: class c has mean m_c and covariance A_c^T A_c + share_c P^T P.

    means: (K, D). own: (S, D), the A_c one below the other, and ranks: (K,) int64, how many rows each has. pooled:
    (R, D), P. share: (K,). floor: (D,), below which no row falls.
    """

    means: Tensor
    own: Tensor
    ranks: Tensor
    pooled: Tensor
    share: Tensor
    floor: Tensor

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a row for each label: labels (M,) int64 -> (M, D) float32."""
        labels = labels.to(self.means.device)
        rows = self.means[labels] + self.share[labels, None].sqrt() * mixtures(self.pooled, len(labels), rng)
        own = self.own.split(self.ranks.tolist())
        for c in labels.unique().tolist():
            mine = (labels == c).nonzero()[:, 0]
            rows[mine] += mixtures(own[c], len(mine), rng)
        return torch.maximum(rows, self.floor)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors, from which `restore` makes the same product."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def fitted(train: FeatureSet, rng: torch.Generator, *, with_floor: bool) -> Gaussians:
    """Fit a Gaussian to each class of vectors; every class has a row. rng: for sketches, on the set's device.

    With the scatter X_c^T X_c of a class around its mean and v_c = n_c - 1, its covariance is
    (X_c^T X_c + D S) / (v_c + D), where S is the sum of all scatters over the sum of all v_c.
    """
    members = [(train.labels == c).nonzero()[:, 0] for c in range(train.space.n_classes)]
    counts = train.counts().to(rng.device)
    means = torch.stack([_sum(rows.sum(dim=0) for rows in train.blocks(mine)) for mine in members]) / counts[:, None]
    roots = [
        root((rows - mean for rows in train.blocks(mine)), (len(mine), len(mean)), rng)
        for mine, mean in zip(members, means, strict=True)
    ]
    ranks = torch.tensor([len(r) for r in roots], device=means.device)
    freedom = (counts - 1).float()
    weight = 1 / (freedom + train.space.size)  # (K,)
    least = torch.stack([rows.amin(dim=0) for rows in train.blocks()]).amin(dim=0)  # (D,)
    return Gaussians(
        means,
        own=torch.cat([r * w.sqrt() for r, w in zip(roots, weight, strict=True)]),
        ranks=ranks,
        pooled=root(roots, (sum(map(len, roots)), train.space.size), rng),
        share=weight * train.space.size / freedom.sum().clamp(min=1),
        floor=least if with_floor else torch.full_like(least, -torch.inf),
    )


def root(blocks: Iterable[Tensor], shape: tuple[int, int], rng: torch.Generator) -> Tensor:
    """Make A with A^T A = X^T X of as few rows as D, or 512 for vectors longer than 2,048.

    blocks: the rows of X, whose shape is (N, D). Where they are few enough, A is X itself. Else it is a Cholesky factor
    for D up to 2,048; above, a sketch, with A^T A unbiased in each entry: Gaussian mixtures of the rows.

    Source: random projection, e.g. Halko, Martinsson and Tropp 2011.
    """
    count, size = shape
    exact = size <= EXACT_SIZE
    if count <= (size if exact else SKETCH_RANK):
        return torch.cat(list(blocks))
    if exact:
        return cholesky(_sum(_scatter(rows) for rows in blocks)).float().to(rng.device)
    return _sum(mixtures(rows, SKETCH_RANK, rng) for rows in blocks) / math.sqrt(SKETCH_RANK)


def mixtures(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Sum the rows (N, D) with weights from the standard normal: (count, D), each of covariance rows^T rows."""
    weights: Tensor = rows.new_empty(count, len(rows)).normal_(generator=rng)
    return weights @ rows


def _sum(tensors: Iterable[Tensor]) -> Tensor:
    return sum(tensors, torch.zeros(()))


def _scatter(rows: Tensor) -> Tensor:
    rows = rows.cpu().double()
    return rows.T @ rows


def cholesky(scatter: Tensor) -> Tensor:
    """Return A (D, D) with A^T A = scatter, by way of correlations: so features may have any scale, or be constant."""
    sd = scatter.diagonal().sqrt()
    scale = sd.where(sd > 0, 1)
    correlation = scatter / scale / scale[:, None]
    correlation.diagonal().add_(JITTER)
    factor: Tensor = torch.linalg.cholesky(correlation, upper=True)
    return (factor * sd).contiguous()  # laid out as it is read back: products with it round the same
