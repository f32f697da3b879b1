"""Arrays from an npz file, read without unpickling, and what labels, classes and groups in them mean."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch

from benchfw import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

Arrays = dict[str, np.ndarray]
Labels = list[Any]  # Python integers, or strings

BROKEN = (OSError, EOFError, ValueError, RuntimeError, BadZipFile, zlib.error)  # what reading a damaged file raises


def read(path: Path, choose: Callable[[Sequence[str]], Sequence[str]], *, wanted: str, ctx: Context) -> Arrays:
    """The arrays that `choose` names, given the names of all. Raises DataError for a file that is missing or damaged.

    wanted: what the file should hold, in words.
    """
    try:
        with path.open("rb") as file:  # opened here, since numpy leaves a file open that turns out to be no zip
            try:
                archive = np.load(file, allow_pickle=False)
            except BROKEN as error:
                cure = "write it with numpy.savez, or copy it again"
                raise DataError(f"is not an npz file, or is cut short; {cure}") from error
            if isinstance(archive, np.ndarray):
                raise DataError(f"is a single npy array, wants an npz file with {wanted}; write it with numpy.savez")
            keys, arrays = choose(archive.files), {}
            for done, key in enumerate(keys, 1):
                arrays[key] = _array(archive, key)
                ctx.progress(done, len(keys))
            return arrays
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error}); wants an npz file") from error


def _array(archive: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    try:
        values = archive[key]
    except BROKEN as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{key} is an array of Python objects, which could run code when read; "
                f"save it as numbers or strings, e.g. {key}.astype(str)"
            ) from error
        raise DataError(f"{key} is damaged ({error}); copy or write the file again") from error
    if not isinstance(values, np.ndarray):  # numpy hands on the bytes of a member that is no npy file
        raise DataError(f"{key} is not a numpy array; write the file with numpy.savez")
    return values


def labels_of(key: str, values: np.ndarray, size: int) -> Labels:
    """One label for each sample, as Python integers or strings."""
    if values.ndim == 2 and values.shape[1] > 1:
        raise DataError(
            f"{key} has shape {values.shape}: {values.shape[1]} labels for each sample; wants one, (N,) or (N, 1); "
            f"reduce them first: {key}.argmax(1) if one-hot, else e.g. keep the samples with exactly one finding"
        )
    if values.size != size or values.ndim not in (1, 2):
        raise DataError(f"{key} has shape {values.shape}; wants one label for each of the {size} samples")
    if values.dtype.kind not in "biuUS":
        raise DataError(f"{key} is {values.dtype}; wants integers or strings; convert it, e.g. with {key}.astype(int)")
    return _words(values).ravel().tolist()


def _words(values: np.ndarray) -> np.ndarray:
    """The same array, as str where it is bytes."""
    words: np.ndarray = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
    return words


def classes_of(
    labels: Labels, names: np.ndarray | None, *, words_in_order: Callable[[Collection[str]], Sequence[str]] = sorted
) -> tuple[Labels, tuple[str, ...]]:
    """Each class's label value and its name: sorted, strings by `words_in_order`, or as class_names has them."""
    if names is None:
        found = set(labels)
        values = list(words_in_order(found) if isinstance(labels[0], str) else sorted(found))
        return values, tuple(str(value) for value in values)
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"class_names is {names.dtype} of shape {names.shape}; wants K strings, shape (K,)")
    words = tuple(_words(names).tolist())
    return list(words) if isinstance(labels[0], str) else list(range(len(words))), words


def numbered(key: str, labels: Labels, classes: Labels) -> Tensor:
    """The class number of each label: (N,) int64."""
    number = {value: c for c, value in enumerate(classes)}
    unknown = sorted({repr(label) for label in labels if label not in number})
    if unknown:
        known = ", ".join(map(repr, classes[:10])) + ", ..." * (len(classes) > 10)
        raise DataError(f"{key} has the label {unknown[0]}, which is not one of the {len(classes)} classes ({known})")
    return torch.tensor([number[label] for label in labels], dtype=torch.int64)


def groups_of(key: str, values: np.ndarray | None, size: int) -> Tensor | None:
    """Groups of any type as numbers from 0: (N,) int64, or None where there are none."""
    if values is None:
        return None
    if values.shape != (size,):
        raise DataError(
            f"{key} has shape {values.shape}; wants one group for each of the {size} samples, shape ({size},)"
        )
    return torch.from_numpy(np.unique(values, return_inverse=True)[1]).long()


def check_all_present(key: str, labels: Tensor, class_names: tuple[str, ...]) -> None:
    """Raise DataError unless there are at least 2 classes, and each has a label. labels: (N,) int64."""
    if len(class_names) < 2:
        raise DataError(f"{key} has the classes {list(class_names)}; wants at least 2 classes")
    counts = labels.bincount(minlength=len(class_names)).tolist()
    if 0 in counts:
        c = counts.index(0)
        raise DataError(
            f"{key} has no sample of class {c} ({class_names[c]!r}); add some, or take it out of class_names"
        )
