"""A plugin of the tests: data with a leak in it, components that leak, and components that keep what they get."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from benchfw import (
    Classifier,
    Dataset,
    Extractor,
    FeatureDataset,
    FeatureSet,
    FeatureSpace,
    ImageDataset,
    ImageSet,
    JointTrainer,
    NeuralClassifier,
    NeuralExtractor,
    Selector,
    Synthesizer,
    hookimpl,
    param,
    training,
)

COUNTS = (60, 45, 30)  # the training part; its rows are the samples 0..134
TEST_COUNTS = (6, 9, 30)  # skewed the other way
Leak = Literal[
    "none", "oversampled", "drawn-twice", "val-is-test", "test-in-train", "shared-ids", "shared-group", "other-labels"
]
MET: dict[str, list[tuple[object, ...]]] = {}  # what the components of a run were handed, by stage
PREDICTED: list[torch.Tensor] = []  # the rows of each call of a predictor


@hookimpl
def register_datasets(register):
    register(Planted)


@hookimpl
def register_extractors(register):
    for component in (Scaled, Met, BatchStandardised, RunningMean, TrainingMode):
        register(component)


@hookimpl
def register_augmenters(register):
    for component in (MetSynthesizer, MetSelector, MetJoint, AdaptsJointly, Overwrites):
        register(component)


@hookimpl
def register_classifiers(register):
    for component in (MetNetwork, MetPlain, BatchScaler, BatchNorm, Adapts):
        register(component)


# ---- data with a leak in it ----


@dataclass(frozen=True)
class Planted(Dataset):
    """Three classes of random rows, as images or as features, with a leak in them."""

    name = "planted"
    kind: Literal["images", "features"] = param("images", "what it gives")
    leak: Leak = param("none", "what is wrong")
    own_test: bool = param(True, "whether it has a test part of its own")
    factor: float = param(1.0, "on every second test row")

    @property
    def gives(self):
        return frozenset({"features"} if self.kind == "features" else ())

    def load(self, ctx):
        rng = torch.Generator().manual_seed(0)
        counts = torch.tensor([COUNTS, TEST_COUNTS])
        labels, test_labels = (torch.repeat_interleave(row) for row in counts)
        rows = torch.randint(200, 256, (len(labels) + len(test_labels), 1, 4, 4), generator=rng, dtype=torch.uint8)
        rows[:, 0, 0, 0] = torch.arange(len(rows)) + 20  # a number that is in no other row
        groups, test_groups = torch.arange(len(labels)) // 3, 1000 + torch.arange(len(test_labels))
        index, test_index = torch.arange(len(labels)), torch.arange(len(labels), len(rows))
        if self.leak == "oversampled":
            index = torch.cat([index, *(torch.arange(135)[labels == c].repeat(4)[: 60 - COUNTS[c]] for c in range(3))])
        if self.leak == "drawn-twice":
            index = torch.cat([index[labels == c][torch.randint(n, (n,), generator=rng)] for c, n in enumerate(COUNTS)])
        if self.leak == "test-in-train":
            test_index[:5] = torch.arange(5)
        if self.leak == "shared-group":
            test_groups[0] = groups[7]
        if self.leak == "other-labels":
            test_labels = (test_labels + 1) % 3
        train = self._samples(rows[index], labels[index], groups[index] if self.leak == "shared-group" else None)
        test = self._samples(rows[test_index], test_labels, test_groups if self.leak == "shared-group" else None, 1)
        parts = {"test": test} if self.own_test else {}
        if self.leak == "val-is-test":
            parts["val"] = test
        whole = FeatureDataset if self.kind == "features" else SharedIds if self.leak == "shared-ids" else ImageDataset
        return whole(train, ("few", "more", "most"), **parts)

    def _samples(self, rows, labels, groups, test=0):
        if self.kind == "images":
            return ImageSet(rows, labels, groups)
        values = scaled(rows)
        if test:
            values[1::2] *= self.factor
        return FeatureSet(FeatureSpace((16,), 3), values, labels, groups=groups)


@dataclass(frozen=True, eq=False)
class SharedIds(ImageDataset):
    """A data set that holds out five of its training samples, and trains on them all the same."""

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "test", self.train.take(torch.arange(100, 105)))


def scaled(images):
    """Rows (B, 16) that hold no other number than theirs: a pixel of 20 is no weight, count or position."""
    return images.flatten(1) * 0.0123 + 0.4567


def planted(leak="none", kind="images", **more):
    settings = {"leak": leak, "kind": kind} | more
    return "planted@" + ",".join(f"{name}={str(value).lower()}" for name, value in settings.items())


# ---- components that keep what they are handed ----


def met(stage, *handed):
    MET.setdefault(stage, []).append(handed)


@dataclass(frozen=True)
class Scaled(Extractor):
    """Pixels as numbers that occur nowhere else."""

    name = "scaled"
    layout = "vector"

    def embed(self, images, ctx):
        return scaled(images)


@dataclass(frozen=True)
class Met(NeuralExtractor):
    """The same, after a training that keeps what it is handed."""

    name = "met"
    layout = "vector"

    def build(self, image_shape, n_classes):
        class Body(nn.Module):
            def forward(self, images):
                return scaled(images)

        return training.Network(Body(), nn.Linear(16, n_classes))

    def fit(self, network, train, val, ctx):
        met("extractor", network, train, val, ctx)
        super().fit(network, train, val, ctx)


@dataclass(frozen=True)
class MetSynthesizer(Synthesizer):
    """Rows of -1."""

    name = "met-synthesizer"

    def fit(self, train, val, ctx):
        met("synthesizer", train, val, ctx)
        return lambda labels, rng: torch.full((len(labels), 16), -1.0)


@dataclass(frozen=True)
class MetSelector(Selector):
    """Every row."""

    name = "met-selector"

    def select(self, train, ctx):
        met("selector", train, ctx)
        return torch.arange(len(train))


@dataclass(frozen=True)
class MetJoint(JointTrainer):
    """Train on real rows, and stop where validation is best."""

    name = "met-joint"

    def fit_jointly(self, train, val, network, classifier, ctx):
        met("joint", train, val, network, classifier, ctx)
        best, kept = -1.0, {}
        for _ in range(3):
            classifier.fit_network(network, train, ctx)
            with torch.inference_mode():
                right = network(val.rows(torch.arange(len(val)))).argmax(1) == val.labels
            if right.float().mean() > best:
                best, kept = right.float().mean(), {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(kept)
        return keeping_rows(training.predictor(network))

    def prior(self, train):
        met("prior", train)
        return train.natural_prior


@dataclass(frozen=True)
class MetNetwork(NeuralClassifier):
    """One linear layer."""

    name = "met-network"

    def build(self, space):
        met("build", space)
        return nn.Linear(16, space.n_classes)

    def fit(self, train, val, ctx):
        met("network", train, val, ctx)
        return keeping_rows(super().fit(train, val, ctx))


@dataclass(frozen=True)
class MetPlain(Classifier):
    """The class shares of the training rows, whatever the row."""

    name = "met-plain"

    def fit(self, train, val, ctx):
        met("classifier", train, val, ctx)
        return keeping_rows(lambda rows: train.prior.log().float().expand(len(rows), -1))


def keeping_rows(predict):
    def kept(rows):
        PREDICTED.append(rows.clone())
        return predict(rows)

    return kept


# ---- components that leak ----


class Fixed(nn.Module):
    """(B, 16) -> (B, 3), as if somebody had trained it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(16)
        self.layer = nn.Linear(16, 3)

    def forward(self, rows):
        return self.layer(self.norm(rows)).log_softmax(1)


@dataclass(frozen=True)
class BatchScaler(Classifier):
    """Scale the rows that are to be predicted by their own mean and deviation."""

    name = "batch-scaler"

    def fit(self, train, val, ctx):
        network = Fixed().eval()
        return lambda rows: network((rows - rows.mean(0)) / rows.std(0)).detach()


@dataclass(frozen=True)
class BatchNorm(NeuralClassifier):
    """Predict in training mode."""

    name = "batch-norm"

    def build(self, space):
        return Fixed()

    def fit(self, train, val, ctx):
        network = self.build(train.space).train()
        return lambda rows: network(rows).detach()


@dataclass(frozen=True)
class Adapts(NeuralClassifier):
    """Predict in evaluation mode, and let batch norm see the rows afterwards."""

    name = "adapts"

    def build(self, space):
        return Fixed()

    def fit(self, train, val, ctx):
        network = self.build(train.space)

        def predict(rows):
            scores = network.eval()(rows).detach()
            network.train()(rows)
            return scores

        return predict


@dataclass(frozen=True)
class AdaptsJointly(JointTrainer):
    """The same as a joint trainer."""

    name = "adapts-jointly"

    def fit_jointly(self, train, val, network, classifier, ctx):
        return Adapts().fit(train, val, ctx)

    def prior(self, train):
        return train.natural_prior


@dataclass(frozen=True)
class BatchStandardised(Extractor):
    """Pixels, scaled by mean and deviation of the images beside them."""

    name = "batch-standardised"
    layout = "vector"

    def embed(self, images, ctx):
        rows = scaled(images)
        return (rows - rows.mean(0)) / rows.std(0)


@dataclass(frozen=True)
class TrainingMode(Met):
    """Pixels through batch norm that cannot be set to evaluation mode."""

    name = "training-mode"

    def build(self, image_shape, n_classes):
        class Body(nn.Module):
            def forward(self, images):
                return nn.functional.batch_norm(scaled(images), None, None, training=True)

        return training.Network(Body(), nn.Linear(16, n_classes))


@dataclass(frozen=True)
class RunningMean(Met):
    """Pixels less the running mean of all images so far, whichever part they are of."""

    name = "running-mean"

    def build(self, image_shape, n_classes):
        class Body(nn.Module):
            mean = torch.zeros(16)

            def forward(self, images):
                rows = scaled(images)
                self.mean = 0.9 * self.mean + 0.1 * rows.mean(0)
                return rows - self.mean

        return training.Network(Body(), nn.Linear(16, n_classes))


@dataclass(frozen=True)
class Overwrites(Synthesizer):
    """Write zeros over the rows that it is handed."""

    name = "overwrites"

    def fit(self, train, val, ctx):
        train.values.zero_()
        val.values.zero_()
        return lambda labels, rng: torch.zeros(len(labels), 16)
