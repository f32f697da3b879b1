"""What a component says that it needs, gives and accepts, held against what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

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
)
from benchfw.context import Context
from benchfw.data import FeatureSpace
from benchfw.dataset import FeatureDataset
from benchfw.seeding import isolated
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS, check_answer
from benchfw.testing.check import Breach, NotChecked, check, said
from benchfw.training import batch_norms

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

BY_CHANCE = {"natural rows"}  # a selector may find nothing to drop on this set, and much on another
ON_FEATURES = (Synthesizer, Selector, JointTrainer, Classifier)


@check("accepts-true", "every layout that it accepts to work", *ON_FEATURES, after=OUTPUTS)
def accepts_true(subject: Subject) -> None:
    """Vectors and maps, as `accepts` says."""
    first, *others = subject.component.accepts
    if not others:
        raise NotChecked(f"it accepts {first}s alone, with which all checks are done")
    for layout in others:
        _works(subject, f"accepts has {layout!r}, but on {layout}s it", subject.toy(layout=layout))


@check("layout-true", "features of the layout that it declares", Extractor, NeuralExtractor, after=OUTPUTS)
def layout_true(subject: Subject) -> None:
    """The plan matches it with what the others accept."""
    declared = subject.component.layout
    if declared is None:
        raise NotChecked("it declares no layout")
    found = FeatureSpace(tuple(subject.trial().outcome["answer"].shape[1:]), toys.K).layout
    if declared != found:
        raise Breach(f"layout: declares {declared!r}, but its features are {found}s; correct the property")


@check(
    "works-without-validation",
    "a fit without a validation part, or 'validation' in needs",
    NeuralExtractor,
    *(r for r in ON_FEATURES if r is not Selector),
    after=OUTPUTS,
)
def works_without_validation(subject: Subject) -> None:
    """Experiments without a validation part hand it None."""
    _refuse_needed(subject, "validation")
    _works(subject, "with val=None it", subject.toy().without_validation(), "; or say so: 'validation' in needs")


@check("works-without-head", "a fit without a trained head, or 'head' in needs", *ON_FEATURES, after=OUTPUTS)
def works_without_head(subject: Subject) -> None:
    """Features without a network have no head: new_head() is None."""
    _refuse_needed(subject, "head")
    _works(subject, "where new_head() is None it", subject.toy(head=False), "; or say so: 'head' in needs")


def _refuse_needed(subject: Subject, word: str) -> None:
    if word in subject.component.needs:
        raise NotChecked(f"it says that it needs {'a ' * (word != 'validation')}{word}")


def _works(subject: Subject, where: str, toy: toys.Toy, cure: str = "") -> None:
    """Fit and use it on another toy set. Raises Breach when it does not, whatever it raises."""
    try:
        check_answer(subject, subject.tried(toy))
    except Breach as error:
        raise Breach(f"{where} breaks its contract: {error}{cure}") from error
    except Exception as error:
        raise Breach(f"{where} {said(error)}; wants it to work{cure}") from error


@check("gives-true", "all that it gives in `gives`, and no more", Component, after=(*OUTPUTS, "known-words"))
def gives_true(subject: Subject) -> None:
    """Others of its cell rely on it."""
    declared, found = set(subject.component.gives), _given(subject)
    if untrue := sorted(declared - found):
        raise Breach(f"gives: says {untrue[0]!r}, but gives none; take the word out, or give it")
    if unsaid := sorted(found - declared - BY_CHANCE):
        cure = "add the word" + ", or let network.head be None" * issubclass(subject.type, NeuralExtractor)
        raise Breach(f"gives: does not say {unsaid[0]!r}, which it gives; {cure}")


def _given(subject: Subject) -> set[str]:
    """The words that are true of a component."""
    component, first = subject.component, subject.trial()
    if isinstance(component, Dataset):
        return _given_by(first.made.product)
    if isinstance(component, NeuralExtractor):
        return {"head"} if isinstance(getattr(first.made.product, "head", None), nn.Module) else set()
    if isinstance(component, Selector):
        kept = first.made.product
        assert first.toy is not None
        return {"natural rows"} if torch.equal(kept.sort().values, torch.arange(len(first.toy.train))) else set()
    if isinstance(component, NeuralClassifier) and "network" in component.gives:
        return {"network"} if _has_network(component, subject) else set()
    return set()


def _given_by(loaded: Any) -> set[str]:
    words = {"validation"} if loaded.val is not None else set()
    if isinstance(loaded, FeatureDataset):
        words |= {"features"} | ({"head"} if loaded.train.space.new_head() is not None else set())
    return words


def _has_network(component: NeuralClassifier, subject: Subject) -> bool:
    """Whether `network` gives a module with something to train: weights, or batch norm."""
    from pathlib import Path

    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        network: object = component.network(subject.toy().train, ctx)
    if not isinstance(network, nn.Module):
        return False
    return any(weight.requires_grad for weight in network.parameters()) or bool(batch_norms(network))
