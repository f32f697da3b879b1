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


SOUND = (Undersample,)
FAULTS = {
    OutOfRange: {"positions"},
    Twice: {"positions"},
    LosesAClass: {"positions"},
    Mask: {"positions"},
    SaysNatural: {"gives-true"},
}
