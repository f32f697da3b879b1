"""An experiment becomes cells in a good order; each fits, or says why not, and survives the way to a worker."""

import dataclasses
from collections import Counter

import pytest

from benchfw import runner
from benchfw.errors import UsageError
from benchfw.experiment import AXES, Experiment, apply_settings, changed, load
from benchfw.plan import as_json, cells, from_json
from benchfw.registry import installed

SMALL = Experiment(
    name="small",
    datasets=("digits",),
    imbalances=("step:20",),
    extractors=("pixels",),
    augmenters=("smote",),
    classifiers=("linear",),
    repetitions=2,
)


def planned(*settings, **axes):
    return cells(apply_settings(changed(SMALL, "test", axes), settings), installed())


def labels(found, kind):
    return list(dict.fromkeys(cell.axes[kind] for cell in found))


def misfits(found):
    """The reasons by augmenter, extractor and classifier."""
    return {(cell.axes["augmenter"], cell.axes["extractor"], cell.axes["classifier"]): cell.misfit() for cell in found}


def refusal(*settings, **axes):
    with pytest.raises(UsageError) as caught:
        planned(*settings, **axes)
    return str(caught.value)


# ---- the matrix ----


def test_the_plan_is_the_product_of_the_axes():
    found = planned(imbalances=["step:20", "exp:5", "natural"], augmenters=["smote", "eos"], classifiers=["linear"])
    assert len(found) == 1 * 3 * 2 * 1 * 4 * 1  # none and random are added
    assert len({cell.id for cell in found}) == len(found)


def test_cells_of_one_embedding_stand_together():
    found = planned(extractors=["pixels", "lenet5"], imbalances=["step:20", "exp:5"])
    embeddings = [
        (cell.axes["dataset"], cell.axes["imbalance"], cell.repetition, cell.axes["extractor"]) for cell in found
    ]
    runs = [key for i, key in enumerate(embeddings) if i == 0 or embeddings[i - 1] != key]
    assert len(runs) == len(set(runs)) == 8


def test_references_are_added_unless_not_wanted():
    assert labels(planned(), "augmenter") == ["none", "random", "smote"]
    assert labels(planned("references=false"), "augmenter") == ["smote"]


@pytest.mark.parametrize(
    ("given", "planned_for"),
    [
        (["random", "smote"], ["none", "random", "smote"]),
        (["smote", "none", "random"], ["smote", "none", "random"]),
        (["random@fill=0.2"], ["none", "random", "random@fill=0.2"]),
        (["random@fill=1.0"], ["none", "random"]),
    ],
)
def test_references_stand_in_front_unless_they_are_there(given, planned_for):
    assert labels(planned(augmenters=given), "augmenter") == planned_for


def test_parameters_are_set_for_every_variant_and_typed_ones_win():
    found = planned("augmenter.smote.k=3", augmenters=["smote", "smote@k=4", "smote@fill=0.5"])
    assert labels(found, "augmenter") == ["none", "random", "smote@k=3", "smote@k=4", "smote@fill=0.5,k=3"]


def test_the_resolved_experiment_holds_every_parameter_in_its_labels():
    experiment = planned("augmenter.smote.k=3", imbalances=["exp:5.0"])[0].experiment
    assert experiment.augmenters == ("none", "random", "smote@k=3")
    assert experiment.imbalances == ("exp:5",)
    assert experiment.set == ()
    assert cells(experiment, installed())[0].experiment == experiment


def test_a_cell_is_named_by_its_labels_and_repetition():
    axes = planned("augmenter.smote.k=3")[-1].axes
    assert axes == {
        "dataset": "digits",
        "imbalance": "step:20",
        "extractor": "pixels",
        "augmenter": "smote@k=3",
        "classifier": "linear",
        "repetition": 1,
    }


def test_id_depends_on_axes_alone():
    assert [cell.id for cell in planned()] == [cell.id for cell in planned("seed=3", "threads=2")]
    assert not {cell.id for cell in planned()} & {cell.id for cell in planned(imbalances=["step:10"])}


def test_names_enter_the_seeds_without_parameters():
    found = planned(imbalances=["step:20", "step:10:permuted"], augmenters=["smote", "smote@k=3"])
    names = {(cell.seed_axes["imbalance"], cell.seed_axes["augmenter"]) for cell in found}
    assert names == {("step", "none"), ("step", "random"), ("step", "smote")}


@pytest.mark.parametrize("axis", AXES)
def test_an_empty_axis_is_refused(axis):
    message = f"experiment small: {axis} is empty; wants at least one"
    assert refusal("references=false", **{axis: []}) == message


@pytest.mark.parametrize(
    ("axis", "texts", "message"),
    [
        ("augmenters", ["smote", "smote"], "augmenter 'smote' is on the axis twice (as 'smote'); give it once"),
        ("augmenters", ["smote", "smote@k=5"], "augmenter 'smote@k=5' is on the axis twice (as 'smote'); give it once"),
        ("datasets", ["digits", " digits"], "dataset ' digits' is on the axis twice (as 'digits'); give it once"),
        ("imbalances", ["exp:5", "exp:5"], "imbalance 'exp:5' is on the axis twice (as 'exp:5'); give it once"),
        (
            "imbalances",
            ["exp:5", "natural", "exp:5.0"],
            "imbalance 'exp:5.0' is on the axis twice (as 'exp:5'); give it once",
        ),
    ],
)
def test_two_variants_that_are_the_same_are_refused(axis, texts, message):
    assert refusal(**{axis: texts}) == message


@pytest.mark.parametrize(
    ("axis", "text", "start"),
    [
        ("datasets", "digit", "no dataset named 'digit'; did you mean 'digits'? (known: "),
        ("extractors", "lenet", "no extractor named 'lenet'; did you mean 'lenet5'? (known: "),
        ("augmenters", "smoot", "no augmenter named 'smoot'; did you mean 'smote'? (known: "),
        ("augmenters", "smote@kk=3", "augmenter.smote: no parameter 'kk'; did you mean 'k'? (known: fill, k)"),
        ("augmenters", "smote@k=0", "augmenter.smote.k: wants int >= 1, found '0'"),
        ("classifiers", "head@unchangd", "classifier.head: no preset 'unchangd'; did you mean 'unchanged'? (known: "),
        ("imbalances", "exp10", "imbalance 'exp10' cannot be read; wants natural, exp:R, "),
    ],
)
def test_what_is_unknown_on_an_axis_is_refused_with_what_is_meant(axis, text, start):
    assert refusal(**{axis: [text]}).startswith(start)


@pytest.mark.parametrize("key", ["augmenter.eos.k", "augmenter.smte.k", "smote.k", "augmenter.smote", "x.y.z.k"])
def test_a_parameter_of_a_component_that_is_on_no_axis_is_refused(key):
    message = refusal(f"{key}=3")
    assert message.startswith(f"set {key}: no such component in this experiment; ")
    assert "augmenter.smote, classifier.linear, dataset.digits, extractor.pixels" in message


def test_a_parameter_of_a_mistyped_component_comes_with_what_is_meant():
    assert "; did you mean 'augmenter.smote'? (known: augmenter.none, " in refusal("augmenter.smte.k=3")


def test_classes_cannot_be_both_many_and_few():
    assert refusal("many_over=5", "few_under=20").startswith("experiment small: many_over = 5 and few_under = 20 call ")
    assert planned("few_under=20", "many_over=20")


def test_a_wrong_parameter_is_refused_with_where_it_stands():
    assert refusal("augmenter.smote.k=zero") == "augmenter.smote.k: wants int >= 1, found 'zero'"
    assert refusal("augmenter.smote.q=1") == "augmenter.smote: no parameter 'q'; known: fill, k"


def test_an_unknown_metric_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match=r"^no metric named 'acuracy'; did you mean 'accuracy'\?"):
        runner.plan(apply_settings(SMALL, ("metric=acuracy",)), runner.Settings(device="cpu"), installed())


# ---- misfits ----


def test_head_on_pixels_needs_a_head():
    found = planned(augmenters=["none"], classifiers=["head"])
    reason = "classifier head needs head, which no other part of the cell gives"
    assert misfits(found)["none", "pixels", "head"] == reason


def test_head_without_a_step_goes_with_natural_rows_only():
    found = misfits(planned(extractors=["lenet5"], classifiers=["head@unchanged", "head"]))
    assert found["none", "lenet5", "head@unchanged"] is None
    assert found["smote", "lenet5", "head"] is None
    reason = "classifier head@unchanged needs natural rows, which no other part of the cell gives"
    assert found["smote", "lenet5", "head@unchanged"] == found["random", "lenet5", "head@unchanged"] == reason


@pytest.mark.parametrize("adapt", ["pool", "flatten"])
def test_logistic_takes_maps_only_where_they_are_adapted(adapt):
    axes = {"extractors": ["paper-cnn@tiny", "paper-cnn@tiny,tap=20"], "classifiers": ["logistic"]}
    found = misfits(planned(**axes))
    cure = "--set adapt=pool or --set adapt=flatten"
    reason = f"classifier logistic takes vectors, but the features are maps; {cure}"
    assert found["none", "paper-cnn@tiny", "logistic"] == reason
    assert found["none", "paper-cnn@tiny,tap=20", "logistic"] is None
    assert set(misfits(planned(f"adapt={adapt}", **axes)).values()) == {None}


def test_a_vector_augmenter_fits_maps():
    assert misfits(planned(extractors=["pixels@map"]))["smote", "pixels@map", "linear"] is None


@pytest.mark.parametrize("classifier", ["logistic", "linear"])
def test_pixels_go_with_every_classifier_that_needs_no_head(classifier):
    found = misfits(planned(augmenters=["smote", "eos", "gan-feature"], classifiers=[classifier]))
    assert set(found.values()) == {None}


def test_every_cell_of_the_quick_experiment_fits():
    assert Counter(cell.misfit() for cell in cells(load("quick"), installed())) == {None: 18}


# ---- the way to a worker ----


@pytest.mark.parametrize("name", ["quick", "fashion-mnist-ir40"])
def test_a_cell_reads_back_from_its_text_as_the_same(name):
    for cell in cells(load(name), installed())[:12]:
        assert from_json(as_json(cell)) == cell


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        ("datasets", 'npz@path="none"'),
        ("datasets", 'npz@path="a, \\"b\\"\\u007f.npz"'),
        ("datasets", "image-folder@path=~/x,size=12"),
        ("imbalances", "exp:33.333333333333336:permuted"),
        ("imbalances", "counts:1234567x3,5"),
        ("augmenters", "smote@fill=0.1"),
        ("classifiers", "linear@lr=1e-07,loss=balanced-softmax"),
    ],
)
def test_odd_parameters_reach_a_worker_unchanged(axis, text):
    for cell in planned(**{axis: [text]}):
        back = from_json(as_json(cell))
        assert back == cell
        assert (back.id, back.axes, back.experiment) == (cell.id, cell.axes, cell.experiment)


def test_a_cell_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        planned()[0].repetition = 3
