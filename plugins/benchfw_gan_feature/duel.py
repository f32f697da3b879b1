"""Generator against critic, each with its optimiser: one round of them is a step of the GAN."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import training
from benchfw_gan_feature.losses import Verdict, couples_rows, generator_loss, judged, slope_penalty
from benchfw_gan_feature.networks import Critic, Generator
from benchfw_gan_feature.product import Product
from benchfw_gan_feature.scaling import measure

if TYPE_CHECKING:
    from benchfw import Context, FeatureSet
    from benchfw_gan_feature.recipe import Recipe


class Duel:
    """The two players and the average of the generator's weights, which is what makes rows (`product`)."""

    def __init__(self, recipe: Recipe, train: FeatureSet, ctx: Context):
        self.recipe, self.train, self.ctx, self.rng = recipe, train, ctx, ctx.rng
        self.scaling = measure(train, recipe.scaling)
        self.law = law_of(recipe.labels, train.counts())
        self.generator = training.on_device(Generator(train.space, self.scaling, recipe), ctx)
        self.critic = training.on_device(Critic(train.space, recipe), ctx)
        self.together = not couples_rows(self.critic)
        betas = (recipe.beta1, recipe.beta2)
        self.generator_optimiser = adam(self.generator, recipe.lr, betas)
        self.critic_optimiser = adam(self.critic, recipe.critic_lr, betas)
        self.product = Product(deepcopy(self.generator).eval())

    def round(self) -> Verdict:
        """Train the critic for its steps, then the generator for one; returns the critic's last verdict."""
        verdict = self.train_critic()
        self.train_generator()
        if self.recipe.average:
            follow(self.product.generator.network, self.generator.network, self.recipe.average)
        return verdict

    def train_critic(self) -> Verdict:
        """Take the critic's steps before one of the generator."""
        size, total = self.recipe.batch, self.recipe.critic_steps * self.recipe.batch
        labels, noise = self.draw(total)
        real, real_labels = self.real_rows(labels)
        with torch.no_grad(), self.arithmetic():
            fake = self.scaling.view(self.generator(noise, labels))
        batches = zip(*(values.split(size) for values in (real, real_labels, fake, labels)), strict=True)
        for of_real, its_labels, of_fake, fake_labels in batches:
            verdict = self.train_critic_on((of_real, its_labels), (of_fake, fake_labels))
        return verdict

    def train_critic_on(self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> Verdict:
        """Take one step of the critic on rows (B, *shape) as it sees them, with their labels (B,)."""
        recipe = self.recipe
        with self.arithmetic():
            verdict = judged(recipe.loss, self.critic, real, fake, together=self.together)
        loss = verdict.loss
        if recipe.penalty:
            loss = recipe.penalty * slope_penalty(self.critic, real[0], fake[0], fake[1], self.rng) + loss
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimiser.step()
        return Verdict(loss.detach(), verdict.real.detach(), verdict.fake.detach())

    def train_generator(self) -> None:
        """Take one step of the generator towards higher scores; the critic stands still."""
        labels, noise = self.draw(self.recipe.batch)
        self.critic.requires_grad_(False)
        with self.arithmetic():
            scores = self.critic(self.scaling.view(self.generator(noise, labels)), labels)
        self.critic.requires_grad_(True)
        self.generator_optimiser.zero_grad(set_to_none=True)
        generator_loss(self.recipe.loss, scores).backward()
        self.generator_optimiser.step()

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw labels (M,) int64 by the recipe's law, and noise (M, Z)."""
        device = self.rng.device
        if self.recipe.labels == "uniform":
            labels = torch.randint(len(self.law), (count,), generator=self.rng, device=device)
        else:
            labels = torch.multinomial(self.law.float().to(device), count, replacement=True, generator=self.rng)
        return labels, torch.randn(count, self.recipe.z, generator=self.rng, device=device)

    def real_rows(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Real rows as the critic sees them, with their labels: of these classes (M,), or as many as they come."""
        if self.recipe.matched:
            return self.scaling.view(self.train.draw(labels, self.rng)), labels
        position = torch.randint(len(self.train), labels.shape, generator=self.rng, device=self.rng.device).cpu()
        return self.scaling.view(self.train.rows(position)), self.train.labels[position].to(labels.device)

    def arithmetic(self) -> AbstractContextManager[object]:
        """The context's precision; plain float32 with a gradient penalty, whose second derivatives are delicate."""
        return nullcontext() if self.recipe.penalty else self.ctx.autocast()

    def settle(self) -> None:
        """Let the product have the generator's last weights where they are not averaged; before each look."""
        if not self.recipe.average:
            follow(self.product.generator.network, self.generator.network, 0.0)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's, in place; buffers are taken over as they are."""
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for held, current in zip(average.buffers(), network.buffers(), strict=True):
        held.copy_(current)


def law_of(labels: str, counts: Tensor) -> Tensor:
    """The law of generated labels, (K,) float64, sums to 1: uniform, or in proportion to n_max - n_c.

    counts: (K,) int64. Where nothing is missing the deficit is uniform too.
    """
    deficit = (counts.max() - counts).double()
    if labels == "uniform" or not bool(deficit.any()):
        deficit = torch.ones_like(deficit)
    return deficit / deficit.sum()


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """The optimiser of a network, in its fused form where there is one."""
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=fused)
