"""Baselines over the real rows: nothing at all, random repeats, and interpolation between neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchfw import CannotRun, Context, FeatureSet, Selector, Synthesizer, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from torch import Tensor

    from benchfw_oversampling.segments import Segments


@hookimpl
def register_augmenters(register: Callable[[type], None]) -> None:
    """Register all augmenters of this package."""
    for component in (Nothing, Random, Smote, Eos):
        register(component)


@dataclass(frozen=True)
class Nothing(Selector):
    """Leave the training set as it is.

    Every real row stays and none is added. This is the reference with which all lifts are paired.
    """

    name = "none"
    source = "the untouched training set (empirical risk minimisation)"

    @property
    def gives(self) -> frozenset[str]:
        """The natural rows, so a classifier may choose its own sampling."""
        return frozenset({"natural rows"})

    def select(self, train: FeatureSet, ctx: Context) -> Tensor:
        """All positions, (N,) int64."""
        import torch

        return torch.arange(len(train))


@dataclass(frozen=True)
class Random(Synthesizer):
    """Repeat real rows of the minority classes at random.

    Each added row is a real row of its class, drawn with replacement. It balances what a classifier meets and adds no
    information, so it separates the effect of balance from the effect of new rows.
    """

    name = "random"
    source = "random over-sampling; imbalanced-learn's RandomOverSampler without shrinkage"

    def fit(
        self, train: FeatureSet, val: FeatureSet | None, ctx: Context
    ) -> Callable[[Tensor, torch.Generator], Tensor]:
        """Return the draw: labels (M,) int64 and a generator -> (M, *shape) float32."""
        return train.draw


@dataclass(frozen=True)
class _Interpolation(Synthesizer):
    """What the methods that interpolate between two real rows share: vectors only, and a product of positions."""

    @property
    def accepts(self) -> Sequence[Literal["vector", "map"]]:
        """Vectors, since neighbours and segments know nothing of a map's layout."""
        return ("vector",)

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> Segments:
        """Make the fitted segments again from their stored positions in `train`."""
        from benchfw_oversampling.segments import Segments

        return Segments(train, **state)

    def _check(self, train: FeatureSet) -> None:
        empty = (train.counts() == 0).nonzero()[:, 0].tolist()
        if empty:
            raise CannotRun(f"{self.name}: class {empty[0]} has 0 training rows, wants at least 1; use a smaller ratio")


@dataclass(frozen=True)
class Smote(_Interpolation):
    """Interpolate between minority rows and their neighbours of the same class.

    A new row of class c lies on the segment from a random row of c to a random one of its k nearest neighbours in c,
    at a uniform position. Neighbours are exact and Euclidean. Fitting keeps their positions and copies no row.

    Differs from the source: anchors are drawn with replacement (as in imbalanced-learn); in a class of n_c <= k rows
    k is lowered to n_c - 1, and a single row is repeated, both with a warning. A class without a deficit needs no new
    rows; if it is asked for some, its rows are repeated.
    """

    name = "smote"
    source = "Chawla et al. 2002 (SMOTE), section 4.2"

    k: int = param(5, "neighbours of the same class to choose from", ge=1)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Segments:
        """Find the neighbours. Warns for classes with too few rows for k. Raises CannotRun for an empty class."""
        from benchfw_oversampling.segments import same_class_segments

        self._check(train)
        counts = train.counts()
        small = ((counts <= self.k) & (counts < counts.max())).nonzero()[:, 0].tolist()
        if small:
            ctx.warn(f"smote: k={self.k} is lowered to n_c - 1 in classes {small}; a class of one row repeats it")
        return same_class_segments(train, self.k, ctx)


@dataclass(frozen=True)
class Eos(_Interpolation):
    """Expand minority classes towards their nearest enemies.

    Bases are the minority rows that have a row of another class (an enemy) among their k nearest neighbours over all
    classes. A new row lies on the segment from a random base to a random one of its enemies, at a uniform position, and
    carries the base's label. So a class grows across its border instead of filling its inside.

    Differs from the source: partners are the enemies that its text names, while the released code reads the partner
    one column off and so may take the base itself or a friend. In a class without enemies, where that code stops, real
    rows are repeated with a warning: any enemy would be far, and most of the segment foreign ground.
    """

    name = "eos"
    source = "Dablain et al. 2022 (Efficient Augmentation for Imbalanced Deep Learning); dd1github/EOS, EOS.py"

    k: int = param(10, "neighbours over all classes among which enemies are looked for", ge=1)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Segments:
        """Find bases and enemies. Warns for minority classes without enemies. Raises CannotRun for an empty class."""
        from benchfw_oversampling.segments import enemy_segments

        self._check(train)
        segments, peaceful = enemy_segments(train, self.k, ctx)
        if peaceful:
            ctx.warn(
                f"eos: no row of classes {peaceful} has an enemy in k={self.k} neighbours; their rows are repeated"
            )
        return segments
