"""The same from the same: seed, process, question; and something else from another seed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchfw.components import (
    Classifier,
    Component,
    Dataset,
    Extractor,
    JointTrainer,
    NeuralClassifier,
    NeuralExtractor,
    Selector,
    Synthesizer,
    label,
)
from benchfw.seeding import isolated
from benchfw.testing import trial
from benchfw.testing.answers import OUTPUTS
from benchfw.testing.check import Breach, NotChecked, check

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

OTHER = 2**60 + 424_242  # a seed
LEARNERS = (Extractor, NeuralExtractor, Synthesizer, Selector, JointTrainer, Classifier)
PREDICTORS = (Extractor, NeuralExtractor, Synthesizer, JointTrainer, Classifier)
OWN_GENERATOR = "make a generator in it: torch.Generator(ctx.device).manual_seed(ctx.seed)"
REPEATABLE = (*OUTPUTS, "same-seed")


@check("same-seed", "the same bytes from the same seed and data, each time", Component, after=OUTPUTS)
def same_seed(subject: Subject) -> None:
    """Fit and use it twice, each time with a fresh context and fresh data."""
    first, again = subject.trial(), subject.trial("again")
    if first.digest != again.digest:
        where = trial.differing(first.digest, again.digest)
        raise Breach(f"two fits with one seed differ in {where}; wants all randomness from ctx.rng and rng")


@check("other-seed", "other numbers from another seed", *LEARNERS, after=REPEATABLE)
def other_seed(subject: Subject) -> None:
    """A generator of its own with a fixed seed would give every repetition of a run the same numbers."""
    first = subject.trial()
    if issubclass(subject.type, Synthesizer):
        other = subject.trial("other rng", draws=OTHER, world=OTHER)
        if other.digest == first.digest:
            raise Breach("sample: another rng gives the same rows; wants every random number from the rng it is handed")
        return
    other = subject.trial("other seed", seed=OTHER)
    if other.digest != first.digest:
        return
    if not issubclass(subject.type, NeuralExtractor | NeuralClassifier | JointTrainer):
        raise NotChecked("it draws nothing: another seed gives the same")
    if getattr(subject.component, "steps", 1) == 0:
        raise NotChecked("with steps=0 it draws nothing")
    raise Breach("fit: another seed gives the same weights; wants every random number from ctx.rng")


@check("fresh-process", "a class that a fresh process finds, and the same bytes there", Component, after=REPEATABLE)
def fresh_process(subject: Subject) -> None:
    """Workers are fresh processes: they import the plugin, and build the component from its parameters."""
    found = subject.elsewhere
    if found.missing:
        wants = f"{subject.type.__qualname__} at the top of a module that can be imported"
        raise Breach(f"a fresh process cannot make it: {found.missing}; wants {wants}")
    if found.error:
        raise Breach(f"in a fresh process it {found.error}; wants what it gives here")
    if found.digest != subject.trial().digest:
        where = trial.differing(found.digest, subject.trial().digest)
        cure = "nothing may hang on the process, on what was fitted there before, the order of a set, or the time"
        raise Breach(f"a fresh process gives other bytes in {where}; {cure}")


@check("same-question", "the same answer to the same question, whoever asked before", *PREDICTORS, after=REPEATABLE)
def same_question(subject: Subject) -> None:
    """Ask a product twice, with the same rng and other states of the global generators."""
    first, answers = subject.trial(), []
    for world in (1, 2):
        with isolated(world):
            answers.append(first.ask(trial.question(subject.component, first.toy)).clone())
    if not torch.equal(*answers):
        cure = "draw from the rng that is handed in, never from a global generator, and predict in evaluation mode"
        if issubclass(subject.type, Extractor):
            cure = f"embed is called for each block; {OWN_GENERATOR}"
        raise Breach(f"the same question has another answer the second time; {cure}")


@check(
    "fill-is-outside", "a fit that does not depend on `fill`, which the harness applies", Synthesizer, after=REPEATABLE
)
def fill_is_outside(subject: Subject) -> None:
    """All values of `fill` share one fit in the cache."""
    component = subject.component
    half = trial.tried(replace(component, fill=0.5 if component.fill != 0.5 else 1.0), subject.toy())
    if half.digest != subject.trial().digest:
        raise Breach(
            "fit: another fill gives other rows; the harness asks for as many rows as fill says, so leave it out"
        )


@check("files-exist", "files(downloads) that exist, since their contents enter the key", Dataset, after=OUTPUTS)
def files_exist(subject: Subject) -> None:
    """What the key of a stored result holds of a data set."""
    with tempfile.TemporaryDirectory(prefix="benchfw-") as folder:
        listed = list(subject.component.files(Path(folder)))
        for path in listed:
            if not isinstance(path, Path) or not path.is_file():
                raise Breach(f"files: found {path!r}, which is no file; wants Paths of files that exist, or none")
    if not listed:
        raise NotChecked(f"{label(subject.component)} lists no files")


@check(
    "files-complete",
    "files(downloads) with every file that load reads",
    Dataset,
    after=("fresh-process", "files-exist"),
)
def files_complete(subject: Subject) -> None:
    """What is read and left out may change without the key."""
    if subject.elsewhere.unlisted:
        first = subject.elsewhere.unlisted[0]
        raise Breach(f"files: leaves out {first}, which load reads; list it, since its contents enter the key")
