"""Looks at held-out rows while the GAN trains, and when to stop for want of progress."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import training

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw import FeatureSet
    from benchfw_gan_feature.product import Product
    from benchfw_gan_feature.scaling import Scaling

ROWS = 100  # real and generated rows of a class that are compared
NUMBERS = 2**26  # numbers that the rows of one kind may have, all classes together
FEWEST = 3  # real rows of a class below which distances between them say nothing


class Patience:
    """Counts looks without improvement. name: of the figure. measure: gives it; sign: 1 where higher is better."""

    def __init__(self, name: str, measure: Callable[[], float], *, sign: int, looks: int):
        self.name, self.measure, self.sign, self.looks = name, measure, sign, looks
        self.best, self.waited = -float("inf"), 0

    def look(self) -> dict[str, float]:
        """Measure once more; returns the figure by its name."""
        figure = self.measure()
        self.waited = 0 if self.sign * figure > self.best else self.waited + 1
        self.best = max(self.best, self.sign * figure)
        return {self.name: figure}

    @property
    def over(self) -> bool:
        """Whether as many looks went by without improvement."""
        return self.waited >= self.looks


class HeldOut:
    """Compares generated rows with held-out real rows, by energy distance in standardised space.

    It draws from a generator of its own, so that looking changes nothing. At most 100 rows of a class are compared.
    """

    def __init__(self, val: FeatureSet, scaling: Scaling, seed: int, device: torch.device):
        self.rng, self.scaling = own_rng("held out", seed, device), scaling
        self.rows = rows_compared(val)
        self.classes = val.counts().nonzero()[:, 0]
        self.real = [some_of_class(val, c, self.rows, scaling, self.rng) for c in self.classes.tolist()]

    @torch.no_grad()
    def distance(self, product: Product) -> float:
        """The energy distance, in standard deviations, averaged over the classes that have held-out rows.

        A class with one row lacks the distance between two of its real rows, which is the same at every look.
        """
        made = self.scaling.standardise(product(self.classes.repeat_interleave(self.rows), self.rng)).flatten(1)
        pairs = zip(self.real, made.split(self.rows), strict=True)
        apart = [
            2 * float(torch.cdist(fake, real).mean()) - mean_distance(fake) - mean_distance(real)
            for real, fake in pairs
        ]
        return sum(apart) / len(apart)


@torch.no_grad()
def balanced_accuracy(network: nn.Module, val: FeatureSet) -> float:
    """The mean recall of the classes that have held-out rows; the network is left in evaluation mode."""
    predict = training.predictor(network)
    found = torch.cat([predict(block).argmax(1).cpu() for block in val.blocks()])
    counts = val.counts()
    right = val.labels[found == val.labels].bincount(minlength=len(counts))
    return float((right / counts)[counts > 0].mean())


def own_rng(purpose: str, seed: int, device: torch.device) -> torch.Generator:
    """A generator that shares no number with the training's."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def rows_compared(features: FeatureSet) -> int:
    """How many rows of a class are compared: 100, or fewer where rows are large."""
    return max(FEWEST, min(ROWS, NUMBERS // (features.space.n_classes * features.space.size)))


def some_of_class(features: FeatureSet, c: int, count: int, scaling: Scaling, rng: torch.Generator) -> Tensor:
    """At most so many real rows of a class, drawn without replacement, standardised and flat: (R, D)."""
    members = (features.labels == c).nonzero()[:, 0]
    order = torch.randperm(len(members), generator=rng, device=rng.device).cpu()
    return scaling.standardise(features.rows(members[order[:count]])).flatten(1)


def mean_distance(rows: Tensor) -> float:
    """The mean Euclidean distance between two different rows. rows: (R, D)."""
    return mean_of_pairs(torch.cdist(rows, rows))


def mean_of_pairs(distances: Tensor) -> float:
    """Average a (R, R) matrix without its diagonal, which matrix products leave a little above 0."""
    count = len(distances)
    return float(distances.fill_diagonal_(0).sum()) / max(1, count * (count - 1))
