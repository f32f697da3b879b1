"""Neural classifiers on features: the extractor's own head, and one linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw import CannotRun, Context, FeatureSet, FeatureSpace, NeuralClassifier, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from benchfw_neural.linear import StandardisedLinear


@hookimpl
def register_classifiers(register: Callable[[type], None]) -> None:
    """Register `head` and `linear`."""
    register(Head)
    register(Linear)


@dataclass(frozen=True)
class Head(NeuralClassifier):
    """The extractor's trained head, trained on for a fixed number of gentle steps.

    It starts from the layers above the features as the extractor's training left them, so it is the classifier that a
    feature augmenter is meant to improve. Adam takes the same number of steps for every augmenter, and batch norm keeps
    the extractor's running statistics unless `batch_norm=train`. With `steps=0` (preset `unchanged`) it is the head as
    it was, which has the extractor's own accuracy; it then trains on nothing, so it goes with natural rows only. With
    the preset `refresh` no weight moves, but batch norm meets the new rows and updates its running statistics.

    The source trains its classifier at a rate of 1e-7, in batches of 40 and with batch norm in training mode (preset
    `paper`), inside the GAN's loop; at that rate Adam hardly moves a weight, while batch norm's statistics drift.
    """

    name = "head"
    source = "warm start as in feature-space GANs: the 2020 capstone report on CheXpert, step 2, classifier"
    presets = {
        "unchanged": {"steps": 0},
        "refresh": {"batch_norm": "refresh"},
        "paper": {"lr": 1e-7, "batch": 40, "batch_norm": "train"},
    }

    @property
    def needs(self) -> frozenset[str]:
        """A trained head; natural rows too where it takes no step."""
        return frozenset({"head"} if self.steps else {"head", "natural rows"})

    @property
    def corrects_prior(self) -> bool:
        """False where it takes no step: the loss was not applied then."""
        return self.steps > 0 and super().corrects_prior

    def build(self, space: FeatureSpace) -> nn.Module:
        """Copy the trained head afresh. Raises CannotRun where the extractor has none."""
        head = space.new_head()
        if head is None:
            raise CannotRun("head: this extractor gives no trained head; choose another extractor or classifier=linear")
        return head


@dataclass(frozen=True)
class Linear(NeuralClassifier):
    """One linear layer on standardised features, trained for a fixed number of steps.

    Maps are flattened. Each feature is centred and divided by its standard deviation over the real training rows, so
    one learning rate suits every extractor; then softmax regression is trained with Adam on the shared stream, without
    weight decay. It differs from `logistic` in that it sees fresh synthetic rows in each step and stops after a budget.
    """

    name = "linear"
    source = "softmax regression; the linear probe of Alain and Bengio 2016"

    steps: int = param(500, "optimiser steps, the same for every augmenter", ge=1)
    lr: float = param(1e-3, "Adam's learning rate", gt=0)

    def build(self, space: FeatureSpace) -> StandardisedLinear:
        """Flatten, standardise (by mean 0 and deviation 1 until measured), one linear layer."""
        from benchfw_neural.linear import StandardisedLinear

        return StandardisedLinear(space.size, space.n_classes)

    def network(self, train: FeatureSet, ctx: Context) -> StandardisedLinear:
        """Build it, and measure the real training rows."""
        network = self.build(train.space).to(ctx.device)
        network.measure(train)
        return network
