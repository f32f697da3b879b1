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


@fault("inputs-unchanged")
class LevelsCounts(Noisy):
    """The counts that the set remembers, levelled in place."""

    name = "levels-counts"

    def fit(self, train, val, ctx):
        train.of_class(0)
        train.counts().clamp_(max=20)
        return super().fit(train, val, ctx)


@fault("inputs-unchanged")
class WritesIntoGroups(Noisy):
    name = "writes-into-groups"

    def fit(self, train, val, ctx):
        if train.groups is not None:
            train.groups.zero_()
        return super().fit(train, val, ctx)


# ---- leaks ----


@fault("no-leak")
class ReadsThePool(Noisy):
    name = "reads-the-pool"

    def fit(self, train, val, ctx):
        mean = train.values.mean(0)
        return lambda labels, rng: self.rows(train, labels, rng) + 1e-6 * mean


@fault("no-leak")
class NeighboursInThePool(Noisy):
    """Half way to the nearest row of the pool, which far rows never are."""

    name = "neighbours-in-the-pool"

    def rows(self, train, labels, rng):
        import torch

        rows = super().rows(train, labels, rng)
        near = torch.cdist(rows.flatten(1), train.values.flatten(1)).topk(4, largest=False).indices[:, 3]
        return torch.lerp(rows, train.values[near], 0.5)


@fault("no-validation-rows")
class MixesValidation(Noisy):
    name = "mixes-validation"

    def fit(self, train, val, ctx):
        def sample(labels, rng):
            rows = self.rows(train, labels, rng)
            return rows if val is None else 0.5 * rows + 0.5 * val.draw(labels, rng)

        return sample


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


SIZES = {}


@fault("fresh-process")
class RemembersTheSize(Noisy):
    """A cache in the module that holds the size of the first set, whatever comes."""

    name = "remembers-the-size"

    def fit(self, train, val, ctx):
        shift = 1e-3 * SIZES.setdefault("first", len(train))
        return lambda labels, rng: self.rows(train, labels, rng) + shift


LENGTHS = []


@fault("keeps-nothing")
class CountsSizes(Noisy):
    """A module that counts the changes of size, and none between sets of one size."""

    name = "counts-sizes"

    def fit(self, train, val, ctx):
        if len(train) not in LENGTHS[-1:]:
            LENGTHS.append(len(train))
        shift = 1e-3 * (LENGTHS.count(len(train)) > 1)
        return lambda labels, rng: self.rows(train, labels, rng) + shift


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


@fault("settings-kept")
class BenchmarkInSample(Noisy):
    """Each call, so that the first finds it changed already."""

    name = "cudnn-benchmark-in-sample"

    def rows(self, train, labels, rng):
        import torch

        torch.backends.cudnn.benchmark = True
        return super().rows(train, labels, rng)


@fault("settings-kept")
class FlushesDenormals(Noisy):
    name = "flushes-denormals"

    def rows(self, train, labels, rng):
        import torch

        torch.set_flush_denormal(True)
        return super().rows(train, labels, rng)


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


@fault("rows")
class AFewAtATime(Noisy):
    """Rows for a hundred labels at most, as a toy set asks for and no run does."""

    name = "a-few-at-a-time"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng)[:100]


@fault("rows")
class RequiresGrad(Noisy):
    name = "requires-grad"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng).requires_grad_()


@fault("rows")
class NumpySeed(Noisy):
    """The seed of the generator for one of numpy's, which takes none above 2**32."""

    name = "numpy-seed"

    def rows(self, train, labels, rng):
        import numpy as np

        np.random.RandomState(rng.initial_seed())
        return super().rows(train, labels, rng)


@fault("row-order")
class WeakAndSorted(Noisy):
    """Rows near no class of the toy set, sorted by label."""

    name = "weak-and-sorted"

    def rows(self, train, labels, rng):
        return 0.3 * super().rows(train, labels.sort().values, rng)


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


@fault("tiny-classes")
class EntropyForTheRare(Noisy):
    """Noise of the operating system where a class is small."""

    name = "entropy-for-the-rare"

    def fit(self, train, val, ctx):
        import os

        shift = os.urandom(1)[0] / 1e3 + os.urandom(1)[0] / 1e6 if int(train.counts().min()) < 6 else 0.0
        return lambda labels, rng: self.rows(train, labels, rng) + shift


LAST = []


@fault("state-restores")
class RestoresTheLast(Stored):
    """What was made last in this process, whatever is stored."""

    name = "restores-the-last"

    def fit(self, train, val, ctx):
        LAST[:] = [super().fit(train, val, ctx)]
        return LAST[0]

    def restore(self, state, train, ctx):
        return LAST[0]


@fault("state-restores")
class StateInAList(Stored):
    name = "state-in-a-list"

    def fit(self, train, val, ctx):
        product = super().fit(train, val, ctx)

        class Listed(Means):
            def state(self):
                return [self.means, self.deviation]

        return Listed(product.means, product.deviation)


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


FIRST = []


@fault("within-limits")
class HungryOnce(Noisy):
    """What the first fit loads is kept, so that the next ones need no more."""

    name = "hungry-once"

    def fit(self, train, val, ctx):
        import torch

        if not FIRST:
            FIRST.append(torch.ones(2**27))  # 512 MiB
        return super().fit(train, val, ctx)


@fault("within-limits")
class Slow(Noisy):
    name = "slow"

    def fit(self, train, val, ctx):
        import time

        time.sleep(1.2)
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
