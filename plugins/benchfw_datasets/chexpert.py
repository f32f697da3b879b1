"""CheXpert: find the tree, choose the images of each part, decode them once, and hand over views on one file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from benchfw import DataError, ImageDataset, ImageSet, Source, UsageError
from benchfw_datasets import chexpert_table as table
from benchfw_datasets import pictures, pixel_cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from benchfw import Context

NAME = "chexpert"
TABLE = "train.csv"
LAYOUT = "train.csv and train/patient00001/study1/view1_frontal.jpg"


@dataclass(frozen=True)
class Choice:
    """Which images are used, and how: the parameters of the data set as its parts need them."""

    classes: tuple[str, ...]
    uncertain: str
    views: str
    sizes: table.Sizes
    seed: int


@dataclass(frozen=True, eq=False)
class Chosen:
    """The images of each part, and what the user should know about them. paths: of all parts, as in the pool."""

    parts: dict[str, pd.DataFrame]
    paths: tuple[str, ...]
    warnings: tuple[str, ...]


def choice(classes: str, uncertain: str, views: str, caps: str | None, *, val: int, test: int, seed: int) -> Choice:
    """The parameters, read. Raises UsageError for fewer than 2 classes, one given twice, and caps that do not fit."""
    names = tuple(name.strip() for name in classes.split(","))
    if len(names) < 2 or len(set(names)) < len(names) or "" in names:
        raise UsageError(f"dataset.{NAME}.classes: wants at least 2 different names, found {classes!r}")
    return Choice(names, uncertain, views, table.Sizes(_caps(caps, len(names)), val, test), seed)


def _caps(text: str | None, n_classes: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if len(words) not in (1, n_classes) or not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(
            f"dataset.{NAME}.caps: wants one count, or one for each of the {n_classes} classes, all >= 1, or none; "
            f"found {text!r}"
        )
    counts = tuple(map(int, words))
    return counts if len(counts) == n_classes else counts * n_classes


def tree_at(root: Path | None) -> Path:
    """The folder with train.csv: the root, or the one folder in it that has it. Raises UsageError, DataError."""
    cure = f"wants the folder with {LAYOUT}; give it with --set dataset.{NAME}.root=DIR"
    if root is None:
        raise UsageError(
            f"dataset.{NAME}.root: wants a path, found none; {cure}. The images come from Stanford AIMI (CheXpert): "
            "register there and accept its Research Use Agreement"
        )
    if (root / TABLE).is_file():
        return root
    below = sorted(root.glob(f"*/{TABLE}")) if root.is_dir() else []
    if len(below) == 1:
        return below[0].parent
    if below:
        names = ", ".join(path.parent.name for path in below)
        raise DataError(f"{NAME}: {root}: found {names}; wants one of them; name it with --set dataset.{NAME}.root=DIR")
    raise DataError(
        f"{NAME}: {root}: no {TABLE} there or one folder below; {cure}. To get the images, register at Stanford AIMI "
        "(CheXpert), accept its Research Use Agreement, and unpack CheXpert-v1.0-small or CheXpert-v1.0"
    )


def files(tree: Path, choice: Choice, *, size: int, downloads: Path) -> tuple[Path, ...]:
    """The label table, and the inventory of the images in use, which is written where it has changed."""
    paths = chosen(tree, choice).paths
    folder = pixel_cache.place(downloads, NAME, tree, paths, size)
    try:
        inventory = pixel_cache.note(folder, pixel_cache.inventory(tree, paths))
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from error.__cause__
    return (tree / TABLE).absolute(), inventory.absolute()  # both, since the harness looks for their common parent


def load(
    tree: Path, choice: Choice, *, size: int, channels: int, skip_broken: bool, source: Source, ctx: Context
) -> ImageDataset:
    """The parts as views on one memory-mapped pool. Raises DataError for broken images, unless they are skipped."""
    found = chosen(tree, choice)
    for warning in found.warnings:
        ctx.warn(warning)
    folder = pixel_cache.place(ctx.downloads, NAME, tree, found.paths, size)
    try:
        broken = pixel_cache.fill(folder, tree, found.paths, size=size, ctx=ctx)
        _check_broken(broken, found.paths, folder / pixel_cache.BROKEN, skip=skip_broken, ctx=ctx)
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from error.__cause__
    pool = pixel_cache.read(folder).expand(-1, channels, -1, -1)  # (P, C, S, S), each channel the same memory
    sets, start = {}, 0
    for part, rows in found.parts.items():
        index = torch.tensor([n for n in range(start, start + len(rows)) if n not in broken], dtype=torch.int64)
        own = rows.iloc[(index - start).tolist()]
        labels, groups = (torch.tensor(own[name].to_numpy(), dtype=torch.int64) for name in ("label", "patient"))
        sets[part] = ImageSet(pool, labels, groups, index=index)
        start += len(rows)
    _check_left(sets, found.parts, choice.classes, tree, folder / pixel_cache.BROKEN)
    val, test = (sets[part] if len(found.parts[part]) else None for part in ("val", "test"))
    return ImageDataset(sets["train"], choice.classes, val=val, test=test, source=source)


def _check_broken(broken: dict[int, str], paths: Sequence[str], listed: Path, *, skip: bool, ctx: Context) -> None:
    if not broken:
        return
    found = f"{len(broken)} of {len(paths)} images cannot be read: {pictures.few([paths[row] for row in broken])}"
    said = f"{found} ({next(iter(broken.values()))}); all of them are listed in {listed}"
    if not skip:
        raise DataError(f"{said}; unpack them again, or leave them out with --set dataset.{NAME}.broken=skip")
    ctx.warn(f"{NAME}: {said}; they are left out, so the parts are smaller")


def _check_left(
    sets: dict[str, ImageSet], parts: dict[str, pd.DataFrame], classes: Sequence[str], tree: Path, listed: Path
) -> None:
    """Raise DataError where a part has lost a class to its broken images."""
    for part, rows in parts.items():
        wanted, found = table.class_counts(rows, len(classes)), sets[part].labels.bincount(minlength=len(classes))
        lost = [c for c, count in enumerate(found.tolist()) if wanted[c] and not count]
        if lost:
            raise DataError(
                f"{NAME}: {tree}: all {wanted[lost[0]]} images of class {classes[lost[0]]!r} in {part} are broken; "
                f"wants at least one that can be read: unpack those that {listed} lists again, or leave the class out "
                f"with --set dataset.{NAME}.classes=NAMES"
            )


def chosen(tree: Path, choice: Choice) -> Chosen:
    """The images of each part; remembered while train.csv is the same. Raises UsageError, DataError."""
    stat = (tree / TABLE).stat()
    try:
        return _chosen(tree, choice, stat.st_size, stat.st_mtime_ns)
    except DataError as error:
        raise DataError(f"{NAME}: {tree / TABLE}: {error}") from error.__cause__


@lru_cache(maxsize=1)
def _chosen(tree: Path, choice: Choice, _size: int, _modified: int) -> Chosen:
    labels = table.read(tree / TABLE, choice.classes)
    samples = table.single_label(labels, choice.classes, uncertain=choice.uncertain, views=choice.views)
    counts = table.class_counts(samples, len(choice.classes))
    sizes = table.fitting(counts, choice.sizes)
    parts = table.parts(samples, sizes, seed=choice.seed)
    _check_parts(parts, counts, choice.classes, sizes)
    paths = tuple(path for rows in parts.values() for path in rows["path"])
    return Chosen(parts, paths, _shortage(parts, counts, choice))


def _check_parts(
    parts: dict[str, pd.DataFrame], counts: Sequence[int], classes: Sequence[str], sizes: table.Sizes
) -> None:
    """Raise DataError where a part that is wanted lacks a class."""
    for part, wanted in (("train", 1), ("val", sizes.val), ("test", sizes.test)):
        found = table.class_counts(parts[part], len(classes))
        if wanted and 0 in found:
            c = found.index(0)
            raise DataError(
                f"class {classes[c]!r} has no image left for {part} (of {counts[c]} with this label alone); "
                f"wants at least one patient for each part: lower val and test, leave it out of classes, or try "
                f"another split_seed, all with --set dataset.{NAME}.NAME=VALUE"
            )


def _shortage(parts: dict[str, pd.DataFrame], counts: Sequence[int], choice: Choice) -> tuple[str, ...]:
    """A sentence where parts are smaller than they were asked to be, or none."""
    k, sizes = len(choice.classes), choice.sizes
    asked = {"train": list(sizes.caps or ()), "val": [sizes.val] * k, "test": [sizes.test] * k}
    short = [
        f"{part} has {_listed(found)} of {_listed(wanted)}"
        for part, wanted in asked.items()
        if wanted and (found := table.class_counts(parts[part], k)) != wanted
    ]
    if not short:
        return ()
    images = ", ".join(f"{name} {count}" for name, count in zip(choice.classes, counts, strict=True))
    return (f"{NAME}: too few images ({images}), so the parts are smaller: {'; '.join(short)}",)


def _listed(counts: Sequence[int]) -> str:
    return str(counts[0]) + " a class" if len(set(counts)) == 1 else "/".join(map(str, counts))
