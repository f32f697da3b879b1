"""Generators that fit a density to the features of each class and draw new rows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchfw import CannotRun, Context, FeatureSet, Synthesizer, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from benchfw_generative.gaussian import Gaussians
    from benchfw_generative.noise import NoiseRows


@hookimpl
def register_augmenters(register: Callable[[type], None]) -> None:
    """Register all augmenters of this package."""
    register(ClassGaussian)
    register(Noise)


@dataclass(frozen=True)
class ClassGaussian(Synthesizer):
    """Draw from a Gaussian for each class, with a covariance shrunk towards that of all classes.

    Class c has its own mean and the covariance w S_c + (1 - w) S with the weight w = (n_c - 1) / (n_c - 1 + D): S_c is
    its own unbiased covariance, S the pooled one within classes, D the vector length. This is the posterior mean under
    an inverse Wishart prior around S that weighs D rows; a class of one row has S alone. Up to D = 2,048 the covariance
    is exact. Above, no D x D matrix is made: where S_c or S has more than 512 rows behind it, as many random mixtures
    of them stand for it, unbiased in every entry.

    Differs from the source: FASA keeps running variances of single features during training; here the features are
    fixed, so mean and full covariance are computed once. New rows are cut off at each feature's least training value,
    so that features after a ReLU do not turn negative; fewer of them are exactly 0 than of the real ones, and the cut
    pushes their means up a little.
    """

    name = "class-gaussian"
    source = (
        "Zang et al. 2021 (FASA), class-wise Gaussian features; Friedman 1989, shrinkage towards the pooled covariance"
    )

    floor: bool = param(True, "cut new rows off at the least training value of each feature")

    @property
    def accepts(self) -> Sequence[Literal["vector", "map"]]:
        """Vectors; the harness flattens maps for it."""
        return ("vector",)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Gaussians:
        """Compute means and covariances. Warns when no class has two rows. Raises CannotRun for an empty class."""
        from benchfw_generative.gaussian import fitted

        counts = train.counts()
        if not bool(counts.all()):
            empty = int((counts == 0).nonzero()[0])
            raise CannotRun(f"{self.name}: class {empty} has 0 training rows, wants at least 1; use a smaller ratio")
        if int(counts.max()) == 1:
            ctx.warn(f"{self.name}: each class has one row, so the covariance is 0 and rows are repeated")
        return fitted(train, ctx.rng, with_floor=self.floor)

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> Gaussians:
        """Make the fitted Gaussians again from their stored tensors."""
        from benchfw_generative.gaussian import Gaussians

        return Gaussians(**{name: value.to(ctx.device) for name, value in state.items()})


@dataclass(frozen=True)
class Noise(Synthesizer):
    """Draw noise that knows nothing of the label: a control that shows what balance alone does.

    Each number is normal, with the mean and the standard deviation that it has over all real training rows, and is cut
    off at its least training value. The rows of every class come from the same distribution, so a classifier learns
    from their labels only how often each class is met. What a generator gains beyond this, it gains by its rows.
    """

    name = "noise"
    source = "control for generated features: balanced labels on rows without content"

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> NoiseRows:
        """Measure the mean, the standard deviation and the least value of each number."""
        from benchfw_generative.noise import measured

        return measured(train)

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> NoiseRows:
        """Make the product again from its stored tensors."""
        from benchfw_generative.noise import NoiseRows

        return NoiseRows(**{name: value.to(ctx.device) for name, value in state.items()})
