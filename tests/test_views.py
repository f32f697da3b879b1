"""What a run keeps for a report to show: training images, and real and generated rows as points."""

import numpy as np
import pytest
import torch

import benchfw
from benchfw import Source
from benchfw.embedding import EXAMPLE_SIDE, EXAMPLES, Examples, _examples

QUICK = {"repetitions": 2, "classifier.linear.steps": 5}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two repetitions of digits, with an augmenter and without, and their cells by augmenter and repetition."""
    out = tmp_path_factory.mktemp("views") / "out"
    axes = {"extractors": ["pixels"], "augmenters": ["smote"], "classifiers": ["linear"]}
    found = benchfw.run(**axes, settings=QUICK, out=out, cache="off")
    return out, {(row["axes"]["augmenter"], row["axes"]["repetition"]): row for row in found.rows}


def views(run, augmenter):
    out, rows = run
    with np.load(out / "views" / f"{rows[augmenter, 0]['id']}.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}


def test_a_cell_of_the_first_repetition_keeps_examples_and_points(run):
    kept = views(run, "smote")
    assert set(kept) == {"examples", "example_labels", "places", "place_labels", "place_kinds"}
    assert np.bincount(kept["example_labels"]).tolist() == [EXAMPLES] * 10
    assert kept["examples"].dtype == np.uint8


def test_other_repetitions_keep_none(run):
    out, rows = run
    assert {path.stem for path in (out / "views").iterdir()} == {row["id"] for (_, r), row in rows.items() if r == 0}


def test_without_generated_rows_there_are_examples_alone(run):
    assert set(views(run, "none")) == {"examples", "example_labels"}


def test_points_of_two_augmenters_share_their_plane(run):
    first, second = views(run, "smote"), views(run, "random")
    real = first["place_kinds"] < 2
    assert np.array_equal(first["places"][real], second["places"][real])
    assert not np.array_equal(first["places"], second["places"])


def test_examples_are_training_images(run):
    from benchfw.registry import installed

    whole = installed().get("dataset", "digits")().load(None)
    known = {image.tobytes() for image in whole.train.rows(torch.arange(len(whole.train))).numpy()}
    assert all(image.tobytes() in known for image in views(run, "none")["examples"])


def test_large_images_are_shrunk_in_proportion():
    images = torch.full((3, 1, 200, 100), 7, dtype=torch.uint8)
    made = _examples(benchfw.ImageSet(images, torch.tensor([0, 0, 2])))
    assert made.images.shape == (3, 1, EXAMPLE_SIDE, EXAMPLE_SIDE // 2)
    assert set(made.images.ravel().tolist()) == {7}
    assert made.labels.tolist() == [0, 0, 2]


def test_examples_are_read_back_as_they_were_stored(tmp_path):
    made = _examples(benchfw.ImageSet(torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4), torch.tensor([0])))
    np.savez(tmp_path / "examples.npz", **made.arrays())
    assert np.array_equal(Examples.read(tmp_path / "examples.npz").images, made.images)


def test_the_digits_may_be_passed_on(run):
    assert all(row["data"]["public"] is True for row in run[1].values())


def test_what_is_not_said_to_be_public_is_not():
    assert Source(licence="a use agreement").public is False
