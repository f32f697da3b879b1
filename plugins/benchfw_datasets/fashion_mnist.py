"""Fashion-MNIST: find its four files, fetch them if they are nowhere, and read them if their hashes are right."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import zlib
from contextlib import contextmanager, redirect_stderr
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from benchfw import DataError, ImageDataset, ImageSet, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from benchfw import Context

SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Of the decompressed bytes: distributors compress them anew, so hashes of the .gz files differ between sources."""

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FOLDER = "fashion-mnist"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PACKAGE = "Debian's package dataset-fashion-mnist"
PATIENCE_SECONDS = 10.0  # for one network operation; the system's own limit is minutes where packets are dropped


def locate(path: Path | None, downloads: Path, system: Path = DEBIAN) -> Path | None:
    """The first directory that has all four files, or None.

    path: the only directory that is looked at, if given. Raises DataError when it lacks a file.
    """
    if path is None:
        places = (downloads / FOLDER, system)
        return next((folder for folder in places if not _missing(folder)), None)
    if not path.is_dir():
        raise DataError(f"{FOLDER}: {path} is no directory; wants one with {_four_files()}; correct {_setting()}")
    if missing := _missing(path):
        raise DataError(
            f"{FOLDER}: {path} lacks {', '.join(missing)} (.gz or not); copy them there from {PACKAGE}, "
            f"or leave the choice of the place to benchfw with --set dataset.{FOLDER}.path=none"
        )
    return path


def fetch(downloads: Path, ctx: Context) -> Path:
    """Download the four files from where torchvision fetches them; returns their directory. Raises DataError."""
    from torchvision.datasets import FashionMNIST

    folder = downloads / FOLDER
    try:
        fetch_from(FashionMNIST.mirrors, FashionMNIST.resources, folder=folder, ctx=ctx)
    except (OSError, RuntimeError, HTTPException) as error:  # torchvision lets all of these through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{FOLDER}: found neither in {folder} nor in {DEBIAN}, and the download failed ({reason}); "
            f"install {PACKAGE}, or put {_four_files()} into {folder} or any directory named with {_setting()}"
        ) from error
    return folder


def fetch_from(mirrors: Sequence[str], md5s: Sequence[tuple[str, str]], *, folder: Path, ctx: Context) -> None:
    """Download files into a folder through torchvision: each appears there whole, after all have come.

    mirrors: addresses that end in a slash, tried in this order. md5s: (file name, MD5). Raises what torchvision raises.
    """
    from torchvision.datasets.utils import download_url

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as unfinished, _impatient(), redirect_stderr(io.StringIO()):
        for done, (name, md5) in enumerate(md5s):
            ctx.progress(done, len(md5s))
            for mirror in mirrors:
                try:
                    download_url(mirror + name, unfinished, name, md5)
                    break
                except (OSError, RuntimeError, HTTPException):
                    if mirror == mirrors[-1]:
                        raise
        for name, _ in md5s:
            (Path(unfinished) / name).replace(folder / name)


def read(folder: Path, ctx: Context, *, licence: str, origin: str) -> ImageDataset:
    """The data set from its four files. Raises DataError for a file that is not the published one."""
    data: list[Tensor] = []
    for done, name in enumerate(SHA256):
        ctx.progress(done, len(SHA256))
        header = 16 if "images" in name else 8  # idx: magic number, then one size for each dimension, 4 bytes each
        data.append(torch.frombuffer(bytearray(_payload(folder, name)), dtype=torch.uint8, offset=header))
    ctx.progress(len(SHA256), len(SHA256))
    train_images, train_labels, test_images, test_labels = data
    return ImageDataset(
        ImageSet(train_images.view(-1, 1, 28, 28), train_labels.long()),
        CLASSES,
        test=ImageSet(test_images.view(-1, 1, 28, 28), test_labels.long()),
        source=Source(licence, origin, public=True),
    )


def _payload(folder: Path, name: str) -> bytes:
    file = _file(folder, name)
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{FOLDER}: {file} cannot be read ({error}); replace it by the one of {PACKAGE}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        raise DataError(
            f"{FOLDER}: {file} has SHA-256 {found[:16]}... when decompressed, wants {SHA256[name][:16]}...; "
            f"replace it by the one of {PACKAGE}"
        )
    return data


def _missing(folder: Path) -> list[str]:
    return [name for name in SHA256 if not _file(folder, name).is_file()]


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _four_files() -> str:
    *first, last = (f"{name}.gz" for name in SHA256)
    return f"{', '.join(first)} and {last}"


def _setting() -> str:
    return f"--set dataset.{FOLDER}.path=DIR"


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def of_first_classes(dataset: ImageDataset, count: int) -> ImageDataset:
    """The images of the first classes, as views; the data set itself where that is all of them."""
    if count == dataset.n_classes:
        return dataset
    train, test = (part.take((part.labels < count).nonzero()[:, 0]) for part in (dataset.train, dataset.parts["test"]))
    return ImageDataset(train, dataset.class_names[:count], test=test, source=dataset.source)
