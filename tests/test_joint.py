"""A joint trainer owns the loop and nothing else: network, rows, budget and seeds are those of other augmenters."""

import numpy as np
import pytest
import torch
from commands import Home, ended, rows
from safetensors.torch import load_file
from sklearn.preprocessing import StandardScaler
from third_party import install
from twist import Twist

from benchfw import FeatureSet, FeatureSpace, PluginError
from benchfw.cell import _met_prior
from benchfw.metrics import score

AXES = (
    *("-d", "digits", "-i", "step:5", "-e", "paper-cnn@tiny,steps=20", "--no-reference"),
    *("-a", "none", "-a", "twist", "-a", "twist@noise=0.5"),
    *("-c", "noted@steps=12", "-c", "linear@steps=7", "-c", "head@steps=3"),
    *("-c", "logistic@max_iter=3", "-c", "head@unchanged"),
    *("--repetitions", 1, "--set", "val_fraction=0.1", "--set", "adapt=flatten"),
)
TRAINED = {"noted@steps=12": 12, "linear@steps=7": 7, "head@steps=3": 3}
HOWS = {"in-process": ("--in-process",), "jobs-2": ("--jobs", 2)}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The results of one command in two ways, each with a cache of its own."""
    made = Home(tmp_path_factory.mktemp("joint"))
    install(made, "twist")
    started = [made.start("run", *AXES, *how, "--cache", f"{name} cache", "--out", name) for name, how in HOWS.items()]
    for done in map(ended, started):
        assert done.code == 0, done.err
    return made


@pytest.fixture(scope="module")
def cells(home):
    """The rows of the first run, by augmenter and classifier."""
    return {(row["axes"]["augmenter"], row["axes"]["classifier"]): row for row in rows(home.path / "in-process")}


def predicted(home, row, out="in-process"):
    with np.load(home.path / out / "predictions" / f"{row['id']}.npz") as kept:
        return dict(kept)


def noted(home, name):
    return load_file(home.path / f"{name}.safetensors")


def test_the_table_is_the_same_bytes_in_this_process_and_in_workers(home):
    tables = [(home.path / name / "table.csv").read_bytes() for name in HOWS]
    assert tables[0] == tables[1]
    assert b"twist@noise=0.5" in tables[0]


def test_the_network_arrives_with_the_weights_that_the_classifier_alone_has(home):
    joint, alone = (noted(home, f"{name}-noted") for name in ("twist", "none"))
    assert joint.keys() == alone.keys()
    assert len(joint) == 4
    assert all(torch.equal(joint[name], alone[name]) for name in joint)


@pytest.mark.parametrize("classifier", TRAINED)
def test_without_a_twist_it_is_training_on_real_rows_to_the_last_bit(home, cells, classifier):
    plain, twist = (predicted(home, cells[name, classifier])["log_scores"] for name in ("none", "twist"))
    assert (plain == twist).all()


@pytest.mark.parametrize("classifier", TRAINED)
def test_a_twist_changes_the_log_scores(home, cells, classifier):
    plain, twist = (predicted(home, cells[name, classifier])["log_scores"] for name in ("twist", "twist@noise=0.5"))
    assert (plain != twist).any()


@pytest.mark.parametrize("classifier", TRAINED)
def test_the_budget_is_the_classifiers_steps(cells, classifier):
    steps = [line["step"] for line in cells["twist", classifier]["records"]["classifier"]]
    assert steps == list(range(1, TRAINED[classifier] + 1))
    assert cells["twist", classifier]["costs"]["synthetic_rows"] == 0


def test_linear_arrives_with_its_measured_scaling(home):
    (features,) = (home.path / "in-process cache").rglob("train.npy")
    values = np.load(features)
    expected = StandardScaler().fit(values.reshape(len(values), -1).astype(np.float64))
    found = noted(home, "twist-linear")
    assert found["mean"].numpy() == pytest.approx(expected.mean_, abs=1e-5)
    assert found["deviation"].numpy() == pytest.approx(expected.scale_, rel=1e-4)


def test_head_arrives_as_the_extractor_left_it(home):
    (state,) = (home.path / "in-process cache").rglob("network.safetensors")
    trained, found = load_file(state), noted(home, "twist-head")
    assert all(torch.equal(trained[f"head.{name}"], value) for name, value in found.items())
    assert len(found) > 10


@pytest.mark.parametrize("classifier", TRAINED)
def test_the_correction_uses_the_prior_that_the_joint_trainer_states(home, cells, classifier):
    row = cells["twist@noise=0.5", classifier]
    roots = np.sqrt(row["counts"])
    assert row["prior"] == pytest.approx(roots / roots.sum(), rel=1e-12)
    assert row["natural_prior"] == pytest.approx(np.array(row["counts"]) / sum(row["counts"]), rel=1e-12)
    kept = predicted(home, row)
    names, counts = row["class_names"], np.array(row["counts"])
    corrected = kept["log_scores"].astype(np.float64) - np.log(row["prior"])
    expected = score(corrected, kept["labels"], counts=counts, class_names=names)
    found = row["scores"]["la-met"]
    assert found["nll"] == pytest.approx(expected["nll"], rel=1e-12)
    assert found["balanced_accuracy"] == expected["balanced_accuracy"]
    assert len({row["scores"][name]["nll"] for name in ("none", "la-natural", "la-met")}) == 3


@pytest.mark.parametrize(
    ("classifier", "reason"),
    [
        ("logistic@max_iter=3", "augmenter twist needs network, which no other part of the cell gives"),
        ("head@unchanged", "classifier head@unchanged needs natural rows, which no other part of the cell gives"),
    ],
)
def test_a_classifier_that_cannot_be_trained_jointly_is_skipped_with_the_reason(cells, classifier, reason):
    assert cells["none", classifier]["status"] == "done"
    assert (cells["twist", classifier]["status"], cells["twist", classifier]["reason"]) == ("skipped", reason)


@pytest.mark.parametrize("shares", [[1.0], [0.5] * 10, [1.0, *[0.0] * 9]])
def test_a_prior_that_is_none_fails_the_cell_before_it_trains(shares):
    class Wrong(Twist):
        def prior(self, train):
            return torch.tensor(shares)

    train = FeatureSet(FeatureSpace((2,), 10), torch.zeros(10, 2), torch.arange(10))
    with pytest.raises(PluginError, match=r"^augmenter twist: prior: wants 10 positive shares that sum to 1, found \["):
        _met_prior(Wrong(), train)
