"""Labelled images from one npz file: `X` and `y`, or MedMNIST's keys."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import torch

from benchfw import DataError, ImageDataset, ImageSet, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

Arrays = dict[str, np.ndarray]
Labels = list[Any]  # Python integers, or strings
Parts = dict[str, tuple[str, str]]

PLAIN: Parts = {"train": ("X", "y")}
MEDMNIST: Parts = {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")}
OPTIONAL = ("groups", "class_names")
BROKEN = (OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)  # what reading a damaged file raises


def load(path: Path, ctx: Context) -> ImageDataset:
    """The data set in a file. Raises DataError for a file that is missing, damaged or not as documented at `Npz`."""
    try:
        parts, arrays = _read(path, ctx)
        return _dataset(parts, arrays, Source(origin=path.name))
    except DataError as error:
        raise DataError(f"npz: {path}: {error}") from error.__cause__


def _read(path: Path, ctx: Context) -> tuple[Parts, Arrays]:
    try:
        with path.open("rb") as file:  # opened here, since numpy leaves a file open that turns out to be no zip
            return _arrays(file, ctx)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error}); wants an npz file") from error


def _arrays(file: BinaryIO, ctx: Context) -> tuple[Parts, Arrays]:
    try:
        archive = np.load(file, allow_pickle=False)
    except BROKEN as error:
        raise DataError("is not an npz file, or is cut short; write it with numpy.savez, or copy it again") from error
    if isinstance(archive, np.ndarray):
        raise DataError("is a single npy array, wants an npz file with X and y; write it with numpy.savez")
    parts = _parts(archive.files)
    keys = [key for pair in parts.values() for key in pair] + [key for key in OPTIONAL if key in archive.files]
    arrays: Arrays = {}
    for done, key in enumerate(keys, 1):
        arrays[key] = _array(archive, key)
        ctx.progress(done, len(keys))
    return parts, arrays


def _parts(keys: Sequence[str]) -> Parts:
    layout = MEDMNIST if "train_images" in keys else PLAIN
    parts = {part: pair for part, pair in layout.items() if part == "train" or set(pair) & set(keys)}
    missing = [key for pair in parts.values() for key in pair if key not in keys]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}; found {', '.join(keys) or 'nothing'}; wants X and y, or train_images and "
            "train_labels (and the same for val and test); rename its arrays"
        )
    return parts


def _array(archive: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    try:
        values = archive[key]
    except BROKEN as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{key} is an array of Python objects, which could run code when read; "
                f"save it as numbers or strings, e.g. {key}.astype(str)"
            ) from error
        raise DataError(f"{key} is damaged ({error}); copy or write the file again") from error
    if not isinstance(values, np.ndarray):  # numpy hands on the bytes of a member that is no npy file
        raise DataError(f"{key} is not a numpy array; write the file with numpy.savez")
    return values


def _dataset(parts: Parts, arrays: Arrays, source: Source) -> ImageDataset:
    images = {part: _images(key, arrays[key]) for part, (key, _) in parts.items()}
    labels = {part: _labels(key, arrays[key], len(images[part])) for part, (_, key) in parts.items()}
    classes, class_names = _classes(labels["train"], arrays.get("class_names"))
    sets = {}
    for part, (_, key) in parts.items():
        groups = _groups(arrays.get("groups"), len(images[part])) if part == "train" else None
        sets[part] = ImageSet(images[part], _numbered(key, labels[part], classes), groups)
    _check_all_present(parts["train"][1], sets["train"].labels, class_names)
    return ImageDataset(sets["train"], class_names, val=sets.get("val"), test=sets.get("test"), source=source)


def _images(key: str, values: np.ndarray) -> Tensor:
    """(N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1] -> (N, C, H, W) uint8."""
    if values.ndim not in (3, 4) or not values.size:
        raise DataError(
            f"{key} has shape {values.shape}; wants (N, H, W), (N, H, W, C) or (N, C, H, W), none of them 0"
        )
    pixels = torch.from_numpy(_as_bytes(key, values))
    if pixels.ndim == 3:
        return pixels.unsqueeze(1)
    first, last = pixels.shape[1], pixels.shape[3]
    if first == last:
        raise DataError(
            f"{key} has shape {values.shape}: axis 1 or axis 3 may be the channels; save gray images as (N, H, W)"
        )
    return pixels if first < last else pixels.permute(0, 3, 1, 2).contiguous()


def _as_bytes(key: str, values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise DataError(
            f"{key} is {values.dtype}; wants uint8, or floats in [0, 1]; convert it, e.g. with {key}.astype('uint8')"
        )
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # also refuses NaN, which min and max hand on
        raise DataError(f"{key} has floats from {low:g} to {high:g}; wants them in [0, 1], or uint8; rescale it first")
    scaled: np.ndarray = np.rint(values * 255)
    return scaled.astype(np.uint8)


def _labels(key: str, values: np.ndarray, size: int) -> Labels:
    """One label for each image, as Python integers or strings."""
    if values.ndim == 2 and values.shape[1] > 1:
        raise DataError(
            f"{key} has shape {values.shape}: {values.shape[1]} labels for each image; wants one, (N,) or (N, 1); "
            f"reduce them first: {key}.argmax(1) if one-hot, else e.g. keep the images with exactly one finding"
        )
    if values.size != size or values.ndim not in (1, 2):
        raise DataError(f"{key} has shape {values.shape}; wants one label for each of the {size} images")
    if values.dtype.kind not in "biuUS":
        raise DataError(f"{key} is {values.dtype}; wants integers or strings; convert it, e.g. with {key}.astype(int)")
    return _words(values).ravel().tolist()


def _words(values: np.ndarray) -> np.ndarray:
    """The same array, as str where it is bytes."""
    words: np.ndarray = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
    return words


def _classes(labels: Labels, names: np.ndarray | None) -> tuple[Labels, tuple[str, ...]]:
    """Each class's label value and its name: sorted, or as class_names has them."""
    if names is None:
        values = sorted(set(labels))
        return values, tuple(str(value) for value in values)
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"class_names is {names.dtype} of shape {names.shape}; wants K strings, shape (K,)")
    words = tuple(_words(names).tolist())
    return list(words) if isinstance(labels[0], str) else list(range(len(words))), words


def _numbered(key: str, labels: Labels, classes: Labels) -> Tensor:
    number = {value: c for c, value in enumerate(classes)}
    unknown = sorted({repr(label) for label in labels if label not in number})
    if unknown:
        known = ", ".join(map(repr, classes[:10])) + ", ..." * (len(classes) > 10)
        raise DataError(f"{key} has the label {unknown[0]}, which is not one of the {len(classes)} classes ({known})")
    return torch.tensor([number[label] for label in labels], dtype=torch.int64)


def _groups(values: np.ndarray | None, size: int) -> Tensor | None:
    if values is None:
        return None
    if values.shape != (size,):
        raise DataError(
            f"groups has shape {values.shape}; wants one group for each of the {size} images, shape ({size},)"
        )
    return torch.from_numpy(np.unique(values, return_inverse=True)[1]).long()


def _check_all_present(key: str, labels: Tensor, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise DataError(f"{key} has the classes {list(class_names)}; wants at least 2 classes")
    counts = labels.bincount(minlength=len(class_names)).tolist()
    if 0 in counts:
        c = counts.index(0)
        raise DataError(
            f"{key} has no image of class {c} ({class_names[c]!r}); add some, or take it out of class_names"
        )
