"""What a trained GAN is to the harness: a function that makes rows, and a state from which it can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw import training
from benchfw.training import EMBEDDING_BATCH
from benchfw_gan_feature.gaussian import Residuals, sketched
from benchfw_gan_feature.networks import Generator
from benchfw_gan_feature.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchfw import Context, FeatureSet, FeatureSpace
    from benchfw_gan_feature import GanFeature
    from benchfw_gan_feature.recipe import Recipe

FACTORS = "gaussian.factors"  # their name in a product's state


@dataclass(frozen=True, eq=False)
class Product:
    """A generator whose rows may be stretched, and mixed with those of class Gaussians.

    spread: factor on a generated row's distance from its class mean. gaussian: residuals that take the generator's
    place in this share of the rows, or None.
    """

    generator: Generator
    spread: float = 1.0
    gaussian: Residuals | None = None
    share: float = 0.0

    @torch.no_grad()
    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Labels (M,) int64 on any device -> rows (M, *shape) float32 on the device of the features."""
        means = self.generator.scaling.means
        labels = labels.to(means.device)
        noise = torch.randn(len(labels), self.generator.z, generator=rng, device=rng.device).to(means.device)
        rows = means.new_empty(len(labels), *means.shape[1:])
        for block in torch.arange(len(labels), device=means.device).split(EMBEDDING_BATCH):
            rows[block] = self.generator(noise[block], labels[block])
        if self.spread != 1:
            rows = self._floored(torch.lerp(means[labels], rows, self.spread))
        if self.gaussian is not None:
            chosen = torch.rand(len(labels), generator=rng, device=rng.device).to(means.device) < self.share
            rows[chosen] = self._floored(means[labels[chosen]] + self.gaussian(labels[chosen], rng))
        return rows

    @property
    def changed(self) -> bool:
        """Whether other rows come out than the generator makes."""
        return self.spread != 1 or self.gaussian is not None

    def _floored(self, rows: Tensor) -> Tensor:
        return rows.clamp(min=self.generator.scaling.floor) if self.generator.floored else rows

    def state(self) -> dict[str, Tensor]:
        """Everything that `restored` needs: weights, statistics of batch norm, scaling, and the Gaussians' factors."""
        factors = {} if self.gaussian is None else {FACTORS: self.gaussian.factors}
        return self.generator.state_dict() | factors


def finished(generator: Generator, recipe: GanFeature, train: FeatureSet, ctx: Context) -> Product:
    """The product of a trained generator, with what the recipe wants beside it."""
    gaussian = sketched(train, generator.scaling.means, ctx.rng) if recipe.gaussian else None
    return Product(generator.eval(), recipe.spread, gaussian, recipe.gaussian)


def restored(state: Mapping[str, Tensor], space: FeatureSpace, recipe: GanFeature, ctx: Context) -> Product:
    """Rebuild the product whose `state()` this is, for the same space and parameters."""
    weights = {name: values for name, values in state.items() if name != FACTORS}
    gaussian = Residuals(state[FACTORS].to(ctx.device)) if FACTORS in state else None
    generator = training.on_device(loaded(weights, space, recipe), ctx)  # laid out as it was trained: rounds the same
    return Product(generator.eval(), recipe.spread, gaussian, recipe.gaussian)


def loaded(weights: Mapping[str, Tensor], space: FeatureSpace, recipe: Recipe) -> Generator:
    """A generator with these weights."""
    with torch.device("meta"):  # no time for weights that are replaced at once
        generator = Generator(space, Scaling.empty(recipe.scaling, space), recipe)
    generator.load_state_dict(weights, assign=True)
    return generator
