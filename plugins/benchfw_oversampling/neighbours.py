"""Exact nearest neighbours in blocks, so that memory does not grow with the number of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchfw import FeatureSet

BLOCK_ROWS = 2048  # the table of one block with another then takes 16 MiB
BLOCK_BYTES = 2**27


def nearest(train: FeatureSet, queries: Tensor, points: Tensor, k: int) -> Tensor:
    """Find the k points nearest to each query, nearest first, by Euclidean distance; a query is not its own neighbour.

    queries: (Q,) and points: (P,) int64, positions in `train`, whose rows are vectors. k: in [1, P - 1]. A query is
    left out by its position, so a duplicate of it is a neighbour at distance 0. Returns (Q, k) int64 positions.
    """
    size = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * train.space.size)))
    return torch.cat([_nearest_to_block(train, block, points.split(size), k) for block in queries.split(size)])


def _nearest_to_block(train: FeatureSet, queries: Tensor, blocks: tuple[Tensor, ...], k: int) -> Tensor:
    anchors = train.rows(queries)  # (Q, D)
    centre = anchors.mean(dim=0)  # distances stay, and the products below lose no digits to a common offset
    anchors = anchors - centre
    best = anchors.new_empty(len(queries), 0)
    found = queries.new_empty(len(queries), 0)
    for points in blocks:
        rows = train.rows(points) - centre  # (P, D)
        # (Q, P): |p|^2 - 2 q.p, the squared distance less |q|^2, which does not change the order
        score = torch.addmm(rows.square().sum(dim=1), anchors, rows.T, alpha=-2)
        score.masked_fill_((queries[:, None] == points).to(score.device), torch.inf)
        best = torch.cat([best, score], dim=1)
        best, order = best.topk(min(k, best.shape[1]), dim=1, largest=False)
        found = torch.cat([found, points.expand(len(queries), -1)], dim=1).gather(1, order.cpu())
    return found
