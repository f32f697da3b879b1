"""Ways in which test samples leak into training, each planted in a real run, and how the run catches it.

They are those of published code: resampling before the split, augmented validation or test parts, choices made on test
samples, scaling by test samples, an extractor that met them, patients on two sides, near-duplicates, batch norm that
looks at the evaluation batch, the class shares of the test part. The harness guards against mistakes: a plugin that
opens the cache's files by itself, or comes with weights that were trained on the test images, is not one.
"""

import gc
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType, ModuleType

import leaks
import numpy as np
import pytest
import torch
from leaks import COUNTS, MET, PREDICTED, TEST_COUNTS, Planted, planted, scaled
from third_party import installed_here, measured

from benchfw import FeatureSet, ImageSet
from benchfw.imbalance import Imbalance
from benchfw.metrics import score
from benchfw.splits import split


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory):
    with installed_here(tmp_path_factory.mktemp("site"), leaks.__name__):
        yield


@pytest.fixture
def run(tmp_path):
    """Run a matrix; the rows of its cells, and what MET and PREDICTED then hold is this run's."""
    MET.clear()
    PREDICTED.clear()

    def ran(*datasets, **axes):
        return measured(tmp_path / "out", dataset=datasets, **{"extractor": "scaled"} | axes)

    yield ran
    MET.clear()
    PREDICTED.clear()


def only(rows):
    (row,) = rows
    return row


def kept(tmp_path, row):
    """Ids, labels and log-scores of a cell's test samples."""
    with np.load(tmp_path / "out" / "predictions" / f"{row['id']}.npz") as found:
        return {name: torch.from_numpy(found[name]) for name in found}


# ---- what a component can get at ----


def reachable(*roots):
    """All that hangs together with what was handed over: attributes, items, closures; no module and no class."""
    seen, waiting = {}, list(roots)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, FunctionType):  # its referents hold the module's globals
            waiting += [cell.cell_contents for cell in thing.__closure__ or ()] + list(thing.__defaults__ or ())
        elif isinstance(thing, MethodType):
            waiting += [thing.__self__, thing.__func__]
        else:
            waiting += gc.get_referents(thing)
    return list(seen.values())


def memory(things):
    """The whole memory behind each tensor or array of float32, also what a view of it leaves out."""
    tensors = [torch.as_tensor(thing) for thing in things if isinstance(thing, torch.Tensor | np.ndarray)]
    plain = [tensor.detach() for tensor in tensors if tensor.dtype == torch.float32]
    return [torch.empty(0).set_(tensor.untyped_storage()) for tensor in plain]


def holds(things, rows):
    """Whether any of the first numbers of these rows (M, D) is in the memory behind things."""
    return any(bool(torch.isin(rows[:, 0], whole).any()) for whole in memory(things))


def samples(things):
    return [thing for thing in things if isinstance(thing, ImageSet | FeatureSet)]


def ids_of(things):
    return {i for part in samples(things) for i in part.ids.tolist()}


def test_the_search_finds_a_row_that_is_handed_over_in_any_way():
    data = Planted(kind="features", own_test=False).load(None)
    axes = {"dataset": "planted", "imbalance": "natural", "repetition": 0}
    parts = split(data, Imbalance.parse("natural"), test_fraction=0.2, val_fraction=0, seed=0, axes=axes)
    rows = parts.test.rows(torch.arange(len(parts.test)))
    assert holds(reachable(parts.train), rows)  # a view on the pool of all parts
    assert holds(reachable(lambda: rows), rows)
    assert holds(reachable([{"a": rows[:5].numpy()}]), rows)
    assert holds(reachable(replace(parts.train.space, head=partial(print, rows))), rows)
    own = FeatureSet(data.train.space, parts.train.rows(torch.arange(len(parts.train))), parts.train.labels)
    assert not holds(reachable(own), rows)


def test_the_search_finds_the_ids_of_samples():
    assert ids_of(reachable({"data": Planted().load(None)})) == set(range(180))


# ---- 1, 2, 3: who is handed what ----

KINDS = [("images", True), ("images", False), ("features", True), ("features", False)]


@pytest.mark.parametrize(("kind", "own_test"), KINDS)
def test_no_component_that_learns_can_get_at_a_test_row_its_label_or_the_test_prior(run, tmp_path, kind, own_test):
    data = planted(kind=kind, own_test=own_test)
    axes = {"augmenter": ("none", "met-synthesizer", "met-selector", "met-joint"), "extractor": "met@steps=2"}
    done = run(data, classifier=("met-network@steps=2", "met-plain"), val_fraction=0.2, **axes)
    assert {row["status"] for row in done} == {"done", "skipped"}  # the joint trainer wants a network
    test = {tuple(kept(tmp_path, row)["ids"].tolist()) for row in done if row["status"] == "done"}
    (ids,) = test
    rows = whole(Planted(kind=kind, own_test=own_test).load(None))[list(ids)]
    stages = {"synthesizer", "selector", "joint", "prior", "build", "network", "classifier"}
    assert set(MET) == stages | ({"extractor"} if kind == "images" else set())
    shares = done[0]["test_counts"]
    for stage, calls in MET.items():
        for handed in calls:
            things = reachable(*handed)
            assert not holds(things, rows), stage
            assert not ids_of(things) & set(ids), stage
            assert shares not in [t.tolist() for t in things if isinstance(t, torch.Tensor) and t.shape == (3,)]
            assert shares not in [thing for thing in things if isinstance(thing, list)]


def whole(data):
    """The rows of all samples (N, 16), at the place of their ids."""
    rows = torch.cat([part.rows(torch.arange(len(part))) for part in data.parts.values()])
    return rows if rows.dtype == torch.float32 else scaled(rows)


@pytest.mark.parametrize("kind", ["images", "features"])
def test_validation_and_test_rows_are_the_data_sets_own_under_every_augmenter(run, tmp_path, kind):
    axes = {"augmenter": ("none", "met-synthesizer", "met-selector", "met-joint"), "imbalance": "step:5"}
    done = run(planted(kind=kind), classifier="met-network@steps=2", val_fraction=0.2, **axes)
    data = Planted(kind=kind).load(None)
    assert [row["test_counts"] for row in done] == [list(TEST_COUNTS)] * 4
    for row in done:
        assert kept(tmp_path, row)["ids"].tolist() == list(range(135, 180))
    assert len(PREDICTED) == 8  # the whole part, and its first rows again
    for predicted in PREDICTED:
        assert torch.equal(predicted, whole(data)[135 : 135 + len(predicted)])
    (val,) = {tuple(handed[1].ids.tolist()) for stage in ("synthesizer", "joint", "network") for handed in MET[stage]}
    assert len(val) == 16  # a fifth of 60, 12 and 12
    for stage in ("synthesizer", "joint", "network"):
        for train, part, *_ in MET[stage]:
            assert part.synthesis is None
            assert torch.equal(part.rows(torch.arange(16)), whole(data)[list(val)])
            assert not set(val) & set(train.ids.tolist())


@pytest.mark.parametrize("augmenter", ["none", "met-synthesizer", "smote", "met-joint"])
def test_other_test_labels_change_no_log_score(run, tmp_path, augmenter):
    data = planted("none"), planted("other-labels")
    done = run(*data, augmenter=augmenter, classifier="met-network@steps=2", val_fraction=0.2)
    first, second = (kept(tmp_path, row) for row in done)
    assert torch.equal(first["log_scores"], second["log_scores"])
    assert not (first["labels"] == second["labels"]).any()


# ---- 1, 3, 5, 7: a sample in two parts ----


def warnings(row):
    return [text for text in row["warnings"] if "to the last number" in text]


def shared(data, row, tmp_path):
    """How many of a cell's test samples are in the rest, which is its training part, by numpy."""
    rows = whole(data).numpy()
    test = kept(tmp_path, row)["ids"].numpy()
    rest = np.delete(rows, test, axis=0)
    return int((rows[test][:, None] == rest).all(-1).any(1).sum()), len(test)


@pytest.mark.parametrize("kind", ["images", "features"])
@pytest.mark.parametrize("leak", ["oversampled", "drawn-twice"])
def test_rows_that_were_repeated_before_the_split_are_counted_in_a_warning(run, tmp_path, leak, kind):
    row = only(run(planted(leak, kind, own_test=False), classifier="linear@steps=1"))
    found, total = shared(Planted(leak=leak, kind=kind, own_test=False).load(None), row, tmp_path)
    assert total == {"oversampled": 36, "drawn-twice": 27}[leak]
    assert 0 < found < total
    said = f"extractor: {found} of {total} test samples equal a training sample to the last number"
    assert warnings(row) == [f"{said}; remove them on one side"]


@pytest.mark.parametrize("kind", ["images", "features"])
def test_a_test_part_that_has_training_samples_is_counted_in_a_warning(run, kind):
    row = only(run(planted("test-in-train", kind), classifier="linear@steps=1"))
    assert warnings(row) == [
        "extractor: 5 of 45 test samples equal a training sample to the last number; remove them on one side"
    ]


@pytest.mark.parametrize("kind", ["images", "features"])
def test_choosing_on_a_validation_part_that_is_the_test_part_is_counted_in_a_warning(run, kind):
    row = only(run(planted("val-is-test", kind), augmenter="met-joint", classifier="met-network@steps=1"))
    assert warnings(row) == [
        "extractor: 45 of 45 test samples equal a validation sample to the last number; remove them on one side"
    ]


@pytest.mark.parametrize("own_test", [True, False])
@pytest.mark.parametrize("kind", ["images", "features"])
def test_different_samples_give_no_such_warning(run, kind, own_test):
    row = only(run(planted(kind=kind, own_test=own_test), classifier="linear@steps=1", val_fraction=0.2))
    assert row["status"] == "done"
    assert warnings(row) == []


def test_a_data_set_that_holds_out_samples_of_its_training_part_is_refused(run):
    row = only(run(planted("shared-ids"), classifier="linear@steps=1"))
    assert row["status"] == "failed"
    assert row["reason"] == "splits: 5 samples are in two parts; wants disjoint parts"


def test_an_extractor_trains_on_no_sample_that_is_held_out_from_the_classifier(run, tmp_path):
    imbalances = {"extractor": "met@steps=1", "imbalance": "step:3", "val_fraction": 0.2}
    row = only(run(planted(own_test=False), classifier="met-network@steps=1", **imbalances))
    ((_, train, val, _),), ((rows, held, _),) = MET["extractor"], MET["network"]
    assert train.ids.tolist() == rows.ids.tolist()
    assert val.ids.tolist() == held.ids.tolist()
    assert not ids_of([train, val]) & set(kept(tmp_path, row)["ids"].tolist())


# ---- 6: groups ----


def test_the_pool_that_an_extractor_meets_has_no_image_of_another_part(run):
    run(planted(kind="images", own_test=False), extractor="met@steps=2", classifier="met-plain", val_fraction=0.2)
    for handed in MET["extractor"]:
        parts = [thing for thing in reachable(*handed) if isinstance(thing, ImageSet)]
        assert len(parts) == 2
        assert [len(part.pool) for part in parts] == [len(part) for part in parts]


@pytest.mark.parametrize("kind", ["images", "features"])
def test_a_patient_in_two_of_a_data_sets_own_parts_is_refused(run, kind):
    row = only(run(planted("shared-group", kind), classifier="linear@steps=1"))
    assert row["status"] == "failed"
    assert row["reason"].startswith(
        "splits: 1 group is in two of train, val and test; wants each in one part: move its"
    )


@pytest.mark.parametrize("kind", ["images", "features"])
def test_no_patient_is_on_two_sides_of_a_split(run, tmp_path, kind):
    data = planted("shared-group", kind, own_test=False)
    row = only(run(data, classifier="met-network@steps=1", val_fraction=0.2))
    train, val, _ = MET["network"][0]
    sides = [train.ids, val.ids, kept(tmp_path, row)["ids"]]
    patients = [set((ids // 3).tolist()) for ids in sides]
    assert sum(map(len, sides)) == 135
    assert sum(map(len, patients)) == 45  # of three samples each


# ---- 4: scaling ----


def test_test_rows_of_another_scale_change_no_log_score_of_the_others(run, tmp_path):
    data = [planted(kind="features", factor=factor) for factor in (1.0, 1000.0)]
    augmenters = ("none", "class-gaussian", "gan-feature@steps=2", "smote")
    done = run(*data, augmenter=augmenters, classifier=("linear@steps=3", "logistic"), val_fraction=0.2)
    half = len(done) // 2
    assert half == 8
    for plain, marked in zip(done[:half], done[half:], strict=True):
        assert plain["status"] == marked["status"] == "done"
        axes = [{name: value for name, value in row["axes"].items() if name != "dataset"} for row in (plain, marked)]
        assert axes[0] == axes[1]
        first, second = (kept(tmp_path, row)["log_scores"] for row in (plain, marked))
        assert torch.equal(first[0::2], second[0::2]), axes
        assert (first[1::2] != second[1::2]).any(1).all(), axes


def test_scaling_test_rows_by_their_own_mean_is_refused(run):
    row = only(run(planted(), classifier="batch-scaler"))
    assert row["status"] == "failed"
    assert row["reason"].startswith(
        "classifier batch-scaler: the log-scores of a row change with the other rows of its"
    )


# ---- 8: batch norm ----


@pytest.mark.parametrize(
    ("part", "name"),
    [("classifier", "batch-norm"), ("classifier", "adapts"), ("augmenter", "adapts-jointly")]
    + [("extractor", name) for name in ("batch-standardised", "training-mode@steps=1", "running-mean@steps=1")],
)
def test_statistics_of_the_evaluation_batch_are_refused(run, tmp_path, part, name):
    row = only(run(planted(), **{"classifier": "met-network@steps=1"} | {part: name}))
    assert row["status"] == "failed"
    made = "features of an image" if part == "extractor" else "log-scores of a row"
    assert f": the {made} change with the other" in row["reason"]
    assert row["reason"].endswith("wants batch norm and dropout in evaluation mode")
    assert not list((tmp_path / "out" / "predictions").iterdir())


@pytest.mark.parametrize("kind", ["images", "features"])
def test_a_component_that_writes_into_its_rows_changes_no_other_cell(run, tmp_path, kind):
    axes = {"augmenter": ("met-selector", "overwrites", "none"), "classifier": "linear@steps=2", "val_fraction": 0.2}
    done = {row["axes"]["augmenter"]: kept(tmp_path, row)["log_scores"] for row in run(planted(kind=kind), **axes)}
    assert torch.equal(done["met-selector"], done["none"])  # of which the second ran after `overwrites`
    assert not torch.equal(done["overwrites"], done["none"])


# ---- 9: the prior ----


def test_corrections_use_the_training_prior_to_the_last_digit(run, tmp_path):
    row = only(run(planted(), augmenter="class-gaussian@fill=0.5", classifier="linear@steps=20"))
    raw = kept(tmp_path, row)
    counts, met, test = np.array(COUNTS), np.array([60, 53, 45]), np.array(TEST_COUNTS)
    assert row["natural_prior"] == (counts / counts.sum()).tolist()
    assert row["prior"] == (met / met.sum()).tolist()
    assert row["test_counts"] == test.tolist()

    def corrected(prior):
        scores = raw["log_scores"].double().numpy() - np.log(prior / prior.sum())
        return score(scores, raw["labels"].numpy(), counts=counts, class_names=row["class_names"])

    found = {name: {m: np.nan if v is None else v for m, v in row["scores"][name].items()} for name in row["scores"]}
    assert found["la-natural"] == pytest.approx(corrected(counts), rel=1e-12, nan_ok=True)
    assert found["la-met"] == pytest.approx(corrected(met), rel=1e-12, nan_ok=True)
    assert abs(found["la-natural"]["nll"] - corrected(test)["nll"]) > 0.05
