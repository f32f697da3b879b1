"""The data set medmnist: official files by their hash, and what it says when there is none."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from made_files import pixels, saved, says

import benchfw_datasets
from benchfw import UsageError
from benchfw_datasets import MedMnist, medmnist

RECORD = "https://zenodo.org/records/10519652/files"


@pytest.fixture
def breast(tmp_path, monkeypatch):
    """A small file in place of breastmnist's, with its own hash in the list; gives the path."""
    file = tmp_path / "medmnist" / "breastmnist_64.npz"
    file.parent.mkdir()
    arrays = {}
    for part, n in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = pixels(n, 64, 64, seed=n)
        arrays[f"{part}_labels"] = np.arange(n, dtype=np.uint8)[:, None] % 2
    saved(file, **arrays)
    entry = medmnist.OFFICIAL["breastmnist"]
    md5s = (entry.md5s[0], hashlib.md5(file.read_bytes()).hexdigest(), *entry.md5s[2:])
    monkeypatch.setitem(medmnist.OFFICIAL, "breastmnist", replace(entry, md5s=md5s))
    return file


def test_the_list_has_a_hash_for_each_size_of_each_set():
    assert {*medmnist.OFFICIAL, medmnist.MULTI_LABEL} == set(get_args(benchfw_datasets.Flag))
    md5s = [md5 for entry in medmnist.OFFICIAL.values() for md5 in entry.md5s]
    assert len(set(md5s)) == len(md5s) == 11 * len(medmnist.SIZES)
    assert {len(md5) for md5 in md5s} == {32}
    assert (
        medmnist.OFFICIAL["pneumoniamnist"].md5s[0] == "28209eda62fecd6e6a2d98b1501bb15f"
    )  # as the paper's site has it


def test_a_file_gives_its_three_parts_and_the_names_of_its_classes(ctx, breast):
    data = MedMnist(flag="breastmnist", size=64).load(ctx)
    assert {name: part.labels.tolist() for name, part in data.parts.items()} == {
        "train": [0, 1, 0, 1],
        "val": [0, 1],
        "test": [0, 1, 0],
    }
    assert np.array_equal(data.test.pool.squeeze(1).numpy(), pixels(3, 64, 64, seed=3))
    assert data.class_names == ("malignant", "normal, benign")
    assert data.source.licence == "CC BY 4.0"


@pytest.mark.parametrize("given", ["file", "folder"])
def test_a_given_path_is_the_only_place(ctx, tmp_path, breast, given):
    there = tmp_path / "elsewhere" / ("mine.npz" if given == "file" else breast.name)
    there.parent.mkdir()
    breast.rename(there)
    path = str(there if given == "file" else there.parent)
    assert len(MedMnist(flag="breastmnist", size=64, path=path).load(ctx).train) == 4
    with says(
        f"medmnist: breastmnist_64.npz is not in {tmp_path}, and nothing is downloaded here; get it from "
        f"{RECORD}/breastmnist_64.npz and correct --set dataset.medmnist.path=DIR"
    ):
        MedMnist(flag="breastmnist", size=64, path=str(tmp_path)).load(ctx)


def test_the_package_s_own_folder_is_looked_at_too(ctx, tmp_path, breast, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".medmnist").mkdir(parents=True)
    breast.rename(tmp_path / "home" / ".medmnist" / breast.name)
    assert len(MedMnist(flag="breastmnist", size=64).load(ctx).train) == 4


def test_without_a_file_it_says_where_to_get_it_and_where_to_put_it(ctx, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with says(
        f"medmnist: pneumoniamnist.npz is neither in {tmp_path}/medmnist nor in {tmp_path}/.medmnist, and nothing is "
        f"downloaded here; get it from {RECORD}/pneumoniamnist.npz and put it into {tmp_path}/medmnist"
    ):
        MedMnist().load(ctx)


def test_without_a_home_a_given_path_is_read_and_the_usual_places_are_said(ctx, tmp_path, breast, monkeypatch):
    monkeypatch.setenv("HOME", "~")  # which expands to itself, as where there is no home
    assert len(MedMnist(flag="breastmnist", size=64, path=str(breast)).load(ctx).train) == 4
    assert len(MedMnist(flag="breastmnist", size=64).load(ctx).train) == 4
    with says(
        f"medmnist: pneumoniamnist.npz is neither in {tmp_path}/medmnist nor in ~/.medmnist, and nothing is downloaded "
        f"here; get it from {RECORD}/pneumoniamnist.npz and put it into {tmp_path}/medmnist"
    ):
        MedMnist().load(ctx)


def test_a_file_with_another_hash_is_refused(ctx, breast):
    wanted = medmnist.OFFICIAL["breastmnist"].md5s[1]
    breast.write_bytes(b"something else")
    found = hashlib.md5(b"something else").hexdigest()
    with says(f"medmnist: {breast} has MD5 {found}, wants {wanted}; get it again from {RECORD}/breastmnist_64.npz"):
        MedMnist(flag="breastmnist", size=64).load(ctx)


def test_many_labels_for_each_image_are_refused_with_the_cure(ctx):
    with says(
        "dataset.medmnist.flag: chestmnist has 14 labels for each image, wants one; reduce them yourself, e.g. to the "
        "images with exactly one finding, and give the result to npz",
        UsageError,
    ):
        MedMnist(flag="chestmnist").load(ctx)


def test_it_has_one_cache_key_wherever_the_file_is_and_a_validation_part(tmp_path):
    assert MedMnist().files(tmp_path) == ()
    assert MedMnist().gives == {"validation"}


def test_the_real_file_has_its_published_counts(ctx):
    if not Path("~/.medmnist/pneumoniamnist.npz").expanduser().exists():
        pytest.skip("pneumoniamnist.npz is not in ~/.medmnist")
    data = MedMnist().load(ctx)
    counts = {name: part.labels.bincount().tolist() for name, part in data.parts.items()}
    assert counts == {"train": [1214, 3494], "val": [135, 389], "test": [234, 390]}
    assert data.class_names == ("normal", "pneumonia")
