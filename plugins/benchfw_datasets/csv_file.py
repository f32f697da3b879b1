"""Labelled images that a csv file lists: path, label, and where wanted split and group."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchfw import DataError, ImageDataset, ImageSet, Source
from benchfw_datasets import pictures
from benchfw_datasets.class_order import ordered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

PARTS = ("train", "val", "test")
WANTED = ("path", "label")
OPTIONAL = ("split", "group")


@dataclass(frozen=True)
class Row:
    """One image: its path as it is written, its label, its part, its group or None, and its line in the file."""

    path: str
    label: str
    split: str
    group: str | None
    line: int


def load(file: Path, *, size: int | None, color: str, ctx: Context) -> ImageDataset:
    """The data set that a file lists. Raises DataError for a file or images that are not as documented at `Csv`."""
    rows = read(file)
    try:
        return _dataset(rows, file, size=size, color=color, ctx=ctx)
    except DataError as error:
        raise DataError(f"csv: {file}: {error}") from error.__cause__


def read(file: Path) -> list[Row]:
    """The rows of a file. Raises DataError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            return _rows(file, [(cells, reader.line_num) for cells in reader])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"csv: {file}: cannot be read ({pictures.reason(error)}); wants csv in UTF-8") from error
    except DataError as error:
        raise DataError(f"csv: {file}: {error}") from error


def images(file: Path, rows: Sequence[Row]) -> list[Path]:
    """The files of the rows; relative paths count from the folder of the csv file."""
    return [file.parent / row.path for row in rows]


def _rows(file: Path, lines: Sequence[tuple[list[str], int]]) -> list[Row]:
    """The rows of all lines: (cells, line number) pairs."""
    header = [name.strip() for name in lines[0][0]] if lines else []
    unknown = [name for name in header if name not in (*WANTED, *OPTIONAL)]
    if unknown or not set(WANTED) <= set(header) or len(set(header)) < len(header):
        found = ", ".join(header) or "nothing"
        raise DataError(f"has the columns {found}; wants path, label and, if any, split and group, and no other")
    rows = [_row(cells, header, line) for cells, line in lines[1:] if cells]
    _check_unique(file, rows)
    return rows


def _row(fields: Sequence[str], header: Sequence[str], line: int) -> Row:
    if len(fields) != len(header):
        raise DataError(f"line {line} has {len(fields)} fields; wants {len(header)}: {', '.join(header)}")
    cells = {name: cell.strip() for name, cell in zip(header, fields, strict=True)}
    empty = [name for name, cell in cells.items() if not cell]
    if empty:
        raise DataError(f"line {line} has no {empty[0]}; fill it in, or remove the column if you do not need it")
    split = cells.get("split", "train")
    if split not in PARTS:
        raise DataError(f"line {line} has the split {split!r}; wants train, val or test")
    return Row(cells["path"], cells["label"], split, cells.get("group"), line)


def _check_unique(file: Path, rows: Sequence[Row]) -> None:
    """Refuse an image that is listed twice, however spelt: in two parts it would be trained on and tested on."""
    seen: dict[str, Row] = {}
    for row, path in zip(rows, images(file, rows), strict=True):
        first = seen.setdefault(os.path.abspath(path), row)  # noqa: PTH100  # pathlib's absolute() keeps a/../b
        if first is not row:
            raise DataError(f"lines {first.line} and {row.line} list the same image, {row.path}; remove one of them")


def _dataset(rows: Sequence[Row], file: Path, *, size: int | None, color: str, ctx: Context) -> ImageDataset:
    class_names = _class_names(rows)
    labels = torch.tensor([class_names.index(row.label) for row in rows], dtype=torch.int64)
    groups = _groups(rows)
    names = [row.path for row in rows]
    pool = pictures.decoded(images(file, rows), names, size=size, color=color, setting="dataset.csv.size", ctx=ctx)
    sets = {}
    for part in PARTS:
        index = torch.tensor([n for n, row in enumerate(rows) if row.split == part], dtype=torch.int64)
        sets[part] = ImageSet(pool, labels[index], None if groups is None else groups[index], index=index)
    val, test = (sets[part] if len(sets[part]) else None for part in ("val", "test"))
    return ImageDataset(sets["train"], class_names, val=val, test=test, source=Source(origin=file.name))


def _class_names(rows: Sequence[Row]) -> tuple[str, ...]:
    """The labels of train, in the order of classes."""
    found = {row.label for row in rows if row.split == "train"}
    if len(found) < 2:
        raise DataError(f"train has the classes {sorted(found)}; wants at least 2")
    for row in rows:
        if row.label not in found:
            raise DataError(f"line {row.line} has the label {row.label!r} in {row.split}, which train lacks")
    return ordered(found)


def _groups(rows: Sequence[Row]) -> Tensor | None:
    if not rows or rows[0].group is None:
        return None
    number = {group: n for n, group in enumerate(sorted({str(row.group) for row in rows}))}
    return torch.tensor([number[str(row.group)] for row in rows], dtype=torch.int64)
