"""The data stage: test split, then imbalance on the rest, then validation out of the imbalanced training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw.errors import DataError, PluginError
from benchfw.seeding import stage_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from benchfw.data import ImageDataset, ImageSet
    from benchfw.imbalance import Imbalance


@dataclass(frozen=True, eq=False)
class Splits:
    """The three disjoint parts that a cell works on. val is None where nothing is held out for validation."""

    train: ImageSet
    val: ImageSet | None
    test: ImageSet


def split(
    dataset: ImageDataset,
    imbalance: Imbalance,
    *,
    test_fraction: float,
    val_fraction: float,
    seed: int,
    axes: Mapping[str, object],
) -> Splits:
    """Split a data set for one repetition.

    The data set's own test part is used, else a stratified, group-aware `test_fraction`, which depends on the data set
    and the repetition only. Then the imbalance thins the rest. Then the data set's own validation part is used, else a
    stratified, group-aware `val_fraction` of the imbalanced rest; 0 is no validation.
    seed: the run's base seed. axes: the cell's axes, of which data set, imbalance and repetition matter.
    Raises DataError when a class is too small for its parts, CannotRun when the imbalance empties a class.
    """
    import torch

    train, test = dataset.train, dataset.test
    if test is None:
        train, test = hold_out(train, test_fraction, seed=stage_seed(seed, "test-split", axes), part="test")
    rng = torch.Generator().manual_seed(stage_seed(seed, "imbalance", axes))
    _check_classes(train, dataset)
    train = train.take(imbalance.keep(train.labels, dataset.n_classes, rng))
    val = dataset.val
    if val is None and val_fraction > 0:
        train, val = hold_out(train, val_fraction, seed=stage_seed(seed, "validation", axes), part="validation")
    _check_disjoint(train, val, test)
    return Splits(train, val, test)


def hold_out(samples: ImageSet, fraction: float, *, seed: int, part: str) -> tuple[ImageSet, ImageSet]:
    """Hold out a stratified `fraction`, in (0, 1), of the samples: (the rest, the held-out part).

    Without groups, each class gives round(fraction * n_c), at least 1 where it has 2, and keeps at least 1. With
    groups, whole groups are held out, over all classes at once, as close to the fraction as they allow.
    Raises DataError when a class of the test part would be empty, or when there are too few groups.
    """
    import torch

    if samples.groups is None:
        held = _stratified(samples.labels, fraction, seed)
    else:
        held = _whole_groups(samples, fraction, seed)
    _check_both_sides(samples.labels, held, part)
    rest = torch.ones(len(samples), dtype=torch.bool)
    rest[held] = False
    return samples.take(rest.nonzero()[:, 0]), samples.take(held)


def _check_both_sides(labels: Tensor, held: Tensor, part: str) -> None:
    counts, out = labels.bincount(), labels[held].bincount(minlength=int(labels.max()) + 1)
    for c in counts.nonzero()[:, 0].tolist():
        if out[c] == counts[c] or (part == "test" and out[c] == 0):
            found = f"class {c} has {int(counts[c])} samples, of which {int(out[c])} would be held out"
            raise DataError(f"{part} split: {found}; wants at least 1 on both sides: add samples, or drop the class")


def _stratified(labels: Tensor, fraction: float, seed: int) -> Tensor:
    import torch

    rng = torch.Generator().manual_seed(seed)
    held = []
    for c in labels.unique().tolist():
        members = (labels == c).nonzero()[:, 0]
        size = min(max(1, round(fraction * len(members))), len(members) - 1)
        held.append(members[torch.randperm(len(members), generator=rng)[:size]])
    return torch.cat(held).sort().values


def _whole_groups(samples: ImageSet, fraction: float, seed: int) -> Tensor:
    import torch
    from sklearn.model_selection import StratifiedGroupKFold

    assert samples.groups is not None
    folds = max(2, round(1 / fraction))
    groups = len(samples.groups.unique())
    if groups < folds:
        raise DataError(f"groups: {groups} different groups; a part of {fraction:g} needs at least {folds}")
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed % 2**32)
    empty = torch.empty(len(samples), 0).numpy()
    _, held = next(splitter.split(empty, samples.labels.numpy(), samples.groups.numpy()))
    return torch.from_numpy(held)


def _check_classes(train: ImageSet, dataset: ImageDataset) -> None:
    counts = train.labels.bincount(minlength=dataset.n_classes).tolist()
    for c, count in enumerate(counts):
        if count == 0:
            raise DataError(
                f"class {c} ({dataset.class_names[c]!r}) has no training sample; wants at least 1 of each class"
            )


def _check_disjoint(*parts: ImageSet | None) -> None:
    seen: set[int] = set()
    for part in parts:
        ids = set() if part is None or part.ids is None else set(part.ids.tolist())
        if seen & ids:
            raise PluginError(f"splits: {len(seen & ids)} samples are in two parts; wants disjoint parts")
        seen |= ids
