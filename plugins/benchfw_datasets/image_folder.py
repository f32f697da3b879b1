"""Labelled images from files, one folder for each class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchfw import DataError, ImageDataset, ImageSet, Source
from benchfw_datasets import pictures
from benchfw_datasets.class_order import ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw import Context

PARTS = ("train", "val", "test")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


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
    class_names = ordered([folder.name for folder in _folders(parts["train"])])
    _check_classes(class_names)
    listed = {part: _listed(folder, part, class_names) for part, folder in parts.items()}
    paths = [path for part in listed.values() for path, _ in part]
    names = [path.relative_to(root).as_posix() for path in paths]
    images = pictures.decoded(paths, names, size=size, color=color, setting="dataset.image-folder.size", ctx=ctx)
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
