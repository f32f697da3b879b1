"""Synthetic rows on segments between real rows: which segments there are, and drawing points on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw_oversampling.neighbours import nearest

if TYPE_CHECKING:
    from benchfw import Context, FeatureSet


@dataclass(frozen=True, eq=False)
class Segments:
    """A fitted interpolation; holds positions in the training set, no rows.

    bases: (A,) int64, positions of the rows where segments start, class by class. partners: (A, k) int64, positions of
    the rows where they end, of which the first `width` count. width: (A,) int64 in 1..k. per_class: (K,) int64, bases
    of each class. A base that is its own only partner is repeated.
    """

    train: FeatureSet
    bases: Tensor
    partners: Tensor
    width: Tensor
    per_class: Tensor

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a segment and a point on it for each label: labels (M,) int64 -> (M, D) float32."""
        labels = labels.cpu()
        u, v, position = torch.rand(3, len(labels), generator=rng, device=rng.device)
        start = self.per_class.cumsum(0) - self.per_class
        base = start[labels] + _nth_of(u, self.per_class[labels])  # (M,)
        partner = self.partners[base, _nth_of(v, self.width[base])]
        anchors, ends = self.train.rows(self.bases[base]), self.train.rows(partner)  # (M, D) each
        return anchors.lerp_(ends, position[:, None])  # in place: `rows` makes copies

    def state(self) -> dict[str, Tensor]:
        """Return the positions, from which `restore` makes the same product."""
        return {"bases": self.bases, "partners": self.partners, "width": self.width, "per_class": self.per_class}


def _nth_of(uniform: Tensor, counts: Tensor) -> Tensor:
    """floor(u * n) on the CPU; the product is in float64, so u < 1 in float32 never gives n."""
    return (uniform.cpu().double() * counts).long()


def same_class_segments(train: FeatureSet, k: int, ctx: Context) -> Segments:
    """Make the segments from each row to its k nearest rows of the same class, in classes below the largest count.

    Source: Chawla et al. 2002 (SMOTE).
    """
    by_class = _members(train)
    largest = max(map(len, by_class))
    parts = []
    for c, members in enumerate(by_class):
        alone = len(members) in (1, largest)
        partners = members[:, None] if alone else nearest(train, members, members, min(k, len(members) - 1))
        parts.append((members, partners, torch.full_like(members, partners.shape[1])))
        ctx.progress(c + 1, len(by_class))
    return _joined(train, parts)


def enemy_segments(train: FeatureSet, k: int, ctx: Context) -> tuple[Segments, list[int]]:
    """Make the segments to each row's enemies among its k nearest rows, in classes below the largest count.

    Returns them with the list of those classes that have no enemy.

    Source: Dablain et al. 2022 (EOS).
    """
    by_class = _members(train)
    largest = max(map(len, by_class))
    everything = torch.arange(len(train))
    parts, peaceful = [], []
    for c, members in enumerate(by_class):
        part = members, members[:, None], torch.ones_like(members)
        if len(members) < largest:
            near = nearest(train, members, everything, min(k, len(train) - 1))  # (n_c, k)
            enemy = train.labels[near] != c
            width = enemy.sum(dim=1)
            enemies_first = near.gather(1, enemy.int().argsort(dim=1, descending=True, stable=True))
            base = width > 0
            if base.any():
                part = members[base], enemies_first[base], width[base]
            else:
                peaceful.append(c)
        parts.append(part)
        ctx.progress(c + 1, len(by_class))
    return _joined(train, parts), peaceful


def _members(train: FeatureSet) -> list[Tensor]:
    """Return the positions of each class's rows, K tensors (n_c,) int64."""
    return list(train.labels.argsort(stable=True).split(train.counts().tolist()))


def _joined(train: FeatureSet, parts: list[tuple[Tensor, Tensor, Tensor]]) -> Segments:
    """One table from each class's bases, partners and width; narrow partners are padded with what is never read."""
    bases, partners, width = zip(*parts, strict=True)
    k = max(part.shape[1] for part in partners)
    padded = [torch.nn.functional.pad(part, (0, k - part.shape[1])) for part in partners]
    per_class = torch.tensor([len(part) for part in bases])
    return Segments(train, torch.cat(bases), torch.cat(padded), torch.cat(width), per_class)
