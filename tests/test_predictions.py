"""Kept predictions are read back as they were made, and a damaged file is no result."""

import numpy as np
import pytest

from benchfw.metrics import score
from benchfw.predictions import read

NAMES = ["a", "b", "c"]
ROW = {"id": "cell", "class_names": NAMES, "prior": [0.5, 0.3, 0.2], "natural_prior": [0.8, 0.1, 0.1]}


def keep(root, **changes):
    rng = np.random.default_rng(0)
    arrays = {"ids": np.arange(40), "labels": rng.integers(0, 3, 40), "log_scores": rng.normal(size=(40, 3))}
    arrays |= {name: change(arrays[name]) for name, change in changes.items()}
    (root / "predictions").mkdir()
    np.savez_compressed(root / "predictions" / "cell.npz", **{n: a for n, a in arrays.items() if a is not None})
    return arrays


def row(log_scores, labels):
    plain = score(log_scores, labels, counts=[8, 1, 1], class_names=NAMES)
    return ROW | {"scores": {"none": plain, "la-natural": {}, "la-met": {}}}


def test_hits_are_those_that_the_scores_were_made_from(tmp_path):
    kept = keep(tmp_path)
    wanted = row(kept["log_scores"], kept["labels"])
    found = read(tmp_path, wanted)
    assert found.hits(wanted, "none").mean() == pytest.approx(wanted["scores"]["none"]["accuracy"])
    adjusted = kept["log_scores"] - np.log(ROW["natural_prior"])
    assert np.array_equal(found.hits(wanted, "la-natural"), adjusted.argmax(1) == kept["labels"])


def test_a_classifier_that_corrects_its_prior_has_one_readout(tmp_path):
    kept = keep(tmp_path)
    wanted = row(kept["log_scores"], kept["labels"]) | {"scores": {"none": {}}}
    assert list(read(tmp_path, wanted).readouts(wanted)) == ["none"]


def test_what_was_not_kept_is_none(tmp_path):
    assert read(tmp_path, ROW) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": lambda a: None},
        {"labels": lambda a: a + 1},
        {"labels": lambda a: a - 1},
        {"labels": lambda a: a.astype(float)},
        {"ids": lambda a: a[1:]},
        {"log_scores": lambda a: a[:, :2]},
        {"log_scores": lambda a: np.where(a > 1, np.nan, a)},
        {"ids": lambda a: a[:0], "labels": lambda a: a[:0], "log_scores": lambda a: a[:0]},
    ],
)
def test_what_does_not_fit_the_row_is_none(tmp_path, changes):
    keep(tmp_path, **changes)
    assert read(tmp_path, ROW) is None


@pytest.mark.parametrize("place", [20, 200, -30])
def test_a_damaged_file_is_none_and_no_error(tmp_path, place):
    keep(tmp_path)
    path = tmp_path / "predictions" / "cell.npz"
    content = bytearray(path.read_bytes())
    content[place : place + 25] = b"\xff" * 25
    path.write_bytes(content[: -1 if place == -30 else None])
    assert read(tmp_path, ROW) is None


def test_objects_are_not_loaded(tmp_path):
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions" / "cell.npz", ids=np.array([{}], dtype=object), labels=[0], log_scores=[[0.0]])
    assert read(tmp_path, ROW) is None
