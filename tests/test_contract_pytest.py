"""The contract's checks under pytest, as a plugin's author runs them: real sessions in processes of their own."""

import subprocess
import sys

import pytest
from commands import Home

PLUGIN = '''
from dataclasses import dataclass

from benchfw import CannotRun, Synthesizer, hookimpl, param


@hookimpl
def register_augmenters(register):
    register(Jitter)


@dataclass(frozen=True)
class Jitter(Synthesizer):
    """Repeat rows with noise."""

    name = "jitter"
    scale: float = param(0.1, "noise", ge=0)

    def fit(self, train, val, ctx):
        def sample(labels, rng):
            rows = train.draw(labels, rng)
            return rows + self.scale * rows.new_empty(rows.shape).normal_(generator=rng)

        return sample


@dataclass(frozen=True)
class Mean(Jitter):
    """The class mean, each time the same."""

    name = "mean"

    def fit(self, train, val, ctx):
        import torch

        means = torch.stack([train.of_class(c).mean(0) for c in range(train.space.n_classes)])
        return lambda labels, rng: means[labels]


@dataclass(frozen=True)
class Refuses(Jitter):
    """It runs nowhere."""

    name = "refuses"

    def fit(self, train, val, ctx):
        raise CannotRun("it wants a million rows")
'''
TEST = """
from benchfw.testing import parametrize_components
from my_aug import Jitter, Mean, Refuses

@parametrize_components({arguments})
def test_contract(component, check):
    check(component)
"""
EXPECTED = '{"other-seed": "it gives one row for each class, by design"}'


@pytest.fixture
def session(tmp_path):
    """Run pytest over a test of these arguments of `parametrize_components`, beside the plugin `my_aug.py`."""
    home = Home(tmp_path)
    (tmp_path / "my_aug.py").write_text(PLUGIN)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")

    def run(arguments, *words):
        (tmp_path / "test_my_aug.py").write_text(TEST.format(arguments=arguments))
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", *words]
        return subprocess.run(command, cwd=tmp_path, env=home.environment, capture_output=True, text=True)

    return run


def test_a_sound_plugin_passes_under_names_that_say_component_and_check(session):
    done = session("[Jitter, Jitter(scale=0.5)]", "-vv")
    assert done.returncode == 0, done.stdout
    assert "test_contract[jitter-same-seed] PASSED" in done.stdout
    assert "test_contract[jitter@scale=0.5-no-leak] PASSED" in done.stdout
    assert "failed" not in done.stdout


def test_a_breach_is_one_line_without_a_traceback(session):
    done = session("[Mean]")
    assert done.returncode == 1
    assert "mean: other-seed: sample: another rng gives the same rows; wants" in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 failed" in done.stdout


def test_an_expected_failure_with_its_reason_passes(session):
    done = session(f"[Mean], expected_failures={EXPECTED}", "-rx")
    assert done.returncode == 0, done.stdout
    assert "it gives one row for each class, by design" in done.stdout
    assert "1 xfailed" in done.stdout


def test_an_expected_failure_that_passes_fails(session):
    done = session(f"[Jitter], expected_failures={EXPECTED}", "-k", "other-seed")
    assert done.returncode == 1
    assert "[XPASS(strict)] it gives one row for each class, by design" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('[Mean], expected_failures={"other-seed": " "}', "expected failure of other-seed: found no reason; say why"),
        ('[Mean], expected_failures={"other-sed": "so"}', "no check named 'other-sed'; did you mean 'other-seed'?"),
        ('[Mean], expected_failures={"scores": "so"}', "scores is a check of none of these components; leave it out"),
        ("[]", "found no component; wants at least one"),
        ("Mean", "found Mean; wants a list of components, e.g. parametrize_components([Mean])"),
        ("[3]", "3: wants a component class, an instance, or a function of an empty directory that returns an"),
        ("[lambda folder: folder / 'x']", "wants an instance of a component"),
        ("[lambda folder: 1 / 0]", "raised ZeroDivisionError: division by zero (test_my_aug.py:5)"),
    ],
)
def test_a_wrong_argument_is_one_line_of_the_collection(session, arguments, said):
    done = session(arguments)
    assert done.returncode == 2
    assert f"parametrize_components: {said}" in done.stdout or said in done.stdout
    assert "Traceback" not in done.stdout


def test_a_component_whose_behaviour_nobody_looked_at_fails_the_session(session):
    done = session("[Jitter, Refuses]")
    assert done.returncode == 1
    assert "failed" not in done.stdout
    said = "test_my_aug.py::test_contract, refuses: every check that runs it was skipped, so nothing is known of it"
    assert said in done.stdout
    assert "jitter: every check" not in done.stdout


def test_a_part_of_the_suite_may_be_skipped_whole(session):
    done = session("[Refuses]", "-k", "same-seed")
    assert done.returncode == 0, done.stdout


def test_importing_the_checks_loads_neither_torch_nor_pytest():
    code = "import sys, benchfw.testing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "pytest"} & set(done.stdout.split()) == set()
