"""The data set npz: what it reads from one file, and what it says when it cannot."""

import re
import zipfile

import numpy as np
import pytest
import torch
from made_files import pixels, saved, says

from benchfw import Context, DataError, UsageError
from benchfw_datasets import Npz


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (1, 6, 5)])
def test_npz_reads_gray_images_in_each_layout(ctx, tmp_path, shape):
    images = pixels(4, 6, 5)
    data = Npz(path=saved(tmp_path / "a.npz", X=images.reshape(4, *shape), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(data.train.pool.numpy(), images[:, None])


def test_npz_puts_the_channels_of_color_images_first(ctx, tmp_path):
    images = pixels(4, 6, 5, 3)
    last = Npz(path=saved(tmp_path / "a.npz", X=images, y=[0, 1, 0, 1])).load(ctx)
    first = Npz(path=saved(tmp_path / "b.npz", X=images.transpose(0, 3, 1, 2), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(last.train.pool.numpy(), images.transpose(0, 3, 1, 2))
    assert last.fingerprint == first.fingerprint


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_npz_scales_floats_back_to_the_bytes_they_came_from(ctx, tmp_path, dtype):
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    data = Npz(path=saved(tmp_path / "a.npz", X=(levels / 255).astype(dtype), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(data.train.pool.squeeze(1).numpy(), levels)


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([0, 1, 2, 0], [0, 1, 2, 0], ("0", "1", "2")),
        ([[7], [-3], [40], [7]], [1, 0, 2, 1], ("-3", "7", "40")),
        (np.array([3, 1, 3, 1], dtype=">u2"), [1, 0, 1, 0], ("1", "3")),
        (["zebra", "ant", "ant", "bee"], [2, 0, 0, 1], ("ant", "bee", "zebra")),
        (np.array(["zebra", "ant", "ant", "bée"]).astype("U5"), [2, 0, 0, 1], ("ant", "bée", "zebra")),
        (np.array([b"no", b"yes", b"no", b"no"]), [0, 1, 0, 0], ("no", "yes")),
        ([True, False, True, True], [1, 0, 1, 1], ("False", "True")),
    ],
)
def test_npz_maps_labels_to_class_numbers_in_sorted_order(ctx, tmp_path, labels, numbers, names):
    data = Npz(path=saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=labels)).load(ctx)
    assert data.train.labels.tolist() == numbers
    assert data.class_names == names


@pytest.mark.parametrize("labels", [[2, 0, 0, 1], ["low", "high", "high", "mid"]])
def test_npz_takes_the_order_of_the_classes_from_class_names(ctx, tmp_path, labels):
    file = saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=labels, class_names=np.array([b"high", b"mid", b"low"]))
    data = Npz(path=file).load(ctx)
    assert data.train.labels.tolist() == [2, 0, 0, 1]
    assert data.class_names == ("high", "mid", "low")


@pytest.mark.parametrize("groups", [["p9", "p1", "p9", "p2"], [900, 1, 900, 2]])
def test_npz_keeps_groups_together(ctx, tmp_path, groups):
    data = Npz(path=saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=[0, 1, 0, 1], groups=groups)).load(ctx)
    assert data.train.groups.tolist() == [2, 0, 2, 1]


def test_npz_reads_the_three_parts_of_a_medmnist_file(ctx, tmp_path):
    arrays = {}
    for part, n in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = pixels(n, 28, 28, seed=n)
        arrays[f"{part}_labels"] = np.arange(n, dtype=np.uint8)[:, None] % 2
    data = Npz(path=saved(tmp_path / "a.npz", **arrays)).load(ctx)
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 2, 3]
    assert np.array_equal(data.test.pool.squeeze(1).numpy(), arrays["test_images"])
    assert data.val.labels.tolist() == [0, 1]


def test_npz_needs_no_validation_or_test_part(ctx, tmp_path):
    file = saved(tmp_path / "a.npz", train_images=pixels(2, 6, 5), train_labels=[[0], [1]])
    data = Npz(path=file).load(ctx)
    assert (data.val, data.test) == (None, None)


def test_npz_reports_progress_array_by_array(tmp_path):
    seen = []
    ctx = Context(0, torch.device("cpu"), tmp_path, report=lambda done, total: seen.append((done, total)))
    Npz(path=saved(tmp_path / "a.npz", X=pixels(2, 6, 5), y=[0, 1])).load(ctx)
    assert seen == [(1, 2), (2, 2)]


def test_npz_expands_the_home_directory(ctx, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path / "a.npz", X=pixels(2, 6, 5), y=[0, 1])
    assert len(Npz(path="~/a.npz").load(ctx).train) == 2
    assert Npz(path="~/a.npz").files(tmp_path) == (tmp_path / "a.npz",)


GOOD = {"X": pixels(4, 6, 5), "y": np.array([0, 1, 0, 1])}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": None, "images": pixels(4, 6, 5)},
            (
                "lacks X; found y, images; wants X and y, or train_images and train_labels (and the same for val and "
                "test); rename its arrays"
            ),
        ),
        (
            {"train_images": pixels(4, 6, 5), "train_labels": [0, 1, 0, 1], "val_images": pixels(1, 6, 5)},
            (
                "lacks val_labels; found X, y, train_images, train_labels, val_images; wants X and y, or train_images "
                "and train_labels (and the same for val and test); rename its arrays"
            ),
        ),
        (
            {"X": pixels(4, 30)},
            "X has shape (4, 30); wants (N, H, W), (N, H, W, C) or (N, C, H, W), none of them 0",
        ),
        (
            {"X": pixels(0, 6, 5)},
            "X has shape (0, 6, 5); wants (N, H, W), (N, H, W, C) or (N, C, H, W), none of them 0",
        ),
        (
            {"X": pixels(4, 3, 5, 3)},
            "X has shape (4, 3, 5, 3): axis 1 or axis 3 may be the channels; save gray images as (N, H, W)",
        ),
        (
            {"X": pixels(4, 6, 5).astype(int)},
            "X is int64; wants uint8, or floats in [0, 1]; convert it, e.g. with X.astype('uint8')",
        ),
        (
            {"X": np.linspace(-1, 254.5, 120).reshape(4, 6, 5)},
            "X has floats from -1 to 254.5; wants them in [0, 1], or uint8; rescale it first",
        ),
        (
            {"X": np.full((4, 6, 5), np.nan)},
            "X has floats from nan to nan; wants them in [0, 1], or uint8; rescale it first",
        ),
        (
            {"y": np.eye(4)[:, :3]},
            (
                "y has shape (4, 3): 3 labels for each sample; wants one, (N,) or (N, 1); reduce them first: "
                "y.argmax(1) if one-hot, else e.g. keep the samples with exactly one finding"
            ),
        ),
        ({"y": [0, 1, 0]}, "y has shape (3,); wants one label for each of the 4 samples"),
        ({"y": [0.0, 1, 0, 1]}, "y is float64; wants integers or strings; convert it, e.g. with y.astype(int)"),
        ({"y": [5, 5, 5, 5]}, "y has the classes ['5']; wants at least 2 classes"),
        (
            {"y": np.array(["a", 1, None, 2], dtype=object)},
            (
                "y is an array of Python objects, which could run code when read; save it as numbers or strings, "
                "e.g. y.astype(str)"
            ),
        ),
        (
            {"class_names": ["a", "b", "c"]},
            "y has no sample of class 2 ('c'); add some, or take it out of class_names",
        ),
        ({"class_names": ["a"]}, "y has the label 1, which is not one of the 1 classes (0)"),
        (
            {"y": ["a", "b", "a", "x"], "class_names": ["a", "b"]},
            "y has the label 'x', which is not one of the 2 classes ('a', 'b')",
        ),
        ({"class_names": [4, 5]}, "class_names is int64 of shape (2,); wants K strings, shape (K,)"),
        ({"class_names": ["a", "a"]}, "class_names: wants 2 different names, found ['a', 'a']"),
        (
            {"groups": [[1], [2], [1], [2]]},
            "groups has shape (4, 1); wants one group for each of the 4 samples, shape (4,)",
        ),
    ],
)
def test_npz_says_in_one_line_what_is_wrong_with_an_array(ctx, tmp_path, arrays, message):
    content = {key: value for key, value in (GOOD | arrays).items() if value is not None}
    file = saved(tmp_path / "a.npz", **content)
    with says(f"npz: {file}: {message}"):
        Npz(path=file).load(ctx)


def test_npz_refuses_test_labels_and_shapes_that_training_lacks(ctx, tmp_path):
    train = {"train_images": pixels(2, 6, 5), "train_labels": [0, 1]}
    file = saved(tmp_path / "a.npz", **train, test_images=pixels(2, 6, 5), test_labels=[0, 2])
    with says(f"npz: {file}: test_labels has the label 2, which is not one of the 2 classes (0, 1)"):
        Npz(path=file).load(ctx)
    file = saved(tmp_path / "b.npz", **train, test_images=pixels(2, 6, 6), test_labels=[0, 1])
    with says(f"npz: {file}: test: wants images of shape (1, 6, 5) like train, found (1, 6, 6)"):
        Npz(path=file).load(ctx)


def test_npz_without_a_path_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.npz.path=FILE or npz@path=FILE"
    for call in (lambda: Npz().load(ctx), lambda: Npz().files(tmp_path)):
        with says(f"dataset.npz.path: wants a path, found none; {cure}", UsageError):
            call()


@pytest.mark.parametrize("path", ["/nowhere/a.npz", "~nobody-of-this-name/a.npz"])
def test_npz_says_that_there_is_no_such_file(ctx, tmp_path, path):
    with says(f"npz: {path}: no such file; correct --set dataset.npz.path=FILE"):
        Npz(path=path).load(ctx)
    with says(f"npz: {path}: no such file; correct --set dataset.npz.path=FILE"):
        Npz(path=path).files(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 200, -30], ids=["empty", "one byte", "cut early", "cut late"])
def test_npz_says_that_a_file_is_cut_short(ctx, tmp_path, kept):
    file = tmp_path / "a.npz"
    saved(file, **GOOD)
    file.write_bytes(file.read_bytes()[:kept])
    with says(f"npz: {file}: is not an npz file, or is cut short; write it with numpy.savez, or copy it again"):
        Npz(path=str(file)).load(ctx)


def test_npz_says_that_an_array_inside_is_damaged(ctx, tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, **GOOD)
    data = bytearray(file.read_bytes())
    data[100:140] = bytes(40)
    file.write_bytes(data)
    with pytest.raises(DataError, match=re.escape(f"npz: {file}: X is damaged (") + ".*; copy or write the file again"):
        Npz(path=str(file)).load(ctx)


def test_npz_says_that_other_kinds_of_file_are_not_what_it_reads(ctx, tmp_path):
    np.save(tmp_path / "a.npy", GOOD["X"])
    with says(
        f"npz: {tmp_path}/a.npy: is a single npy array, wants an npz file with X and y; write it with numpy.savez"
    ):
        Npz(path=str(tmp_path / "a.npy")).load(ctx)
    with says(f"npz: {tmp_path}: cannot be read (Is a directory); wants an npz file"):
        Npz(path=str(tmp_path)).load(ctx)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("X", "text")
        archive.writestr("y", "text")
    with says(f"npz: {tmp_path}/a.zip: X is not a numpy array; write the file with numpy.savez"):
        Npz(path=str(tmp_path / "a.zip")).load(ctx)


def test_npz_reads_arrays_of_other_names(ctx, tmp_path):
    images = pixels(4, 6, 5)
    file = saved(tmp_path / "a.npz", images=images, labels=[0, 1, 0, 1], train_images=images[:2])
    data = Npz(path=file, images="images", labels="labels").load(ctx)
    assert np.array_equal(data.train.pool.squeeze(1).numpy(), images)
    with says(
        f"npz: {file}: lacks pictures; found images, labels, train_images; wants pictures and labels, or train_images "
        "and train_labels (and the same for val and test); rename its arrays"
    ):
        Npz(path=file, images="pictures", labels="labels").load(ctx)
