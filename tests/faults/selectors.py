"""Selectors: one that is sound, and one for each fault."""

from dataclasses import dataclass

from benchfw import Selector


@dataclass(frozen=True)
class Undersample(Selector):
    """As many rows of each class as the smallest has, at random; sound."""

    name = "undersample"

    def select(self, train, ctx):
        import torch

        order = torch.randperm(len(train), generator=ctx.rng)
        fewest = int(train.counts().min())
        classes = [order[train.labels[order] == c][:fewest] for c in range(train.space.n_classes)]
        return torch.cat(classes).sort().values


@dataclass(frozen=True)
class OutOfRange(Undersample):
    """A position behind the last."""

    name = "out-of-range"

    def select(self, train, ctx):
        import torch

        return torch.cat([super().select(train, ctx), torch.tensor([len(train)])])


@dataclass(frozen=True)
class Twice(Undersample):
    """Each position twice."""

    name = "twice"

    def select(self, train, ctx):
        return super().select(train, ctx).repeat(2)


@dataclass(frozen=True)
class LosesAClass(Undersample):
    """No row of the last class."""

    name = "loses-a-class"

    def select(self, train, ctx):
        kept = super().select(train, ctx)
        return kept[train.labels[kept] < train.space.n_classes - 1]


@dataclass(frozen=True)
class Mask(Undersample):
    """A mask instead of positions."""

    name = "mask"

    def select(self, train, ctx):
        return train.labels >= 0


@dataclass(frozen=True)
class SaysNatural(Undersample):
    """It says that it leaves the rows as they are."""

    name = "says-natural"

    @property
    def gives(self):
        return frozenset({"natural rows"})


@dataclass(frozen=True)
class DropsRepeats(Selector):
    """All rows but repeated ones, of which a toy set has none; sound."""

    name = "drops-repeats"

    def select(self, train, ctx):
        import torch

        rows = torch.cat(list(train.blocks())).flatten(1)
        found, inverse = rows.unique(dim=0, return_inverse=True)
        first = torch.full((len(found),), len(rows)).scatter_reduce(0, inverse, torch.arange(len(rows)), "amin")
        return first.sort().values


@dataclass(frozen=True)
class PoolAsLong(Undersample):
    """It takes the pool for the set, and stumbles where that is longer."""

    name = "pool-as-long"

    def select(self, train, ctx):
        train.values[train.labels == 0].mean()
        return super().select(train, ctx)


@dataclass(frozen=True)
class PoolMedian(Undersample):
    """One row more where the pool's median says so."""

    name = "pool-median"

    def select(self, train, ctx):
        import torch

        position = int(train.values.median().view(torch.int32)) % len(train)
        kept = super().select(train, ctx)
        return kept if position in kept else torch.cat([kept, torch.tensor([position])])


SOUND = (Undersample, DropsRepeats)
FAULTS = {
    OutOfRange: {"positions"},
    Twice: {"positions"},
    LosesAClass: {"positions"},
    Mask: {"positions"},
    SaysNatural: {"gives-true"},
    PoolAsLong: {"no-leak"},
    PoolMedian: {"no-leak"},
}
