"""A GAN that generates features of any class: a stable form of the generator in the reference method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw import Context, FeatureSet, Synthesizer, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from benchfw_gan_feature.networks import Product


@hookimpl
def register_augmenters(register: Callable[[type], None]) -> None:
    """Register gan-feature."""
    register(GanFeature)


@dataclass(frozen=True)
class GanFeature(Synthesizer):
    """Generate features with a conditional Wasserstein GAN.

    The generator maps noise and a class to the class mean plus a learned residual, never below the smallest value of
    the training features; the critic sees standardised features and is conditioned on the class by projection; there is
    no batch, layer or spectral norm. They train on labels that are uniform over the classes, so the small classes are
    met as often as the large ones; a moving average of the generator's weights makes the rows. Both are fully connected
    for vectors and maps of up to 1,024 numbers, else convolutional. While it trains, the generated rows are compared
    with the real ones, and a collapsed generator gives a warning. The defaults are the preset `stable`.

    Differs from the report: no classifier trains with the GAN, since its cross-entropy on generated rows shrinks them
    to the class centres; the loss is Wasserstein with a gradient penalty, as in DFG, instead of binary cross-entropy;
    the critic has a projection where report and DFG have an unconditional one; a class mean plus a linear residual
    takes the place of tanh and batch norm; the weights are averaged. The paper of WGAN-GP has 5 critic steps, rate 1e-4
    and decay 0 of the mean gradient.
    """

    name = "gan-feature"
    source = (
        "feature-space GAN for imbalanced chest X-rays (2020 capstone report on CheXpert), step 2, feature generator; "
        "Suh, Lukowicz and Lee (DFG, discriminative feature generation); "
        "Gulrajani et al. 2017 (WGAN-GP, equation 3, algorithm 1); Miyato and Koyama 2018 (projection discriminator); "
        "Xian et al. 2018 (f-CLSWGAN, Wasserstein GANs on features)"
    )
    presets = {
        "stable": {
            "z": 64,
            "width": 256,
            "steps": 600,
            "critic_steps": 3,
            "batch": 64,
            "penalty": 10.0,
            "lr": 5e-4,
            "beta1": 0.5,
            "beta2": 0.9,
            "average": 0.99,
        }
    }

    z: int = param(64, "length of the noise vector", ge=1)
    width: int = param(256, "units of a hidden layer, or channels of a convolution", ge=1)
    steps: int = param(600, "generator steps", ge=1)
    critic_steps: int = param(3, "critic steps before each generator step", ge=1)
    batch: int = param(64, "real rows, and as many generated ones, in a step", ge=1)
    penalty: float = param(10.0, "weight of the critic's gradient penalty", gt=0)
    lr: float = param(5e-4, "Adam's learning rate, for generator and critic", gt=0)
    beta1: float = param(0.5, "Adam's decay of the mean gradient", ge=0, lt=1)
    beta2: float = param(0.9, "Adam's decay of the squared gradient", ge=0, lt=1)
    average: float = param(0.99, "decay of the generator's averaged weights; 0: the last weights", ge=0, lt=1)
    watch: int = param(100, "generator steps between two looks at the generated rows; 0: only at the end", ge=0)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Product:
        """Train the GAN; DataError when it diverges or a class has no row."""
        from benchfw_gan_feature import wasserstein

        return wasserstein.fit(self, train, ctx)

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> Product:
        """Rebuild the product whose `state()` this is."""
        from benchfw_gan_feature.networks import restored

        return restored(state, train.space, z=self.z, width=self.width, device=ctx.device)
