"""Classifiers of scikit-learn on feature vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw import Classifier, Context, FeatureSet, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchfw.data import Layout, Predictor


@hookimpl
def register_classifiers(register: Callable[[type], None]) -> None:
    """Register `logistic`."""
    register(Logistic)


@dataclass(frozen=True)
class Logistic(Classifier):
    """Multinomial logistic regression with an L2 penalty, to convergence.

    scikit-learn fits it with L-BFGS to the finite training set, the real rows and the synthetic ones, after each
    feature is centred and divided by its standard deviation over those rows. The intercept is not penalised. A class
    without a training row gets the log-score -87.3, the logarithm of the smallest normal float32, and no log-score is
    lower; so scores stay finite and such a class is never predicted.

    Differs from the source: there C weighs a sum over rows, so that more rows mean less penalty; here C stands for the
    real rows, and with synthetic ones beside them it is C * n_real / n_all. So every augmenter meets the same penalty.
    """

    name = "logistic"
    source = "scikit-learn, LogisticRegression"
    libraries = ("scikit-learn", "scipy")

    C: float = param(1.0, "inverse strength of the penalty; larger fits closer", gt=0)
    max_iter: int = param(1000, "iterations of L-BFGS, at most; a fit that needs more is said in its row", ge=1)

    @property
    def accepts(self) -> Sequence[Layout]:
        """Vectors only."""
        return ("vector",)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Predictor:
        """Fit to `train.numpy()`. Raises CannotRun where fewer than two classes have rows."""
        from benchfw_classic.logistic import fitted

        values, labels = train.numpy()
        strength = self.C * len(train) / len(labels)
        return fitted(
            values, labels, n_classes=train.space.n_classes, strength=strength, max_iter=self.max_iter, ctx=ctx
        )
