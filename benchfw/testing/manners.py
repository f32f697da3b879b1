"""What a component leaves as it was: its inputs, itself, its context, global generators and the process's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchfw.components import (
    Classifier,
    Component,
    Extractor,
    JointTrainer,
    NeuralExtractor,
    Selector,
    Synthesizer,
)
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS
from benchfw.testing.check import Breach, check
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

LEARNERS = (NeuralExtractor, Synthesizer, Selector, JointTrainer, Classifier)


@check("inputs-unchanged", "inputs that are left as they were", Extractor, *LEARNERS, after=OUTPUTS)
def inputs_unchanged(subject: Subject) -> None:
    """Values, labels, ids and positions of train and val, and the rows and labels it is asked about."""
    changed = subject.trial("again").inputs
    if changed:
        raise Breach(f"changed {changed} in place; wants its inputs untouched: clone before writing")


@check(
    "keeps-nothing",
    "no state on itself, its class or its module: what was learned is in the product",
    Component,
    after=REPEATABLE,
)
def keeps_nothing(subject: Subject) -> None:
    """Fit it, fit it to other data, of this size and of another, and fit it again: nothing may be another one."""
    if fields := subject.trial().fields or subject.trial("again").fields:
        raise Breach(f"self.{fields[0]} was set; a component keeps no state: return it in the product")
    if subject.is_dataset:
        return
    for other in (subject.toy(seed=1), subject.toy(seed=1, counts=toys.OTHER_COUNTS)):
        subject.tried(other)
    last = subject.tried(subject.toy())
    if last.digest != subject.trial().digest:
        where = trial.differing(last.digest, subject.trial().digest)
        raise Breach(f"after a fit to other data it gives other bytes in {where}; keep nothing in a module or a class")


@check("context-given-back", "a context that is not kept after the call", *LEARNERS, after=OUTPUTS)
def context_given_back(subject: Subject) -> None:
    """A context is lent for one call; its warnings and numbers are read when the call is over."""
    if subject.trial("again").kept:
        raise Breach("ctx is alive after the fit; wants it given back: keep ctx.device or a number of it, not ctx")


@check("no-reseeding", "global generators that nobody seeds", Component, after=OUTPUTS)
def no_reseeding(subject: Subject) -> None:
    """From two different states of a generator, equal states come out only where it was seeded."""
    one, other = (subject.trial(f"world {world}", world=world).generators for world in (1, 2))
    seeded = [name for name in one if one[name] == other[name]]
    if seeded:
        cure = "use ctx.rng, or a generator of your own that is seeded with ctx.seed"
        raise Breach(f"seeds the global generator of {' and '.join(seeded)}; {cure}")


@check("settings-kept", "torch's settings, environment, directory and warnings as they were", Component, after=OUTPUTS)
def settings_kept(subject: Subject) -> None:
    """Look at the second fit and use, since the first may load libraries that set something up for themselves."""
    changed = subject.trial("again").settings
    if changed:
        raise Breach(f"changed {changed[0]}; wants the process's settings untouched: they belong to the harness")
