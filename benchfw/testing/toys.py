"""Toy sets: three small classes far from each other, as vectors, as maps and as images.

They are made anew for each trial, so a component that writes into them spoils no other check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchfw.components import Component, Dataset, Extractor, NeuralClassifier, NeuralExtractor, param
from benchfw.data import FeatureSet, FeatureSpace, ImageSet
from benchfw.seeding import isolated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw.data import Layout
    from benchfw.testing.subject import Shapes

K = 3
COUNTS = (40, 20, 8)  # SMOTE's five neighbours need six rows
TINY = (40, 2, 1)
OTHER_COUNTS = (30, 25, 9)  # of other data, of another size
VAL_COUNTS = (8, 4, 2)
TEST_COUNTS = (8, 8, 8)
APART = 12.0  # standard deviations between a class mean and the origin: nobody's neighbours are of another class
MARK = 1e4  # about what the numbers of a marked row are: a thousand times those of the others
STRANGERS = 24  # marked rows of the pool that belong to no training or validation part
FAR = 1  # the mark whose strangers lie far from every class


@dataclass(frozen=True, eq=False)
class Toy:
    """What a component is handed: train, val, and questions to what it makes of them.

    labels: (M,) int64, the rows that a synthesizer is asked for. rows: (B, *shape), what a predictor is asked about, or
    (B, C, H, W) uint8 images for an extractor.
    """

    train: Any
    val: Any
    labels: Tensor
    rows: Tensor

    def without_validation(self) -> Toy:
        """The same without a validation part."""
        return replace(self, val=None)


@dataclass(frozen=True)
class ToyNetwork(NeuralClassifier):
    """The classifier whose network a joint trainer is handed: one hidden layer, five updates."""

    name = "toy-network"

    steps: int = param(5, "optimiser steps", ge=1)
    batch: int = param(16, "rows in a step", ge=2)

    def build(self, space: FeatureSpace) -> nn.Module:
        """Flatten, eight hidden units, K logits."""
        return nn.Sequential(nn.Flatten(), nn.Linear(space.size, 8), nn.ReLU(), nn.Linear(8, space.n_classes))


def toy_for(
    component: Component, shapes: Shapes, *, layout: Layout | None = None, device: str = "cpu", **changes: Any
) -> Toy | None:
    """The toy set of a component's role: images, or features; None for a data set.

    layout: of the features; None: the first that it accepts. changes: as for `features` or `images`.
    """
    if isinstance(component, Dataset):
        return None
    if isinstance(component, Extractor | NeuralExtractor):
        return images(shapes.image, **changes)
    accepted = tuple(component.accepts) or ("vector",)
    shape = shapes.map if (layout or accepted[0]) == "map" else shapes.vector
    return features(shape, device=device, **changes)


def features(
    shape: tuple[int, ...],
    *,
    counts: Sequence[int] = COUNTS,
    seed: int = 0,
    mark: int | None = None,
    head: bool = True,
    device: str = "cpu",
) -> Toy:
    """Three Gaussian blobs with unit deviation, in the order of a shuffled set.

    mark: the parts are views on a pool whose other rows are drawn with this seed: huge ones for FAR, which move a mean,
    else rows from the classes' own blobs, which are neighbours; None: pools of their own.
    head: whether the space makes a trained head.
    """
    rng = torch.Generator().manual_seed(seed)
    space = FeatureSpace(shape, K, (lambda: toy_head(shape)) if head else None)
    train, val, test = (_blobs(shape, part, rng) for part in (counts, VAL_COUNTS, TEST_COUNTS))
    sets = [
        FeatureSet(space, values, labels, torch.arange(len(labels)) + 1000 * n, device=device, groups=_groups(labels))
        for n, (values, labels) in enumerate((train, val))
    ]
    if mark is not None:
        strangers = _strangers(shape, torch.Generator().manual_seed(mark), far=mark == FAR)
        sets = _as_views(sets, [part.values for part in sets], strangers, "values")
    return Toy(sets[0], sets[1], _asked(rng), test[0].to(device))


def images(shape: tuple[int, ...], *, counts: Sequence[int] = COUNTS, seed: int = 0, mark: int | None = None) -> Toy:
    """Dark random images with one bright band, whose place says the class. mark: as for `features`."""
    rng = torch.Generator().manual_seed(seed)
    train, val, test = (_bands(shape, part, rng) for part in (counts, VAL_COUNTS, TEST_COUNTS))
    sets = [
        ImageSet(pool, labels, _groups(labels), torch.arange(len(labels)) + 1000 * n)
        for n, (pool, labels) in enumerate((train, val))
    ]
    if mark is not None:
        others = torch.Generator().manual_seed(mark)
        bright = torch.randint(100, 256, (STRANGERS, *shape), generator=others, dtype=torch.uint8)
        strangers = bright if mark == FAR else _bands(shape, (STRANGERS // K,) * K, others)[0]
        sets = _as_views(sets, [part.pool for part in sets], strangers, "pool")
    return Toy(sets[0], sets[1], _asked(rng), test[0])


def toy_head(shape: tuple[int, ...]) -> nn.Module:
    """A copy of the layers above the features, always with the same weights; with batch norm, as trained heads have."""
    size = torch.Size(shape).numel()
    with isolated(0):
        hidden = nn.Linear(size, 16), nn.BatchNorm1d(16), nn.ReLU()
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16, K)).eval()


def means(shape: tuple[int, ...]) -> Tensor:
    """The class means of the blobs: (K, *shape); class c is at 12 in its own number, or channel."""
    return APART * torch.eye(K, shape[0]).reshape(K, shape[0], *[1] * (len(shape) - 1)).expand(K, *shape)


def blob_of(rows: Tensor) -> Tensor:
    """The class whose mean is nearest to each row. rows: (M, *shape) -> (M,) int64."""
    return torch.cdist(rows.flatten(1), means(tuple(rows.shape[1:])).flatten(1)).argmin(1)


def _blobs(shape: tuple[int, ...], counts: Sequence[int], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = _labels(counts, rng)
    return means(shape)[labels] + torch.randn(len(labels), *shape, generator=rng), labels


def _strangers(shape: tuple[int, ...], rng: torch.Generator, *, far: bool) -> Tensor:
    if far:
        return MARK * (1 + torch.rand(STRANGERS, *shape, generator=rng))
    return _blobs(shape, (STRANGERS // K,) * K, rng)[0]


def _bands(shape: tuple[int, ...], counts: Sequence[int], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = _labels(counts, rng)
    pool = torch.randint(0, 60, (len(labels), *shape), generator=rng, dtype=torch.uint8)
    band = shape[1] // K
    for c in range(K):
        pool[labels == c, :, band * c : band * (c + 1)] += 150
    return pool, labels


def _labels(counts: Sequence[int], rng: torch.Generator) -> Tensor:
    labels = torch.repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=rng)]


def _groups(labels: Tensor) -> Tensor:
    return torch.arange(len(labels)) // 2


def _asked(rng: torch.Generator) -> Tensor:
    return _labels((20, 20, 20), rng)


def _as_views(sets: list[Any], own: list[Tensor], strangers: Tensor, pool: str) -> list[Any]:
    """The same sets as views on one pool: strangers, train, strangers, val, strangers."""
    first, second, third = strangers.chunk(3)
    everything = torch.cat([first, own[0], second, own[1], third])
    starts = len(first), len(first) + len(own[0]) + len(second)
    return [
        replace(part, **{pool: everything, "index": torch.arange(start, start + len(part))})
        for part, start in zip(sets, starts, strict=True)
    ]
