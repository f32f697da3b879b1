"""Decode the image files of a data set to one shape, and say which of them cannot be."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from benchfw import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

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


def decoded(
    paths: Sequence[Path], names: Sequence[str], *, size: int | None, color: str, setting: str, ctx: Context
) -> Tensor:
    """The images as (N, C, H, W) uint8. Raises DataError when they differ in size, are deep, or cannot be read.

    names: what errors call them. size: resize to size x size, or None. color: auto, gray or rgb. setting: what
    changes the size, e.g. `dataset.csv.size`.
    """
    looks = [_look(path) for path in paths]
    _check_depth(names, looks)
    width, height = (size, size) if size else _common_size(names, looks, setting)
    mode = _mode(color, looks)
    images = torch.empty((len(paths), CHANNELS[mode], height, width), dtype=torch.uint8)
    broken: list[tuple[str, Exception]] = []
    for n, path in enumerate(paths):
        try:
            images[n] = pixels(path, mode, (width, height))
        except BROKEN as error:
            broken.append((names[n], error))
        ctx.progress(n + 1, len(paths))
    if broken:
        found, why = few([name for name, _ in broken]), reason(broken[0][1])
        raise DataError(f"{len(broken)} of {len(paths)} images cannot be read: {found} ({why}); replace or remove them")
    return images


def pixels(path: Path, mode: str, size: tuple[int, int]) -> Tensor:
    """One image as (C, H, W) uint8, resized as a whole where needed: bilinear, over all pixels that shrink into one.

    mode: L or RGB. size: (width, height). Raises what `BROKEN` lists, also for more than 8 bits a channel.
    """
    with Image.open(path) as stored:
        if stored.mode.startswith(DEEP):  # which Pillow cuts off at 255
            raise ValueError("more than 8 bits a channel")
        # A palette may hold transparency, which Pillow takes only on the way to RGBA.
        flat = (stored.convert("RGBA") if stored.mode in ("P", "PA") else stored).convert(mode)
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.array(flat))  # (H, W) or (H, W, 3)
    return values.unsqueeze(0) if mode == "L" else values.permute(2, 0, 1)


def reason(error: Exception) -> str:
    """Why an image cannot be read, in words."""
    if isinstance(error, UnidentifiedImageError):
        return "no image that Pillow knows"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def few(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _look(path: Path) -> Look | None:
    """From the header alone; None for a file that is no image."""
    try:
        with Image.open(path) as image:
            return image.mode, image.size
    except BROKEN:
        return None


def _check_depth(names: Sequence[str], looks: Sequence[Look | None]) -> None:
    deep = [name for name, look in zip(names, looks, strict=True) if look and look[0].startswith(DEEP)]
    if deep:
        raise DataError(
            f"{len(deep)} of {len(names)} images have more than 8 bits a channel: {few(deep)}; "
            "wants 8 bits; convert them first, since which gray values matter is yours to choose"
        )


def _common_size(names: Sequence[str], looks: Sequence[Look | None], setting: str) -> tuple[int, int]:
    """(width, height) of all readable images."""
    sizes = {name: look[1] for name, look in zip(names, looks, strict=True) if look}
    if not sizes:
        return 1, 1  # none can be read, which decoding then reports
    first, wanted = next(iter(sizes.items()))
    for name, found in sizes.items():
        if found != wanted:
            raise DataError(
                f"{first} is {wanted[0]}x{wanted[1]}, but {name} is {found[0]}x{found[1]}; "
                f"wants one size; resize them with --set {setting}=64"
            )
    return wanted


def _mode(color: str, looks: Sequence[Look | None]) -> str:
    if color == "auto":
        return "L" if all(look[0] in GRAY for look in looks if look) else "RGB"
    return {"gray": "L", "rgb": "RGB"}[color]
