"""A folder that keeps images decoded and resized, so that 40,000 files are decoded once; safe to kill, and to share.

pixels.npy holds the images, (N, 1, S, S) uint8; marks.npy a number for each of them, (N,) uint64, which says from which
state of its file (path, size, time of change) it was decoded, 0 before; inventory.tsv these states, for the cache key;
broken.tsv path and reason of each image that could not be decoded at last, where there are any.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import PIL
import torch
from filelock import FileLock

from benchfw import DataError
from benchfw_datasets import pictures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

FORMAT = 2
BLOCK = 256  # images that are lost at most when the process is killed
PIXELS, MARKS, INVENTORY, BROKEN = "pixels.npy", "marks.npy", "inventory.tsv", "broken.tsv"


def place(downloads: Path, name: str, tree: Path, paths: Sequence[str], size: int) -> Path:
    """The folder for these images of this tree at this size, in this order."""
    content = json.dumps([FORMAT, PIL.__version__, str(tree.resolve()), size, *paths])
    return downloads / name / hashlib.sha256(content.encode()).hexdigest()[:16]


def inventory(tree: Path, paths: Sequence[str]) -> list[str]:
    """For each file its path, size and time of change in a line; path alone where there is no file."""
    return [_state(f"{tree}{os.sep}{path}", path) for path in paths]


def _state(file: str, path: str) -> str:
    try:
        found = os.stat(file)  # noqa: PTH116  # pathlib takes twice as long
    except OSError:
        return path
    return f"{path}\t{found.st_size}\t{found.st_mtime_ns}"


def note(folder: Path, lines: Sequence[str]) -> Path:
    """Keep the inventory in the folder, whole or not at all, and untouched where it has not changed."""
    file = folder / INVENTORY
    with _saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "inventory.lock"):
            _keep(file, lines)
    return file


def _keep(file: Path, lines: Sequence[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    if not file.exists() or file.read_bytes() != content:
        unfinished = file.with_name(f"{file.name}.new")
        unfinished.write_bytes(content)
        unfinished.replace(file)


def fill(folder: Path, tree: Path, paths: Sequence[str], *, size: int, ctx: Context) -> dict[int, str]:
    """Decode what is new or has changed, gray, resized as a whole to size x size; returns row -> why of the others.

    The others are listed in broken.tsv too. A process that finds another one at work waits for it. Raises DataError
    when the folder cannot be written.
    """
    wanted = np.array([_mark(line) for line in inventory(tree, paths)], dtype=np.uint64)
    broken: dict[int, str] = {}
    with _saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            marks = _opened(folder, len(paths), size)
            todo = np.flatnonzero(marks != wanted)
            for start in range(0, len(todo), BLOCK):
                block = todo[start : start + BLOCK].tolist()
                done = len(paths) - len(todo) + start
                found = {row: _decoded(tree / paths[row], size) for row in _reporting(block, done, len(paths), ctx)}
                good = {row: values for row, values in found.items() if not isinstance(values, str)}
                broken |= {row: why for row, why in found.items() if isinstance(why, str)}
                _write(folder / PIXELS, good)
                marks[list(good)] = wanted[list(good)]
                marks.flush()
            _list(folder / BROKEN, [f"{paths[row]}\t{why}" for row, why in broken.items()])
    return broken


def _list(file: Path, broken: Sequence[str]) -> None:
    if broken:
        _keep(file, broken)
    else:
        file.unlink(missing_ok=True)


def read(folder: Path) -> Tensor:
    """The images (N, 1, S, S) uint8, memory-mapped; rows that `fill` has returned hold anything."""
    return torch.from_numpy(np.load(folder / PIXELS, mmap_mode="c", allow_pickle=False))


def _mark(line: str) -> int:
    return int.from_bytes(hashlib.sha256(line.encode()).digest()[:8], "big")


def _reporting(block: list[int], done: int, total: int, ctx: Context) -> Iterator[int]:
    for n, row in enumerate(block, 1):
        yield row
        ctx.progress(done + n, total)


def _decoded(file: Path, size: int) -> Tensor | str:
    """One image as (1, S, S) uint8, or why it cannot be read."""
    try:
        return pictures.pixels(file, "L", (size, size))
    except pictures.BROKEN as error:
        return pictures.reason(error)


def _opened(folder: Path, n: int, size: int) -> np.memmap:
    """The marks, beside pixels of the right shape; both anew where one is missing or is something else."""
    try:
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        marks = _marks(folder)
        if (pixels.shape, marks.shape) == ((n, 1, size, size), (n,)):
            return marks
    except (OSError, ValueError):
        pass
    (folder / MARKS).unlink(missing_ok=True)
    with (folder / PIXELS).open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, 1, size, size)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + n * size * size)
    np.save(folder / MARKS, np.zeros(n, dtype=np.uint64))
    return _marks(folder)


def _marks(folder: Path) -> np.memmap:
    marks: np.memmap = np.load(folder / MARKS, mmap_mode="r+", allow_pickle=False)
    return marks


def _write(file: Path, images: dict[int, Tensor]) -> None:
    """Put images (1, S, S) into their rows, on disk before this returns.

    By writing and not through memory, where a full disk would end the process.
    """
    offset = np.load(file, mmap_mode="r", allow_pickle=False).offset
    with file.open("r+b") as pixels:
        for row, values in images.items():
            pixels.seek(offset + row * values.numel())
            pixels.write(values.numpy().tobytes())
        pixels.flush()
        os.fsync(pixels.fileno())


@contextmanager
def _saving(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = "make room, or choose another place with --cache DIR"
        raise DataError(f"{folder} cannot be written ({error.strerror or error}); {cure}") from error
