"""The data stage: test split, then imbalance on the rest, then validation out of the imbalanced training set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from benchfw.dataset import LabelledDataset, Samples
from benchfw.errors import DataError, PluginError
from benchfw.seeding import stage_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from benchfw.data import FeatureSet, ImageSet
    from benchfw.imbalance import Imbalance

DIGEST_BLOCK = 256  # samples that are looked at together


@dataclass(frozen=True, eq=False)
class Splits(Generic[Samples]):
    """The three disjoint parts that a cell works on. val is None where nothing is held out for validation."""

    train: Samples
    val: Samples | None
    test: Samples


def split(
    dataset: LabelledDataset[Samples],
    imbalance: Imbalance,
    *,
    test_fraction: float,
    val_fraction: float,
    seed: int,
    axes: Mapping[str, object],
) -> Splits[Samples]:
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


def hold_out(samples: Samples, fraction: float, *, seed: int, part: str) -> tuple[Samples, Samples]:
    """Hold out a stratified `fraction`, in (0, 1), of the samples: (the rest, the held-out part).

    Without groups, each class gives round(fraction * n_c), at least 1 where it has 2, and keeps at least 1. With
    groups, whole groups are held out, so that all classes come close to the fraction at once; here too each class
    gives at least one group where it has two, and keeps one.
    Raises DataError when a class of the test part would be empty, or when nothing can be held out.
    """
    import torch

    if samples.groups is None:
        held = _stratified(samples.labels, fraction, seed)
    else:
        held = _whole_groups(samples, fraction, seed)
    _check_held(samples.labels, held, part)
    rest = torch.ones(len(samples), dtype=torch.bool)
    rest[held] = False
    return samples.take(rest.nonzero()[:, 0]), samples.take(held)


def _check_held(labels: Tensor, held: Tensor, part: str) -> None:
    cure = "add samples, or drop the class"
    if len(held) == 0:
        raise DataError(f"{part} split: none of {len(labels)} samples can be held out; {cure}")
    counts, out = labels.bincount(), labels[held].bincount(minlength=int(labels.max()) + 1)
    for c in ((counts > 0) & (out == 0)).nonzero()[:, 0].tolist() if part == "test" else []:
        found = f"class {c} has {int(counts[c])} sample{'s' * (int(counts[c]) > 1)}, of which 0 would be held out"
        raise DataError(f"test split: {found}; wants at least 1 on both sides: {cure}")


def _stratified(labels: Tensor, fraction: float, seed: int) -> Tensor:
    import torch

    rng = torch.Generator().manual_seed(seed)
    held = []
    for c in labels.unique().tolist():
        members = (labels == c).nonzero()[:, 0]
        size = min(max(1, round(fraction * len(members))), len(members) - 1)
        held.append(members[torch.randperm(len(members), generator=rng)[:size]])
    return torch.cat(held).sort().values


def _whole_groups(samples: ImageSet | FeatureSet, fraction: float, seed: int) -> Tensor:
    import torch

    assert samples.groups is not None
    group, label = (values.unique(return_inverse=True)[1] for values in (samples.groups, samples.labels))
    sizes = torch.zeros(int(group.max()) + 1, int(label.max()) + 1, dtype=torch.float64)  # (groups, classes)
    sizes.index_put_((group, label), torch.ones((), dtype=torch.float64), accumulate=True)
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed))
    return torch.isin(group, _chosen(sizes, order, fraction)).nonzero()[:, 0]


def _chosen(sizes: Tensor, order: Tensor, fraction: float) -> Tensor:
    """The groups to hold out: in this order, each that brings all classes nearer to the fraction and empties none.

    A class that gave nothing so far then gives its smallest group. sizes: (groups, classes) samples; order: (groups,).
    """
    import torch

    counts, out, chosen = sizes.sum(0), torch.zeros_like(sizes[0]), []

    def distance(held: Tensor) -> float:
        return float((held / counts - fraction).norm())

    for g in order:
        if bool((out + sizes[g] < counts).all()) and distance(out + sizes[g]) < distance(out):
            out = out + sizes[g]
            chosen.append(g)
    for c in range(len(counts)):
        spare = (sizes[:, c] > 0) & (out + sizes < counts).all(1)
        if out[c] == 0 and bool(spare.any()):
            g = sizes.sum(1).where(spare, torch.inf).argmin()
            out = out + sizes[g]
            chosen.append(g)
    return torch.tensor(chosen, dtype=torch.int64)


def repeated(held: ImageSet | FeatureSet, others: ImageSet | FeatureSet) -> int:
    """How many of the held-out samples are, to the last number, also among the others."""
    known = set(_digests(others))
    return sum(digest in known for digest in _digests(held))


def _digests(samples: ImageSet | FeatureSet) -> Iterator[bytes]:
    import torch

    for block in torch.arange(len(samples)).split(DIGEST_BLOCK):
        for row in samples.rows(block).contiguous().cpu().numpy():
            yield hashlib.blake2b(row.data, digest_size=16).digest()


def _check_classes(train: ImageSet | FeatureSet, dataset: LabelledDataset[Samples]) -> None:
    counts = train.labels.bincount(minlength=dataset.n_classes).tolist()
    for c, count in enumerate(counts):
        if count == 0:
            raise DataError(
                f"class {c} ({dataset.class_names[c]!r}) has no training sample; wants at least 1 of each class"
            )


def _check_disjoint(*parts: ImageSet | FeatureSet | None) -> None:
    _check_groups(*parts)
    seen: set[int] = set()
    for part in parts:
        ids = set() if part is None or part.ids is None else set(part.ids.tolist())
        if seen & ids:
            raise PluginError(f"splits: {len(seen & ids)} samples are in two parts; wants disjoint parts")
        seen |= ids


def _check_groups(*parts: ImageSet | FeatureSet | None) -> None:
    """Raise DataError where a group, e.g. a patient, is in two parts; only parts of the data set's own can be so."""
    seen: set[int] = set()
    shared: set[int] = set()
    for part in parts:
        groups = set() if part is None or part.groups is None else set(part.groups.tolist())
        shared |= seen & groups
        seen |= groups
    if shared:
        found = f"{len(shared)} group{'s are' if len(shared) > 1 else ' is'} in two of train, val and test"
        raise DataError(f"splits: {found}; wants each in one part: move its samples, or give one part and no test part")
