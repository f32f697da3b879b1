"""Generator and critic, in the shape of the features, and the product that makes rows."""

from __future__ import annotations

from dataclasses import fields
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchfw.training import EMBEDDING_BATCH
from benchfw_gan_feature.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchfw import FeatureSpace

DENSE_LIMIT = 1024  # numbers in a map above which it is convolved
SMALLEST = 4  # longest side of the map at the generator's entrance and the critic's end
SLOPE = 0.2


class Generator(nn.Module):
    """Noise (B, Z) and labels (B,) int64 -> rows (B, *shape): the class mean plus a residual, not below the floor.

    The residual is learned in standard deviations. The scaling is kept as buffers, so that the state is complete.
    """

    means: Tensor
    scale: Tensor
    floor: Tensor

    def __init__(self, space: FeatureSpace, scaling: Scaling, *, z: int, width: int):
        super().__init__()
        self.z = z
        self.residual = decoder(z + space.n_classes, space.shape, width)
        for name, values in vars(scaling).items():
            self.register_buffer(name, values)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """(B, Z), (B,) -> (B, *shape)."""
        wanted = F.one_hot(labels, len(self.means)).to(noise.dtype)  # (B, K)
        rows: Tensor = self.means[labels] + self.scale * self.residual(torch.cat([noise, wanted], dim=1))
        return rows.clamp(min=self.floor)


class Critic(nn.Module):
    """Standardised rows (B, *shape) and labels (B,) int64 -> scores (B,), conditioned by projection.

    Source: Miyato and Koyama 2018, equation 3: score = psi(phi(x)) + <embedding of y, phi(x)>.
    """

    def __init__(self, space: FeatureSpace, *, width: int):
        super().__init__()
        self.encoder = encoder(space.shape, width)
        self.score = nn.Linear(width, 1)
        self.embedding = nn.Embedding(space.n_classes, width)

    def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
        """(B, *shape), (B,) -> (B,)."""
        code: Tensor = self.encoder(rows)  # (B, width)
        scores: Tensor = self.score(code)[:, 0] + (self.embedding(labels) * code).sum(1)
        return scores


def decoder(inputs: int, shape: tuple[int, ...], width: int) -> nn.Sequential:
    """(B, inputs) -> (B, *shape), any real values: two hidden layers, or a small map that is doubled up to (H, W)."""
    if not convolved(shape):
        hidden = [nn.Linear(inputs, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width), nn.LeakyReLU(SLOPE)]
        return nn.Sequential(*hidden, nn.Linear(width, prod(shape)), nn.Unflatten(1, shape))
    first, *larger = pyramid(*shape[1:])
    layers = [nn.Linear(inputs, width * prod(first)), nn.LeakyReLU(SLOPE), nn.Unflatten(1, (width, *first))]
    for size in larger:
        layers += [nn.Upsample(size=size), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Conv2d(width, shape[0], 3, padding=1))


def encoder(shape: tuple[int, ...], width: int) -> nn.Sequential:
    """(B, *shape) -> (B, width): two hidden layers, or convolutions that halve the map."""
    if not convolved(shape):
        hidden = [nn.Linear(prod(shape), width), nn.LeakyReLU(SLOPE), nn.Linear(width, width), nn.LeakyReLU(SLOPE)]
        return nn.Sequential(nn.Flatten(), *hidden)
    sizes = pyramid(*shape[1:])
    layers = [nn.Conv2d(shape[0], width, 3, padding=1), nn.LeakyReLU(SLOPE)]
    for _ in sizes[1:]:
        layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * prod(sizes[0]), width), nn.LeakyReLU(SLOPE))


def convolved(shape: tuple[int, ...]) -> bool:
    """Whether features of this shape get convolutions: maps of more than 1,024 numbers."""
    return len(shape) == 3 and prod(shape) > DENSE_LIMIT


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Map sizes from small to (height, width), each half of the next, rounded up; the first has no side above 4.

    A convolution of kernel 3, stride 2 and padding 1 makes the same steps.
    """
    sizes = [(height, width)]
    while max(sizes[0]) > SMALLEST:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


class Product:
    """A trained generator as the harness uses it."""

    def __init__(self, generator: Generator):
        self.generator = generator.eval()

    @torch.no_grad()
    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Labels (M,) int64 on any device -> rows (M, *shape) float32 on the device of the features."""
        means = self.generator.means
        noise = torch.randn(len(labels), self.generator.z, generator=rng, device=rng.device).to(means.device)
        rows = means.new_empty(len(labels), *means.shape[1:])
        for block in torch.arange(len(labels), device=means.device).split(EMBEDDING_BATCH):
            rows[block] = self.generator(noise[block], labels.to(means.device)[block])
        return rows

    def state(self) -> dict[str, Tensor]:
        """Everything that `restored` needs: averaged weights and scaling."""
        return self.generator.state_dict()


def restored(state: Mapping[str, Tensor], space: FeatureSpace, *, z: int, width: int, device: torch.device) -> Product:
    """Rebuild the product whose `state()` this is, for the same space and parameters."""
    scaling = Scaling(**{field.name: state[field.name] for field in fields(Scaling)})
    generator = Generator(space, scaling, z=z, width=width)
    generator.load_state_dict(state)
    return Product(generator.to(device))
