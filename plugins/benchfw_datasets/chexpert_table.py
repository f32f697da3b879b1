"""CheXpert's label table: from many labels to one for each image, and from images to parts without a shared patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchfw import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VIEW = "Frontal/Lateral"
PATIENT = r"(?:^|/)patient(\d{1,18})/"
PARTS = ("train", "val", "test")
MOST_HELD_OUT = 0.2  # of the smallest class, by the validation and the test part each


@dataclass(frozen=True)
class Sizes:
    """How many images of each class a part takes. caps: for training, None is all that are left; val, test: of each."""

    caps: tuple[int, ...] | None
    val: int
    test: int


def read(path: Path, classes: Sequence[str]) -> pd.DataFrame:
    """The columns Path, Frontal/Lateral and those of the classes, as floats: 1, 0, -1 (uncertain) or NaN (blank).

    Raises UsageError for a class that is no column, DataError for a table that is not CheXpert's.
    """
    try:
        columns = list(pd.read_csv(path, nrows=0).columns)
        _check_columns(columns, classes)
        table = pd.read_csv(path, usecols=["Path", VIEW, *classes], dtype=dict.fromkeys(("Path", VIEW), str))
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        why = " ".join(str(error).split())
        raise DataError(f"cannot be read as CheXpert's table ({why}); copy it again") from error
    for name in classes:
        _check_values(name, table[name])
    if table["Path"].isna().any():
        raise DataError(f"line {int(table['Path'].isna().argmax()) + 2} has no Path; copy the table again")
    return table


def _check_columns(columns: Sequence[str], classes: Sequence[str]) -> None:
    missing = [name for name in ("Path", VIEW) if name not in columns]
    if missing:
        raise DataError(f"lacks the column {missing[0]!r}; wants CheXpert's train.csv")
    for name in classes:
        if name not in columns:
            known = ", ".join(column for column in columns if column not in ("Path", "Sex", "Age", VIEW, "AP/PA"))
            raise UsageError(f"dataset.chexpert.classes: {name!r} is no column of the table; known: {known}")


def _check_values(name: str, values: pd.Series[float]) -> None:
    wrong = ~(values.isin([1, 0, -1]) | values.isna())
    if wrong.any():
        found = values[wrong].iloc[0]
        raise DataError(f"column {name!r} has {found}; wants 1.0, 0.0, -1.0 or blank; copy the table again")


def single_label(table: pd.DataFrame, classes: Sequence[str], *, uncertain: str, views: str) -> pd.DataFrame:
    """The images of which exactly one class is positive; blank is negative.

    table: as `read` gives it. uncertain: zeros and ones read -1 as 0 and 1, ignore drops each image that has a -1 among
    the classes. views: frontal, or all. Returns the columns path (below the data set's folder, whose name `Path` begins
    with), patient (int64, the number in its path) and label (int64, 0..K-1), in the table's order.
    Raises DataError for a path without a patient.

    Source: Irvin et al. 2019, arXiv:1901.07031, for U-Zeros, U-Ones and U-Ignore.
    """
    found = table[list(classes)].to_numpy(dtype=np.float32)  # (N, K)
    positive = (found == 1) | ((found == -1) & (uncertain == "ones"))
    kept = positive.sum(axis=1) == 1
    if uncertain == "ignore":
        kept &= ~(found == -1).any(axis=1)
    if views == "frontal":
        kept &= (table[VIEW] == "Frontal").to_numpy()
    path = table["Path"][kept].str.partition("/")[2]
    patient = path.str.extract(PATIENT, expand=False)
    if patient.isna().any():
        wrong = table["Path"][patient.index[patient.isna()][0]]
        raise DataError(f"Path {wrong!r} names no patient; wants <folder>/train/patient00001/study1/view1_frontal.jpg")
    label = positive[kept].argmax(axis=1)
    return pd.DataFrame({"path": path, "patient": patient.astype("int64"), "label": label}).reset_index(drop=True)


def fitting(counts: Sequence[int], sizes: Sizes) -> Sizes:
    """The sizes, with validation and test part at most a fifth of the smallest class each, so that training has three.

    counts: (K,) images of each class.
    """
    most = max(1, int(min(counts) * MOST_HELD_OUT))
    return replace(sizes, val=min(sizes.val, most), test=min(sizes.test, most))


def parts(samples: pd.DataFrame, sizes: Sizes, *, seed: int) -> dict[str, pd.DataFrame]:
    """Disjoint rows of the samples for train, val and test, no patient in two of them; each sorted by path.

    samples: as `single_label` gives them. The patients stand in an order that the seed decides; for each class the test
    part is the first `sizes.test` images in that order, and its patients are left out of all else; then validation
    likewise; then training takes up to `caps` of each class from the other patients, again in an order by the seed. So
    each held-out class is a random sample of its patients, and what else they have is given to no part.

    The order is that of a hash of seed and patient: it depends on no library, and further images do not move a patient.
    """
    order = pd.DataFrame({"patient": _hashes(samples["patient"], seed), "path": _hashes(samples["path"], seed)})
    left = samples.loc[order.sort_values(["patient", "path"]).index]
    test, left = _held_out(left, sizes.test)
    val, left = _held_out(left, sizes.val)
    train = left.loc[order.loc[left.index].sort_values("path").index]
    if sizes.caps is not None:
        train = train[train.groupby("label").cumcount() < train["label"].map(dict(enumerate(sizes.caps)))]
    return {part: rows.sort_values("path") for part, rows in zip(PARTS, (train, val, test), strict=True)}


def _held_out(ordered: pd.DataFrame, size: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first images of each class, and all images of the other patients."""
    chosen = ordered[ordered.groupby("label").cumcount() < size]
    return chosen, ordered[~ordered["patient"].isin(chosen["patient"])]


def _hashes(values: pd.Series[str] | pd.Series[int], seed: int) -> list[bytes]:
    known: Mapping[object, bytes] = {
        value: hashlib.sha256(f"{seed} {value}".encode()).digest() for value in values.unique()
    }
    return [known[value] for value in values]


def class_counts(rows: pd.DataFrame, n_classes: int) -> list[int]:
    """How many rows each class has."""
    counts: list[int] = np.bincount(rows["label"], minlength=n_classes).tolist()
    return counts
