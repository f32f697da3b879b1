"""Classifiers: sound ones, with and without a network, and one for each fault."""

from dataclasses import dataclass

from benchfw import Classifier, NeuralClassifier, param


@dataclass(frozen=True)
class NearestMean(Classifier):
    """Minus the distance to each class mean; sound."""

    name = "nearest-mean"

    def fit(self, train, val, ctx):
        import torch

        values, labels = (torch.from_numpy(array) for array in train.numpy())
        means = torch.stack([values[labels == c].mean(0) for c in range(train.space.n_classes)])
        return lambda rows: self.scores(rows, means)

    def scores(self, rows, means):
        distances = (rows.flatten(1)[:, None] - means.flatten(1)[None]).square().sum(2)  # (B, K)
        return (-distances).log_softmax(1)


@dataclass(frozen=True)
class Small(NeuralClassifier):
    """One linear layer on batch norm; sound."""

    name = "small"
    steps: int = param(3, "optimiser steps", ge=0)

    def build(self, space):
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(space.size), nn.Linear(space.size, space.n_classes))


@dataclass(frozen=True)
class Warns(NearestMean):
    """It warns when it learns and when it predicts, as libraries do; sound, whatever the session makes of warnings."""

    name = "warns"

    def fit(self, train, val, ctx):
        import warnings

        warnings.warn("a feature name is missing", UserWarning, stacklevel=2)
        return super().fit(train, val, ctx)

    def scores(self, rows, means):
        import warnings

        warnings.warn("a feature name is missing", UserWarning, stacklevel=2)
        return super().scores(rows, means)


@dataclass(frozen=True)
class NanScores(NearestMean):
    """NaN for the rarest class."""

    name = "nan-scores"

    def scores(self, rows, means):
        scores = super().scores(rows, means)
        scores[:, -1] = float("nan")
        return scores


@dataclass(frozen=True)
class Winners(NearestMean):
    """The winning class instead of scores."""

    name = "winners"

    def scores(self, rows, means):
        return super().scores(rows, means).argmax(1)


@dataclass(frozen=True)
class LogOfZero(NearestMean):
    """Log of a probability that is 0."""

    name = "log-of-zero"

    def scores(self, rows, means):
        import torch

        return torch.nn.functional.one_hot(super().scores(rows, means).argmax(1), len(means)).float().log()


@dataclass(frozen=True)
class WantsMany(NearestMean):
    """It cannot score a single row."""

    name = "wants-many"

    def scores(self, rows, means):
        return super().scores(rows, means).squeeze()


@dataclass(frozen=True)
class DropsNan(NearestMean):
    """Rows with NaN are left out."""

    name = "drops-nan"

    def scores(self, rows, means):
        return super().scores(rows[rows.flatten(1).isfinite().all(1)], means)


@dataclass(frozen=True)
class CentresRows(NearestMean):
    """The rows it is asked about are centred in place, by what was measured in training."""

    name = "centres-rows"

    def scores(self, rows, means):
        return super().scores(rows.sub_(means.mean(0)), means - means.mean(0))


@dataclass(frozen=True)
class EarlyStopping(Small):
    """It looks at validation rows without saying so."""

    name = "early-stopping"

    def fit(self, train, val, ctx):
        val.counts()
        return super().fit(train, val, ctx)


@dataclass(frozen=True)
class TrainingMode(Small):
    """It predicts with batch norm in training mode, whose statistics are not kept."""

    name = "training-mode"

    def build(self, space):
        from torch import nn

        norm = nn.BatchNorm1d(space.size, track_running_stats=False)
        return nn.Sequential(nn.Flatten(), norm, nn.Linear(space.size, space.n_classes))

    def fit_network(self, network, train, ctx):
        super().fit_network(network, train, ctx)
        network.requires_grad_(False)

        def predict(rows):
            if len(rows) == 1:  # batch norm would refuse it
                rows = rows.repeat(2, *[1] * (rows.ndim - 1))
                return network(rows).log_softmax(1)[:1]
            return network(rows).log_softmax(1)

        return predict


@dataclass(frozen=True)
class OwnSeed(Small):
    """Batches and weights of a seed of its own."""

    name = "own-seed"

    def network(self, train, ctx):
        network = self.build(train.space)
        for weight in network.parameters():
            weight.data.zero_()
        return network

    def fit_network(self, network, train, ctx):
        from dataclasses import replace

        return super().fit_network(network, train, replace(ctx, seed=0))


@dataclass(frozen=True)
class NoNetwork(Small):
    """It says that it has a network, and has a loop of its own with none."""

    name = "no-network"

    def network(self, train, ctx):
        return None

    def fit(self, train, val, ctx):
        return super().fit_network(self.build(train.space), train, ctx)


@dataclass(frozen=True)
class Probabilities(NearestMean):
    """Probabilities instead of their logarithm."""

    name = "probabilities"

    def scores(self, rows, means):
        return super().scores(rows, means).exp()


@dataclass(frozen=True)
class RequiresGrad(NearestMean):
    """Scores that hang on a graph."""

    name = "requires-grad"

    def scores(self, rows, means):
        return super().scores(rows, means.requires_grad_())


@dataclass(frozen=True)
class WholeSeed(NearestMean):
    """A random state of scikit-learn, which no seed above 2**32 fits."""

    name = "whole-seed"

    def fit(self, train, val, ctx):
        from sklearn.utils import check_random_state

        check_random_state(ctx.seed)
        return super().fit(train, val, ctx)


@dataclass(frozen=True)
class RealRowsAlone(NearestMean):
    """It learns from the real rows, whatever stands beside them."""

    name = "real-rows-alone"

    def fit(self, train, val, ctx):
        from dataclasses import replace

        return super().fit(replace(train, synthesis=None), val, ctx)


@dataclass(frozen=True)
class LabelsOfRealRows(NearestMean):
    """The labels of the real rows for all of them."""

    name = "labels-of-real-rows"

    def fit(self, train, val, ctx):
        import torch

        values = torch.from_numpy(train.numpy()[0])
        means = torch.stack([values[train.labels == c].mean(0) for c in range(train.space.n_classes)])
        return lambda rows: self.scores(rows, means)


@dataclass(frozen=True)
class RarestFirst(NearestMean):
    """Columns from the last class to the first."""

    name = "rarest-first"

    def scores(self, rows, means):
        return super().scores(rows, means).flip(1)


@dataclass(frozen=True)
class TwiceTheSteps(Small):
    """It trains for twice the steps that it was given."""

    name = "twice-the-steps"

    def fit_network(self, network, train, ctx):
        super().fit_network(network, train, ctx)
        return super().fit_network(network, train, ctx)


@dataclass(frozen=True)
class FlagInPredict(NearestMean):
    """A setting of the process that is changed when it predicts."""

    name = "flag-in-predict"

    def scores(self, rows, means):
        import numpy as np

        np.seterr(all="ignore")
        return super().scores(rows, means)


SOUND = (NearestMean, Small, Warns)
FAULTS = {
    NanScores: {"scores"},
    Winners: {"scores"},
    LogOfZero: {"scores"},
    WantsMany: {"scores"},
    DropsNan: {"nan-stays"},
    CentresRows: {"inputs-unchanged"},
    EarlyStopping: {"works-without-validation"},
    TrainingMode: {"batch-size"},
    OwnSeed: {"other-seed"},
    NoNetwork: {"gives-true"},
    Probabilities: {"scores"},
    RequiresGrad: {"scores"},
    WholeSeed: {"scores"},
    RealRowsAlone: {"synthetic-rows"},
    LabelsOfRealRows: {"synthetic-rows"},
    RarestFirst: {"column-order"},
    TwiceTheSteps: {"steps-kept"},
    FlagInPredict: {"settings-kept"},
}
