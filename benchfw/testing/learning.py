"""What a classifier learns from, and what its columns and steps mean."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchfw.components import Classifier, JointTrainer, NeuralClassifier
from benchfw.context import Context
from benchfw.data import Synthesis, target_counts
from benchfw.seeding import isolated
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS, check_scores
from benchfw.testing.check import Breach, NotChecked, check
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchfw.testing.subject import Subject

SHOWN = 0.8  # of a class's rows must have one column highest, or a classifier is too weak to say whose it is
OTHER_LABELS = (1, 2, 0)  # what classes 0, 1, 2 are called in a second fit


@check("synthetic-rows", "a fit that learns from synthetic rows as from real ones", Classifier, after=REPEATABLE)
def synthetic_rows(subject: Subject) -> None:
    """Beside the real rows of each class stand synthetic ones that lie where the next class is."""
    toy = subject.toy()
    found = subject.tried(replace(toy, train=replace(toy.train, synthesis=_misplaced(toy.train))))
    check_scores(found)
    if getattr(subject.component, "steps", 1) == 0:
        raise NotChecked("with steps=0 it learns from no row")
    if found.digest == subject.trial().digest:
        cure = "wants train.numpy() or training.stream(train, ...), which hold them"
        raise Breach(f"fit: the same scores with synthetic rows as without; {cure}")


def _misplaced(train: Any) -> Synthesis:
    centres = toys.means(train.shape).roll(-1, 0)  # (K, *shape)

    def sample(labels: Tensor, rng: torch.Generator) -> Tensor:
        rows = centres[labels.cpu()].to(rng.device)
        return rows + torch.randn(rows.shape, generator=rng, device=rng.device)

    return Synthesis(sample, target_counts(train.counts(), 1.0), trial.DRAWS)


@check("column-order", "column c of class c", Classifier, JointTrainer, after=REPEATABLE)
def column_order(subject: Subject) -> None:
    """Fit it to the classes, and to the same with other labels: who learns neither, but differs, has mixed them up.

    A classifier too weak to tell the blobs apart has no order to be wrong, and one that learned nothing keeps the one
    that it began with.
    """
    called = torch.tensor(OTHER_LABELS)
    toy = subject.toy()
    other = replace(toy, train=replace(toy.train, labels=called[toy.train.labels]), val=_renamed(toy.val, called))
    one, two = (_highest(found) for found in (subject.trial(), subject.tried(other)))
    if one is None or two is None or torch.equal(one, two):
        raise NotChecked("it learns too little of the toy set to show an order of columns")
    if not torch.equal(one, torch.arange(toys.K)) and not torch.equal(two, called):
        wrong = int((one != torch.arange(toys.K)).nonzero()[0])
        raise Breach(f"predict: rows of class {wrong} score highest in column {int(one[wrong])}; column c is class c's")


def _renamed(part: Any, called: Tensor) -> Any:
    return replace(part, labels=called[part.labels])


def _highest(found: trial.Trial) -> Tensor | None:
    """The column that is highest for rows of each class, (K,); None where a class has none, or two share one."""
    assert found.toy is not None
    columns = found.outcome["answer"].argmax(1)
    mine = toys.blob_of(found.toy.rows)
    shares = torch.stack([columns[mine == c].bincount(minlength=toys.K) / (mine == c).sum() for c in range(toys.K)])
    share, highest = shares.max(1)
    return highest if bool((share > SHOWN).all()) and len(highest.unique()) == toys.K else None


@check(
    "steps-kept", "its network trained for `steps` updates, whatever the training set", NeuralClassifier, after=OUTPUTS
)
def steps_kept(subject: Subject) -> None:
    """The same budget for every augmenter; optimisers that hold weights of the network are counted step by step."""
    component, toy = subject.component, subject.toy()
    if "network" not in component.gives:
        raise NotChecked("it has a loop of its own")
    if component.steps == 0:
        raise NotChecked("with steps=0 it makes no update")
    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        network = component.network(toy.train, ctx)
        if not isinstance(network, nn.Module):
            raise NotChecked("it gives no network, see gives-true")
        with updates(network) as steps:
            component.fit_network(network, toy.train, ctx)
    if not steps():
        raise NotChecked("no optimiser of torch's moves its weights")
    if steps() != component.steps:
        raise Breach(f"fit_network: {steps()} updates of the network; wants steps={component.steps}")


@contextmanager
def updates(network: nn.Module) -> Iterator[Callable[[], int]]:
    """While it lasts, count the steps of optimisers that hold weights of a network."""
    own, steps = {id(weight) for weight in network.parameters()}, 0

    def count(optimiser: Any, *_: Any) -> None:
        nonlocal steps
        steps += any(id(weight) in own for group in optimiser.param_groups for weight in group["params"])

    watching = register_optimizer_step_post_hook(count)
    try:
        yield lambda: steps
    finally:
        watching.remove()
