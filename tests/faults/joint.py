"""Joint trainers: one that is sound, and one for each fault."""

from dataclasses import dataclass

from benchfw import JointTrainer


@dataclass(frozen=True)
class Plain(JointTrainer):
    """The harness's own loop; sound."""

    name = "plain"

    def fit_jointly(self, train, val, network, classifier, ctx):
        return classifier.fit_network(network, train, ctx)

    def prior(self, train):
        return train.natural_prior


@dataclass(frozen=True)
class CountsAsPrior(Plain):
    """Counts instead of shares."""

    name = "counts-as-prior"

    def prior(self, train):
        return train.counts().double()


@dataclass(frozen=True)
class TrainsACopy(Plain):
    """It trains a copy of the network, and gives that back."""

    name = "trains-a-copy"

    def fit_jointly(self, train, val, network, classifier, ctx):
        import copy

        return classifier.fit_network(copy.deepcopy(network), train, ctx)


@dataclass(frozen=True)
class TwiceTheBudget(Plain):
    """It trains for twice the steps."""

    name = "twice-the-budget"

    def fit_jointly(self, train, val, network, classifier, ctx):
        classifier.fit_network(network, train, ctx)
        return classifier.fit_network(network, train, ctx)


@dataclass(frozen=True)
class PredictsWithAnother(Plain):
    """It trains the network, and predicts with another."""

    name = "predicts-with-another"

    def fit_jointly(self, train, val, network, classifier, ctx):
        import copy

        first = copy.deepcopy(network)
        classifier.fit_network(network, train, ctx)
        return classifier.fit_network(first, train, ctx.__class__(ctx.seed + 1, ctx.device, ctx.downloads))


SOUND = (Plain,)
FAULTS = {
    CountsAsPrior: {"prior"},
    TrainsACopy: {"trains-the-network"},
    TwiceTheBudget: {"trains-the-network"},
    PredictsWithAnother: {"trains-the-network"},
}
