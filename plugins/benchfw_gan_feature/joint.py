"""The report's loop: the classifier of the cell trains with the GAN, and is what predicts in the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchfw import CannotRun, training
from benchfw_gan_feature.duel import Duel, law_of
from benchfw_gan_feature.lessons import Lessons, steps_for
from benchfw_gan_feature.looks import Patience, balanced_accuracy
from benchfw_gan_feature.rounds import play

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchfw import Context, FeatureSet, NeuralClassifier
    from benchfw.data import Predictor
    from benchfw_gan_feature import GanFeatureJoint

BETAS = (0.9, 0.999)  # as in the harness's own loop, so that the classifier trained there is the control


def fit(
    recipe: GanFeatureJoint,
    train: FeatureSet,
    val: FeatureSet | None,
    network: nn.Module,
    classifier: NeuralClassifier,
    ctx: Context,
) -> Predictor:
    """Train GAN and network until the network has had the classifier's steps, or patience is over.

    Raises CannotRun for a classifier that takes no step of weights, DataError when it or the GAN diverges.
    """
    if classifier.batch_norm == "refresh" or not classifier.steps:
        found = "batch_norm=refresh" if classifier.steps else "steps=0"
        raise CannotRun(f"{recipe.name}: trains the classifier's weights, but {classifier.name} has {found}")
    duel = Duel(recipe, train, ctx)
    lessons = Lessons(
        duel,
        network,
        budget=classifier.steps,
        batch=classifier.batch,
        lr=classifier.lr,
        rate="the classifier's lr",
        betas=BETAS,
        loss=training.loss_named(classifier.loss, prior(recipe, train)),
        frozen=classifier.batch_norm == "frozen",
    )
    patience = None
    if val is not None and recipe.patience:
        measure = partial(balanced_accuracy, network, val)
        patience = Patience("val_balanced_accuracy", measure, sign=1, looks=recipe.patience)
    play(duel, steps_for(classifier.steps, recipe), lessons, patience).alarm()
    if lessons.left:
        made = f"{lessons.budget - lessons.left} of {lessons.budget} updates"
        ctx.warn(f"{recipe.name}: patience ended the training, so the classifier got {made}; set patience=0 for all")
    return training.predictor(network)


def prior(recipe: GanFeatureJoint, train: FeatureSet) -> Tensor:
    """The label distribution that the network meets in the long run: (K,) float64, sums to 1.

    One generated batch in `head_every` steps, one real batch in `real_every`: the two laws in these proportions.
    """
    fake, real = (1 / every if every else 0.0 for every in (recipe.head_every, recipe.real_every))
    return (fake * law_of(recipe.labels, train.counts()) + real * train.natural_prior) / (fake + real)
