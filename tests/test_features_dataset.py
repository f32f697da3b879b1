"""The data set features: what it reads from one file, the head that it brings, and what it says when it cannot."""

import numpy as np
import pytest
import torch
from commands import rows
from made_files import saved, says

from benchfw import FeatureDataset, UsageError
from benchfw_datasets import Features

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.normal(size=(6, 4)).astype(np.float32), RNG.normal(size=(3, 4)).astype(np.float32)
GOOD = {"train_features": TRAIN, "train_labels": np.array([0, 1, 2] * 2)}
PARTS = GOOD | {"test_features": TEST, "test_labels": np.array([2, 1, 0], np.uint8)}
HEAD = {"fc_weight": RNG.normal(size=(3, 4)), "fc_bias": RNG.normal(size=3)}
WANTED = "train_features and train_labels (and the same for val and test)"


def test_features_are_read_as_float32_with_their_labels(ctx, tmp_path):
    data = Features(path=saved(tmp_path / "a.npz", **PARTS)).load(ctx)
    assert isinstance(data, FeatureDataset)
    assert np.array_equal(data.train.values.numpy(), TRAIN)
    assert np.array_equal(data.test.values.numpy(), TEST)
    assert (data.test.labels.tolist(), data.val, data.class_names) == ([2, 1, 0], None, ("0", "1", "2"))
    assert data.train.space.new_head() is None


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_floats_become_float32(ctx, tmp_path, dtype):
    values = TRAIN.astype(dtype)
    data = Features(path=saved(tmp_path / "a.npz", **(GOOD | {"train_features": values}))).load(ctx)
    assert data.train.values.dtype == torch.float32
    assert np.array_equal(data.train.values.numpy(), values.astype(np.float32))


def test_maps_and_names_of_classes_are_read(ctx, tmp_path):
    maps = RNG.normal(size=(6, 2, 3, 3)).astype(np.float32)
    labels, names = np.array(["b", "a", "c"] * 2), np.array(["c", "b", "a"])
    file = saved(tmp_path / "a.npz", train_features=maps, train_labels=labels, class_names=names)
    data = Features(path=file).load(ctx)
    assert (data.train.space.shape, data.class_names) == ((2, 3, 3), ("c", "b", "a"))
    assert data.train.labels.tolist() == [1, 2, 0] * 2


def test_groups_are_numbered_over_all_parts(ctx, tmp_path):
    groups = {"train_groups": ["p9", "p1", "p9", "p1", "p2", "p2"], "test_groups": ["p5", "p1", "p5"]}
    data = Features(path=saved(tmp_path / "a.npz", **PARTS, **groups)).load(ctx)
    assert (data.train.groups.tolist(), data.test.groups.tolist()) == ([3, 0, 3, 0, 1, 1], [2, 0, 2])


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer_becomes_the_head_anew_each_time(ctx, tmp_path, bias):
    head = HEAD if bias else {"fc_weight": HEAD["fc_weight"]}
    data = Features(path=saved(tmp_path / "a.npz", **PARTS, **head)).load(ctx)
    first, second = data.train.space.new_head(), data.train.space.new_head()
    wanted = TRAIN @ HEAD["fc_weight"].T + (HEAD["fc_bias"] if bias else 0)
    assert np.allclose(first(data.train.values).detach().numpy(), wanted, atol=1e-6)
    with torch.no_grad():
        first.weight.zero_()
    assert np.allclose(second(data.train.values).detach().numpy(), wanted, atol=1e-6)
    assert all(parameter.requires_grad for parameter in second.parameters())


@pytest.mark.parametrize("width", [2, 18])
def test_the_head_of_maps_is_on_their_means_or_on_all_of_them(ctx, tmp_path, width):
    maps, weight = RNG.normal(size=(6, 2, 3, 3)).astype(np.float32), RNG.normal(size=(3, width))
    file = saved(tmp_path / "a.npz", train_features=maps, train_labels=GOOD["train_labels"], fc_weight=weight)
    head = Features(path=file).load(ctx).train.space.new_head()
    rows = maps.mean((2, 3)) if width == 2 else maps.reshape(6, -1)
    assert np.allclose(head(torch.from_numpy(maps)).detach().numpy(), rows @ weight.T, atol=1e-5)


def test_the_plan_knows_what_a_file_gives_without_reading_it(tmp_path):
    assert Features().gives == {"features"}
    assert Features(path=saved(tmp_path / "a.npz", **PARTS)).gives == {"features"}
    assert Features(path=saved(tmp_path / "b.npz", **PARTS, **HEAD)).gives == {"features", "head"}
    val = {"val_features": TEST, "val_labels": [0, 1, 2]}
    assert Features(path=saved(tmp_path / "c.npz", **PARTS, **val)).gives == {"features", "validation"}
    (tmp_path / "d.npz").write_text("no zip")
    assert Features(path=str(tmp_path / "d.npz")).gives == {"features"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"train_features": None, "X": TRAIN},
            f"lacks train_features; found train_labels, X; wants {WANTED}; rename its arrays",
        ),
        (
            {"test_features": TEST},
            f"lacks test_labels; found train_features, train_labels, test_features; wants {WANTED}; rename its arrays",
        ),
        (
            {"train_features": TRAIN[:, None]},
            "train_features has shape (6, 1, 4); wants (N, D) or (N, C, H, W), none of them 0",
        ),
        (
            {"train_features": TRAIN.astype(int)},
            "train_features is int64; wants floats; convert it, e.g. with train_features.astype('float32')",
        ),
        (
            {"train_features": np.where(np.arange(24).reshape(6, 4) > 18, np.nan, TRAIN)},
            (
                "train_features has NaN or values beyond float32 in 2 of 6 rows (first: 4); remove them, or compute "
                "them again"
            ),
        ),
        (
            {"train_features": TRAIN.astype(float) * 1e300},
            (
                "train_features has NaN or values beyond float32 in 6 of 6 rows (first: 0); remove them, or compute "
                "them again"
            ),
        ),
        ({"train_labels": [0, 1]}, "train_labels has shape (2,); wants one label for each of the 6 samples"),
        (
            {"train_labels": np.linspace(0, 1, 6)},
            "train_labels is float64; wants integers or strings; convert it, e.g. with train_labels.astype(int)",
        ),
        (
            {"test_features": TEST, "test_labels": [0, 1, 3]},
            "test_labels has the label 3, which is not one of the 3 classes (0, 1, 2)",
        ),
        (
            {"test_features": TEST[:, :3], "test_labels": [0, 1, 2]},
            "test_features has rows of shape (3,); wants (4,) like train_features",
        ),
        (
            {"train_groups": [1, 2]},
            "train_groups has shape (2,); wants one group for each of the 6 samples, shape (6,)",
        ),
        ({"fc_weight": np.zeros((4, 3))}, "fc_weight has shape (4, 3); wants (3, 4): a row for each class"),
        ({"fc_weight": np.full((3, 4), np.inf)}, "fc_weight is float64, or not finite; wants finite floats"),
        (
            {"fc_weight": np.zeros((3, 4)), "fc_bias": np.zeros(4)},
            "fc_bias has shape (4,); wants (3,), one for each class",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(ctx, tmp_path, arrays, message):
    content = {key: value for key, value in (GOOD | arrays).items() if value is not None}
    file = saved(tmp_path / "a.npz", **content)
    with says(f"features: {file}: {message}"):
        Features(path=file).load(ctx)


def test_without_a_path_it_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.features.path=FILE or features@path=FILE"
    for call in (lambda: Features().load(ctx), lambda: Features().files(tmp_path)):
        with says(f"dataset.features.path: wants a path, found none; {cure}", UsageError):
            call()


def test_a_run_on_features_scores_the_unchanged_head_as_numpy_does(here, home):
    train, test = RNG.normal(size=(60, 4)), RNG.normal(size=(90, 4))
    labels = {"train_labels": np.arange(60) % 3, "test_labels": np.arange(90) % 3}
    saved(home.path / "a.npz", train_features=train, test_features=test, **labels, **HEAD)
    words = ("-d", "features@path=a.npz", "-a", "none", "--no-reference", "-c", "head@unchanged", "-i", "natural")
    done = here("run", *words, "--repetitions", 1, "--in-process", "--out", "out")
    assert done.code == 0
    (row,) = rows(home.path / "out")
    guessed = (test @ HEAD["fc_weight"].T + HEAD["fc_bias"]).argmax(1)
    assert row["axes"]["extractor"] == "given"
    assert row["scores"]["none"]["accuracy"] == pytest.approx((guessed == labels["test_labels"]).mean())
