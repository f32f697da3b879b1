"""Training images to look at, as PNG in data URIs, where the data may be passed on."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw.report.reading import Arrays, Row, Run

MOST_CLASSES = 12
NOT_KEPT = "no cell kept any, since the data set brings features, or nothing of the first repetition is done."
MOST_BYTES = 1_000_000  # of all images together, before base64


UNSTATED = {"", "None", "not stated"}


@dataclass(frozen=True)
class Strip:
    """A few images of a class side by side. width: pixels of the picture; source: a data URI."""

    class_name: str
    count: int
    width: int
    height: int
    source: str


@dataclass(frozen=True)
class Examples:
    """The images of a data set, or why there are none."""

    dataset: str
    strips: list[Strip]
    note: str


def examples(run: Run, images: bool | None) -> list[Examples]:
    """For each data set its images, or the reason why there are none.

    images: True shows them whatever the licence says, False never, None where every row says the data is public.
    """
    left = MOST_BYTES
    made = []
    for dataset in sorted({row["axes"]["dataset"] for row in run.done}):
        rows = [row for row in run.done if row["axes"]["dataset"] == dataset]
        kept, row = _kept(run, rows)
        reason = _reason(rows, images) if kept else NOT_KEPT
        strips, left = _strips(kept, row["class_names"], left) if not reason else ([], left)
        more = len(row["class_names"]) - len(strips)
        told = reason or (f"{more} classes are left out; see examples in views/ID.npz." if more > 0 else "")
        made.append(Examples(dataset, strips, told))
    return made


def is_public(row: Row) -> bool:
    """Whether a cell says that its data may be passed on."""
    return row.get("data", {}).get("public") is True


def _reason(rows: Sequence[Row], images: bool | None) -> str:
    if images is False:
        return "images were not wanted."
    if images or all(is_public(row) for row in rows):
        return ""
    stated = sorted({str(row.get("data", {}).get("licence")) for row in rows if not is_public(row)} - UNSTATED)
    if stated:
        return f"the licence of the data ({'; '.join(stated)}) does not say that its images may be passed on."
    return "the licence of the data is not stated, so its images are not passed on."


def _kept(run: Run, rows: Sequence[Row]) -> tuple[Arrays, Row]:
    """The first images that a cell kept, and its row."""
    for row in rows:
        if row["axes"]["repetition"] == 0:
            kept = run.views(row)
            if _fits(kept, len(row["class_names"])):
                return kept, row
    return {}, rows[0]


def _fits(kept: Arrays, k: int) -> bool:
    if not {"examples", "example_labels"} <= kept.keys():
        return False
    images, labels = kept["examples"], kept["example_labels"]
    fits = images.ndim == 4 and images.dtype == np.uint8 and len(images) == len(labels) > 0 and 0 not in images.shape
    return bool(fits and (labels >= 0).all() and (labels < k).all())


def _strips(kept: Arrays, names: Sequence[str], left: int) -> tuple[list[Strip], int]:
    made: list[Strip] = []
    for c, name in enumerate(names):
        images = kept["examples"][kept["example_labels"] == c]
        if len(made) == MOST_CLASSES or left <= 0:
            break
        if len(images):
            content = _png(images)
            left -= len(content)
            height, width = images.shape[2], images.shape[3] * len(images)
            source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
            made.append(Strip(name, len(images), width, height, source))
    return made, left


def _png(images: np.ndarray[Any, Any]) -> bytes:
    """(E, C, h, w) uint8 side by side, gray or RGB."""
    from PIL import Image

    strip = np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)  # (h, E w, C)
    pixels = strip if strip.shape[2] == 3 else strip[:, :, 0]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return file.getvalue()
