"""The pytest plugin: a test holds a run against its baseline, and pytest starts as light as without it."""

import shutil
import subprocess
import sys
from pathlib import Path

import gated
import pytest
from commands import Home

ROOT = Path(__file__).parents[1]
CHECKS = """
import pytest

@pytest.mark.benchfw("out", baseline="baseline.json")
def test_the_table_has_not_become_worse(benchfw_table):
    benchfw_table.check()
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run with its baseline."""
    home = Home(tmp_path_factory.mktemp("tested"))
    assert home.run(*gated.words(3, "--out", "out")).code == 0
    assert home.run(*gated.update()).code == 0
    return home


@pytest.fixture
def project(ran, tmp_path):
    """A project with that run and its baseline; call it with the text of a test file to run pytest there."""
    shutil.copytree(ran.path / "out", tmp_path / "out")
    shutil.copy(ran.path / "baseline.json", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")

    def run(text, *words):
        (tmp_path / "test_it.py").write_text(text)
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", *words, "test_it.py"]
        return subprocess.run(command, cwd=tmp_path, env=ran.environment, capture_output=True, text=True)

    run.path = tmp_path
    return run


def test_a_run_as_it_was_passes(project):
    done = project(CHECKS)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_run_that_got_worse_fails_with_the_words_of_the_command(project):
    gated.move(project.path / "out", "balanced_accuracy", -0.3)
    done = project(CHECKS)
    assert done.returncode == 1
    name = gated.LABELS.format(augmenter="none", correction="none")
    assert f"worse: {name}: balanced accuracy" in done.stdout
    assert "FAILED: 24 comparisons" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_missing_cell_fails(project):
    gated.cells(project.path / "out")[0].unlink()
    assert "repetition 0: not run" in project(CHECKS).stdout


def test_a_tolerance_may_be_given(project):
    gated.move(project.path / "out", "balanced_accuracy", -0.03)
    assert project(CHECKS).returncode == 1
    tolerant = CHECKS.replace("check()", 'check(tolerances={"balanced_accuracy": 0.04})')
    assert project(tolerant).returncode == 0


def test_lifts_and_gains_are_those_of_the_table(project):
    done = project(
        """
import pytest

@pytest.mark.benchfw("out")
def test_lifts(benchfw_table):
    frame = benchfw_table.frame
    line = frame[(frame.augmenter == "random") & (frame.correction == "none")].iloc[0]
    assert benchfw_table.lift("random").mean == line.balanced_accuracy_lift
    assert benchfw_table.lift("random", "ece").mean == line.ece_lift
    assert benchfw_table.gain("random", correction="none").n == 3

@pytest.mark.benchfw("out")
def test_names(benchfw_table):
    failed = pytest.fail.Exception
    with pytest.raises(failed, match="0 lines have augmenter 'rando', correction 'none'; wants one of: digits"):
        benchfw_table.lift("rando")
    with pytest.raises(failed, match="benchfw_table.gain: no label named 'clasifier'; did you mean 'classifier'"):
        benchfw_table.gain("random", clasifier="linear")
    with pytest.raises(failed, match="benchfw_table.lift: no metric named 'ecee'; did you mean 'ece'"):
        benchfw_table.lift("random", "ecee")
    with pytest.raises(failed, match="no argument named 'tolerance'; did you mean 'tolerances'"):
        benchfw_table.check(tolerance={"ece": 0.1})
"""
    )
    assert done.returncode == 0, done.stdout


def test_an_experiment_is_run_first(project):
    done = project(
        """
import pytest

SETTINGS = {"repetitions": 1, "references": False}
AXES = {"extractors": "pixels", "augmenters": "none", "classifiers": "linear@steps=5"}

@pytest.mark.filterwarnings("default")
@pytest.mark.benchfw(experiment="quick", out="fresh", cache="off", settings=SETTINGS, **AXES)
def test_it(benchfw_table):
    assert len(benchfw_table.frame) == 2
"""
    )
    assert done.returncode == 0, done.stdout
    assert (project.path / "fresh" / "table.csv").exists()


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("", "the test names no run; wants @pytest.mark.benchfw("),
        ("@pytest.mark.benchfw()", "wants a results directory, or experiment="),
        ('@pytest.mark.benchfw("out", jobs=2)', "wants a results directory, or experiment="),
        (
            '@pytest.mark.benchfw("out", baselin="x")',
            "no keyword of the marker named 'baselin'; did you mean 'baseline'?",
        ),
        ('@pytest.mark.benchfw("out", "baseline.json")', "wants one results directory; e.g. @pytest"),
        ('@pytest.mark.benchfw("nowhere")', "nowhere holds no run"),
        ('@pytest.mark.benchfw("out")', "no baseline is named; wants @pytest.mark.benchfw("),
        ('@pytest.mark.benchfw("out", baseline="none.json")', "none.json: no such baseline"),
        ('@pytest.mark.benchfw(experiment="quik")', "no experiment named 'quik'; did you mean 'quick'?"),
    ],
)
def test_a_wrong_marker_is_one_line(project, mark, message):
    done = project(f"import pytest\n\n{mark}\ndef test_it(benchfw_table):\n    benchfw_table.check()\n")
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert "During handling" not in done.stdout


def test_the_marker_is_explained(project):
    assert "@pytest.mark.benchfw(directory=None, *, baseline=None, experiment=None" in project("", "--markers").stdout


@pytest.mark.parametrize("words", [("--version",), ("--collect-only", "-q")])
def test_pytest_starts_without_any_heavy_library(project, words):
    (project.path / "conftest.py").write_text(
        "import atexit, sys\nHEAVY = {'numpy', 'pandas', 'torch', 'pydantic'}\n"
        "atexit.register(lambda: print('loaded:', *sorted(set(sys.modules) & HEAVY)))"
    )
    done = project(CHECKS, *words)
    assert done.returncode in (0, 5)
    assert "loaded:" not in done.stdout or done.stdout.splitlines()[-1] == "loaded:"


def test_the_module_of_the_plugin_loads_pytest_alone():
    script = (
        "import sys, pytest; before = set(sys.modules); import benchfw.pytest_plugin\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["benchfw"]
