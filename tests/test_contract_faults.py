"""Every check of the contract finds the faults that it is for, and no check finds one in a sound component."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from faults import classifiers, datasets, declarations, extractors, heavy, joint, selectors, signatures, synthesizers

from benchfw import CannotRun, DataError
from benchfw.testing import Breach, Limits, NotChecked, Shapes, all_checks, checks_of
from benchfw.testing.report import examine
from benchfw.testing.subject import Subject

PLANTED = (classifiers, datasets, declarations, extractors, heavy, joint, selectors, synthesizers)
FAULTS = {component: checks for module in PLANTED for component, checks in module.FAULTS.items()}
SOUND = [component for module in PLANTED for component in getattr(module, "SOUND", ())]
LOW = Limits(seconds=1, mib=256)
UNPLANTED = {"on-the-gpu"}  # it is looked at where there is one


@cache
def failing(component, limits=None):
    return {
        line.check.name: line.reason for line in examine(Subject(component, limits)).lines if line.outcome == "failed"
    }


@pytest.mark.parametrize("component", FAULTS, ids=lambda component: component.__name__)
def test_a_planted_fault_fails_the_check_that_is_meant_for_it_and_no_other(component):
    found = failing(component, LOW if FAULTS[component] == {"within-limits"} else None)
    assert set(found) == FAULTS[component], found
    assert all(reason and "\n" not in reason for reason in found.values())


@pytest.mark.parametrize("component", SOUND, ids=lambda component: component.__name__)
def test_a_sound_component_passes_every_check(component):
    examined = examine(Subject(component))
    assert {line.check.name: line.reason for line in examined.lines if line.outcome == "failed"} == {}
    assert examined.passed


def test_every_check_has_a_planted_fault():
    assert {check.name for check in all_checks()} - set().union(
        *FAULTS.values(), *signatures.FAULTS.values()
    ) == UNPLANTED


def test_every_role_has_a_sound_component():
    roles = {role for check in all_checks() for role in check.roles}
    assert {role for role in roles if not any(issubclass(sound, role) for sound in SOUND)} == set()


@pytest.mark.parametrize("component", [synthesizers.Noisy, classifiers.Small, extractors.Conv, joint.Plain])
def test_a_sound_component_passes_on_other_shapes(component):
    shapes = Shapes(vector=(5,), map=(6, 2, 5), image=(3, 15, 15))
    assert examine(Subject(component, shapes=shapes)).passed


def test_a_check_can_be_called_by_itself():
    checks = {check.name: check for check in checks_of(synthesizers.TooFew)}
    assert checks["name"](synthesizers.TooFew) is None
    with pytest.raises(Breach, match=r"sample, for 60 labels: synthetic rows: wants float32 \(60, 8\), found"):
        checks["rows"](synthesizers.TooFew)
    with pytest.raises(NotChecked, match="nothing to look at while rows fails"):
        checks["same-seed"](synthesizers.TooFew)


def test_an_exception_is_told_with_its_place_in_the_plugin():
    (reason,) = failing(synthesizers.WantsTwo).values()
    lines = Path(synthesizers.__file__).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, start=1) if "of_class(c)[1]" in text)
    assert reason.startswith("raised IndexError: index 1 is out of bounds for dimension 0 with size 1")
    assert f"(synthesizers.py:{line}); wants classes of 1 and 2 samples to work, or CannotRun" in reason


@pytest.mark.parametrize(
    ("component", "cure"),
    [
        (classifiers.WholeSeed, "seeds reach 2**63, and scikit-learn and numpy want seed % 2**32"),
        (classifiers.Probabilities, "these look like probabilities, each row sums to 1; return their logarithm"),
        (classifiers.RequiresGrad, "predict returned a tensor that requires grad; wants it detached: @torch.no_grad()"),
        (classifiers.RarestFirst, "rows of class 0 score highest in column 2; column c is class c's"),
        (synthesizers.AFewAtATime, "sample, for 4096 labels: synthetic rows: wants float32 (4096, 8), found"),
        (
            selectors.PoolAsLong,
            "where train.values holds rows of other parts too; read rows(index), of_class(c), draw(",
        ),
        (extractors.Flips, "make a generator in it: torch.Generator(ctx.device).manual_seed(ctx.seed)"),
        (extractors.OneChannel, "on images of 3 channels it raised RuntimeError"),
        (extractors.SaysNoHead, "add the word, or let network.head be None"),
        (datasets.LabelTooHigh, "load: train: wants labels in 0..2, found 1..3; mend what it makes of its files"),
        (datasets.LabelsBeside, "LICENSE, which load reads; list it"),
    ],
)
def test_a_breach_says_how_to_mend_it(component, cure):
    (reason,) = failing(component).values()
    assert cure in reason


@pytest.mark.parametrize("error", [CannotRun, DataError])
def test_an_extractor_may_refuse_other_channels_in_words(error):
    @dataclass(frozen=True)
    class Grey(extractors.OneChannel):
        """It says what it wants."""

        def build(self, image_shape, n_classes):
            if image_shape[0] != 1:
                raise error(f"conv: wants images of 1 channel, found {image_shape[0]}")
            return super().build(image_shape, n_classes)

    checks = {check.name: check for check in checks_of(Grey)}
    with pytest.raises(NotChecked, match="it says that it cannot: conv: wants images of 1 channel, found 3"):
        checks["other-channels"](Grey)


def test_a_check_does_not_disturb_what_the_process_shares():
    import random

    import torch

    from benchfw.testing.surroundings import settings

    def state():
        return random.getstate(), torch.get_rng_state().tolist(), settings()

    before = state()
    for component in (
        *(synthesizers.Directory, synthesizers.Threads, synthesizers.SeedsPython, synthesizers.Environment),
        *(synthesizers.BenchmarkInSample, synthesizers.FlushesDenormals, classifiers.FlagInPredict),
    ):
        assert failing.__wrapped__(component)
        assert state() == before, component


def test_a_changed_setting_is_named_and_put_back():
    import sys

    import numpy as np
    import torch

    from benchfw.testing.surroundings import restored, settings

    before = settings()
    with restored() as changed:
        np.seterr(all="raise")
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        torch.set_flush_denormal(True)
        torch.backends.mkldnn.enabled = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    assert settings() == before
    assert {text.partition(" from ")[0] for text in changed} == {
        *(
            "numpy's errors",
            "the recursion limit",
            "torch's flush of denormal numbers",
            "torch.backends.mkldnn.enabled",
        ),
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    }


def test_the_fresh_process_works_where_this_one_works(tmp_path, monkeypatch):
    assert examine(Subject(datasets.Squares)).passed
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQUARES", "1")
    (tmp_path / "squares.txt").write_text("here")
    assert examine(Subject(datasets.Beside)).passed
