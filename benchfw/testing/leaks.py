"""What may not get into an answer: rows that are in no training part, and validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchfw.components import Classifier, Dataset, JointTrainer, NeuralExtractor, Selector, Synthesizer
from benchfw.errors import BenchfwError, CannotRun
from benchfw.imbalance import Imbalance
from benchfw.splits import repeated, split
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS
from benchfw.testing.check import Breach, check, said
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

CURE = "read rows(index), of_class(c), draw(labels, rng), blocks() or numpy()"
AWAY = 1000.0  # from where the validation rows were; no row of the training part is a tenth as far
AXES = {"dataset": "toy", "imbalance": "natural", "repetition": 0}


@check(
    "no-leak",
    "nothing taken from the pool's other rows, which may be test rows",
    *(NeuralExtractor, Synthesizer, Selector, JointTrainer, Classifier),
    after=(*REPEATABLE, "inputs-unchanged", "keeps-nothing"),
)
def no_leak(subject: Subject) -> None:
    """Fit it to the same rows as views on pools with other rows, far ones and near ones; not a byte may differ."""
    own = subject.trial().digest
    for mark in (toys.FAR, toys.FAR + 1):
        found = _on_a_pool(subject, mark).digest
        if found != own:
            where = trial.differing(found, own)
            raise Breach(f"other rows of the pool, which may be test rows, change {where}; {CURE}, never the pool")


def _on_a_pool(subject: Subject, mark: int) -> trial.Trial:
    try:
        return subject.tried(subject.toy(mark=mark))
    except (Breach, CannotRun):
        raise
    except Exception as error:
        pool = "train.pool" if issubclass(subject.type, NeuralExtractor) else "train.values"
        raise Breach(f"{said(error)}, where {pool} holds rows of other parts too; {CURE}, never the pool") from error


@check("no-validation-rows", "rows none of which is a validation row", Synthesizer, after=OUTPUTS)
def no_validation_rows(subject: Subject) -> None:
    """What is chosen on validation rows may not be trained on them: no copy of one, and no mixture with one."""
    made = subject.trial()
    assert made.toy is not None
    held = made.toy.val.rows(torch.arange(len(made.toy.val)))
    equal = (made.outcome["answer"].flatten(1)[:, None] == held.flatten(1)[None]).all(2).any(1)
    if bool(equal.any()):
        raise Breach(f"sample: {int(equal.sum())} of {len(equal)} rows are validation rows; wants none: fit to train")
    toy = subject.toy()
    toy.val.values.add_(AWAY)
    try:
        rows = subject.tried(toy).outcome["answer"]
    except Exception:  # it may well refuse them
        return
    mixed = (rows.flatten(1).abs() > AWAY / 10).any(1)
    if bool(mixed.any()):
        raise Breach(f"sample: {int(mixed.sum())} of {len(mixed)} rows are mixed with validation rows; fit to train")


@check("parts-are-apart", "no sample and no group in two parts", Dataset, after=OUTPUTS)
def parts_are_apart(subject: Subject) -> None:
    """Split it as a run does, and look for samples that are equal to the last number."""
    loaded = subject.trial().made.product
    try:
        split(loaded, Imbalance("natural"), test_fraction=0.2, val_fraction=0.1, seed=0, axes=AXES)
    except BenchfwError as error:
        raise Breach(str(error)) from error
    parts = list(loaded.parts.items())
    for n, (name, part) in enumerate(parts):
        for other_name, other in parts[n + 1 :]:
            again = repeated(other, part)
            if again:
                found = f"{again} of {len(other)} {other_name} samples are {name} samples too, to the last number"
                raise Breach(f"{found}; wants them on one side: remove the others")
