"""Small data files that tests write, and the one line that a wrong one is answered with."""

from contextlib import contextmanager

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
