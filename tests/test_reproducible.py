"""The same command gives the same bytes, however it runs; cells are paired; no test label and no test row leaks."""

import json

import numpy as np
import pytest
import torch
from commands import Home, content, rows
from safetensors.torch import load_file

QUICK = (
    *("quick", "-e", "paper-cnn@tiny,steps=20", "-a", "gan-feature@steps=3", "-a", "class-gaussian"),
    *("-c", "head@steps=10", "-c", "head@unchanged", "--repetitions", 1),
)
HOWS = {
    "in-process": ("--in-process",),
    "in-process again": ("--in-process",),
    "jobs-1": ("--jobs", 1),
    "jobs-2": ("--jobs", 2),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results of one command in different ways, each with an empty cache; and one with the first one's cache."""
    home = Home(tmp_path_factory.mktemp("runs"))
    for name, how in HOWS.items():
        done = home.run("run", *QUICK, *how, "--cache", name + " cache", "--out", name)
        assert done.code == 0, done.err
    before = content(home.path / "in-process cache")
    done = home.run("run", *QUICK, "--in-process", "--cache", "in-process cache", "--out", "warm")
    assert done.code == 0, done.err
    assert content(home.path / "in-process cache") == before  # it was read, nothing was made anew
    return home.path


def arrays(path):
    """All arrays of an npz file."""
    with np.load(path) as kept:
        return dict(kept)


def predictions(out):
    """The bytes of all ids, labels and log-scores, by cell."""
    paths = sorted((out / "predictions").iterdir())
    return {path.name: {name: values.tobytes() for name, values in arrays(path).items()} for path in paths}


@pytest.mark.parametrize("other", ["in-process again", "jobs-1", "jobs-2", "warm"])
def test_the_same_command_gives_the_same_bytes(runs, other):
    assert (runs / other / "table.csv").read_bytes() == (runs / "in-process" / "table.csv").read_bytes()
    assert predictions(runs / other) == predictions(runs / "in-process")


def test_the_warm_run_had_stages_of_every_kind_to_reuse(runs):
    stages = runs / "in-process cache" / "stages"
    assert {path.name for path in stages.rglob("*.safetensors")} == {"network.safetensors", "state.safetensors"}


def test_the_unchanged_head_is_the_extractor_to_the_last_digit(runs):
    from sklearn.datasets import load_digits

    from benchfw_paper_cnn import PaperCNN

    (state,) = (runs / "in-process cache" / "stages" / "embed").rglob("network.safetensors")
    network = PaperCNN(width=0.125).build((1, 8, 8), 10).eval()
    network.load_state_dict(load_file(state))
    unchanged = [row for row in rows(runs / "in-process") if row["axes"]["classifier"] == "head@unchanged"]
    (row,) = (row for row in unchanged if row["status"] == "done")
    kept = arrays(runs / "in-process" / "predictions" / f"{row['id']}.npz")
    ids, labels = kept["ids"], kept["labels"]
    images = torch.from_numpy((load_digits().images[ids] * 255 / 16).round().astype(np.uint8))[:, None]
    with torch.inference_mode():
        predicted = torch.cat([network(block) for block in images.split(256)]).argmax(1)
    assert (labels == load_digits().target[ids]).all()
    assert row["scores"]["none"]["accuracy"] == (predicted.numpy() == labels).mean()
    assert row["scores"]["none"]["accuracy"] > 0.2  # of 10 classes; it has learned something


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What the components of a plugin met: ids by stage and training batches by augmenter, and the test ids."""
    home = Home(tmp_path_factory.mktemp("recorded"))
    home.install_probe(MARK=-1.0)
    axes = ("-d", "digits", "-i", "step:10", "-e", "recording@steps=2", "-a", "marks", "-a", "smote")
    small = ("-c", "records@steps=12,lr=1e-3", "--repetitions", 1, "--set", "val_fraction=0.1")
    done = home.run("run", *axes, *small, "--in-process", "--out", "out")
    assert done.code == 0, done.err
    order = ("marks", "smote", "none", "random")  # in which they run: the references last
    met = dict(zip(order, (arrays(home.path / f"met-{n}.npz") for n in range(4)), strict=True))
    fits = {path.stem: json.loads(path.read_text()) for path in home.path.glob("ids-*.json")}
    (test,) = {tuple(arrays(path)["ids"]) for path in (home.path / "out" / "predictions").iterdir()}
    return met, fits, set(test)


def test_cells_that_differ_in_the_augmenter_start_from_the_same_weights(recorded):
    met, _, _ = recorded
    assert len({kept["weights"].tobytes() for kept in met.values()}) == 1


def test_balanced_augmenters_meet_the_same_real_rows_in_the_same_places(recorded):
    met, _, _ = recorded
    real = (met["marks"]["rows"] != -1).all(1)
    assert 0.2 < real.mean() < 0.9
    assert (met["marks"]["rows"][~real] == -1).all()
    for name in ("random", "smote"):
        assert (met[name]["rows"][real] == met["marks"]["rows"][real]).all()
    assert (met["smote"]["rows"][~real] != met["random"]["rows"][~real]).any(1).mean() > 0.9


def test_every_fit_meets_training_and_validation_samples_and_no_test_sample(recorded):
    _, fits, test = recorded
    assert sorted(fits) == ["ids-augmenter-0", *(f"ids-classifier-{n}" for n in range(4)), "ids-extractor-0"]
    for train, val in fits.values():
        assert train
        assert val
        assert not set(train) & set(val)
        assert not (set(train) | set(val)) & test


@pytest.fixture(scope="module")
def log_scores(tmp_path_factory):
    """The log-scores of one matrix on three data sets that differ in their test parts alone."""
    home = Home(tmp_path_factory.mktemp("altered"))
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    images[:, :3] //= (1 + labels)[:, None, None].astype(np.uint8)
    test, half = {"test_images": images[40:], "test_labels": labels[40:]}, images[40:].copy()
    half[10:] = 255 - half[10:]
    parts = {"as-is": {}, "labels": {"test_labels": (labels[40:] + 1) % 3}, "images": {"test_images": half}}
    for name, changes in parts.items():
        train = {"train_images": images[:40], "train_labels": labels[:40]}
        np.savez(home.path / f"{name}.npz", **(train | test | changes))
    axes = ("-e", "paper-cnn@tiny,steps=5", "-a", "gan-feature@steps=2", "-a", "smote", "-c", "head@steps=5")
    data = [word for name in parts for word in ("-d", f"npz@path={name}.npz")]
    done = home.run("run", *data, "-i", "step:4", *axes, "--repetitions", 1, "--in-process", "--out", "out")
    assert done.code == 0, done.err
    found = {name: {} for name in parts}
    for row in rows(home.path / "out"):
        name = row["axes"]["dataset"].removeprefix("npz@path=").removesuffix(".npz")
        kept = arrays(home.path / "out" / "predictions" / f"{row['id']}.npz")
        found[name][row["axes"]["augmenter"]] = kept["log_scores"]
    return found


@pytest.mark.parametrize("augmenter", ["none", "random", "smote", "gan-feature@steps=2"])
def test_no_test_label_changes_a_log_score(log_scores, augmenter):
    assert (log_scores["labels"][augmenter] == log_scores["as-is"][augmenter]).all()


@pytest.mark.parametrize("augmenter", ["none", "random", "smote", "gan-feature@steps=2"])
def test_no_test_image_changes_the_log_scores_of_another(log_scores, augmenter):
    changed = (log_scores["images"][augmenter] != log_scores["as-is"][augmenter]).any(1)
    assert changed[10:].all()
    assert not changed[:10].any()
