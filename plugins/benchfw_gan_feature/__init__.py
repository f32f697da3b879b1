"""A GAN that generates features of any class, beside a classifier or together with it: the reference method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchfw import Context, FeatureSet, JointTrainer, NeuralClassifier, Synthesizer, UsageError, hookimpl, param
from benchfw_gan_feature.presets import JOINT, SYNTHESIZER
from benchfw_gan_feature.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from benchfw.data import Predictor
    from benchfw_gan_feature.product import Product

SOURCE = (
    "feature-space GAN for imbalanced chest X-rays (2020 capstone report on CheXpert), step 2, feature generator; "
    "Suh, Lukowicz and Lee (DFG, discriminative feature generation); "
    "Gulrajani et al. 2017 (WGAN-GP, equation 3, algorithm 1); Miyato and Koyama 2018 (projection discriminator); "
    "Miyato et al. 2018 (spectral normalisation); Xian et al. 2018 (f-CLSWGAN, Wasserstein GANs on features)"
)


@hookimpl
def register_augmenters(register: Callable[[type], None]) -> None:
    """Register gan-feature and gan-feature-joint."""
    register(GanFeature)
    register(GanFeatureJoint)


@dataclass(frozen=True)
class GanFeature(Recipe, Synthesizer):
    """Generate features with a conditional GAN.

    The generator maps noise and a class to the class mean plus a learned residual, never below the smallest value of
    the training features; the critic sees standardised features and is conditioned on the class by projection; the loss
    is Wasserstein with a gradient penalty. Labels are uniform over the classes, so the small classes are met as often
    as the large ones; a moving average of the generator's weights makes the rows. These defaults are the preset
    `stable`; `paper` is the report's GAN, `hinge` has hinge loss and spectral norm, `dfg` the settings of DFG. While it
    trains, generated rows are compared with real ones, and a collapsed generator gives a warning. Two presets are
    `stable` with other draws: in `mixed` half of the rows come from a class Gaussian, which varies in directions that
    the generator leaves out; in `wide` rows lie twice as far from their class mean, for extractors that have drawn
    their training images together.

    `paper` and `dfg` tune a copy of the extractor's head beside the GAN, whose cross-entropy on generated rows trains
    the generator too; the copy is given up in the end, and any classifier uses the rows. Differs from the report in
    that; in `stable` no classifier takes part, since its cross-entropy shrinks the rows to the class centres. `dfg`
    has the networks of the report, a slope of 0.2 where the released code has 1, a tenth of its 40,000 steps, and not
    its attention over channels; `hinge` is `stable` but for loss, norm and penalty.
    """

    name = "gan-feature"
    source = SOURCE
    presets = SYNTHESIZER

    steps: int = param(600, "generator steps", ge=1)
    head_lr: float = param(1e-4, "Adam's learning rate for the head that is tuned beside", gt=0)
    head_beta1: float = param(0.9, "its decay of the mean gradient", ge=0, lt=1)
    head_beta2: float = param(0.999, "its decay of the squared gradient", ge=0, lt=1)
    head_batch_norm: Literal["frozen", "train"] = param("frozen", "running statistics of its batch norm: kept; updated")
    spread: float = param(1.0, "factor on a generated row's distance from its class mean, once trained", gt=0)
    gaussian: float = param(0.0, "share of the rows that come from a shrunk class Gaussian instead", ge=0, le=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.head_every and (self.guided or self.real_every):
            found = "guided=true" if self.guided else f"real_every={self.real_every}"
            raise UsageError(
                f"{self.name}: {found} is for a head that is tuned beside, but head_every=0 tunes none; "
                "set head_every above 0, or guided=false and real_every=0"
            )

    @property
    def needs(self) -> frozenset[str]:
        """A trained head where one is tuned beside."""
        return frozenset({"head"} if self.head_every else ())

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Product:
        """Train the GAN; DataError when it diverges or a class has no row."""
        from benchfw_gan_feature import rounds

        return rounds.fit(self, train, val, ctx)

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> Product:
        """Rebuild the product whose `state()` this is."""
        from benchfw_gan_feature.product import restored

        return restored(state, train.space, self, ctx)


@dataclass(frozen=True)
class GanFeatureJoint(Recipe, JointTrainer):
    """Train the classifier together with a conditional GAN on features, as the report does.

    After each step of the GAN the classifier learns what is due: generated rows every `head_every` steps, real rows
    every `real_every`, which are those that it would meet without a GAN. Its steps are the budget, and the GAN takes as
    many as that needs; rate, batch, loss and batch norm are the classifier's own, so the same classifier with augmenter
    `none` is the control. Networks, losses and presets are those of `gan-feature`; the schedule is the report's, in
    `dfg` DFG's. The report itself is `gan-feature-joint@paper` with `head@paper`.

    The report says neither how many steps it takes nor by what law it draws labels; in `paper` that is the deficit. The
    prior that corrections use is the mixture of generated and real labels in the long run.
    """

    name = "gan-feature-joint"
    source = SOURCE
    presets = JOINT

    head_every: int = param(2, "the classifier learns generated rows every so many steps; 0: never", ge=0)
    real_every: int = param(5, "it learns real rows every so many steps; 0: never", ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.head_every and not self.real_every:
            raise UsageError(f"{self.name}: head_every=0 and real_every=0 leave the classifier untrained; set one")
        if self.labels == "deficit" and not self.real_every:
            raise UsageError(
                f"{self.name}: labels=deficit with real_every=0 shows the classifier no row of the largest class; "
                "set labels=uniform or real_every"
            )

    def fit_jointly(
        self, train: FeatureSet, val: FeatureSet | None, network: nn.Module, classifier: NeuralClassifier, ctx: Context
    ) -> Predictor:
        """Train GAN and network; CannotRun for a classifier that trains no weight, DataError when the GAN diverges."""
        from benchfw_gan_feature import joint

        return joint.fit(self, train, val, network, classifier, ctx)

    def prior(self, train: FeatureSet) -> Tensor:
        """The mixture of generated and real labels that the network meets: (K,) float64, sums to 1."""
        from benchfw_gan_feature import joint

        return joint.prior(self, train)
