"""Small data files that tests write, and the one line that a wrong one is answered with."""

import re
import shlex
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchfw import DataError


@contextmanager
def says(message, error=DataError):
    """The block raises the error with exactly this one line."""
    with pytest.raises(error) as caught:
        yield
    assert str(caught.value) == message


def pixels(n, *shape, seed=0):
    """n random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def saved(path, **arrays):
    """Write an npz file; returns its path as a user types it."""
    np.savez(path, **arrays)
    return str(path)


def picture(path, array, **options):
    """Write one image file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def write_slides(folder):
    """Write the files of the guide's data set `slides`: 40 images of ten patients."""
    folder.mkdir()
    np.save(folder / "slides.npy", pixels(40, 8, 8))
    lines = [f"{'healthy' if patient % 2 else 'ill'},{patient}" for patient in np.repeat(np.arange(10), 4)]
    (folder / "slides.csv").write_text("\n".join(lines))


def guide_commands(page):
    """The words of each command that a how-to shows for data which its own tests make: those in `sh` blocks."""
    text = (Path(__file__).parents[1] / "docs" / "how-to" / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines]
