"""The data sets that read one's own files: image-folder, csv, npz and features. Importing this loads nothing heavy."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload
from zipfile import BadZipFile, ZipFile

from benchfw import DataError, Dataset, UsageError, param

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw import Context, FeatureDataset, ImageDataset


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Your own images as files, one folder for each class: root/<class>/*.png, or root/train/<class>, val and test.

    Classes are the folder names, in order of value if all are integers, else of the alphabet; files below them are
    taken in sorted order, hidden ones and other file types are passed over. Pixels are read as stored: transparency is
    dropped, rotation tags are not applied, an animation gives its first frame, and images of more than 8 bits a channel
    are refused.
    """

    name = "image-folder"
    source = "the layout of torchvision.datasets.ImageFolder"
    libraries = ("pillow",)
    path: str | None = param(None, "the root directory; required")
    size: int | None = param(None, "resize to size x size, bilinear; none: all must have one size", ge=1)
    color: Literal["auto", "gray", "rgb"] = param("auto", "auto: gray if every image is stored as gray, else rgb")

    @property
    def gives(self) -> frozenset[str]:
        """A validation part, where it has a folder."""
        root = expanded(self.path)
        return _validation(root is not None and (root / "train").is_dir() and (root / "val").is_dir())

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, 1 or 3, H, W) uint8. Raises UsageError without `path`, DataError for wrong folders."""
        from benchfw_datasets import image_folder

        return image_folder.load(_required(self, self.path, "DIR"), size=self.size, color=self.color, ctx=ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """All images below the root, in the order of their paths; raises as `load` does without a directory."""
        from benchfw_datasets import image_folder

        return image_folder.images_below(_required(self, self.path, "DIR"))


@dataclass(frozen=True)
class Csv(Dataset):
    """Your own images as files that a csv file lists, with the columns path and label, and perhaps split and group.

    Relative paths count from the csv file's folder, absolute ones and those with .. are followed too. split is train,
    val or test; without the column all is train. group is anything, e.g. the patient: images of one group are not
    separated by a split. Classes are the labels of train; their order and the pixels are as for `image-folder`.
    """

    name = "csv"
    source = "none"
    libraries = ("pillow",)
    path: str | None = param(None, "the csv file, with a header; required")
    size: int | None = param(None, "resize to size x size, bilinear; none: all must have one size", ge=1)
    color: Literal["auto", "gray", "rgb"] = param("auto", "auto: gray if every image is stored as gray, else rgb")

    @property
    def gives(self) -> frozenset[str]:
        """A validation part, where the file lists one."""
        return _validation("val" in _splits(expanded(self.path)))

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, 1 or 3, H, W) uint8. Raises UsageError without `path`, DataError for wrong files."""
        from benchfw_datasets import csv_file

        return csv_file.load(_required(self, self.path, "FILE"), size=self.size, color=self.color, ctx=ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """The csv file and the images that it lists; raises as `load` does for a wrong csv file."""
        from benchfw_datasets import csv_file

        path = _required(self, self.path, "FILE").absolute()  # as listed images may be: the harness wants all alike
        listed = csv_file.images(path, csv_file.read(path))
        return (path, *(image for image in listed if image.is_file()))


@dataclass(frozen=True)
class Npz(Dataset):
    """Your own images as one npz file with X and y, or with the arrays of a MedMNIST file and so its own splits.

    X: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, or floats in [0, 1], which become round(255 x). y: (N,) or (N, 1)
    integers or strings, mapped to 0..K-1 in the order that `image-folder` has. Optional: groups (N,), samples that must
    not be separated, e.g. the patient; class_names (K,), which sets the classes and their order. MedMNIST:
    train_images, train_labels, and the same for val and test, which may be missing.
    """

    name = "npz"
    source = "Yang et al. 2023 (MedMNIST v2) for the keys of its files"
    path: str | None = param(None, "the npz file; required")
    images: str = param("X", "what the array of images is called")
    labels: str = param("y", "what the array of labels is called")

    @property
    def gives(self) -> frozenset[str]:
        """A validation part, where the file has MedMNIST's arrays of one."""
        return _validation({"train_images", "val_images"} <= _members(expanded(self.path)))

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, C, H, W) uint8. Raises UsageError without `path`, DataError for a wrong file."""
        from benchfw_datasets import npz

        return npz.load(_required(self, self.path, "FILE"), ctx, keys=(self.images, self.labels))

    def files(self, downloads: Path) -> Sequence[Path]:
        """The file itself; raises as `load` does without one."""
        path = _required(self, self.path, "FILE")
        return (path,) if path.is_file() else ()


@dataclass(frozen=True)
class Features(Dataset):
    """Features that you computed before, as one npz file; no extractor is trained on them.

    train_features: (N, D) or (N, C, H, W) finite floats; train_labels: (N,) integers or strings, in sorted order.
    Optional: the same for val and test; train_groups (N,), and for val and test; class_names (K,), as for `npz`;
    fc_weight (K, D) and fc_bias (K,), the last layer that belongs to the features, which is then the classifiers' warm
    start (for maps: on the flattened map, or with D = C on each channel's mean). All is read into memory, as float32.
    """

    name = "features"
    source = "none"
    path: str | None = param(None, "the npz file; required")

    @property
    def gives(self) -> frozenset[str]:
        """Features; a head and a validation part where the file lists them."""
        found = _members(expanded(self.path))
        told = {"head": "fc_weight", "validation": "val_features"}
        return frozenset({"features"} | {word for word, member in told.items() if member in found})

    def load(self, ctx: Context) -> FeatureDataset:
        """Read it whole, rows of float32. Raises UsageError without `path`, DataError for a wrong file."""
        from benchfw_datasets import features

        return features.load(_required(self, self.path, "FILE"), ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """The file itself; raises as `load` does without one."""
        path = _required(self, self.path, "FILE")
        return (path,) if path.is_file() else ()


@overload
def expanded(path: str) -> Path: ...
@overload
def expanded(path: None) -> None: ...
@overload
def expanded(path: str | None) -> Path | None: ...
def expanded(path: str | None) -> Path | None:
    """The path with ~ replaced, or None."""
    if path is None:
        return None
    try:
        return Path(path).expanduser()
    except RuntimeError:  # an unknown ~user, or no home; the path is then reported as missing, as it was typed
        return Path(path)


def _required(dataset: Dataset, path: str | None, kind: Literal["FILE", "DIR"]) -> Path:
    name, place = dataset.name, expanded(path)
    setting = f"--set dataset.{name}.path={kind}"
    if place is None:
        raise UsageError(f"dataset.{name}.path: wants a path, found none; give it with {setting} or {name}@path={kind}")
    if kind == "FILE" and not place.exists():
        raise DataError(f"{name}: {place}: no such file; correct {setting}")
    if kind == "DIR" and not place.is_dir():
        raise DataError(f"{name}: {place}: no such directory; wants <class>/*.png below it; correct {setting}")
    return place


def _members(path: Path | None) -> frozenset[str]:
    """The names of the arrays in an npz file, none of them read; no name where the file cannot be read."""
    if path is None:
        return frozenset()
    try:
        with ZipFile(path) as archived:
            return frozenset(name.removesuffix(".npy") for name in archived.namelist())
    except (OSError, BadZipFile):
        return frozenset()


def _validation(found: bool) -> frozenset[str]:
    return frozenset({"validation"} if found else ())


def _splits(path: Path | None) -> frozenset[str]:
    """The splits that a csv file lists; none where it cannot be read, which `load` reports."""
    try:
        stat = None if path is None else path.stat()
        return frozenset() if path is None or stat is None else _listed_splits(path, stat.st_size, stat.st_mtime_ns)
    except (OSError, UnicodeDecodeError, csv.Error):
        return frozenset()


@lru_cache(maxsize=8)
def _listed_splits(path: Path, _size: int, _modified: int) -> frozenset[str]:
    """Read once for each version of the file, since a plan asks for each of its cells."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines)
        header = [name.strip() for name in next(rows, [])]
        if "split" not in header:
            return frozenset()
        column = header.index("split")
        return frozenset(row[column].strip() for row in rows if len(row) > column)
