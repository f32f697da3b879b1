"""Data sets: sound ones, of images and of features, and one for each fault."""

from dataclasses import dataclass
from pathlib import Path

from benchfw import Dataset

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Squares(Dataset):
    """Bright squares on dark ground, with a test part of its own; sound."""

    name = "squares"

    def load(self, ctx):
        from benchfw import ImageDataset

        train, test = self.part(30, 0), self.part(9, 1)
        return ImageDataset(train, ("left", "middle", "right"), test=test)

    def part(self, size, seed, groups=None):
        import torch

        from benchfw import ImageSet

        labels = torch.arange(size) % 3
        images = torch.randint(0, 99, (size, 1, 6, 6), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
        for c in range(3):
            images[labels == c, :, 2:4, 2 * c : 2 * c + 2] += 100
        return ImageSet(images, labels, groups)


@dataclass(frozen=True)
class Points(Dataset):
    """Features in a plane; sound."""

    name = "points"

    @property
    def gives(self):
        return frozenset({"features"})

    def load(self, ctx):
        import torch

        from benchfw import FeatureDataset, FeatureSet, FeatureSpace

        labels = torch.arange(30) % 2
        values = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)) + 3 * labels[:, None]
        return FeatureDataset(FeatureSet(FeatureSpace((2,), 2), values, labels), ("left", "right"))


@dataclass(frozen=True)
class Warm(Dataset):
    """Features in a plane with the layer that was trained on them; sound."""

    name = "warm"

    @property
    def gives(self):
        return frozenset({"features", "head"})

    def load(self, ctx):
        from dataclasses import replace

        from benchfw import FeatureSpace

        plain = Points().load(ctx)
        return replace(plain, train=replace(plain.train, space=FeatureSpace((2,), 2, self.head())))

    def head(self):
        from torch import nn

        def head():
            layer = nn.utils.skip_init(nn.Linear, 2, 2)
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
            return layer

        return head


@dataclass(frozen=True)
class Beside(Squares):
    """Squares whose file lies in the working directory, under a variable of the environment; sound where they are."""

    name = "beside"

    def load(self, ctx):
        import os
        from pathlib import Path

        assert Path("squares.txt").is_file()
        assert os.environ["SQUARES"]
        return super().load(ctx)


@dataclass(frozen=True)
class OneHead(Warm):
    """One head for all classifiers."""

    name = "one-head"

    def head(self):
        layer = super().head()()
        return lambda: layer


@dataclass(frozen=True)
class NarrowHead(Warm):
    """A head for other features."""

    name = "narrow-head"

    def head(self):
        from torch import nn

        return lambda: nn.utils.skip_init(nn.Linear, 3, 2)


@dataclass(frozen=True)
class TestInTrain(Squares):
    """Three training samples are test samples too."""

    name = "test-in-train"

    def load(self, ctx):
        from dataclasses import replace

        whole = super().load(ctx)
        pool = whole.train.pool.clone()
        pool[:3] = whole.test.pool[:3]
        return replace(whole, train=replace(whole.train, pool=pool))


@dataclass(frozen=True)
class SharedPatient(Squares):
    """A patient with images on both sides."""

    name = "shared-patient"

    def load(self, ctx):
        import torch

        from benchfw import ImageDataset

        train = self.part(30, 0, torch.arange(30) // 3)
        return ImageDataset(train, ("left", "middle", "right"), test=self.part(9, 1, torch.arange(9) + 9))


@dataclass(frozen=True)
class EmptyClass(Squares):
    """A class without a sample."""

    name = "empty-class"

    def load(self, ctx):
        from benchfw import ImageDataset

        return ImageDataset(self.part(30, 0), ("left", "middle", "right", "nowhere"))


@dataclass(frozen=True)
class OtherEachTime(Squares):
    """Other pixels each time."""

    name = "other-each-time"

    def load(self, ctx):
        import os

        from benchfw import ImageDataset

        return ImageDataset(self.part(30, int.from_bytes(os.urandom(4), "big")), ("left", "middle", "right"))


@dataclass(frozen=True)
class MissingFile(Squares):
    """A file in the key that is nowhere."""

    name = "missing-file"

    def files(self, downloads):
        return (downloads / "squares.npz",)


@dataclass(frozen=True)
class SaysFeatures(Squares):
    """Images that are said to be features."""

    name = "says-features"

    @property
    def gives(self):
        return frozenset({"features"})


@dataclass(frozen=True)
class Arrays(Squares):
    """Arrays instead of a data set."""

    name = "arrays"

    def load(self, ctx):
        part = self.part(30, 0)
        return part.pool, part.labels


@dataclass(frozen=True)
class LabelTooHigh(Squares):
    """Labels from 1 on, which the set of the harness refuses."""

    name = "label-too-high"

    def load(self, ctx):
        from dataclasses import replace

        from benchfw import ImageDataset

        part = self.part(30, 0)
        return ImageDataset(replace(part, labels=part.labels + 1), ("left", "middle", "right"))


@dataclass(frozen=True)
class OneClass(Points):
    """All samples are of one class."""

    name = "one-class"

    def load(self, ctx):
        import torch

        from benchfw import FeatureDataset, FeatureSet, FeatureSpace

        train = FeatureSet(FeatureSpace((2,), 1), torch.eye(2), torch.zeros(2, dtype=torch.int64))
        return FeatureDataset(train, ("all",))


@dataclass(frozen=True)
class NanFeatures(Points):
    """A number is missing."""

    name = "nan-features"

    def load(self, ctx):
        loaded = super().load(ctx)
        loaded.train.values[3, 1] = float("nan")
        return loaded


@dataclass(frozen=True)
class LabelsBeside(Squares):
    """One of the two files that it reads is left out of the key."""

    name = "labels-beside"

    def files(self, downloads):
        return (REPOSITORY / "README.md",)

    def load(self, ctx):
        for name in ("README.md", "LICENSE"):
            (REPOSITORY / name).read_text(encoding="utf-8")
        return super().load(ctx)


SOUND = (Squares, Points, Warm)
FAULTS = {
    OneHead: {"head-fits"},
    NarrowHead: {"head-fits"},
    TestInTrain: {"parts-are-apart"},
    SharedPatient: {"parts-are-apart"},
    EmptyClass: {"parts"},
    OtherEachTime: {"same-seed"},
    MissingFile: {"files-exist"},
    SaysFeatures: {"gives-true"},
    Arrays: {"parts"},
    LabelsBeside: {"files-complete"},
    LabelTooHigh: {"parts"},
    OneClass: {"parts"},
    NanFeatures: {"parts"},
}
