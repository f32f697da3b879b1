"""Edges: the order of rows, tiny classes, NaN, other batches, a GPU."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw.components import Classifier, Extractor, JointTrainer, NeuralExtractor, Selector, Synthesizer
from benchfw.embedding import alike
from benchfw.errors import CannotRun, DataError
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS, check_answer
from benchfw.testing.check import Breach, NotChecked, check, said
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

LEARNERS = (NeuralExtractor, Synthesizer, Selector, JointTrainer, Classifier)
VOTERS = 0.8  # of the rows must lie in a blob, or a generator is too weak to say in which order they are
CLEARLY = 0.3  # more of the rows must fit another order than fit the labels: noise differs by 0.1


@check("row-order", "row i of class labels[i]", Synthesizer, after=OUTPUTS)
def row_order(subject: Subject) -> None:
    """On blobs far apart, rows in another order or under other labels fit those clearly better.

    Where a weak generator hits no blob, its rows are held against those that it gives of each class alone. Noise that
    knows no label has no order to be wrong.
    """
    made = subject.trial()
    assert made.toy is not None
    labels, rows = made.toy.labels, made.outcome["answer"]
    nearest, inside = _nearest(rows)
    if float(inside.float().mean()) < VOTERS:
        nearest = _nearest_alone(subject, rows)
    given = float((nearest == labels).float().mean())
    others = {"the labels in sorted order": labels.sort().values}
    for other in list(permutations(range(toys.K)))[1:]:
        others[f"the labels with classes 0, 1, 2 as {', '.join(map(str, other))}"] = torch.tensor(other)[labels]
    for what, order in others.items():
        found = float((nearest == order).float().mean())
        if found > given + CLEARLY:
            raise Breach(
                f"sample: {found:.0%} of the rows fit {what}, {given:.0%} those asked for; row i is labels[i]'s"
            )


def _nearest(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The class whose mean is nearest to each row, and whether the row lies in its blob."""
    centres = toys.means(tuple(rows.shape[1:])).flatten(1)
    distance, nearest = torch.cdist(rows.flatten(1), centres).min(1)
    return nearest, distance < 2 * centres.shape[1] ** 0.5


def _nearest_alone(subject: Subject, rows: Tensor) -> Tensor:
    """The class of each row by the means of what is made of one class at a time. Raises NotChecked where those mix."""
    alone = torch.stack([subject.trial().ask(torch.full((40,), c)).flatten(1) for c in range(toys.K)])  # (K, 40, D)
    centres = alone.mean(1)
    own = torch.cdist(alone, centres).argmin(2) == torch.arange(toys.K)[:, None]  # (K, 40)
    if float(own.float().mean()) < VOTERS:
        raise NotChecked("its rows lie in no class of the toy set, so they show no order")
    return torch.cdist(rows.flatten(1), centres).argmin(1)


@check("tiny-classes", "classes of 1 and 2 samples to work, or CannotRun", *LEARNERS, after=REPEATABLE)
def tiny_classes(subject: Subject) -> None:
    """The tails of real data, twice, since they are where a second way is taken."""
    try:
        one, again = (subject.tried(subject.toy(counts=toys.TINY)) for _ in range(2))
    except CannotRun as reason:
        raise NotChecked(f"it says that it cannot: {reason}") from reason
    check_answer(subject, one)
    if one.digest != again.digest:
        where = trial.differing(one.digest, again.digest)
        raise Breach(
            f"with classes of 1 and 2 samples two fits with one seed differ in {where}; draw from ctx.rng and rng"
        )


@check(
    "other-channels",
    "images of another number of channels to work, or CannotRun",
    *(Extractor, NeuralExtractor),
    after=OUTPUTS,
)
def other_channels(subject: Subject) -> None:
    """Three channels, or one where the toy images have three."""
    channels, height, width = subject.shapes.image
    other = 3 if channels == 1 else 1
    try:
        check_answer(subject, subject.tried(toys.images((other, height, width))))
    except (CannotRun, DataError) as reason:
        raise NotChecked(f"it says that it cannot: {reason}") from reason
    except Exception as error:
        cure = "take the number from the images, or raise CannotRun"
        raise Breach(f"on images of {other} channel{'s' * (other > 1)} it {said(error)}; {cure}") from error


@check("nan-shows", "an error for NaN rows, or NaN in its own rows", Synthesizer, after=OUTPUTS)
def nan_shows(subject: Subject) -> None:
    """Finite rows of a class whose rows are all NaN are made up."""
    toy = subject.toy()
    toy.train.values[toy.train.labels == 1] = torch.nan
    try:
        rows = subject.tried(toy).outcome["answer"]
    except Exception:  # raising is an answer too, whatever it raises
        return
    made = int(rows.isfinite().flatten(1).all(1).sum()) - int((toy.labels != 1).sum())
    if made > 0:  # counted over all rows, since their order is the business of another check
        raise Breach(f"sample: {made} finite rows of a class that has NaN alone; wants an error, or NaN: hide none")


@check(
    "nan-stays",
    "an error for a NaN row, or the other rows' scores as they were",
    *(Classifier, JointTrainer),
    after="batch-size",
)
def nan_stays(subject: Subject) -> None:
    """One row of a batch is NaN."""
    rows, before = subject.toy().rows, subject.trial().outcome["answer"]
    rows[3] = torch.nan
    try:
        scores = subject.trial().ask(rows)
    except Exception:  # raising is an answer too, whatever it raises
        return
    others = torch.arange(len(rows)) != 3
    if len(scores) != len(rows):
        raise Breach(f"predict: found {len(scores)} rows of scores for {len(rows)} rows with a NaN; wants all of them")
    if not alike(before[others], scores[others]):
        raise Breach("predict: a NaN row changes the scores of the others; wants each row scored by itself")


@check(
    "batch-size",
    "the same answer for a row, whatever the other rows of its batch",
    Extractor,
    NeuralExtractor,
    Classifier,
    JointTrainer,
    after=(*REPEATABLE, "same-question"),
)
def batch_size(subject: Subject) -> None:
    """All rows at once, the first seven, and one by one."""
    first = subject.trial()
    assert first.toy is not None
    whole, rows = first.outcome["answer"], first.toy.rows
    single = torch.cat([first.ask(row) for row in rows.split(1)])
    if not alike(whole[:7], first.ask(rows[:7])) or not alike(whole, single):
        cure = "batch norm and dropout in evaluation mode"
        if issubclass(subject.type, Extractor):
            cure = "each image taken by itself: no number that is measured in a batch, or drawn for its place in it"
        raise Breach(f"the answer for a row changes with the other rows of its batch; wants {cure}")


@check("on-the-gpu", "the same on the GPU that the context names", Extractor, *LEARNERS, after=OUTPUTS)
def on_the_gpu(subject: Subject) -> None:
    """Rows on the device of the features; nothing calls .cuda() by itself."""
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
    if not device:
        raise NotChecked("there is no GPU on this machine")
    check_answer(subject, subject.tried(subject.toy(device=device), device=device))
