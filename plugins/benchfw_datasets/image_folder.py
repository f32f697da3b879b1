"""Labelled images from files, one folder for each class."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from benchfw import DataError, ImageDataset, ImageSet, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from benchfw import Context

PARTS = ("train", "val", "test")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GRAY = ("1", "L", "LA", "La")  # Pillow's modes
DEEP = ("I", "F")  # what Pillow's modes of more than 8 bits a channel begin with
BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)  # by Pillow
CHANNELS = {"L": 1, "RGB": 3}

Look = tuple[str, tuple[int, int]]
"""Pillow's mode and (width, height) of an image."""


def load(root: Path, *, size: int | None, color: str, ctx: Context) -> ImageDataset:
    """The data set in a folder. Raises DataError for folders or files that are not as documented at `ImageFolder`."""
    try:
        return _dataset(root, size=size, color=color, ctx=ctx)
    except DataError as error:
        raise DataError(f"image-folder: {root}: {error}") from error.__cause__


def images_below(folder: Path) -> list[Path]:
    """All visible image files at any depth, sorted."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def _dataset(root: Path, *, size: int | None, color: str, ctx: Context) -> ImageDataset:
    parts = _parts(root)
    class_names = tuple(folder.name for folder in _folders(parts["train"]))
    _check_classes(class_names)
    listed = {part: _listed(folder, part, class_names) for part, folder in parts.items()}
    paths = [path for part in listed.values() for path, _ in part]
    images = _decoded(paths, root, size=size, color=color, ctx=ctx)
    sets = {}
    for (part, files), pixels in zip(
        listed.items(), torch.split(images, [len(part) for part in listed.values()]), strict=True
    ):
        sets[part] = ImageSet(pixels, torch.tensor([c for _, c in files], dtype=torch.int64))
    source = Source(origin=root.name)
    return ImageDataset(sets["train"], class_names, val=sets.get("val"), test=sets.get("test"), source=source)


def _parts(root: Path) -> dict[str, Path]:
    """The directory of each part that exists; the root itself is `train` where there are no splits."""
    names = [folder.name for folder in _folders(root)]
    if not set(names) & set(PARTS):
        return {"train": root}
    others = sorted(set(names) - set(PARTS))
    if others or "train" not in names:
        raise DataError(
            f"found the folders {', '.join(names)}; wants either classes, none of them called "
            "train, val or test, or train with val or test and nothing else; rename or move the others"
        )
    return {part: root / part for part in PARTS if part in names}


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _check_classes(class_names: Sequence[str]) -> None:
    if len(class_names) < 2:
        found = f"one class folder ({class_names[0]!r})" if class_names else "no class folder"
        raise DataError(f"found {found}; wants at least 2, as in <class>/*.png or train/<class>/*.png")


def _listed(folder: Path, part: str, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    """Each image of a part with its class number, class by class. Only in `train` must every class have images."""
    here = [path.name for path in _folders(folder)]
    unknown = sorted(set(here) - set(class_names))
    if unknown:
        raise DataError(f"{part} has the class {unknown[0]!r}, which train lacks; rename the folder or move it away")
    files = [(path, c) for c, name in enumerate(class_names) for path in images_below(folder / name)]
    present = {c for _, c in files}
    if part == "train" and len(present) < len(class_names):
        empty = next(name for c, name in enumerate(class_names) if c not in present)
        raise DataError(
            f"class {empty!r} has no image; wants files that end in {', '.join(SUFFIXES)}; add some, or remove it"
        )
    if not files:
        raise DataError(f"{part} has no image in any class folder; add some, or remove the folder")
    return files


def _decoded(paths: Sequence[Path], root: Path, *, size: int | None, color: str, ctx: Context) -> Tensor:
    """The images as (N, C, H, W) uint8."""
    looks = [_look(path) for path in paths]
    _check_depth(paths, looks, root)
    width, height = (size, size) if size else _common_size(paths, looks, root)
    mode = _mode(color, looks)
    images = torch.empty((len(paths), CHANNELS[mode], height, width), dtype=torch.uint8)
    broken: list[tuple[Path, Exception]] = []
    for n, path in enumerate(paths):
        try:
            images[n] = _pixels(path, mode, (width, height))
        except BROKEN as error:
            broken.append((path, error))
        ctx.progress(n + 1, len(paths))
    if broken:
        names, why = _few([path for path, _ in broken], root), _why(broken[0][1])
        raise DataError(f"{len(broken)} of {len(paths)} images cannot be read: {names} ({why}); replace or remove them")
    return images


def _look(path: Path) -> Look | None:
    """From the header alone; None for a file that is no image."""
    try:
        with Image.open(path) as image:
            return image.mode, image.size
    except BROKEN:
        return None


def _check_depth(paths: Sequence[Path], looks: Sequence[Look | None], root: Path) -> None:
    deep = [path for path, look in zip(paths, looks, strict=True) if look and look[0].startswith(DEEP)]
    if deep:
        raise DataError(
            f"{len(deep)} of {len(paths)} images have more than 8 bits a channel: {_few(deep, root)}; "
            "wants 8 bits; convert them first, since which gray values matter is yours to choose"
        )


def _common_size(paths: Sequence[Path], looks: Sequence[Look | None], root: Path) -> tuple[int, int]:
    """(width, height) of all readable images."""
    sizes = {path: look[1] for path, look in zip(paths, looks, strict=True) if look}
    if not sizes:
        return 1, 1  # none can be read, which decoding then reports
    first, wanted = next(iter(sizes.items()))
    for path, found in sizes.items():
        if found != wanted:
            raise DataError(
                f"{_name(first, root)} is {wanted[0]}x{wanted[1]}, but {_name(path, root)} is {found[0]}x{found[1]}; "
                "wants one size; resize them with --set dataset.image-folder.size=64"
            )
    return wanted


def _mode(color: str, looks: Sequence[Look | None]) -> str:
    if color == "auto":
        return "L" if all(look[0] in GRAY for look in looks if look) else "RGB"
    return {"gray": "L", "rgb": "RGB"}[color]


def _pixels(path: Path, mode: str, size: tuple[int, int]) -> Tensor:
    """One image as (C, H, W) uint8. size: (width, height)."""
    with Image.open(path) as stored:
        # A palette may hold transparency, which Pillow takes only on the way to RGBA.
        flat = (stored.convert("RGBA") if stored.mode in ("P", "PA") else stored).convert(mode)
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(flat))  # (H, W) or (H, W, 3)
    return pixels.unsqueeze(0) if mode == "L" else pixels.permute(2, 0, 1)


def _why(error: Exception) -> str:
    return "no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)


def _few(paths: Sequence[Path], root: Path) -> str:
    return ", ".join(_name(path, root) for path in paths[:3]) + ", ..." * (len(paths) > 3)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
