"""The loop that both augmenters share: rounds of the GAN, lessons of the classifier, looks at what comes out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchfw import CannotRun, DataError
from benchfw.training import cross_entropy
from benchfw_gan_feature.duel import Duel
from benchfw_gan_feature.health import CURE, Health
from benchfw_gan_feature.lessons import Lessons, updates
from benchfw_gan_feature.looks import HeldOut, Patience
from benchfw_gan_feature.product import finished

if TYPE_CHECKING:
    from benchfw import Context, FeatureSet
    from benchfw_gan_feature import GanFeature
    from benchfw_gan_feature.losses import Verdict
    from benchfw_gan_feature.product import Product

CHECKED = 50  # steps between two looks at whether the loss is finite, each of which waits for the device


def fit(recipe: GanFeature, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Product:
    """Train a generator for the recipe's steps and return the average of its weights, with its health logged.

    Raises DataError when a loss is no longer finite.
    """
    duel = Duel(recipe, train, ctx)
    lessons = beside(recipe, duel) if recipe.head_every else None
    patience = None
    if val is not None and recipe.patience:
        held_out = HeldOut(val, duel.scaling, ctx.seed, ctx.device)
        patience = Patience("val_energy", partial(held_out.distance, duel.product), sign=-1, looks=recipe.patience)
    health = play(duel, recipe.steps, lessons, patience)
    product = finished(duel.product.generator, recipe, train, ctx)
    if product.changed:
        health.look(product, spread=product.spread, gaussian=product.share)
    health.alarm(CURE if product.spread == 1 else "more steps, a lower lr or a spread nearer 1")
    return product


def beside(recipe: GanFeature, duel: Duel) -> Lessons:
    """Lessons of a copy of the extractor's head, which only guides the generator and is given up in the end."""
    head = duel.train.space.new_head()
    if head is None:
        raise CannotRun(
            f"{recipe.name}: head_every={recipe.head_every} wants an extractor with a head; "
            "set head_every=0, real_every=0, guided=false"
        )
    return Lessons(
        duel,
        head,
        budget=updates(recipe.steps, recipe),
        batch=recipe.batch,
        lr=recipe.head_lr,
        rate="head_lr",
        betas=(recipe.head_beta1, recipe.head_beta2),
        loss=cross_entropy,
        frozen=recipe.head_batch_norm == "frozen",
    )


def play(duel: Duel, steps: int, lessons: Lessons | None = None, patience: Patience | None = None) -> Health:
    """Play rounds until the steps are over, or patience is; the last step's weights stay. Returns the health.

    At each look the figures of critic, classifier, rows and validation are logged. Raises DataError when the critic's
    or the classifier's loss is no longer finite.
    """
    recipe, ctx = duel.recipe, duel.ctx
    if recipe.lr > recipe.critic_lr:
        rates = f"{recipe.lr:g}, faster than its critic's {recipe.critic_lr:g}"
        ctx.warn(f"{recipe.name}: the generator learns at rate {rates}; such a generator may collapse")
    health = Health(duel.train, duel.scaling, ctx, recipe.name)
    for step in range(1, steps + 1):
        verdict = duel.round()
        if lessons is not None:
            lessons.step(step)
        looked = step == steps or bool(recipe.watch and step % recipe.watch == 0)
        if looked or step % CHECKED == 0:
            _check(verdict, lessons, step, duel)
        if looked:
            duel.settle()
            figures = verdict.figures(recipe.loss)
            figures |= {} if lessons is None else lessons.figures()
            figures |= {} if patience is None else patience.look()
            health.look(duel.product, step=step, **figures)
        ctx.progress(step, steps)
        if patience is not None and patience.over:
            ctx.log(stopped_at=step)
            break
    return health


def _check(verdict: Verdict, lessons: Lessons | None, step: int, duel: Duel) -> None:
    recipe = duel.recipe
    losses = [("critic", verdict.loss, f"lr={recipe.lr:g} or critic_lr={recipe.critic_lr:g}")]
    losses += [] if lessons is None else [("classifier", lessons.error, lessons.rate)]
    wrong = [(f"the {whose}'s loss is {float(loss)}", cure) for whose, loss, cure in losses if not loss.isfinite()]
    if wrong:
        found, cures = zip(*wrong, strict=True)
        raise DataError(f"{recipe.name}: {' and '.join(found)} at step {step}; lower {' or '.join(cures)}")
