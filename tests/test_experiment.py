"""An experiment is read from a file or a request, each setting checked, and written so that it reads back the same."""

import dataclasses
import tomllib

import numpy as np
import pytest

from benchfw.errors import UsageError
from benchfw.experiment import (
    AXES,
    Experiment,
    apply_settings,
    changed,
    from_mapping,
    load,
    packaged,
    requested,
    to_toml,
)
from benchfw.plan import cells
from benchfw.registry import installed
from benchfw.settings import Text

GOOD = {  # a value of each setting, other than its default, as a TOML file gives it
    "name": "mine",
    "description": 'asks "why?" of 画像\x7f',
    "datasets": ["digits", 'npz@path="a, b.npz"'],
    "imbalances": ["exp:10", "counts:5x2,3"],
    "extractors": ["pixels"],
    "augmenters": ["smote", "smote@k=3"],
    "classifiers": ["linear"],
    "repetitions": 7,
    "seed": 3,
    "reseed": 2,
    "test_fraction": 0.25,
    "val_fraction": 0,
    "threads": 2,
    "precision": "bf16",
    "deterministic": True,
    "adapt": "pool",
    "metric": "macro_f1",
    "many_over": 200,
    "few_under": 10,
    "references": False,
    "set": {"augmenter.smote.fill": 0.5, "classifier.linear.loss": "balanced-softmax"},
}
BAD = {  # setting: (a wrong value, what is wanted)
    "name": (3, "str"),
    "description": (True, "str"),
    "datasets": ("digits", "list of str"),
    "imbalances": ([10], "list of str"),
    "extractors": ({}, "list of str"),
    "augmenters": ([["smote"]], "list of str"),
    "classifiers": (None, "list of str"),
    "repetitions": (0, "int >= 1 and <= 1000"),
    "seed": (-1, "int >= 0"),
    "reseed": (-2, "int >= 0"),
    "test_fraction": (1.0, "float > 0 and < 1"),
    "val_fraction": (float("nan"), "float >= 0 and < 1"),
    "threads": (1.5, "int >= 1"),
    "precision": ("fp8", "auto | float32 | bf16"),
    "deterministic": ("maybe", "bool"),
    "adapt": ("average", "none | pool | flatten"),
    "metric": (1, "str"),
    "many_over": (-1, "int >= 0"),
    "few_under": ("20", "int >= 0"),
    "references": (1, "bool"),
    "set": ("augmenter.smote.k=3", "a table of kind.name.parameter = value"),
}


def refusal(call, *arguments):
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    return str(caught.value)


# ---- settings ----


def test_the_tables_of_this_test_name_every_setting():
    settings = [field.name for field in dataclasses.fields(Experiment)]
    assert list(GOOD) == list(BAD) == settings


def test_every_setting_has_a_line_of_help():
    assert all(field.metadata["help"] for field in dataclasses.fields(Experiment) if field.name != "name")


@pytest.mark.parametrize("name", GOOD)
def test_a_setting_takes_a_value_of_its_type(name):
    found = getattr(from_mapping({name: GOOD[name]}, "here"), name)
    assert found != getattr(Experiment(), name)
    assert (dict(found) if name == "set" else list(found) if isinstance(found, tuple) else found) == GOOD[name]


@pytest.mark.parametrize("name", BAD)
def test_a_setting_refuses_a_wrong_value_and_says_what_it_wants(name):
    value, wants = BAD[name]
    assert refusal(from_mapping, {name: value}, "here") == f"here: {name}: wants {wants}, found {value!r}"


def test_an_unknown_setting_is_refused_with_what_is_meant():
    message = refusal(from_mapping, {"repititions": 3}, "experiment x")
    assert message.startswith("experiment x: no setting 'repititions'; did you mean 'repetitions'? (known: adapt, ")


@pytest.mark.parametrize(
    ("assignment", "setting", "value"),
    [
        ("repetitions=8", "repetitions", 8),
        ("val_fraction=0", "val_fraction", 0.0),
        ("adapt=none", "adapt", "none"),
        ("name=none", "name", "none"),
        ("name=true", "name", "true"),
        ("description=a = b", "description", "a = b"),
        ("references=false", "references", False),
        ('augmenters=["smote", "eos"]', "augmenters", ("smote", "eos")),
        ("augmenter.smote.k=3", "set", (("augmenter.smote.k", Text("3")),)),
    ],
)
def test_a_set_option_changes_a_setting_or_a_parameter(assignment, setting, value):
    assert getattr(apply_settings(Experiment(), (assignment,)), setting) == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("repetitions=0", "--set: repetitions: wants int >= 1 and <= 1000, found '0'"),
        ("repetitions=", "--set: repetitions: wants int >= 1 and <= 1000, found ''"),
        ("val_fraction=nan", "--set: val_fraction: wants float >= 0 and < 1, found 'nan'"),
        ("references=no", "--set: references: wants bool, found 'no'"),
        ("datasets=digits", "--set: datasets: wants list of str, found 'digits'"),
        ("set=3", "--set: set: wants a table of kind.name.parameter = value, found '3'"),
        ("repetitions", "--set repetitions: wants kind.name.parameter=value, or setting=value"),
        ("=3", "--set =3: wants kind.name.parameter=value, or setting=value"),
    ],
)
def test_a_wrong_set_option_is_refused(assignment, message):
    assert refusal(apply_settings, Experiment(), (assignment,)) == message


def test_a_later_set_option_wins_and_others_stay():
    options = ("augmenter.smote.k=3", "augmenter.eos.k=4", "augmenter.smote.k=7", "seed=1", "seed=2")
    found = apply_settings(Experiment(), options)
    assert dict(found.set) == {"augmenter.eos.k": Text("4"), "augmenter.smote.k": Text("7")}
    assert found.seed == 2


# ---- requests ----


def test_nothing_requested_is_the_quick_experiment():
    assert requested(None, {}) == load("quick")
    assert requested("quick", {"datasets": None, "seed": None}) == load("quick")


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_that_is_given_replaces_the_axis(axis):
    found = requested("quick", {axis: ["one", "two"]})
    assert getattr(found, axis) == ("one", "two")
    others = [name for name in AXES if name not in (axis, "imbalances")]
    assert all(getattr(found, name) == getattr(load("quick"), name) for name in others)


def test_other_data_sets_without_an_imbalance_are_taken_as_they_are():
    assert requested("quick", {"datasets": ["npz"]}).imbalances == ("natural",)
    assert requested("quick", {"datasets": ["npz"], "imbalances": ["exp:5"]}).imbalances == ("exp:5",)
    assert requested("quick", {"datasets": ["digits", "npz"]}).imbalances == ("natural",)
    assert requested("quick", {"seed": 3}).imbalances == load("quick").imbalances != ("natural",)


def test_the_experiments_own_data_sets_keep_its_imbalance():
    assert requested("quick", {"datasets": ["digits"]}) == load("quick")


def test_set_options_come_after_the_request():
    assert requested("quick", {"seed": 1}, ("seed=2",)).seed == 2


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden", "a b"])
def test_a_name_that_is_no_directory_of_its_own_is_refused(name):
    with pytest.raises(UsageError, match="name: wants"):
        changed(Experiment(), "test", {"name": name})


# ---- files ----


@pytest.mark.parametrize("name", packaged())
def test_packaged_experiments_load_and_resolve(name, tmp_path):
    np.savez(tmp_path / "features.npz", fc_weight=np.zeros(1))  # what the plan looks for in somebody's features
    own = (f"dataset.features.path={tmp_path}/features.npz",) if "features" in load(name).datasets else ()
    experiment = apply_settings(load(name), own)
    planned = cells(experiment, installed())
    assert experiment.name == name
    assert experiment.description == packaged()[name] != ""
    assert len(planned) >= 2 * experiment.repetitions
    assert [cell.misfit() for cell in planned if cell.augmenter.name in ("none", "random")].count(None) > 0


def test_both_experiments_of_the_documentation_are_packaged():
    assert {"quick", "fashion-mnist-ir40"} <= set(packaged())


def test_an_unknown_experiment_is_refused_with_what_is_meant():
    message = refusal(load, "quik")
    assert message.startswith("no experiment named 'quik'; did you mean 'quick'? (known: ")
    assert message.endswith("; or give a file ending in .toml")


def test_a_file_is_an_experiment_named_like_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('datasets = ["digits"]\nrepetitions = 4\n')
    assert load(str(file)) == Experiment(name="mine", datasets=("digits",), repetitions=4)
    file.write_text('name = "other"')
    assert load(str(file)).name == "other"


def test_parameters_in_a_file_may_be_dotted_or_quoted_names(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[set]\naugmenter.smote.k = 3\n"augmenter.class-gaussian.fill" = 0.5\nclassifier.head.steps = 9\n')
    parameters = {"augmenter.smote.k": 3, "augmenter.class-gaussian.fill": 0.5, "classifier.head.steps": 9}
    assert dict(load(str(file)).set) == parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets = digits", "; wants TOML"),
        ('metrics = "accuracy"', ": no setting 'metrics'; did you mean 'metric'?"),
        ("seed = '3'", ": seed: wants int >= 0, found '3'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    found = refusal(load, str(file))
    assert found.startswith(f"experiment {file}: ")
    assert message in found


def test_a_missing_file_is_named(tmp_path):
    message = refusal(load, str(tmp_path / "absent.toml"))
    assert message == f"experiment {tmp_path}/absent.toml: No such file or directory; wants a readable TOML file"


@pytest.mark.parametrize("experiment", [Experiment(), from_mapping(GOOD, "here"), *map(load, packaged())])
def test_a_written_experiment_reads_back_as_the_same(experiment, tmp_path):
    file = tmp_path / "written.toml"
    file.write_text(to_toml(experiment))
    assert load(str(file)) == experiment


def test_a_resolved_experiment_reads_back_and_resolves_to_itself(tmp_path):
    wanted = requested("quick", {"augmenters": ["smote", "gan-feature@steps=10"]}, ("augmenter.smote.k=3",))
    resolved = cells(wanted, installed())[0].experiment
    assert resolved.augmenters == ("none", "random", "smote@k=3", "gan-feature@steps=10")
    assert resolved.set == ()
    file = tmp_path / "resolved.toml"
    file.write_text(to_toml(resolved))
    assert load(str(file)) == resolved
    assert cells(load(str(file)), installed())[0].experiment == resolved


def test_a_written_experiment_is_one_line_a_setting():
    lines = to_toml(load("quick")).splitlines()
    assert [line.split(" = ")[0] for line in lines] == [name for name in GOOD if name != "set"]
    assert tomllib.loads("\n".join(lines))["repetitions"] == 3


def test_changes_leave_the_experiment_as_it_was():
    before = load("quick")
    changed(before, "here", {"seed": 9, "set": {"augmenter.smote.k": 1}})
    assert before == load("quick")
