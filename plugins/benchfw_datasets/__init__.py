"""Data sets: scikit-learn's digits, Fashion-MNIST, and one's own images as an npz file or as class folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchfw import DataError, Dataset, UsageError, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchfw import Context, ImageDataset


@hookimpl
def register_datasets(register: Callable[[type], None]) -> None:
    """Register digits, fashion-mnist, image-folder and npz."""
    for dataset in (Digits, FashionMnist, ImageFolder, Npz):
        register(dataset)


@dataclass(frozen=True)
class Digits(Dataset):
    """scikit-learn's 1,797 handwritten digits, 8x8 gray, 10 classes; needs no download.

    The 17 gray levels 0..16 become round(level * 255 / 16), so they stay apart and fill 0..255. There is no test split;
    the harness makes one. Meant for smoke tests and regression tests: nobody publishes imbalance tables on it.
    """

    name = "digits"
    licence = "CC BY 4.0"
    source = "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), test part, as in scikit-learn"
    libraries = ("scikit-learn",)

    def load(self, ctx: Context) -> ImageDataset:
        """Train (1797, 1, 8, 8) uint8; no validation or test part."""
        from benchfw_datasets import digits

        return digits.load(self.licence, self.source)


@dataclass(frozen=True)
class FashionMnist(Dataset):
    """Fashion-MNIST: 70,000 articles of clothing, 28x28 gray, 10 balanced classes, with its own test split.

    Looked for in `path`, in `fashion-mnist` of the download directory, and where Debian's dataset-fashion-mnist puts
    it; if nowhere, downloaded. A given `path` is the only place that is looked at. The decompressed bytes must have the
    published SHA-256, so every machine has the same data wherever they came from.
    """

    name = "fashion-mnist"
    licence = "MIT"
    source = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; github.com/zalandoresearch/fashion-mnist"
    path: str | None = param(None, "directory with the four idx files, .gz or not; none: look around, then download")

    def load(self, ctx: Context) -> ImageDataset:
        """Train (60000, 1, 28, 28) and test (10000, 1, 28, 28) uint8. Raises DataError when files lack or are wrong."""
        from benchfw_datasets import fashion_mnist

        folder = fashion_mnist.locate(_expanded(self.path), ctx.downloads)
        if folder is None:
            folder = fashion_mnist.fetch(ctx.downloads, ctx)
        return fashion_mnist.read(folder, ctx, licence=self.licence, origin=self.source)

    def files(self, downloads: Path) -> Sequence[Path]:
        """None: the hashes that `load` insists on decide the data, wherever and however compressed the files are."""
        return ()


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Your own images as files, one folder for each class: root/<class>/*.png, or root/train/<class>, val and test.

    Classes are the sorted folder names; files below them are taken in sorted order, hidden ones and other file types
    are passed over. Pixels are read as stored: transparency is dropped, rotation tags are not applied, an animation
    gives its first frame, and images of more than 8 bits a channel are refused.
    """

    name = "image-folder"
    source = "the layout of torchvision.datasets.ImageFolder"
    libraries = ("pillow",)
    path: str | None = param(None, "the root directory; required")
    size: int | None = param(None, "resize to size x size, bilinear; none: all must have one size", ge=1)
    color: Literal["auto", "gray", "rgb"] = param("auto", "auto: gray if every image is stored as gray, else rgb")

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, 1 or 3, H, W) uint8. Raises UsageError without `path`, DataError for wrong folders."""
        from benchfw_datasets import image_folder

        return image_folder.load(_required(self, self.path, "DIR"), size=self.size, color=self.color, ctx=ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """All images below the root, in the order of their paths; raises as `load` does without a directory."""
        from benchfw_datasets import image_folder

        return image_folder.images_below(_required(self, self.path, "DIR"))


@dataclass(frozen=True)
class Npz(Dataset):
    """Your own images as one npz file with X and y, or a MedMNIST file with its own splits.

    X: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, or floats in [0, 1], which become round(255 x). y: (N,) or (N, 1)
    integers or strings, mapped to 0..K-1 in sorted order. Optional: groups (N,), samples that must not be separated,
    e.g. the patient; class_names (K,), which sets the classes and their order. MedMNIST: train_images, train_labels,
    and the same for val and test, which may be missing.
    """

    name = "npz"
    source = "Yang et al. 2023 (MedMNIST v2) for the keys of its files"
    path: str | None = param(None, "the npz file; required")

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, C, H, W) uint8. Raises UsageError without `path`, DataError for a wrong file."""
        from benchfw_datasets import npz

        return npz.load(_required(self, self.path, "FILE"), ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """The file itself; raises as `load` does without one."""
        path = _required(self, self.path, "FILE")
        return (path,) if path.is_file() else ()


def _required(dataset: Dataset, path: str | None, kind: Literal["FILE", "DIR"]) -> Path:
    name, expanded = dataset.name, _expanded(path)
    setting = f"--set dataset.{name}.path={kind}"
    if expanded is None:
        raise UsageError(f"dataset.{name}.path: wants a path, found none; give it with {setting} or {name}@path={kind}")
    if kind == "FILE" and not expanded.exists():
        raise DataError(f"{name}: {expanded}: no such file; correct {setting}")
    if kind == "DIR" and not expanded.is_dir():
        raise DataError(f"{name}: {expanded}: no such directory; wants <class>/*.png below it; correct {setting}")
    return expanded


def _expanded(path: str | None) -> Path | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~user of an unknown user; the path is then reported as missing, as it was typed
        return Path(path)
