"""Seeds change with the axes that their table names and with no other; isolation leaves no trace."""

import random

import numpy as np
import pytest
import torch

from benchfw.experiment import Experiment
from benchfw.plan import cells
from benchfw.registry import installed
from benchfw.seeding import AXES_OF_STAGE, TRAINING, isolated, seed_for, stage_seed

AXES = {
    "dataset": "digits",
    "imbalance": "step",
    "repetition": 0,
    "extractor": "paper-cnn",
    "augmenter": "smote",
    "classifier": "head",
}
STAGES_OF_AXIS = {
    "dataset": {"test-split", "imbalance", "validation", "extractor", "augmenter", "draws", "classifier"},
    "repetition": {"test-split", "imbalance", "validation", "extractor", "augmenter", "draws", "classifier"},
    "imbalance": {"imbalance", "validation", "extractor", "augmenter", "draws", "classifier"},
    "extractor": {"extractor", "augmenter", "draws", "classifier"},
    "augmenter": {"augmenter", "draws"},
    "classifier": {"draws", "classifier"},
}


def seeds(base=0, **changed):
    return {stage: stage_seed(base, stage, AXES | changed) for stage in AXES_OF_STAGE}


def draws():
    """A number from each global generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def interrupted():
    with isolated(2):
        draws()
        raise KeyboardInterrupt


def test_seed_is_the_sha256_of_the_json_list():
    # by: printf '[0, "classifier", "digits"]' | sha256sum | cut -c1-16, shifted right by one bit
    assert seed_for(0, "classifier", "digits") == 0x250A11B41FEE657B >> 1


@pytest.mark.parametrize("axis", STAGES_OF_AXIS)
def test_an_axis_changes_the_seeds_of_its_stages_and_no_other(axis):
    before, after = seeds(), seeds(**{axis: 1 if axis == "repetition" else "another"})
    assert {stage for stage in before if before[stage] != after[stage]} == STAGES_OF_AXIS[axis]


def test_the_base_seed_changes_every_stage():
    before, after = seeds(), seeds(base=1)
    assert not set(before.values()) & set(after.values())


def test_stages_have_different_seeds():
    assert len(set(seeds().values())) == len(AXES_OF_STAGE)


def test_seeds_are_in_the_range_that_generators_take():
    found = [seed_for(0, number) for number in range(1000)]
    assert min(found) >= 0
    assert 2**62 < max(found) < 2**63
    assert len(set(found)) == 1000


def test_number_and_text_are_different_axes():
    assert seed_for(0, "exp", 1) != seed_for(0, "exp", "1")
    assert seed_for(0, "a", "b") != seed_for(0, "ab")


def test_variants_of_components_and_ratios_of_one_imbalance_share_all_seeds():
    experiment = Experiment(
        datasets=("digits",),
        imbalances=("exp:10", "exp:100", "exp:10:permuted"),
        extractors=("paper-cnn", "paper-cnn@tiny"),
        augmenters=("smote", "smote@k=3"),
        classifiers=("head", "head@steps=7"),
        repetitions=1,
        references=False,
    )
    found = cells(experiment, installed())
    assert len(found) == 24
    assert len({tuple(map(cell.seed_of, AXES_OF_STAGE)) for cell in found}) == 1


def test_reseeding_moves_the_stages_that_train_and_leaves_the_splits():
    first, again = (seeded(reseed) for reseed in (0, 1))
    assert {stage for stage in AXES_OF_STAGE if first[stage] != again[stage]} == set(TRAINING)
    assert len({seeded(reseed)["classifier"] for reseed in range(20)}) == 20


def seeded(reseed):
    experiment = Experiment(
        datasets=("digits",), extractors=("pixels",), augmenters=("none",), classifiers=("linear",), reseed=reseed
    )
    cell = cells(experiment, installed())[0]
    return {stage: cell.seed_of(stage) for stage in AXES_OF_STAGE}


def test_same_seed_gives_the_same_draws_from_all_three_generators():
    with isolated(5):
        first = draws()
    with isolated(5):
        second = draws()
    with isolated(6):
        third = draws()
    assert first == second
    assert all(a != b for a, b in zip(first, third, strict=True))


def test_seeds_beyond_numpys_range_are_taken():
    with isolated(2**63 - 1):
        assert len(set(draws())) == 3


def test_isolation_puts_the_global_generators_back():
    with isolated(1):  # a known state to start from
        expected = draws()
    with isolated(1):
        with isolated(2):
            draws()
        assert draws() == expected


def test_isolation_puts_the_global_generators_back_after_an_exception():
    with isolated(1):
        expected = draws()
    with isolated(1):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert draws() == expected


def test_isolation_starts_anew_whatever_was_drawn_before():
    with isolated(1):
        with isolated(2):
            first = draws()
        draws()
        with isolated(2):
            assert draws() == first
