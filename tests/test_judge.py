"""The fidelity stage of a run: one comparison for all classifiers and fills, on the same real rows for everybody."""

import numpy as np
import pytest
from third_party import measured

AXES = {
    "extractor": "paper-cnn@tiny,steps=20",
    "augmenter": ("random", "smote", "smote@fill=0.5", "none"),
    "classifier": ("head@steps=3", "linear@steps=3"),
    "imbalance": "step:5",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("judged")
    return out, {(row["axes"]["augmenter"], row["axes"]["classifier"]): row for row in measured(out, **AXES)}


def test_classifiers_and_fills_share_the_comparison(ran):
    out, rows = ran
    looks = [row["fidelity"] for (augmenter, _), row in rows.items() if augmenter.startswith("smote")]
    assert len(looks) == 4
    assert all(look == looks[0] for look in looks)
    assert looks[0] != rows["random", "head@steps=3"]["fidelity"]
    assert len(list((out / "cache" / "stages" / "fidelity").glob("*/*/stage.json"))) == 2


def test_augmenters_are_held_against_the_same_real_rows(ran):
    _, rows = ran
    floors = [
        [{name: value for name, value in line.items() if name.endswith("_floor")} for line in row["fidelity"]]
        for (augmenter, _), row in rows.items()
        if augmenter != "none"
    ]
    assert floors[0][-1]["energy_floor"] is not None
    assert all(floor == floors[0] for floor in floors)


def test_what_trains_is_the_real_set_and_the_comparison_knows_its_sizes(ran):
    _, rows = ran
    row = rows["random", "linear@steps=3"]
    assert [line["n_train"] for line in row["fidelity"][:-1]] == row["counts"]
    assert [line["n_test"] for line in row["fidelity"][:-1]] == row["test_counts"]


def test_without_synthetic_rows_there_is_no_comparison_and_no_cost(ran):
    _, rows = ran
    row = rows["none", "head@steps=3"]
    assert row["fidelity"] == []
    assert row["costs"]["fidelity_seconds"] == 0
    assert "fidelity" not in row["records"]
    assert rows["smote", "head@steps=3"]["costs"]["fidelity_seconds"] > 0


def test_predictions_do_not_depend_on_whether_the_comparison_was_kept(ran):
    out, rows = ran
    before = rows["smote", "head@steps=3"]
    kept = out / "predictions" / f"{before['id']}.npz"
    log_scores = np.load(kept)["log_scores"]
    for stage in (out / "cache" / "stages" / "fidelity").glob("*/*"):
        (stage / "stage.json").unlink()  # damaged: made anew
    (out / "cells" / f"{before['id']}.json").unlink()
    again = {(row["axes"]["augmenter"], row["axes"]["classifier"]): row for row in measured(out, **AXES)}
    assert again["smote", "head@steps=3"]["fidelity"] == before["fidelity"]
    assert again["smote", "head@steps=3"]["scores"] == before["scores"]
    assert (np.load(kept)["log_scores"] == log_scores).all()
