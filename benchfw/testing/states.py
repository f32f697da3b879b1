"""What is stored and brought back, the head that belongs to a body, and the network that a joint trainer is handed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchfw.components import JointTrainer, NeuralExtractor, Synthesizer
from benchfw.context import Context
from benchfw.place import save_tensors
from benchfw.seeding import isolated
from benchfw.testing import toys, trial
from benchfw.testing.answers import OUTPUTS
from benchfw.testing.check import Breach, NotChecked, check, said
from benchfw.testing.repeats import REPEATABLE

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

CLOSE = 1e-4  # of the largest logit: the same layers, called in two ways


@check("state-restores", "the same answers from what is stored of it", NeuralExtractor, Synthesizer, after=REPEATABLE)
def state_restores(subject: Subject) -> None:
    """A network from `build` and its state_dict, strictly; a product from `state()` by `restore`; through a file."""
    first = subject.trial()
    again = _network_again(subject) if issubclass(subject.type, NeuralExtractor) else _product_again(subject)
    asked = trial.question(subject.component, first.toy)
    if not torch.equal(first.ask(asked), again(asked.clone(), torch.Generator().manual_seed(trial.DRAWS))):
        cure = "put all that decides an answer into the state: weights, buffers, scaling"
        raise Breach(f"what is brought back from the stored state gives other answers; {cure}")


def _network_again(subject: Subject) -> Any:
    state = subject.trial().made.product.state_dict()
    with isolated(0):
        network = subject.component.build(subject.shapes.image, toys.K)
    network.load_state_dict(_through_a_file(state), strict=True)
    network.eval()
    return lambda images, _: _inferred(network.body, images)


def _product_again(subject: Subject) -> Any:
    product, toy = subject.trial().made.product, subject.trial().toy
    assert toy is not None
    if not hasattr(product, "state"):
        raise NotChecked("its product has no state(), so it is fitted again where it is needed")
    state = product.state()
    if not isinstance(state, dict) or not all(isinstance(values, Tensor) for values in state.values()):
        raise Breach("state: wants a dict of tensors, found something else")
    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        return subject.component.restore(_through_a_file(state), toy.train, ctx)


def _through_a_file(state: dict[str, Tensor]) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory(prefix="benchfw-") as folder:
        save_tensors(state, Path(folder) / "state.safetensors")
        return load_file(Path(folder) / "state.safetensors")


def _inferred(body: Any, images: Tensor) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = body(images)
        return answer


@check(
    "head-fits",
    "a head that makes K logits of the body's features, as the whole network does",
    NeuralExtractor,
    after=OUTPUTS,
)
def head_fits(subject: Subject) -> None:
    """head(body(images)) is network(images)."""
    made, toy = subject.trial().made, subject.trial().toy
    assert toy is not None
    network = made.product
    if not isinstance(getattr(network, "head", None), nn.Module):
        raise NotChecked("it has no head")
    with torch.inference_mode():
        rows = network.body(toy.rows)
        try:
            logits = network.head(rows)
        except RuntimeError as error:
            raise Breach(f"head, on features {tuple(rows.shape)}: {said(error)}; wants K logits") from error
        whole = network(toy.rows)
    if tuple(logits.shape) != (len(rows), toys.K):
        raise Breach(f"head: found {tuple(logits.shape)}; wants logits ({len(rows)}, {toys.K})")
    if float((logits - whole).abs().max()) > CLOSE * float(whole.abs().max().clamp(min=1)):
        raise Breach("head: head(body(images)) is not network(images); wants a cut that changes nothing")


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
    classifier, steps = toys.ToyNetwork(), 0
    with isolated(trial.SEED):
        ctx = Context(trial.SEED, torch.device("cpu"), Path())
        network = classifier.network(toy.train, ctx)
        before = {name: values.clone() for name, values in network.state_dict().items()}
        own = {id(weight) for weight in network.parameters()}

        def count(optimiser: Any, *_: Any) -> None:
            nonlocal steps
            steps += any(id(weight) in own for group in optimiser.param_groups for weight in group["params"])

        watching = register_optimizer_step_post_hook(count)
        try:
            predict = component.fit_jointly(toy.train, toy.val, network, classifier, ctx)
        finally:
            watching.remove()
    if trial.same(before, network.state_dict()):
        raise Breach("fit_jointly: the given network has its first weights; wants it trained in place")
    if steps > classifier.steps:
        raise Breach(f"fit_jointly: {steps} updates of the network; wants classifier.steps={classifier.steps} at most")
    with torch.inference_mode():
        own_scores = network.eval()(toy.rows).log_softmax(1)
    found = predict(toy.rows).log_softmax(1)
    if not torch.allclose(own_scores, found, atol=1e-4):
        raise Breach("fit_jointly: the predictor is not the given network; wants training.predictor(network)")
