"""What is stored and brought back, the head that belongs to a body, and the network that a joint trainer is handed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchfw.components import Dataset, JointTrainer, NeuralExtractor, Synthesizer
from benchfw.context import Context
from benchfw.dataset import FeatureDataset
from benchfw.place import save_tensors
from benchfw.seeding import isolated
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS
from benchfw.testing.check import CHECKS, Breach, NotChecked, check, said
from benchfw.testing.learning import updates
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

CLOSE = 1e-4  # of the largest logit: the same layers, called in two ways


@check(
    "state-restores",
    "the same answers from what is stored of it",
    *(NeuralExtractor, Synthesizer),
    after=(*REPEATABLE, "same-question"),
)
def state_restores(subject: Subject) -> None:
    """A network from `build` and its state_dict, strictly; a product from `state()` by `restore`; through a file.

    Between storing and restoring lies a fit to other data, as between two processes that share a cache.
    """
    if issubclass(subject.type, NeuralExtractor):
        network, again = subject.trial().made.product, _network_again(subject)
        one, other = (_outputs(whole, subject) for whole in (network, again))
    else:
        asked = trial.question(subject.component, subject.toy())
        one = subject.trial().ask(asked)
        other = _product_again(subject)(asked.clone(), torch.Generator().manual_seed(trial.DRAWS))
    if not torch.equal(one, other):
        cure = "put all that decides an answer into the state: weights, buffers, scaling"
        raise Breach(f"what is brought back from the stored state gives other answers; {cure}")


def _outputs(network: Any, subject: Subject) -> Tensor:
    """Features side by side with logits, where there is a head that fits: (B, D + K)."""
    with torch.inference_mode():
        rows = network.body(subject.toy().rows)
        logits = [network.head(rows)] if subject.verdict(CHECKS["head-fits"]).status == "passed" else []
        return torch.cat([part.flatten(1) for part in (rows, *logits)], dim=1)


def _network_again(subject: Subject) -> Any:
    state = _stored(subject.trial().made.product.state_dict(), subject)
    with isolated(0):
        network = subject.component.build(subject.shapes.image, toys.K)
    network.load_state_dict(state, strict=True)
    return network.eval()


def _product_again(subject: Subject) -> Any:
    product, toy = subject.trial().made.product, subject.trial().toy
    assert toy is not None
    if not hasattr(product, "state"):
        raise NotChecked("its product has no state(), so it is fitted again where it is needed")
    state = product.state()
    if not isinstance(state, dict) or not all(isinstance(values, Tensor) for values in state.values()):
        raise Breach("state: wants a dict of tensors, found something else")
    stored = _stored(state, subject)
    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        return subject.component.restore(stored, toy.train, ctx)


def _stored(state: dict[str, Tensor], subject: Subject) -> dict[str, Tensor]:
    """A state as it comes back from a file, after a fit to other data."""
    again = _through_a_file(state)
    subject.tried(subject.toy(seed=1, counts=toys.OTHER_COUNTS))
    return again


def _through_a_file(state: dict[str, Tensor]) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory(prefix="benchfw-") as folder:
        save_tensors(state, Path(folder) / "state.safetensors")
        return load_file(Path(folder) / "state.safetensors")


@check(
    "head-fits",
    "a head that makes K logits of the features, as the whole network does, afresh each time",
    *(NeuralExtractor, Dataset),
    after=OUTPUTS,
)
def head_fits(subject: Subject) -> None:
    """head(body(images)) is network(images); a data set's head is a copy that one classifier may train on."""
    if subject.is_dataset:
        _check_given_head(subject.trial().made.product)
        return
    network, images = subject.trial().made.product, subject.toy().rows
    if not _has_head(network):
        raise NotChecked("it has no head")
    with torch.inference_mode():
        logits, whole = _logits(network.head, network.body(images), toys.K), network(images)
    if float((logits - whole).abs().max()) > CLOSE * float(whole.abs().max().clamp(min=1)):
        raise Breach("head: head(body(images)) is not network(images); wants a cut that changes nothing")


def _has_head(network: Any) -> bool:
    return isinstance(getattr(network, "head", None), nn.Module)


def _check_given_head(loaded: Any) -> None:
    if not isinstance(loaded, FeatureDataset) or loaded.train.space.head is None:
        raise NotChecked("it gives no head")
    one, other = loaded.train.space.new_head(), loaded.train.space.new_head()
    if one is other:
        raise Breach("head: the same module each time; wants a fresh copy, since classifiers train it")
    assert one is not None
    with torch.inference_mode():
        _logits(one, loaded.train.rows(torch.arange(min(8, len(loaded.train)))), loaded.n_classes)


def _logits(head: nn.Module, rows: Tensor, n_classes: int) -> Tensor:
    """Logits (B, K) of features (B, *shape). Raises Breach for any others."""
    try:
        logits: Tensor = head.eval()(rows)
    except RuntimeError as error:
        raise Breach(f"head, on features {tuple(rows.shape)}: {said(error)}; wants K logits") from error
    if tuple(logits.shape) != (len(rows), n_classes):
        raise Breach(f"head: found {tuple(logits.shape)}; wants logits ({len(rows)}, {n_classes})")
    return logits


@check("prior", "a prior of K positive shares that sum to 1", JointTrainer, after=OUTPUTS)
def prior(subject: Subject) -> None:
    """The labels that the network meets, by which scores are corrected."""
    found = subject.component.prior(subject.toy().train)
    if not isinstance(found, Tensor) or tuple(found.shape) != (toys.K,):
        raise Breach(f"prior: found {found!r}; wants a tensor ({toys.K},)")
    if not bool((found > 0).all()) or abs(float(found.double().sum()) - 1) > 1e-6:
        raise Breach(f"prior: found {found.tolist()}; wants {toys.K} positive shares that sum to 1")


@check(
    "trains-the-network",
    "the given network trained in place, for the classifier's steps at most",
    JointTrainer,
    after=OUTPUTS,
)
def trains_the_network(subject: Subject) -> None:
    """Optimisers that hold weights of the network are watched, and counted step by step."""
    component, toy = subject.component, subject.toy()
    classifier = toys.ToyNetwork()
    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        network = classifier.network(toy.train, ctx)
        before = {name: values.clone() for name, values in network.state_dict().items()}
        with updates(network) as steps:
            predict = component.fit_jointly(toy.train, toy.val, network, classifier, ctx)
    if trial.same(before, network.state_dict()):
        raise Breach("fit_jointly: the given network has its first weights; wants it trained in place")
    if steps() > classifier.steps:
        raise Breach(
            f"fit_jointly: {steps()} updates of the network; wants classifier.steps={classifier.steps} at most"
        )
    with torch.inference_mode():
        own_scores = network.eval()(toy.rows).log_softmax(1)
    found = predict(toy.rows).log_softmax(1)
    if not torch.allclose(own_scores, found, atol=1e-4):
        raise Breach("fit_jointly: the predictor is not the given network; wants training.predictor(network)")
