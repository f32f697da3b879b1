"""No plugin can break, slow or falsify somebody else's run: each command is run for real beside foreign plugins."""

import hashlib
import json
from pathlib import Path

import pytest
from commands import Home, rows
from third_party import write

MARK = """
import os, pathlib
with pathlib.Path(os.environ["PROBE_DIR"], "imported.txt").open("a") as file:
    file.write(f"{__name__} {os.getpid()}\\n")
"""
AUGMENTER = '''
from dataclasses import dataclass
from benchfw import Selector, Synthesizer, hookimpl, param

@hookimpl
def register_augmenters(register):
    register(Own)

@dataclass(frozen=True)
class Own(Synthesizer):
    """Repeat rows of the small classes backwards."""

    name = "NAME"
    source = "a test"
    way: int = param(1, "which way")

    def fit(self, train, val, ctx):
        return train.draw
'''
MEDDLER = """
import random, torch
print("hello from the meddler")
random.seed(0)
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)
torch.set_grad_enabled(False)
torch.set_float32_matmul_precision("medium")
"""
FOREIGN = {  # distribution: (entry-point group, source)
    "raises": ("benchfw.v1", MARK + "raise ValueError('no licence found')"),
    "leaves": ("benchfw.v1", MARK + "import sys\nsys.exit(0)"),
    "sleeps": ("benchfw.v1", MARK + "import time\ntime.sleep(1.5)\n" + AUGMENTER.replace("NAME", "sleeper")),
    "second-smote": ("benchfw.v1", MARK + AUGMENTER.replace("NAME", "smote")),
    "second-none": ("benchfw.v1", MARK + AUGMENTER.replace("NAME", "none")),
    "tomorrow": ("benchfw.v2", MARK + AUGMENTER.replace("NAME", "later")),
    "yesterday": ("benchfw.v0", MARK + AUGMENTER.replace("NAME", "earlier")),
}
SAID = {
    "raises": "plugin 'raises' of raises was not loaded: ValueError: no licence found",
    "leaves": "plugin 'leaves' of leaves was not loaded: SystemExit: 0",
    "tomorrow": (
        "plugin 'tomorrow' of tomorrow was not loaded: it is for the API of 'benchfw.v2', and this benchfw has "
        "'benchfw.v1'; upgrade benchfw"
    ),
    "yesterday": (
        "plugin 'yesterday' of yesterday was not loaded: it is for the API of 'benchfw.v0', and this benchfw has "
        "'benchfw.v1'; upgrade the plugin, or ask its author to move to that group"
    ),
    "second-none": ("augmenter 'none' comes from benchfw and second-none; say which: benchfw:none or second-none:none"),
    "second-smote": (
        "augmenter 'smote' comes from benchfw and second-smote; say which: benchfw:smote or second-smote:smote"
    ),
}
QUICK = ("run", "quick", "--repetitions", "1", "-e", "pixels", "-c", "linear@steps=20")


def imports(home):
    """(module, process) of each import of a foreign plugin since the last look."""
    file = home.path / "imported.txt"
    found = [tuple(line.split()) for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    return found


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A home where all foreign plugins are installed."""
    home = Home(tmp_path_factory.mktemp("beside"))
    for distribution, (group, source) in FOREIGN.items():
        points = f"[{group}]\n{distribution} = {distribution.replace('-', '_')}\n"
        write(home, distribution, source, points)
    yield home
    home.stop()


@pytest.fixture(scope="module")
def finished(beside):
    """The experiment quick, run beside all of them; with the modules that were imported, and where."""
    imports(beside)
    return beside.run(*QUICK, "--jobs", "2"), imports(beside)


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("--version",), ("list", "experiment")])
def test_a_command_that_needs_no_plugin_imports_none(words, beside):
    ended = beside.run(*words)
    assert (ended.code, ended.err) == (0, "")
    assert imports(beside) == []


def test_a_command_that_reads_results_imports_no_plugin(beside, finished):
    out, baseline = "results/" + next((beside.path / "results").iterdir()).name, "gate.json"
    for words in (
        ("table", out),
        ("table", out, "--tests"),
        ("report", out),
        ("check", out, "--baseline", baseline, "--update", "--reason", "first"),
        ("check", out, "--baseline", baseline),
    ):
        ended = beside.run(*words)
        assert (ended.code, ended.err) == (0, ""), words
    assert imports(beside) == []


def test_list_shows_what_works_and_says_what_does_not(beside):
    ended = beside.run("list")
    assert ended.code == 0
    assert {"sleeper", "benchfw:smote", "second-smote:smote", "gan-feature", "quick"} <= set(ended.out.split())
    said = [line.removeprefix("benchfw: ") for line in ended.err.splitlines()]
    (slow,) = [line for line in said if line not in SAID.values()]
    assert slow.startswith("plugin 'sleeps' of sleeps took ")
    assert slow.endswith(" s to import; a plugin imports heavy libraries inside its methods")
    assert len(said) == len(SAID) + 1


def test_plugin_list_has_a_line_for_each(beside):
    ended = beside.run("plugin", "list", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = {plugin["distribution"]: plugin for plugin in json.loads(ended.out)}
    assert {name: found[name]["status"] for name in FOREIGN} == {
        "raises": "broken",
        "leaves": "broken",
        "sleeps": "slow",
        "second-smote": "loaded",
        "second-none": "loaded",
        "tomorrow": "other API",
        "yesterday": "other API",
    }
    assert found["sleeps"]["seconds"] >= 1.5
    assert found["sleeps"]["components"] == [{"kind": "augmenter", "name": "sleeper"}]
    assert all(found[name]["version"] == "1.0" for name in FOREIGN)
    assert all(found[name]["what is wrong"] in text for name, text in SAID.items())
    assert found["benchfw"]["status"] == "loaded"


def test_plugin_list_says_the_same_as_a_table(beside):
    ended = beside.run("plugin", "list")
    assert (ended.code, ended.err) == (0, "")
    for name in FOREIGN:
        (line,) = [line for line in ended.out.splitlines() if line.split("│")[0].strip() == name]
        assert "1.0" in line
    assert "ValueError: no licence found" in ended.out


def test_an_experiment_runs_beside_them_and_says_what_is_wrong(finished):
    ended, _ = finished
    assert ended.code == 0
    assert "balanced accuracy" in ended.out
    assert [text for text in SAID.values() if f"benchfw: {text}" not in ended.err] == []


def test_a_name_that_a_foreign_plugin_takes_changes_no_packaged_experiment(beside, finished):
    (out,) = (beside.path / "results").iterdir()
    found = rows(out)
    assert {row["status"] for row in found} == {"done"}
    assert "none" in {row["axes"]["augmenter"] for row in found}


def test_a_worker_imports_no_plugin_but_those_of_its_cell(finished):
    _, imported = finished
    assert sorted(module for module, _ in imported) == ["leaves", "raises", "second_none", "second_smote", "sleeps"]
    assert len({process for _, process in imported}) == 1  # of the command itself


def test_the_name_of_a_component_and_its_distribution_decide_a_clash(beside):
    asked = ("-a", "second-smote:smote", "-a", "benchfw:smote", "--set", "augmenter.Second_Smote:smote.way=3")
    out = beside.path / "both"
    ended = beside.run(*QUICK, *asked, "--out", out, "--jobs", "2")
    assert ended.code == 0
    found = {row["axes"]["augmenter"]: row for row in rows(out)}
    assert set(found) == {"none", "random", "smote", "second-smote:smote@way=3"}
    assert "smote" in ended.out
    assert found["smote"]["scores"] != found["second-smote:smote@way=3"]["scores"]
    assert json.loads((out / "machine.json").read_text())["versions"]["second-smote"] == "1.0"
    again = beside.run(
        "plan", out / "experiment.toml", "--out", out, "-a", "second-smote:smote@way=3", "-a", "benchfw:smote"
    )
    assert again.code == 0, again.err
    assert "4 finished" in again.out


def test_a_clash_is_an_error_at_use_that_names_both(beside):
    ended = beside.run("run", "quick", "-a", "smote", "--out", "clash")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == f"benchfw: {SAID['second-smote']}"
    assert not (beside.path / "clash").exists()


@pytest.mark.parametrize("chosen", [("--no-plugins", {}), ("", {"BENCHFW_PLUGINS": ""})])
def test_foreign_plugins_can_be_left_out(chosen, beside, monkeypatch):
    option, variables = chosen
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    imports(beside)
    ended = beside.run("list", "augmenter", *option.split())
    assert (ended.code, ended.err) == (0, "")
    assert {"smote", "gan-feature"} <= set(ended.out.split())
    assert "sleeper" not in ended.out
    assert imports(beside) == []


def test_only_the_distributions_of_the_allow_list_are_imported(beside, monkeypatch):
    monkeypatch.setenv("BENCHFW_PLUGINS", "Second_Smote, raises")
    imports(beside)
    ended = beside.run("plugin", "list", "--json")
    states = {plugin["distribution"]: plugin["status"] for plugin in json.loads(ended.out)}
    assert {name for name, state in states.items() if state != "not asked for"} == {"benchfw", "second-smote", "raises"}
    assert {module for module, _ in imports(beside)} == {"second_smote", "raises"}


def test_a_misspelt_name_on_the_allow_list_is_an_error(beside, monkeypatch):
    monkeypatch.setenv("BENCHFW_PLUGINS", "second-smite")
    ended = beside.run("list")
    assert ended.code == 2
    assert ended.err.startswith(
        "benchfw: BENCHFW_PLUGINS: no plugin of a distribution named 'second-smite'; did you mean 'second-smote'?"
    )
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("where", [("--jobs", "1"), ("--in-process",)])
def test_a_plugin_that_meddles_at_import_changes_no_number_and_no_output(where, home):
    first = home.run(*QUICK, "--out", "alone", *where, "--cache", "off")
    write(home, "meddler", MEDDLER + AUGMENTER.replace("NAME", "meddled"))
    second = home.run(*QUICK, "--out", "beside", *where, "--cache", "off")
    assert first.code == second.code == 0
    tables = [(home.path / out / "table.csv").read_bytes() for out in ("alone", "beside")]
    assert tables[0] == tables[1]
    planned = home.run("plan", "quick", "--json")
    assert json.loads(planned.out)["cells"]  # what it prints at import is on standard error
    assert "hello from the meddler" in planned.err


# ---- a plugin that is one file ----


def test_a_file_is_a_plugin_for_one_command(home):
    Path(home.path, "my_aug.py").write_text(AUGMENTER.replace("NAME", "mine"))
    plain = home.run("show", "augmenter", "mine")
    assert plain.code == 2
    shown = home.run("show", "augmenter", "mine", "--plugin", "my_aug.py")
    assert shown.code == 0
    assert "Repeat rows of the small classes backwards." in shown.out
    assert "my_aug.py" in shown.out


def test_a_file_runs_in_workers_and_its_code_is_in_the_key(home):
    file = Path(home.path, "my_aug.py")
    file.write_text(AUGMENTER.replace("NAME", "mine"))
    asked = (*QUICK, "-a", "mine", "--plugin", "./my_aug.py", "--jobs", "2", "--out", "out")
    ended = home.run(*asked)
    assert ended.code == 0, ended.err
    assert {row["axes"]["augmenter"] for row in rows(home.path / "out")} == {"mine", "none", "random"}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    machine = json.loads((home.path / "out" / "machine.json").read_text())
    assert machine["versions"]["my_aug.py"] == f"file {digest}"
    assert "3 finished" in home.run("plan", *asked[1:-4], "--out", "out").out
    file.write_text(file.read_text().replace("return train.draw", "return lambda *given: train.draw(*given)"))
    assert "2 finished" in home.run("plan", *asked[1:-4], "--out", "out").out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import torch\nx = 1 / 0", "ZeroDivisionError: division by zero (my_aug.py, line 2)"),
        ("def f(:", "SyntaxError: invalid syntax (my_aug.py, line 1)"),
        (AUGMENTER.replace("register_augmenters", "register_augmentors"), "no hook named 'register_augmentors'; did"),
        (None, "FileNotFoundError: [Errno 2] No such file or directory: "),
    ],
)
def test_a_file_that_cannot_be_loaded_stops_the_command_in_one_line(source, said, home):
    if source is not None:
        Path(home.path, "my_aug.py").write_text(source)
    ended = home.run("list", "--plugin", "my_aug.py")
    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith(f"benchfw: plugin 'my_aug' of my_aug.py was not loaded: {said}")


def test_a_file_is_a_plugin_of_a_run_from_python(tmp_path):
    import benchfw

    file = tmp_path / "own.py"
    file.write_text(AUGMENTER.replace("NAME", "own"))
    results = benchfw.run(
        "quick",
        augmenters=["own"],
        extractors=["pixels"],
        classifiers=["linear"],
        settings={"repetitions": 1, "classifier.linear.steps": 5},
        out=tmp_path / "out",
        cache="off",
        plugins=[file],
    )
    assert results.statuses == {"done": 3}


# ---- looking on ----


def test_hook_calls_are_printed_on_request(home, monkeypatch):
    write(home, "second-smote", AUGMENTER.replace("NAME", "smite"))
    monkeypatch.setenv("BENCHFW_TRACE_PLUGINS", "1")
    ended = home.run("list", "augmenter")
    assert ended.code == 0
    told = [line for line in ended.err.splitlines() if "of second-smote 1.0" in line]
    assert told == [
        "benchfw: plugin 'second-smote' of second-smote 1.0: register_augmenters(register) in second_smote.py:5",
        "benchfw: plugin 'second-smote' of second-smote 1.0: register_augmenters returned; registered smite",
    ]


def test_the_traceback_of_a_broken_plugin_is_printed_on_request(home, monkeypatch):
    write(home, "raises", "def inner():\n    raise ValueError('deep')\ninner()")
    quiet = home.run("list", "augmenter")
    assert "Traceback" not in quiet.err
    monkeypatch.setenv("BENCHFW_TRACE_PLUGINS", "1")
    ended = home.run("list", "augmenter")
    assert ended.code == 0
    assert "Traceback" in ended.err
    assert "in inner" in ended.err
