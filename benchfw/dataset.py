"""A whole data set as its plugin hands it over: images, or features that somebody computed before.

Importing this module loads no torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from benchfw.data import FeatureSet, ImageSet, check_labels
from benchfw.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Samples = TypeVar("Samples", ImageSet, FeatureSet)


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    licence: its name, or "not stated". origin: a citation or an address. public: the licence lets single images be
    passed on, so a report may show some.
    """

    licence: str = "not stated"
    origin: str = "not stated"
    public: bool = False


@dataclass(frozen=True, eq=False)
class LabelledDataset(Generic[Samples]):
    """The parts of a data set before any split or imbalance of the harness.

    train: the samples to train on. val, test: the data set's own parts, or None: then the harness makes them.
    class_names: K names, in the order of the labels. The samples get ids 0.. through train, val and test.
    Raises DataError when a label is outside 0..K-1, the parts differ in shape, or two classes share a name.
    """

    samples: ClassVar[str]

    train: Samples
    class_names: tuple[str, ...]
    val: Samples | None = None
    test: Samples | None = None
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        import torch

        if len(set(self.class_names)) < len(self.class_names):
            raise DataError(
                f"class_names: wants {len(self.class_names)} different names, found {list(self.class_names)}"
            )
        start = 0
        for name, part in self.parts.items():
            if part.shape != self.train.shape:
                raise DataError(
                    f"{name}: wants {self.samples} of shape {self.train.shape} like train, found {part.shape}"
                )
            check_labels(name, part.labels, self.n_classes)
            object.__setattr__(self, name, replace(part, ids=torch.arange(start, start + len(part))))
            start += len(part)

    @property
    def parts(self) -> dict[str, Samples]:
        """Its own parts by name, in the order train, val, test."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the values and labels of all parts: equal data, equal fingerprint."""
        import torch

        digest = hashlib.sha256()
        for part in (self.train, self.val, self.test):
            if part is None:
                digest.update(b"none")
                continue
            digest.update(str((len(part), part.shape)).encode())
            digest.update(part.labels.numpy().tobytes())
            for block in torch.arange(len(part)).split(4096):
                digest.update(_bytes(part.rows(block)))
        return digest.hexdigest()


def _bytes(rows: Tensor) -> memoryview:
    content: memoryview = rows.contiguous().numpy().data
    return content


@dataclass(frozen=True, eq=False)
class ImageDataset(LabelledDataset[ImageSet]):
    """Labelled images, which an extractor turns into features."""

    samples = "images"


@dataclass(frozen=True, eq=False)
class FeatureDataset(LabelledDataset[FeatureSet]):
    """Precomputed features: the embed stage has nothing to do, and the extractor axis reads `given`.

    Where the space of `train` makes a head, that is the warm start of the classifiers, as a trained extractor's is.
    Raises DataError as images do, and when the space of a part has another number of classes.
    """

    samples = "features"

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if part.space.n_classes != self.n_classes:
                found = f"{self.n_classes} class names, but {name} in a space of {part.space.n_classes} classes"
                raise DataError(f"class_names: wants one for each class, found {found}")
        super().__post_init__()
