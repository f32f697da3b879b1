"""Generator and critic, in the shape of the features."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchfw_gan_feature.layers import Style, ending, initialise, pyramid
from benchfw_gan_feature.tables import table_decoder, table_encoder

if TYPE_CHECKING:
    from benchfw import FeatureSpace
    from benchfw_gan_feature.recipe import Recipe
    from benchfw_gan_feature.scaling import Scaling

DENSE_LIMIT = 1024  # numbers in a map above which it is convolved
DENSE_WIDTH = 256  # units of hidden layers where the width is to follow the features, and these are few numbers
SMALLEST = 4  # longest side of the map at the generator's entrance and the critic's end


class Generator(nn.Module):
    """Noise (B, Z) and labels (B,) int64 -> rows (B, *shape), not below the floor where the recipe says so.

    The network's output is a residual around the class mean, in standard deviations, or the row as the critic sees it.
    """

    def __init__(self, space: FeatureSpace, scaling: Scaling, recipe: Recipe):
        super().__init__()
        self.z, self.residual, self.floored = recipe.z, recipe.output == "residual", recipe.floor
        self.network = decoder(recipe.z + space.n_classes, space.shape, recipe)
        self.scaling = scaling
        if recipe.init == "normal":
            initialise(self.network)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """(B, Z), (B,) -> (B, *shape)."""
        wanted = F.one_hot(labels, len(self.scaling.means)).to(noise.dtype)  # (B, K)
        made = self.network(torch.cat([noise, wanted], dim=1))
        rows = self.scaling.around(labels, made) if self.residual else self.scaling.unview(made)
        return rows.clamp(min=self.scaling.floor) if self.floored else rows


class Critic(nn.Module):
    """Rows as the scaling shows them, (B, *shape), and labels (B,) int64 -> scores (B,); higher means real.

    Conditioned by projection, by the label as further channels or entries (`concat`), or not at all.
    Source: Miyato and Koyama 2018, equation 3: score = psi(phi(x)) + <embedding of y, phi(x)>.
    """

    def __init__(self, space: FeatureSpace, recipe: Recipe):
        super().__init__()
        self.classes = space.n_classes if recipe.condition == "concat" else 0
        style = Style(recipe.critic_norm, recipe.slope)
        self.encoder, code = encoder(space.shape, self.classes, recipe)
        self.score = style.last(nn.Linear(code, 1))
        projected = recipe.condition == "projection"
        self.embedding = style.last(nn.Embedding(space.n_classes, code)) if projected else None
        if recipe.init == "normal":
            initialise(self)

    def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
        """(B, *shape), (B,) -> (B,)."""
        if self.classes:
            wanted = F.one_hot(labels, self.classes).to(rows.dtype).reshape(len(rows), -1, *[1] * (rows.ndim - 2))
            rows = torch.cat([rows, wanted.expand(-1, -1, *rows.shape[2:])], dim=1)
        code: Tensor = self.encoder(rows)  # (B, length of the code)
        scores: Tensor = self.score(code)[:, 0]
        return scores if self.embedding is None else scores + (self.embedding(labels) * code).sum(1)


def decoder(inputs: int, shape: tuple[int, ...], recipe: Recipe) -> nn.Sequential:
    """(B, inputs) -> (B, *shape): two hidden layers, or a small map that is doubled up to (H, W)."""
    width = width_of(shape, recipe)
    if convolved(shape) and recipe.maps == "table":
        return table_decoder(inputs, shape, width, recipe)
    style = Style(recipe.generator_norm, recipe.slope)
    last = ending(recipe.output, shape)
    if not convolved(shape):
        hidden = [style.linear(inputs, width), style.linear(width, width)]
        return nn.Sequential(*hidden, nn.Linear(width, prod(shape)), nn.Unflatten(1, shape), *last)
    first, *larger = pyramid(shape[1], shape[2], SMALLEST)
    layers: list[nn.Module] = [style.linear(inputs, width * prod(first)), nn.Unflatten(1, (width, *first))]
    for size in larger:
        layers += [nn.Upsample(size=size), style.conv(width, width, 3, padding=1)]
    return nn.Sequential(*layers, nn.Conv2d(width, shape[0], 3, padding=1), *last)


def encoder(shape: tuple[int, ...], extra: int, recipe: Recipe) -> tuple[nn.Sequential, int]:
    """(B, C + extra, H, W) or (B, D + extra) -> a code (B, L), and L: two hidden layers, or convolutions that halve."""
    width = width_of(shape, recipe)
    entries = (shape[0] + extra, *shape[1:])
    if convolved(shape) and recipe.maps == "table":
        return table_encoder(entries, width, recipe)
    style = Style(recipe.critic_norm, recipe.slope)
    if not convolved(shape):
        return nn.Sequential(nn.Flatten(), style.linear(prod(entries), width), style.linear(width, width)), width
    sizes = pyramid(shape[1], shape[2], SMALLEST)
    layers = [style.conv(entries[0], width, 3, padding=1)]
    layers += [style.conv(width, width, 3, stride=2, padding=1) for _ in sizes[1:]]
    return nn.Sequential(*layers, nn.Flatten(), style.linear(width * prod(sizes[0]), width)), width


def convolved(shape: tuple[int, ...]) -> bool:
    """Whether features of this shape get convolutions: maps of more than 1,024 numbers."""
    return len(shape) == 3 and prod(shape) > DENSE_LIMIT


def width_of(shape: tuple[int, ...], recipe: Recipe) -> int:
    """Hidden units or channels; where the recipe says none, the channels of a large map, else 256."""
    if recipe.width is not None:
        return recipe.width
    return shape[0] if convolved(shape) else DENSE_WIDTH
