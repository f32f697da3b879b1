"""Synthesizers: one that is sound, and one for each fault."""

from dataclasses import dataclass

from benchfw import Synthesizer, hookimpl, param


@hookimpl
def register_augmenters(register):
    for component in SOUND + tuple(FAULTS):
        register(component)


@dataclass(frozen=True)
class Noisy(Synthesizer):
    """Repeat rows with a little noise; sound."""

    name = "noisy"
    presets = {"strong": {"scale": 0.3}}
    scale: float = param(0.1, "deviation of the noise", ge=0)

    def fit(self, train, val, ctx):
        return lambda labels, rng: self.rows(train, labels, rng)

    def rows(self, train, labels, rng):
        rows = train.draw(labels, rng)
        return rows + self.scale * rows.new_empty(rows.shape).normal_(generator=rng)


@dataclass(frozen=True)
class Stored(Synthesizer):
    """Class means with noise, which can be stored; sound."""

    name = "stored"

    def fit(self, train, val, ctx):
        import torch

        means = torch.stack([train.of_class(c).mean(0) for c in range(train.space.n_classes)])
        return Means(means, torch.tensor(0.1))

    def restore(self, state, train, ctx):
        return Means(**state)


class Means:
    """Rows around class means. means: (K, *shape); deviation: a scalar."""

    def __init__(self, means, deviation):
        self.means, self.deviation = means, deviation

    def __call__(self, labels, rng):
        rows = self.means[labels]
        return rows + self.deviation * rows.new_empty(rows.shape).normal_(generator=rng)

    def state(self):
        return {"means": self.means, "deviation": self.deviation}


SOUND = (Noisy, Stored)
FAULTS = {}


def fault(*checks):
    """Make a class a planted fault: these checks, and no others, must find it."""

    def kept(cls):
        cls.__doc__ = cls.__doc__ or "A planted fault."
        made = dataclass(frozen=True)(cls)
        FAULTS[made] = set(checks)
        return made

    return kept


# ---- inputs ----


@fault("inputs-unchanged")
class WritesIntoTrain(Noisy):
    name = "writes-into-train"

    def fit(self, train, val, ctx):
        train.values.mul_(1.5)
        return super().fit(train, val, ctx)


@fault("inputs-unchanged")
class WritesIntoValidation(Noisy):
    name = "writes-into-validation"

    def fit(self, train, val, ctx):
        if val is not None:
            val.values.zero_()
        return super().fit(train, val, ctx)


@fault("inputs-unchanged")
class SortsLabels(Noisy):
    name = "sorts-labels"

    def rows(self, train, labels, rng):
        rows = super().rows(train, labels, rng)
        labels.copy_(labels.sort().values)
        return rows


# ---- leaks ----


@fault("no-leak")
class ReadsThePool(Noisy):
    name = "reads-the-pool"

    def fit(self, train, val, ctx):
        mean = train.values.mean(0)
        return lambda labels, rng: self.rows(train, labels, rng) + 1e-6 * mean


@fault("no-validation-rows")
class CopiesValidation(Noisy):
    name = "copies-validation"

    def fit(self, train, val, ctx):
        def sample(labels, rng):
            rows = self.rows(train, labels, rng)
            if val is not None:
                rows[labels == 0] = val.of_class(0)[0]
            return rows

        return sample


# ---- seeds ----


@fault("no-reseeding")
class SeedsTorch(Noisy):
    name = "seeds-torch"

    def fit(self, train, val, ctx):
        import torch

        torch.manual_seed(0)
        return super().fit(train, val, ctx)


@fault("no-reseeding")
class SeedsNumpy(Noisy):
    name = "seeds-numpy"

    def fit(self, train, val, ctx):
        import numpy as np

        np.random.seed(ctx.seed % 2**32)  # noqa: NPY002
        return super().fit(train, val, ctx)


@fault("no-reseeding")
class SeedsPython(Noisy):
    name = "seeds-python"

    def rows(self, train, labels, rng):
        import random

        random.seed(1)
        return super().rows(train, labels, rng)


@fault("other-seed")
class FixedGenerator(Noisy):
    name = "fixed-generator"

    def rows(self, train, labels, rng):
        import torch

        return super().rows(train, labels, torch.Generator().manual_seed(0))


@fault("same-question")
class GlobalGenerator(Noisy):
    name = "global-generator"

    def rows(self, train, labels, rng):
        import torch

        rows = train.draw(labels, rng)
        return rows + self.scale * torch.randn(rows.shape)


@fault("same-question")
class Counts(Noisy):
    """Rows that move on with each call."""

    name = "counts"

    def fit(self, train, val, ctx):
        calls = []

        def sample(labels, rng):
            calls.append(1)
            return self.rows(train, labels, rng) + 1e-3 * len(calls)

        return sample


@fault("same-seed")
class Entropy(Noisy):
    name = "entropy"

    def fit(self, train, val, ctx):
        import os

        shift = os.urandom(1)[0] / 1e3 + os.urandom(1)[0] / 1e6
        return lambda labels, rng: self.rows(train, labels, rng) + shift


@fault("fresh-process")
class ProcessNumber(Noisy):
    name = "process-number"

    def fit(self, train, val, ctx):
        import os

        shift = os.getpid() * 1e-7
        return lambda labels, rng: self.rows(train, labels, rng) + shift


@fault("fresh-process")
class OrderOfWords(Noisy):
    """The order of a set of words, which is another one in each process."""

    name = "order-of-words"

    def fit(self, train, val, ctx):
        words = {f"class {c}" for c in range(20)}
        shift = 1e-3 * float([*words].index("class 7")) + 1e-5 * float([*words].index("class 8"))
        return lambda labels, rng: self.rows(train, labels, rng) + shift


@fault("rows")
class EndsTheProcess(Noisy):
    """As a crash in a library does; nobody may be taken along."""

    name = "ends-the-process"

    def fit(self, train, val, ctx):
        import os

        os._exit(3)


REMEMBERED = {}


@fault("fresh-process")
class RemembersTheFirst(Noisy):
    """A cache in the module that holds what the first data were, whatever comes."""

    name = "remembers-the-first"

    def fit(self, train, val, ctx):
        shift = REMEMBERED.setdefault(train.shape, train.scale() * 1e-3)
        return lambda labels, rng: self.rows(train, labels, rng) + shift


RECENT = []


@fault("keeps-nothing")
class AveragesOverFits(Noisy):
    """A module that counts the data sets that it has met, but for the one it met last."""

    name = "averages-over-fits"

    def fit(self, train, val, ctx):
        scale = train.scale()
        if scale not in RECENT[-1:]:
            RECENT.append(scale)
        shift = 1e-3 * (RECENT.count(scale) > 1)
        return lambda labels, rng: self.rows(train, labels, rng) + shift


@fault("keeps-nothing")
class StateOnSelf(Noisy):
    name = "state-on-self"

    def fit(self, train, val, ctx):
        object.__setattr__(self, "learned", train.scale())
        return super().fit(train, val, ctx)


@fault("context-given-back")
class KeepsContext(Noisy):
    name = "keeps-context"

    def fit(self, train, val, ctx):
        def sample(labels, rng):
            ctx.progress(1, 1)
            return self.rows(train, labels, rng)

        return sample


@fault("fill-is-outside")
class UsesFill(Noisy):
    name = "uses-fill"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng) + self.fill


# ---- settings ----


@fault("settings-kept")
class DefaultDtype(Noisy):
    name = "default-dtype"

    def fit(self, train, val, ctx):
        import torch

        torch.set_default_dtype(torch.float64)
        return super().fit(train, val, ctx)


@fault("settings-kept")
class Threads(Noisy):
    name = "threads"

    def fit(self, train, val, ctx):
        import torch

        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().fit(train, val, ctx)


@fault("settings-kept")
class Benchmark(Noisy):
    name = "cudnn-benchmark"

    def fit(self, train, val, ctx):
        import torch

        torch.backends.cudnn.benchmark = True
        return super().fit(train, val, ctx)


@fault("settings-kept")
class Environment(Noisy):
    name = "environment"

    def fit(self, train, val, ctx):
        import os

        os.environ["A_PLUGIN_WAS_HERE"] = "1"
        return super().fit(train, val, ctx)


@fault("settings-kept")
class Directory(Noisy):
    name = "directory"

    def fit(self, train, val, ctx):
        import os

        os.chdir(ctx.downloads)
        return super().fit(train, val, ctx)


@fault("settings-kept")
class Silence(Noisy):
    name = "silence"

    def fit(self, train, val, ctx):
        import warnings

        warnings.simplefilter("ignore")
        return super().fit(train, val, ctx)


# ---- rows ----


@fault("rows")
class TooFew(Noisy):
    name = "too-few"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng)[1:]


@fault("rows")
class Doubles(Noisy):
    name = "doubles"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng).double()


@fault("rows")
class Infinite(Noisy):
    name = "infinite"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng) / 0.0


@fault("rows")
class NumpyRows(Noisy):
    name = "numpy-rows"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng).numpy()


@fault("rows")
class OneClassAtATime(Noisy):
    """Rows for labels of several classes alone."""

    name = "several-classes"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng)[: len(labels) * min(2, len(labels.unique())) // 2]


@fault("row-order")
class Sorted(Noisy):
    name = "sorted"

    def rows(self, train, labels, rng):
        return super().rows(train, labels.sort().values, rng)


@fault("row-order")
class OffByOne(Noisy):
    name = "off-by-one"

    def rows(self, train, labels, rng):
        return super().rows(train, (labels + 1) % train.space.n_classes, rng)


@fault("nan-shows")
class HidesNan(Noisy):
    name = "hides-nan"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng).nan_to_num()


@fault("tiny-classes")
class WantsTwo(Noisy):
    name = "wants-two"

    def fit(self, train, val, ctx):
        for c in range(train.space.n_classes):
            train.of_class(c)[1]
        return super().fit(train, val, ctx)


@fault("state-restores")
class ForgetsDeviation(Stored):
    name = "forgets-deviation"

    def restore(self, state, train, ctx):
        return replace_deviation(super().restore(state, train, ctx))


def replace_deviation(product):
    return Means(product.means, 2 * product.deviation)


# ---- declarations that are not true ----


@fault("accepts-true")
class VectorsInTruth(Noisy):
    name = "vectors-in-truth"

    def fit(self, train, val, ctx):
        import torch

        shift = torch.zeros(train.space.size)
        return lambda labels, rng: self.rows(train, labels, rng) + shift


@fault("works-without-head")
class UsesHead(Noisy):
    name = "uses-head"

    def fit(self, train, val, ctx):
        train.space.new_head().eval()
        return super().fit(train, val, ctx)


@fault("works-without-validation")
class UsesValidation(Noisy):
    name = "uses-validation"

    def fit(self, train, val, ctx):
        val.scale()
        return super().fit(train, val, ctx)


@fault("gives-true")
class GivesHead(Noisy):
    name = "gives-head"

    @property
    def gives(self):
        return frozenset({"head"})


@fault("known-words")
class NeedsHeads(Noisy):
    name = "needs-heads"

    @property
    def needs(self):
        return frozenset({"heads"})


# ---- budget ----


@fault("within-limits")
class Slow(Noisy):
    name = "slow"

    def fit(self, train, val, ctx):
        import time

        time.sleep(2)
        return super().fit(train, val, ctx)


@fault("within-limits")
class Hungry(Noisy):
    name = "hungry"

    def fit(self, train, val, ctx):
        import torch

        torch.ones(2**27).sum()  # 512 MiB
        return super().fit(train, val, ctx)


@fault("within-limits")
class NeverEnds(Noisy):
    name = "never-ends"

    def fit(self, train, val, ctx):
        import time

        time.sleep(1000)
