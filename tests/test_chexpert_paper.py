"""The reference experiment, whole and small: every line of its matrix on a synthetic tree in CheXpert's layout."""

import csv
import json
from collections import Counter

import pytest
from chexpert_tree import CLASSES, write_tree
from commands import Home, rows

from benchfw.experiment import load

SMALL = (
    *("--set", "extractor.paper-cnn.width=0.03125", "--set", "extractor.paper-cnn.steps=6"),
    *("--set", "augmenter.gan-feature.steps=4", "--set", "augmenter.gan-feature.watch=2"),
    *("-c", "head@unchanged", "-c", "head@refresh,steps=7", "-c", "head@paper,steps=7", "-c", "head@steps=7"),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    write_tree(home.path / "data", patients=90)
    words = ("run", "chexpert-paper", "--set", "dataset.chexpert.root=data", "--repetitions", 1, "--out", "out")
    yield home.path / "out", home.run(*words, *SMALL, seconds=280)
    home.stop()


def test_every_cell_is_measured_or_skipped_with_its_reason(ran):
    out, ended = ran
    assert ended.code == 0, ended.err
    found = rows(out)
    assert len(found) == len(load("chexpert-paper").augmenters) * 4
    assert {row["status"] for row in found} == {"done", "skipped"}
    reasons = Counter(row["reason"] for row in found if row["status"] == "skipped")
    assert all("needs natural rows" in reason or "refresh" in reason for reason in reasons), reasons


def test_features_are_maps_of_10x10_of_a_thirty_second_of_the_channels(ran):
    out, _ = ran
    (stage,) = (out.parent / "cache" / "stages" / "embed").glob("*/*/stage.json")
    facts = json.loads(stage.read_text())
    assert facts["shape"] == [16, 10, 10]
    assert facts["parts"] == ["train", "val", "test"]
    with (out / "fidelity.csv").open() as file:
        assert {line["class"] for line in csv.DictReader(file)} == {*CLASSES, "(all)"}


def test_the_head_as_it_was_is_read_with_and_without_the_prior(ran):
    out, _ = ran
    unchanged = [row for row in rows(out) if row["axes"]["classifier"] == "head@unchanged" and row["status"] == "done"]
    assert [row["axes"]["augmenter"] for row in unchanged] == ["none"]
    assert set(unchanged[0]["scores"]) == {"none", "la-natural", "la-met"}


def test_joint_training_leaves_the_change_of_the_head_in_its_row(ran):
    out, _ = ran
    joint = [row for row in rows(out) if "joint" in row["axes"]["augmenter"] and row["status"] == "done"]
    assert joint
    for row in joint:
        changes = [line["head_change"] for line in row["records"]["classifier"] if "head_change" in line]
        assert changes
        gentle = "paper" in row["axes"]["classifier"]
        assert (changes[-1] < 1e-4) == gentle, (row["axes"], changes)


def test_the_table_says_what_a_reader_asks_for(ran):
    out, ended = ran
    assert "accuracy" in ended.out
    assert (out / "table.md").read_text().count("gan-feature-joint@paper") >= 1


def test_each_row_says_that_the_tree_is_too_small_for_the_report_s_counts(ran):
    out, _ = ran
    for row in rows(out):
        if row["status"] == "done":
            assert any("too few images" in line for line in row["warnings"]), row["warnings"]
