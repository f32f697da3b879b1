"""The commands from outside: what they load, print and return; and that a plan is what a run does."""

import csv
import io
import json
import subprocess
import sys

import pytest
from commands import FAST, Home, here, rows

HEAVY = ("numpy", "pandas", "scipy", "sklearn", "timm", "torch", "torchvision")
LOADED = """
import sys
try:
    {command}
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print(*sorted(set(sys.modules) & set({heavy})))
"""
COMMAND = "sys.argv[1:] = {words}; from benchfw.__main__ import main; main()"


@pytest.mark.parametrize(
    "words", [None, ["--help"], ["list"], ["show", "augmenter", "smote"], ["--version"], ["run", "--help"]]
)
def test_a_light_command_loads_no_heavy_library(words, home):
    command = "import benchfw" if words is None else COMMAND.format(words=words)
    script = LOADED.format(command=command, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], env=home.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


MATRIX = ("run", *FAST, "-a", "random", "--set", "classifier.linear.lr=0.05", "-i", "step:10", "--repetitions", 2)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run of two augmenters, and what its command said; its output went to pipes."""
    home = Home(tmp_path_factory.mktemp("ran"))
    plan = json.loads(home.run("plan", *MATRIX[1:], "--out", "out", "--json").out)
    done = home.run(*MATRIX, "--in-process", "--out", "out")
    assert done.code == 0, done.err
    return home, plan, done


@pytest.fixture
def afterwards(ran, monkeypatch, capsys):
    """Run a command, in this process, where the run has finished."""
    return lambda *words: here(monkeypatch, capsys, ran[0], *words)


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_output_to_a_pipe_has_no_escape_codes(ran):
    _, _, done = ran
    assert "digits, step:10, pixels" in done.out
    assert "\x1b" not in done.out + done.err


def test_a_plan_is_what_the_run_does(ran):
    home, plan, _ = ran
    assert [cell["state"] for cell in plan["cells"]] == ["to run"] * 4
    planned = {(cell["id"], cell["key"], json.dumps(cell["axes"], sort_keys=True)) for cell in plan["cells"]}
    did = {(row["id"], row["key"], json.dumps(row["axes"], sort_keys=True)) for row in rows(home.path / "out")}
    assert planned == did
    assert plan["directory"] == "out"
    assert (plan["embeddings"], plan["cached_embeddings"]) == (2, 0)


def test_a_plan_after_the_run_finds_everything_finished(afterwards):
    plan = json.loads(afterwards("plan", *MATRIX[1:], "--out", "out", "--json").out)
    assert [cell["state"] for cell in plan["cells"]] == ["finished"] * 4
    assert (plan["embeddings"], plan["cached_embeddings"]) == (2, 2)


def test_a_plan_names_what_will_be_skipped_and_writes_nothing(here, home):
    done = here("plan", *FAST, "-c", "head", "--repetitions", 3)
    assert done.code == 0
    assert "6 cells in results/quick-" in done.out
    assert "3 to run, 0 finished, 3 skipped" in done.out
    assert "3 skipped: classifier head needs head, which no other part of the cell gives" in done.out
    assert list(home.path.iterdir()) == []


def test_the_tests_as_csv_are_the_file_and_go_against_any_line(ran, afterwards):
    done = afterwards("table", "out", "--tests", "--format", "csv")
    assert done.out == (ran[0].path / "out" / "comparisons.csv").read_text()
    other = afterwards("table", "out", "--tests", "--versus", "augmenter=random", "--metric", "nll", "--format", "csv")
    assert {line["augmenter"] for line in lines(other.out) if line["kind"] == "gain"} == {"none", "random"}
    assert "Holm p" in afterwards("table", "out", "--tests").out
    assert "| Holm p |" in afterwards("table", "out", "--tests", "--format", "markdown").out


def test_the_table_as_csv_is_the_file(ran, afterwards):
    done = afterwards("table", "out", "--format", "csv")
    assert done.code == 0
    assert done.out == (ran[0].path / "out" / "table.csv").read_text()


def test_the_table_as_markdown_is_the_file(ran, afterwards):
    assert afterwards("table", "out", "--format", "markdown").out == (ran[0].path / "out" / "table.md").read_text()


def test_the_table_against_another_line_turns_the_gain_round(afterwards):
    usual = lines(afterwards("table", "out", "--format", "csv").out)
    other = lines(afterwards("table", "out", "--format", "csv", "--versus", "augmenter=random").out)
    (random,) = (line for line in usual if (line["augmenter"], line["correction"]) == ("random", "none"))
    (none,) = (line for line in other if (line["augmenter"], line["correction"]) == ("none", "none"))
    gain = float(random["balanced_accuracy_gain"])
    assert gain != 0
    assert float(none["balanced_accuracy_gain"]) == pytest.approx(-gain, abs=1e-6)
    assert {line["balanced_accuracy_gain"] for line in other if line["augmenter"] == "random"} & {""}


def test_the_table_against_a_line_that_is_not_there_is_refused(afterwards):
    done = afterwards("table", "out", "--versus", "augmenter=radom")
    assert done.code == 2
    assert done.err.startswith("benchfw: versus: no finished row has augmenter 'radom'; did you mean 'random'?")


def test_another_metric_can_be_shown(afterwards):
    assert "macro f1" in afterwards("table", "out", "--metric", "macro_f1").out
    assert afterwards("table", "out", "--metric", "f2").code == 2


def test_every_run_has_the_references_unless_they_are_not_wanted(here):
    def augmenters(*words):
        plan = json.loads(here("plan", "-a", "smote", "--repetitions", 1, "--json", *words).out)
        return [cell["axes"]["augmenter"] for cell in plan["cells"]]

    assert augmenters() == ["none", "random", "smote"]
    assert augmenters("--no-reference") == ["smote"]


def test_a_changed_experiment_has_a_directory_of_its_own(here):
    def directory(*words):
        return json.loads(here("plan", "--json", *words).out)["directory"]

    assert directory() == "results/quick"
    assert directory("--repetitions", 3) == "results/quick"  # as it is written there
    assert directory("--repetitions", 4) != directory("--seed", 1) != "results/quick"


def test_a_printed_experiment_is_a_file_that_runs_the_same(here, home):
    (home.path / "mine.toml").write_text(here("show", "experiment", "quick").out)
    keys = [
        [cell["key"] for cell in json.loads(here("plan", name, "--json").out)["cells"]]
        for name in ("quick", "mine.toml")
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, (*FAST, "--in-process")),
        (1, (*FAST, "-e", "lenet5@steps=20,lr=1e30", "--in-process")),
        (2, (*FAST, "--seed", -1)),
        (3, (*FAST, "-i", "exp:1000", "--in-process")),
        (3, (*FAST[:-1], "head", "--in-process")),
    ],
    ids=["fine", "a cell failed", "wrong request", "skipped while it ran", "skipped by the plan"],
)
def test_the_exit_code_of_a_run(here, code, words):
    assert here("run", *words, "--repetitions", 1, "--out", "out").code == code


def test_the_table_says_that_a_cell_has_not_run(ran, afterwards):
    kept = ran[0].path / "half"
    done = afterwards("run", *MATRIX[1:], "--in-process", "--out", kept)
    assert done.code == 0
    (gone, *_) = (kept / "cells").iterdir()
    gone.unlink()
    table = afterwards("table", kept, "--format", "csv").out
    assert "1 of 2 done; 1 not run" in {line["status"] for line in lines(table)}
