"""Calibration runs a baseline's experiment again: other seeds of training on the same splits show what chance does."""

import json
import subprocess
import sys

import commands
import gated
import pytest
from commands import Home

from benchfw import baseline as baselines
from benchfw import calibration
from benchfw.measured import measured

PROJECT = ("--baseline", "baseline.json", "--in-process", "--repeats", 2)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run with its baseline, calibrated with two repeats; and what the calibration said."""
    home = Home(tmp_path_factory.mktemp("calibrated"))
    assert home.run(*gated.words(2, "--out", "out")).code == 0
    assert home.run(*gated.update(metrics=("balanced_accuracy", "minority_recall"))).code == 0
    (home.path / "before.json").write_bytes((home.path / "baseline.json").read_bytes())
    done = home.run("calibrate", *PROJECT)
    assert done.code == 0, done.err
    return home, done


@pytest.fixture
def here(ran, monkeypatch, capsys):
    """Run a command in this process, where the calibration has been."""
    return lambda *words: commands.here(monkeypatch, capsys, ran[0], *words)


@pytest.fixture
def before(ran):
    """The baseline before it was calibrated."""
    return baselines.read(ran[0].path / "before.json")


@pytest.fixture
def runs(ran):
    """The runs of the calibration by name."""
    return {path.name: path for path in (ran[0].path / "results" / "calibration" / "quick").iterdir()}


def test_other_seeds_move_every_line_and_the_same_seeds_none_on_the_cpu(ran):
    calibrated = baselines.read(ran[0].path / "baseline.json")
    noises = [noise for line in calibrated.lines for noise in (*line.noise.values(), *line.lift_noise.values())]
    assert len(noises) == 4 * 2 + 2 * 2  # two of the lines have a lift
    assert all(noise.nondeterminism == 0 for noise in noises)
    least = 1 / sum(calibrated.data[0].split.test_counts)
    assert all(noise.sd > least and noise.tolerance > 0 for noise in noises)
    assert all((noise.freedom, noise.draws) == (2 * 2, 3) for noise in noises)
    assert (calibrated.calibration.repeats, calibrated.calibration.same) == (2, 1)


def test_it_runs_on_the_same_splits_with_other_trainings(runs):
    assert sorted(runs) == ["reseed-1", "reseed-2", "same-1"]
    rows = {name: [json.loads(path.read_text()) for path in gated.cells(out)] for name, out in runs.items()}
    for same, other in zip(rows["same-1"], rows["reseed-1"], strict=True):
        assert same["counts"] == other["counts"]
        assert same["data"] == other["data"]
        assert same["scores"] != other["scores"]


def test_it_says_the_noise_and_the_loss_that_is_seen_of_each_line(ran):
    lines = ran[1].out.splitlines()
    name = gated.LABELS.format(augmenter="random", correction="la-natural")
    assert [line.split("│")[1].strip() for line in lines if line.strip().startswith(name)] == [
        "balanced accuracy",
        "minority recall",
        "lift of balanced accuracy",
        "lift of minority recall",
    ]
    assert lines[-1] == "written: baseline.json: noise of 4 lines"


def test_nothing_else_of_the_baseline_changes(ran, before):
    after = baselines.read(ran[0].path / "baseline.json")
    bare = [line.model_copy(update={"noise": {}, "lift_noise": {}}) for line in after.lines]
    assert after.model_copy(update={"lines": tuple(bare), "calibration": None}) == before


def test_a_reseeded_run_passes_the_calibrated_gate_and_a_loss_does_not(here, runs, tmp_path):
    assert here("check", runs["reseed-1"], "--baseline", "baseline.json").code == 0
    worse = gated.copied(runs["reseed-1"], tmp_path / "worse")
    gated.move(worse, "balanced_accuracy", -0.3)
    done = here("check", worse, "--baseline", "baseline.json")
    assert done.code == 1
    assert "Student's t with calibrated noise; 2 repetitions" in done.out


def test_the_same_command_again_runs_nothing_again(here):
    done = here("calibrate", *PROJECT)
    assert done.code == 0
    assert done.err.count("4 finished before, 0 to run") == 3


def test_its_runs_go_where_they_are_wanted(here, tmp_path):
    done = here("calibrate", *PROJECT[:-1], 1, "--same", 0, "--out", tmp_path / "runs")
    assert done.code == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["reseed-1"]
    here("calibrate", *PROJECT)  # as it was, for the others


def test_a_line_whose_reseeded_runs_failed_keeps_no_noise_and_is_named(before, runs, tmp_path):
    failed = gated.copied(runs["reseed-2"], tmp_path / "reseed-2")
    gated.end(failed, "failed", "boom", augmenter="random", repetitions=1)
    found = calibration.calibrated(before, [measured(runs["reseed-1"]), measured(failed)], [])
    assert {labels[3:]: why for labels, why in found.left_out.items()} == {
        ("random", "linear@steps=100", correction): "reseed-2, repetition 0: failed: boom"
        for correction in ("none", "la-natural")
    }
    assert {line.labels[3] for line in found.baseline.lines if line.noise} == {"none"}
    assert found.statuses == {"done": 2, "failed": 2}


def test_runs_on_other_data_tell_no_noise(before, runs, tmp_path):
    other = gated.copied(runs["reseed-1"], tmp_path / "reseed-1")
    for path in gated.cells(other):
        gated.edit(path, lambda row: row["data"].update(fingerprint="other"))
    found = calibration.calibrated(before, [measured(other)], [])
    assert set(found.left_out.values()) == {"reseed-1, repetition 0: other data than the baseline's"}


def test_lines_that_the_same_seeds_gave_otherwise_are_named(before, runs, tmp_path):
    same = gated.copied(runs["same-1"], tmp_path / "same-1")
    gated.move(same, "balanced_accuracy", 0.05)
    found = calibration.calibrated(before, [measured(runs["reseed-1"])], [measured(same)])
    assert [labels[3:] for labels in found.moved] == [("none", "linear@steps=100", "none")]
    assert found.baseline.lines[0].noise["balanced_accuracy"].nondeterminism > 0.02


def test_an_experiment_that_cannot_be_planned_here_is_one_line(here, ran):
    home = ran[0]
    text = (home.path / "before.json").read_text().replace('"linear@steps=100"', '"liner@steps=100"')
    (home.path / "foreign.json").write_text(text)
    done = here("calibrate", "--baseline", "foreign.json", *PROJECT[2:])
    assert done.code == 2
    assert done.err.startswith("benchfw: no classifier named 'liner'; did you mean 'linear'?")
    assert done.err.count("\n") == 1


def test_a_calibration_needs_a_baseline(here):
    assert here("calibrate", "--baseline", "nowhere.json").code == 2


def test_its_help_loads_no_heavy_library(ran):
    script = (
        "import sys; sys.argv[1:] = ['calibrate', '--help']\n"
        "from benchfw.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "print(*sorted(set(sys.modules) & {'numpy', 'pandas', 'scipy', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ran[0].environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
