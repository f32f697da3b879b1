"""What flows between the stages: sets of images and of features, checked when made, sharing one pool when split.

Letters: N samples, M rows asked for, B batch, K classes, D vector length, C H W channels and map size.
Importing this module loads no torch.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from benchfw.errors import DataError, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import torch
    from torch import Tensor, nn

    Sample = Callable[[Tensor, torch.Generator], Tensor]
    """labels (M,) int64 and a generator -> (M, *shape) float32, row i of class labels[i]."""
    Predictor = Callable[[Tensor], Tensor]
    """rows (M, *shape) float32 -> finite log-scores (M, K) float32; a shift that is equal for all classes is free."""

Layout = Literal["vector", "map"]
BLOCK_BYTES = 2**26
SYNTHETIC_BLOCK = 4096  # labels that a synthesizer is asked for at once; it decides which numbers are drawn


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels: a view of N samples on a pool of images, so that taking a part copies no pixel.

    pool: the images that all parts share, (P, C, H, W) uint8, possibly memory-mapped; the samples' own images are what
    `rows` gives. labels: (N,) int64. groups: (N,) int64, samples that must not be separated by a split, e.g. the
    patient; or None. ids: (N,) int64, each sample's number in its data set; given by `ImageDataset` when None.
    index: (N,) int64, each sample's row in the pool; None is 0..N-1.
    Raises DataError when shapes or dtypes disagree.
    """

    pool: Tensor
    labels: Tensor
    groups: Tensor | None = None
    ids: Tensor | None = None
    index: Tensor | None = None

    def __post_init__(self) -> None:
        import torch

        if self.pool.dtype != torch.uint8 or self.pool.ndim != 4:
            found = f"{self.pool.dtype} {tuple(self.pool.shape)}"
            raise DataError(f"images: wants uint8 (N, C, H, W), found {found}")
        size = len(self.pool) if self.index is None else len(self.index)
        for name, values in (("labels", self.labels), ("groups", self.groups), ("ids", self.ids)):
            if values is not None and (values.dtype != torch.int64 or values.shape != (size,)):
                raise DataError(f"{name}: wants int64 ({size},), found {values.dtype} {tuple(values.shape)}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.image_shape

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.pool.shape[1:]
        return channels, height, width

    def rows(self, index: Tensor) -> Tensor:
        """The images at these positions. index: (B,) int64 -> (B, C, H, W) uint8."""
        return self.pool[index if self.index is None else self.index[index]]

    def take(self, index: Tensor) -> ImageSet:
        """The samples at these positions, as a view on the same pool. index: (N',) int64."""
        return replace(
            self,
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            ids=None if self.ids is None else self.ids[index],
            index=index if self.index is None else self.index[index],
        )


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The space that an extractor maps into. shape: (D,) or (C, H, W). n_classes: K.

    head: makes a fresh copy of the trained layers above the features, (B, *shape) -> logits (B, K); None where the
    extractor has none.
    """

    shape: tuple[int, ...]
    n_classes: int
    head: Callable[[], nn.Module] | None = None

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise PluginError(f"feature shape: wants (D,) or (C, H, W), found {self.shape}")

    @property
    def layout(self) -> Layout:
        """`vector` for (D,), `map` for (C, H, W)."""
        return "vector" if len(self.shape) == 1 else "map"

    @property
    def size(self) -> int:
        """How many numbers one row has."""
        return math.prod(self.shape)

    def new_head(self) -> nn.Module | None:
        """A fresh copy of the trained layers above the features, or None."""
        return None if self.head is None else self.head()


@dataclass(frozen=True, eq=False)
class Synthesis:
    """What a fitted synthesizer adds to a training set.

    sample: labels (M,) int64 and a generator -> (M, *shape) float32. targets: (K,) int64, the size that each class has
    with its synthetic rows, t_c = n_c + fill * (n_max - n_c). seed: of the generator that the draws use.
    """

    sample: Sample
    targets: Tensor
    seed: int

    def rows(self, labels: Tensor, rng: torch.Generator, like: FeatureSet) -> Tensor:
        """Synthetic rows (M, *shape) of these labels (M,). Raises PluginError unless they could be rows of `like`."""
        import torch

        made = self.sample(labels, rng)
        wanted = (len(labels), *like.space.shape)
        if tuple(made.shape) != wanted or made.dtype != torch.float32:
            raise PluginError(f"synthetic rows: wants float32 {wanted}, found {made.dtype} {tuple(made.shape)}")
        if made.device.type != torch.device(like.device).type:
            raise PluginError(f"synthetic rows: wants them on {like.device}, found {made.device}")
        if not bool(torch.isfinite(made).all()):
            raise PluginError("synthetic rows: found NaN or infinite values; the augmenter's fit has diverged")
        return made


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features with labels: a view of N real rows on a pool, and for training possibly a synthesis beside them.

    values: the pool, (P, *shape) float32, possibly memory-mapped. labels: (N,) int64. ids: (N,) int64, the samples'
    numbers in their data set; 0..N-1 when None. index: (N,) int64, each sample's row in the pool; None is 0..N-1.
    device: where `rows`, `draw` and `of_class` put what they return ("cpu", "cuda", ...). groups: (N,) int64, samples
    that must not be separated by a split, e.g. the patient; or None.
    Raises PluginError when the columns do not belong together or to the space, DataError for labels outside 0..K-1.
    """

    space: FeatureSpace
    values: Tensor
    labels: Tensor
    ids: Tensor = None  # type: ignore[assignment]  # 0..N-1 as soon as it is made
    index: Tensor | None = None
    device: torch.device | str = "cpu"
    synthesis: Synthesis | None = None
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        import torch

        found = tuple(self.values.shape)
        if found[1:] != self.space.shape:
            raise PluginError(f"feature values have shape {found}, but the space is {self.space.shape}")
        if self.values.dtype != torch.float32:
            raise PluginError(f"feature values: wants float32, found {self.values.dtype}")
        size = len(self.values) if self.index is None else len(self.index)
        if self.ids is None:
            object.__setattr__(self, "ids", torch.arange(size))  # type: ignore[unreachable]  # not given
        for name, column in (("labels", self.labels), ("ids", self.ids), ("groups", self.groups)):
            if column is not None and (column.dtype != torch.int64 or column.shape != (size,)):
                raise PluginError(
                    f"features: {name}: wants int64 ({size},), found {column.dtype} {tuple(column.shape)}"
                )
        check_labels("features", self.labels, self.space.n_classes)

    def __len__(self) -> int:
        """N, real rows only."""
        return len(self.labels)

    def take(self, index: Tensor) -> FeatureSet:
        """The real rows at these positions, as a view on the same pool. index: (N',) int64."""
        return replace(
            self,
            labels=self.labels[index],
            ids=self.ids[index],
            index=index if self.index is None else self.index[index],
            groups=None if self.groups is None else self.groups[index],
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: (D,) or (C, H, W)."""
        return self.space.shape

    def counts(self) -> Tensor:
        """(K,) int64: real rows of each class."""
        return self._counts

    @property
    def targets(self) -> Tensor:
        """(K,) int64: rows of each class with the synthetic ones."""
        return self.counts() if self.synthesis is None else self.synthesis.targets

    @property
    def prior(self) -> Tensor:
        """(K,) float64, sums to 1: the label distribution that a classifier trained on this set meets."""
        return self.targets.double() / self.targets.sum()

    @property
    def natural_prior(self) -> Tensor:
        """(K,) float64, sums to 1: the label distribution of the real rows."""
        return self.counts().double() / self.counts().sum()

    def rows(self, index: Tensor) -> Tensor:
        """The real rows at these positions. index: (B,) int64 on the CPU -> (B, *shape) float32 on the device."""
        index = index.cpu()
        return self.values[index if self.index is None else self.index[index]].to(self.device)

    def nth(self, labels: Tensor, position: Tensor) -> Tensor:
        """The position of the n-th real row of each label. labels: (M,) int64; position: (M,) in [0, 1) -> (M,) int64.

        A position p of a class with n_c rows means its row number floor(p * n_c).
        """
        counts = self._counts[labels]
        if not bool((counts > 0).all()):
            missing = int(labels[counts == 0][0])
            raise DataError(f"features: class {missing} has no training row to draw from; wants at least 1")
        offset = (position.double() * counts).long().clamp_(max=counts - 1)
        return self._by_class[self._starts[labels] + offset]

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """A real row at random for each label, with replacement. labels: (M,) int64 -> (M, *shape) float32."""
        import torch

        position = torch.rand(len(labels), generator=rng, device=rng.device)
        return self.rows(self.nth(labels.cpu(), position.cpu()))

    def blocks(self, index: Tensor | None = None) -> Iterator[Tensor]:
        """The real rows at these positions, (N',) int64, or all, in order and in blocks of at most 64 MiB."""
        import torch

        index = torch.arange(len(self)) if index is None else index
        yield from map(self.rows, index.split(max(1, BLOCK_BYTES // (4 * self.space.size))))

    def of_class(self, c: int) -> Tensor:
        """All real rows of class c, in the order of the set: (n_c, *shape) float32."""
        start = int(self._starts[c])
        return self.rows(self._by_class[start : start + int(self._counts[c])])

    def scale(self) -> float:
        """The standard deviation of the features: root of the mean variance over all their numbers."""
        import torch

        mean = sum((block.flatten(1).cpu().double().sum(dim=0) for block in self.blocks()), torch.zeros(1)) / len(self)
        squares = sum(float(((block.flatten(1).cpu() - mean) ** 2).sum()) for block in self.blocks())
        return math.sqrt(squares / (len(self) * self.space.size))

    def flat(self) -> FeatureSet:
        """The same rows as vectors of length C * H * W; a head stays behind, since it wants maps."""
        if self.space.layout == "vector":
            return self
        return self._mapped(FeatureSpace((self.space.size,), self.space.n_classes), lambda rows: rows.flatten(1))

    def pooled(self) -> FeatureSet:
        """The same rows as vectors of length C, each channel's mean over its map."""
        if self.space.layout == "vector":
            return self
        return self._mapped(FeatureSpace(self.space.shape[:1], self.space.n_classes), lambda rows: rows.mean((2, 3)))

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """The finite set, whole in memory: values (N', *shape) float32 and labels (N',) int64.

        The real rows first, then targets - counts synthetic rows of each class, asked for in blocks of 4,096;
        PluginError when those are wrong.
        """
        import torch

        missing = torch.repeat_interleave(self.targets - self.counts())
        labels = torch.cat([self.labels, missing])
        values = torch.empty((len(labels), *self.space.shape))
        at = 0
        for block in itertools.chain(self.blocks(), self._missing_rows(missing)):
            values[at : at + len(block)] = block
            at += len(block)
        return values.numpy(), labels.numpy()

    def _missing_rows(self, labels: Tensor) -> Iterator[Tensor]:
        import torch

        if self.synthesis is None:
            return
        rng = torch.Generator(self.device).manual_seed(self.synthesis.seed)
        for block in labels.split(SYNTHETIC_BLOCK) if len(labels) else ():
            yield self.synthesis.rows(block, rng, self)

    def _mapped(self, space: FeatureSpace, transform: Callable[[Tensor], Tensor]) -> FeatureSet:
        synthesis = self.synthesis
        if synthesis is not None:
            sample = synthesis.sample
            synthesis = replace(synthesis, sample=lambda labels, rng: transform(sample(labels, rng)))
        return replace(self, space=space, values=transform(self.values), synthesis=synthesis)

    @cached_property
    def _counts(self) -> Tensor:
        return self.labels.bincount(minlength=self.space.n_classes)

    @cached_property
    def _by_class(self) -> Tensor:
        return self.labels.argsort(stable=True)

    @cached_property
    def _starts(self) -> Tensor:
        return self._counts.cumsum(0) - self._counts


def target_counts(counts: Tensor, fill: float) -> Tensor:
    """The size of each class with its synthetic rows, t_c = n_c + round(fill * (n_max - n_c)).

    counts: (K,) int64 real rows. fill: in [0, 1], the share of each class's deficit that is filled. Returns (K,) int64.
    """
    deficit = counts.max() - counts
    return counts + (fill * deficit.double()).round().long()


def check_labels(where: str, labels: Tensor, n_classes: int) -> None:
    """Raise DataError for labels outside 0..K-1. labels: (N,) int64."""
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise DataError(f"{where}: wants labels in 0..{n_classes - 1}, found {int(labels.min())}..{int(labels.max())}")
