"""Components whose methods take or return something else, or are not written: one for each message."""

from dataclasses import dataclass

from benchfw import Classifier, Dataset, Extractor, JointTrainer, NeuralClassifier, NeuralExtractor, Selector
from faults.synthesizers import Means, Noisy, Stored

FAULTS = {}
WORDS = {}


def fault(check, said):
    """Make a class a planted fault: this check, and no other, must find it, and say this."""

    def kept(cls):
        cls.name = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("-")
        cls.__doc__ = "A planted fault."
        made = dataclass(frozen=True)(cls)
        FAULTS[made] = {check}
        WORDS[made] = said
        return made

    return kept


# ---- other arguments ----


@fault("signature", "fit: found fit(self, train, ctx); wants fit(self, train, val, ctx)")
class FitsWithoutVal(Noisy):
    def fit(self, train, ctx):
        return super().fit(train, None, ctx)


@fault("signature", "fit: found fit(train, val, ctx); wants fit(self, train, val, ctx)")
class ForgetsSelf(Noisy):
    def fit(train, val, ctx):  # noqa: N805
        return train.draw


@fault("signature", "fit: found fit(self, train, val, ctx, *, rounds); wants fit(self, train, val, ctx)")
class WantsAKeyword(Noisy):
    def fit(self, train, val, ctx, *, rounds):
        return train.draw


@fault("signature", "fit: found one with await or yield; wants a plain method")
class Yields(Noisy):
    def fit(self, train, val, ctx):
        yield train.draw


@fault("signature", "fit: found an int; wants fit(self, train, val, ctx)")
class FitIsANumber(Noisy):
    fit = 3


@fault("signature", "select: found select(self, train); wants select(self, train, ctx)")
class SelectsWithoutContext(Selector):
    def select(self, train):
        return train.labels.argsort()


@fault("signature", "embed: found embed(self, images); wants embed(self, images, ctx)")
class EmbedsWithoutContext(Extractor):
    def embed(self, images):
        return images.float().flatten(1)


@fault("signature", "layout: found a method; wants @property above it, or a plain value: layout = ...")
class LayoutIsAMethod(Extractor):
    def layout(self):
        return "vector"

    def embed(self, images, ctx):
        return images.float().flatten(1)


@fault("signature", "build: found build(self); wants build(self, image_shape, n_classes)")
class BuildsOfNothing(NeuralExtractor):
    def build(self):
        return None


@fault("signature", "restore: found restore(self, state); wants restore(self, state, train, ctx)")
class RestoresOfStateAlone(Stored):
    def restore(self, state):
        return Means(**state)


@fault("signature", "load: found load(self); wants load(self, ctx)")
class LoadsWithoutContext(Dataset):
    def load(self):
        return None


@fault("signature", "prior: found prior(self); wants prior(self, train)")
class PriorOfNothing(JointTrainer):
    def prior(self):
        return None

    def fit_jointly(self, train, val, network, classifier, ctx):
        return classifier.fit_network(network, train, ctx)


@fault("signature", "build: found build(self, space, depth); wants build(self, space)")
class BuildsWithDepth(NeuralClassifier):
    def build(self, space, depth):
        return None


# ---- other results ----


@fault("rows", "fit returned a tuple; wants a function (labels, rng) -> rows")
class FitsATuple(Noisy):
    def fit(self, train, val, ctx):
        return train.values, train.labels


@fault("rows", "fit returned a function (labels); wants a function (labels, rng) -> rows")
class SamplesWithoutRng(Noisy):
    def fit(self, train, val, ctx):
        return lambda labels: train.of_class(0)[labels]


@fault("rows", "sample returned a list; wants a tensor")
class SamplesAList(Noisy):
    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng).tolist()


@fault("rows", "keep nothing on self: put it into what the method returns")
class KeepsMeans(Noisy):
    def fit(self, train, val, ctx):
        self.means = train.of_class(0).mean(0)
        return super().fit(train, val, ctx)


@fault("positions", "select returned a list; wants a tensor")
class SelectsAList(Selector):
    def select(self, train, ctx):
        return list(range(len(train)))


@fault("scores", "fit returned None; wants a function (rows) -> log-scores")
class FitsNothing(Classifier):
    def fit(self, train, val, ctx):
        train.numpy()


@fault("scores", "predict returned an ndarray; wants a tensor")
class PredictsAnArray(Classifier):
    def fit(self, train, val, ctx):
        return lambda rows: rows.numpy()


@fault("scores", "fit_jointly returned None; wants a function (rows) -> log-scores")
class TrainsAndForgets(JointTrainer):
    def fit_jointly(self, train, val, network, classifier, ctx):
        classifier.fit_network(network, train, ctx)

    def prior(self, train):
        return train.natural_prior


@fault("feature-rows", "build returned a Sequential; wants benchfw.training.Network(body, head)")
class BuildsASequence(NeuralExtractor):
    def build(self, image_shape, n_classes):
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.LazyLinear(n_classes))


@fault("feature-rows", "embed returned an ndarray; wants a tensor")
class EmbedsAnArray(Extractor):
    def embed(self, images, ctx):
        return images.flatten(1).float().numpy()


@fault("parts", "load returned a tuple; wants an ImageDataset or a FeatureDataset")
class LoadsATuple(Dataset):
    def load(self, ctx):
        return [], []


@fault("scores", "build returned a tuple; wants a torch.nn.Module")
class BuildsATuple(NeuralClassifier):
    def build(self, space):
        return (space.size, space.n_classes)


# ---- not written ----


@fault("state-restores", "restore: found none; write restore(self, state, train, ctx): the product of `fit` from its")
class StoresForever(Noisy):
    def fit(self, train, val, ctx):
        import torch

        means = torch.stack([train.of_class(c).mean(0) for c in range(train.space.n_classes)])
        return Means(means, torch.tensor(0.1))


@fault("prior", "prior: found none; write prior(self, train): the label distribution that `network` meets: (K,)")
class WithoutPrior(JointTrainer):
    def fit_jointly(self, train, val, network, classifier, ctx):
        return classifier.fit_network(network, train, ctx)


@fault("scores", "fit: found none; write fit(self, train, val, ctx): learn from `train.numpy()` or a stream of it")
class WithoutFit(Classifier):
    pass


@fault("scores", "build: found none; write build(self, space): the network before training, (B, *shape) -> logits")
class WithoutNetwork(NeuralClassifier):
    pass
