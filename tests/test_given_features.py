"""A data set may bring its features: the extractor axis reads `given`, and everything after it is as with images."""

import given
import numpy as np
import pytest
import torch
from third_party import installed_here, measured

from benchfw import DataError, FeatureDataset, FeatureSet, FeatureSpace
from benchfw.embedding import embed, forget
from benchfw.experiment import requested
from benchfw.place import Place
from benchfw.plan import cells
from benchfw.registry import installed
from benchfw.store import StageCache

SHAPES = [(6,), (2, 3, 1)]
COUNTS = (80, 60, 40)


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory):
    with installed_here(tmp_path_factory.mktemp("site"), given.__name__):
        yield


@pytest.fixture
def save(tmp_path):
    """Write three classes of features with what else is wanted; the data set's text."""

    def saved(*parts, shape=(6,), name="features", seed=0):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(3), COUNTS)
        centres = rng.normal(size=(3, 6))

        def rows(labels):
            return (centres[labels] + rng.normal(size=(len(labels), 6))).astype(np.float32).reshape(-1, *shape)

        test = np.repeat(np.arange(3), 7)
        every = {
            "head": {"weight": rng.normal(size=(3, 6)).astype(np.float32), "bias": np.float32([0.1, -0.2, 0.3])},
            "test": {"test_values": rows(test), "test_labels": test},
            "groups": {"groups": np.arange(len(labels)) // 4},
        }
        content = {"values": rows(labels), "labels": labels}
        for part in parts:
            content |= every[part]
        np.savez(tmp_path / f"{name}.npz", **content)
        return f"saved@path='{tmp_path}/{name}.npz'"

    return saved


@pytest.fixture
def run(tmp_path):
    def ran(*datasets, out="out", **axes):
        return measured(tmp_path / out, dataset=datasets, **axes)

    return ran


def arrays(path):
    with np.load(path) as kept:
        return dict(kept)


def predicted(tmp_path, row, out="out"):
    return arrays(tmp_path / out / "predictions" / f"{row['id']}.npz")


def only(rows):
    (row,) = rows
    return row


def planned(*datasets, **changes):
    return cells(requested("quick", {"datasets": datasets, "references": False} | changes), installed())


# ---- the unchanged head ----


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [("head",), ("head", "test"), ("head", "groups")])
def test_the_unchanged_head_is_the_given_linear_layer_to_the_last_digit(save, run, tmp_path, shape, parts):
    row = only(run(save(*parts, shape=shape), classifier="head@unchanged"))
    assert (row["status"], row["axes"]["extractor"]) == ("done", "given")
    found, kept = arrays(tmp_path / "features.npz"), predicted(tmp_path, row)
    rows = np.concatenate([found["values"], found.get("test_values", found["values"][:0])])[kept["ids"]].reshape(-1, 6)
    logits = rows.astype(np.float64) @ found["weight"].T + found["bias"]
    assert (kept["log_scores"].argmax(1) == logits.argmax(1)).all()
    assert row["scores"]["none"]["accuracy"] == (logits.argmax(1) == kept["labels"]).mean()
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert kept["log_scores"] == pytest.approx(expected, abs=1e-5)


def test_features_without_a_head_skip_the_classifier_that_wants_one(save, run):
    row = only(run(save(), classifier="head@unchanged"))
    assert row["status"] == "skipped"
    assert row["reason"].startswith("head: this extractor gives no trained head")


# ---- parts and imbalance ----


def test_an_own_test_part_is_kept(save, run, tmp_path):
    row = only(run(save("test"), classifier="linear@steps=1"))
    assert row["test_counts"] == [7, 7, 7]
    assert row["counts"] == list(COUNTS)
    assert predicted(tmp_path, row)["ids"].tolist() == list(range(180, 201))


def test_without_a_test_part_a_stratified_share_is_held_out(save, run):
    row = only(run(save(), classifier="linear@steps=1", test_fraction=0.25, val_fraction=0.2))
    assert row["test_counts"] == [20, 15, 10]
    assert row["counts"] == [48, 36, 24]


def test_groups_stay_on_one_side(save, run, tmp_path):
    row = only(run(save("groups"), classifier="linear@steps=1", test_fraction=0.25))
    held = predicted(tmp_path, row)["ids"] // 4
    assert len(held) == pytest.approx(45, abs=4)
    assert (np.bincount(held)[np.unique(held)] == 4).all()


def test_an_imbalance_thins_the_training_part_alone(save, run):
    row = only(run(save("test"), classifier="linear@steps=1", imbalance="exp:8"))
    assert row["counts"] == [80, 28, 10]
    assert row["test_counts"] == [7, 7, 7]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_augmenter_and_classifier_works_on_given_features(save, run, shape):
    axes = {"augmenter": ("none", "random", "smote", "class-gaussian", "gan-feature@steps=2"), "adapt": "flatten"}
    rows = run(save("head", shape=shape), classifier=("head@steps=3", "linear@steps=3", "logistic"), **axes)
    assert [row["status"] for row in rows] == ["done"] * 15
    assert {row["data"]["licence"] for row in rows} == {"CC0"}


def test_a_part_holds_its_own_rows_alone(save, tmp_path):
    (cell,) = planned(save(), imbalances=["exp:8"], classifiers=["linear"], augmenters=["none"], repetitions=1)
    place = Place(StageCache(tmp_path / "cache"), tmp_path, tmp_path, torch.device("cpu"), lambda *_: None)
    forget()
    made = embed(cell, "key", place)
    whole = torch.from_numpy(arrays(tmp_path / "features.npz")["values"])
    for part in (made.train, made.test):
        assert torch.equal(part.values, whole[part.ids])
        assert part.values.untyped_storage().nbytes() == len(part) * 6 * 4
        assert part.index is None
    assert not (tmp_path / "cache").exists()  # there is nothing to store


# ---- plans ----


def test_the_extractor_axis_reads_given_whatever_is_asked_for(save):
    found = planned(save(), extractors=["lenet5"], augmenters=["none"], classifiers=["linear"])
    assert {cell.axes["extractor"] for cell in found} == {"given"}
    assert found[0].experiment.extractors == ("given",)


def test_images_and_features_stand_in_one_experiment(save, run):
    rows = run("digits", save("head"), extractor="pixels", classifier=("linear@steps=2", "head@steps=2"))
    found = {(row["axes"]["dataset"].split("@")[0], row["axes"]["extractor"], row["status"]) for row in rows}
    assert found == {("digits", "pixels", "done"), ("digits", "pixels", "skipped"), ("saved", "given", "done")}


def test_given_is_skipped_with_images(run):
    row = only(run("digits", extractor="given", classifier="linear@steps=1"))
    assert row["status"] == "skipped"
    assert row["reason"] == "extractor given needs features, which no other part of the cell gives"


def test_features_pair_with_themselves_on_every_augmenter(save, run, tmp_path):
    rows = run(save("test"), augmenter=("none", "smote"), classifier="linear@steps=4", repetitions=2)
    found = [predicted(tmp_path, row)["ids"].tolist() for row in rows]
    assert found == [list(range(180, 201))] * 4


# ---- keys ----


def test_the_same_command_uses_what_is_finished_until_the_file_changes(save, run, tmp_path):
    data = save("test")
    first = only(run(data, classifier="linear@steps=5"))
    again = only(run(data, classifier="linear@steps=5"))
    save("test")
    rewritten = only(run(data, classifier="linear@steps=5"))
    assert first == again == rewritten  # with its seconds: nothing ran
    save("test", seed=1)
    other = only(run(data, classifier="linear@steps=5"))
    assert other["key"] != first["key"]
    assert other["data"]["fingerprint"] != first["data"]["fingerprint"]
    assert other["scores"] != first["scores"]


# ---- what is refused ----


def test_a_wrong_number_of_class_names_is_a_data_error(save, run):
    row = only(run(save() + ",names='a b'", classifier="linear@steps=1"))
    assert row["status"] == "failed"
    found = "2 class names, but train in a space of 3 classes"
    assert row["reason"] == f"class_names: wants one for each class, found {found}"


@pytest.mark.parametrize(("k", "test_k", "wrong"), [(4, 3, "train"), (3, 4, "test"), (2, 3, "train")])
def test_class_names_and_the_space_of_each_part_must_agree(k, test_k, wrong):
    train, test = (FeatureSet(FeatureSpace((2,), n), torch.zeros(4, 2), torch.arange(4) % 2) for n in (k, test_k))
    with pytest.raises(
        DataError, match=f"^class_names: .* found 3 class names, but {wrong} in a space of [24] classes$"
    ):
        FeatureDataset(train, ("a", "b", "c"), test=test)


def test_features_that_are_no_numbers_are_named(save, run, tmp_path):
    data = save("test")
    content = arrays(tmp_path / "features.npz")
    content["values"][[3, 170], 2] = np.nan
    np.savez(tmp_path / "features.npz", **content)
    row = only(run(data, classifier="linear@steps=1"))
    found = f"dataset {row['axes']['dataset']}: features have NaN or infinite values in 2 of 180 rows (first: sample 3)"
    assert (row["status"], row["reason"]) == ("failed", f"{found}; mend or remove them")


def test_parts_of_different_shapes_are_refused():
    parts = [FeatureSet(FeatureSpace((d,), 2), torch.zeros(4, d), torch.tensor([0, 1, 0, 1])) for d in (2, 3)]
    with pytest.raises(DataError, match=r"^test: wants features of shape \(2,\) like train, found \(3,\)$"):
        FeatureDataset(parts[0], ("a", "b"), test=parts[1])


def test_a_missing_file_is_a_failed_row(run, tmp_path):
    row = only(run(f"saved@path='{tmp_path}/absent.npz'", classifier="linear@steps=1"))
    assert (row["status"], row["reason"][:6]) == ("failed", "saved:")


def test_features_that_are_not_declared_and_images_that_are_promised_are_refused(save, run):
    rows = run(save().replace("saved", "undeclared"), "promised", classifier="linear@steps=1")
    reasons = {row["axes"]["dataset"].split("@")[0]: row["reason"] for row in rows}
    assert reasons["undeclared"].endswith("loads features, but does not say so in `gives`")
    assert reasons["promised"].endswith("gives features, but loads ImageDataset")
