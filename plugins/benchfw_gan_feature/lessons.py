"""The classifier's part in the loop: what it learns of generated and of real rows, and how much it moved."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import training
from benchfw_gan_feature.duel import Duel, adam

if TYPE_CHECKING:
    from benchfw_gan_feature.recipe import Recipe


class Lessons:
    """Trains a classifier's network beside the GAN, by the recipe's schedule, for `budget` updates.

    rate: what `lr` is called, for an error. loss: logits (B, K), labels (B,) -> scalar. frozen: batch norm keeps
    its running statistics. The real rows are those of the harness's stream with the context's seed.
    """

    def __init__(
        self,
        duel: Duel,
        network: nn.Module,
        *,
        budget: int,
        batch: int,
        lr: float,
        rate: str,
        betas: tuple[float, float],
        loss: training.LossFunction,
        frozen: bool,
    ):
        self.duel, self.network, self.loss, self.frozen = duel, training.on_device(network, duel.ctx), loss, frozen
        self.batch, self.budget, self.left, self.rate = batch, budget, budget, f"{rate}={lr:g}"
        self.error = torch.zeros(())  # of the last lesson
        self.optimiser = adam(network, lr, betas)
        self.real = training.stream(duel.train, steps=budget, batch=batch, seed=duel.ctx.seed)
        self.start = [weight.detach().clone() for weight in network.parameters()]

    def step(self, number: int) -> None:
        """Give the lessons that are due after the GAN's step with this number, from 1, while the budget lasts."""
        self.network.train()
        if self.frozen:
            for module in training.batch_norms(self.network):
                module.eval()
        recipe = self.duel.recipe
        for every, lesson in ((recipe.head_every, self.on_generated), (recipe.real_every, self.on_real)):
            if self.left and every and number % every == 0:
                lesson()
                self.left -= 1

    def on_generated(self) -> None:
        """Learn generated rows; the generator learns from the same cross-entropy where the recipe is guided."""
        recipe, duel = self.duel.recipe, self.duel
        labels, noise = duel.draw(self.batch)
        with torch.set_grad_enabled(recipe.guided), duel.arithmetic():
            rows = duel.generator(noise, labels)
        with duel.ctx.autocast():
            error = recipe.fake_weight * self.loss(self.network(rows), labels)
        duel.generator_optimiser.zero_grad(set_to_none=True)
        self.learn(error)
        if recipe.guided:
            duel.generator_optimiser.step()

    def on_real(self) -> None:
        """Learn the next batch of real rows."""
        rows, labels = next(self.real)
        with self.duel.ctx.autocast():
            error = self.loss(self.network(rows), labels)
        self.learn(error)

    def learn(self, error: Tensor) -> None:
        """Take one step of the classifier."""
        self.error = error.detach()
        self.optimiser.zero_grad(set_to_none=True)
        error.backward()
        self.optimiser.step()

    def figures(self) -> dict[str, float]:
        """Updates so far, how much the weights moved, |w - w0| / |w0|, and batch norm's mode, 1 for training."""
        moved = torch.stack([(w - w0).norm() for w, w0 in zip(self.network.parameters(), self.start, strict=True)])
        before = torch.stack([w0.norm() for w0 in self.start])
        change = moved.detach().norm() / before.norm()
        made = self.budget - self.left
        return {"head_updates": made, "head_change": float(change), "head_batch_norm": float(not self.frozen)}


def updates(steps: int, recipe: Recipe) -> int:
    """How many updates the classifier gets in so many steps of the GAN."""
    return sum(steps // every for every in (recipe.head_every, recipe.real_every) if every)


def steps_for(budget: int, recipe: Recipe) -> int:
    """The fewest steps of the GAN in which the classifier gets so many updates, at least."""
    rate = sum(1 / every for every in (recipe.head_every, recipe.real_every) if every)
    return next(steps for steps in count(int(budget / rate)) if updates(steps, recipe) >= budget)
