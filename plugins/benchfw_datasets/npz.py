"""Labelled images from one npz file: two arrays, or MedMNIST's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from benchfw import DataError, ImageDataset, ImageSet, Source
from benchfw_datasets import archive
from benchfw_datasets.class_order import ordered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

Parts = dict[str, tuple[str, str]]

PLAIN = ("X", "y")
MEDMNIST: Parts = {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")}
OPTIONAL = ("groups", "class_names")


def load(path: Path, ctx: Context, *, keys: tuple[str, str] = PLAIN, name: str = "npz") -> ImageDataset:
    """The data set in a file. Raises DataError for a file that is missing, damaged or not as documented at `Npz`.

    keys: what the arrays of images and labels are called where there are no parts. name: what errors begin with.
    """
    try:
        wanted = f"{keys[0]} and {keys[1]}"
        arrays = archive.read(path, lambda found: _chosen(_parts(found, keys), found), wanted=wanted, ctx=ctx)
        return _dataset(_parts(list(arrays), keys), arrays, Source(origin=path.name))
    except DataError as error:
        raise DataError(f"{name}: {path}: {error}") from error.__cause__


def _chosen(parts: Parts, found: Sequence[str]) -> list[str]:
    return [key for pair in parts.values() for key in pair] + [key for key in OPTIONAL if key in found]


def _parts(found: Sequence[str], keys: tuple[str, str]) -> Parts:
    layout = MEDMNIST if "train_images" in found and keys == PLAIN else {"train": keys}
    parts = {part: pair for part, pair in layout.items() if part == "train" or set(pair) & set(found)}
    missing = [key for pair in parts.values() for key in pair if key not in found]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}; found {', '.join(found) or 'nothing'}; wants {keys[0]} and {keys[1]}, or "
            "train_images and train_labels (and the same for val and test); rename its arrays"
        )
    return parts


def _dataset(parts: Parts, arrays: archive.Arrays, source: Source) -> ImageDataset:
    images = {part: _images(key, arrays[key]) for part, (key, _) in parts.items()}
    labels = {part: archive.labels_of(key, arrays[key], len(images[part])) for part, (_, key) in parts.items()}
    classes, class_names = archive.classes_of(labels["train"], arrays.get("class_names"), words_in_order=ordered)
    sets = {}
    for part, (_, key) in parts.items():
        groups = archive.groups_of("groups", arrays.get("groups"), len(images[part])) if part == "train" else None
        sets[part] = ImageSet(images[part], archive.numbered(key, labels[part], classes), groups)
    archive.check_all_present(parts["train"][1], sets["train"].labels, class_names)
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
