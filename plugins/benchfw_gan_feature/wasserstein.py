"""The training of the GAN: Wasserstein loss with gradient penalty."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import DataError
from benchfw_gan_feature.health import Health
from benchfw_gan_feature.networks import Critic, Generator, Product
from benchfw_gan_feature.scaling import measure

if TYPE_CHECKING:
    from benchfw import Context, FeatureSet
    from benchfw_gan_feature import GanFeature

CHECKED = 50  # steps between two looks at whether the loss is finite, each of which waits for the device


def fit(recipe: GanFeature, train: FeatureSet, ctx: Context) -> Product:
    """Train a generator for the recipe's steps and return the average of its weights, with its health logged.

    Raises DataError when the critic's loss is no longer finite.
    """
    duel = Duel(recipe, train, ctx)
    average = deepcopy(duel.generator)
    product = Product(average)
    health = Health(train, duel.scaling, ctx)
    for step in range(1, recipe.steps + 1):
        loss, gap = duel.train_critic()
        duel.train_generator()
        follow(average, duel.generator, recipe.average)
        last = step == recipe.steps
        if (last or step % CHECKED == 0) and not bool(torch.isfinite(loss)):
            raise DataError(f"gan-feature: the critic's loss is {float(loss)} at step {step}; lower lr={recipe.lr:g}")
        if last or (recipe.watch and step % recipe.watch == 0):
            health.look(product, step=step, critic_loss=float(loss), critic_gap=float(gap))
        ctx.progress(step, recipe.steps)
    health.alarm()
    return product


class Duel:
    """Generator against critic, each with its optimiser, on labels that are uniform over the classes."""

    def __init__(self, recipe: GanFeature, train: FeatureSet, ctx: Context):
        self.recipe, self.train, self.rng = recipe, train, ctx.rng
        self.scaling = measure(train)
        self.generator = Generator(train.space, self.scaling, z=recipe.z, width=recipe.width).to(ctx.device)
        self.critic = Critic(train.space, width=recipe.width).to(ctx.device)
        self.generator_optimiser = _adam(self.generator, recipe)
        self.critic_optimiser = _adam(self.critic, recipe)

    def train_critic(self) -> tuple[Tensor, Tensor]:
        """Take the critic's steps before one of the generator; returns loss and gap of the last, both scalars."""
        batch, total = self.recipe.batch, self.recipe.critic_steps * self.recipe.batch
        labels, noise = self.draw(total)
        real = self.scaling.standardise(self.train.draw(labels, self.rng))
        with torch.no_grad():
            fake = self.scaling.standardise(self.generator(noise, labels))
        for rows in zip(real.split(batch), fake.split(batch), labels.split(batch), strict=True):
            loss, gap = critic_loss(self.critic, *rows, penalty=self.recipe.penalty, rng=self.rng)
            self.critic_optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.critic_optimiser.step()
        return loss.detach(), gap.detach()

    def train_generator(self) -> None:
        """Take one step of the generator towards higher scores."""
        labels, noise = self.draw(self.recipe.batch)
        self.critic.requires_grad_(False)
        loss = -self.critic(self.scaling.standardise(self.generator(noise, labels)), labels).mean()
        self.critic.requires_grad_(True)
        self.generator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimiser.step()

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw labels (M,) int64, uniform over the classes, and noise (M, Z)."""
        device = self.rng.device
        labels = torch.randint(self.train.space.n_classes, (count,), generator=self.rng, device=device)
        return labels, torch.randn(count, self.recipe.z, generator=self.rng, device=device)


def critic_loss(
    critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, *, penalty: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Compute what the critic minimises, and the gap E[score(real)] - E[score(fake)], both scalars.

    real, fake: standardised (B, *shape), row i of both of class labels[i]. Source: Gulrajani et al. 2017, equation 3.
    """
    of_real, of_fake = critic(torch.cat([real, fake]), labels.repeat(2)).chunk(2)  # (B,) each
    gap = (of_real - of_fake).mean()
    position = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng, device=real.device)
    between = torch.lerp(fake, real, position).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)  # (B, *shape)
    return penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean() - gap, gap


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's, in place."""
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def _adam(network: nn.Module, recipe: GanFeature) -> torch.optim.Adam:
    betas = (recipe.beta1, recipe.beta2)
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=betas, fused=fused)
