"""One fit and one use of a component on a toy set, in the very calls that the harness makes, and what came of it."""

from __future__ import annotations

import gc
import hashlib
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchfw.components import (
    Classifier,
    Component,
    Dataset,
    Extractor,
    JointTrainer,
    NeuralExtractor,
    Selector,
    Synthesizer,
)
from benchfw.context import Context
from benchfw.seeding import isolated
from benchfw.testing import signatures, surroundings, toys
from benchfw.testing.check import Breach

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchfw.testing.toys import Toy

SEED = 2**62 + 20_240_229  # of a context; any above 2**32 would do, as most seeds of a run are
DRAWS = 2**61 + 7  # of the generator that a synthesizer is handed
NOTHING = torch.empty(0)
COLUMNS = ("values", "pool", "labels", "ids", "index", "groups", "counts")  # of a set, as far as it has them


@dataclass(frozen=True, eq=False)
class Made:
    """What a component made of a toy set.

    product: what it returned, or the network that it trained. ask: a question and a generator -> the answer, on the
    CPU. weights: tensors that it learned, by name.
    """

    product: Any
    ask: Callable[[Tensor, torch.Generator], Tensor]
    weights: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one fit and one use.

    outcome: all numbers that came out, by name. settings: the settings of the process that it changed. inputs: what it
    changed of what it was handed, or None. kept: whether its context was still alive beside its product. fields: the
    attributes of the component that changed. generators: the states of the global generators at its end.
    """

    toy: Toy | None
    made: Made
    outcome: dict[str, Tensor]
    settings: list[str]
    inputs: str | None
    kept: bool
    fields: list[str]
    generators: dict[str, str]

    def ask(self, asked: Tensor, draws: int = DRAWS) -> Tensor:
        """The answer to a question, which the product may spoil; draws: the seed of the generator it is handed."""
        return self.made.ask(asked.clone(), torch.Generator().manual_seed(draws))

    @cached_property
    def digest(self) -> dict[str, str]:
        """A hash of each part of the outcome."""
        return digest(self.outcome)


def tried(
    component: Component,
    toy: Toy | None,
    *,
    seed: int = SEED,
    draws: int = DRAWS,
    world: int | None = None,
    device: str = "cpu",
) -> Trial:
    """Fit and use a component as the harness does.

    toy: what it is handed; None for a data set. seed: of its context. draws: the seed of the generator that a
    synthesizer draws from. world: the seed of the global generators; None: that of the context, as in a run.
    Raises what the component raises.
    """
    before = None if toy is None else _copies(toy)
    attributes = dict(vars(component))
    with (
        tempfile.TemporaryDirectory(prefix="benchfw-") as folder,
        surroundings.restored() as settings,
        isolated(seed if world is None else world),
    ):
        ctx = Context(seed, torch.device(device), Path(folder))
        made = make(component, toy, ctx)
        asked = question(component, toy).clone()
        answer = made.ask(asked, torch.Generator(device).manual_seed(draws))
        generators = surroundings.generators()
    context = weakref.ref(ctx)
    del ctx
    outcome = {"answer": answer.detach().clone()} | {name: v.detach().cpu().clone() for name, v in made.weights.items()}
    inputs = None if toy is None or before is None else _changed(before, toy, asked, question(component, toy))
    fields = _new_fields(component, attributes)
    kept = not isinstance(component, Extractor) and _alive(context)
    return Trial(toy, made, outcome, settings, inputs, kept, fields, generators)


def question(component: Component, toy: Toy | None) -> Tensor:
    """What the product of a component is asked: labels for a synthesizer, else rows or images."""
    if toy is None:
        return NOTHING
    return toy.labels if isinstance(component, Synthesizer) else toy.rows


def make(component: Component, toy: Toy | None, ctx: Context) -> Made:
    """Fit it: the calls are those of the stages of a cell."""
    match component:
        case Dataset():
            loaded = signatures.dataset(component.load(ctx))
            return Made(loaded, lambda _, __: NOTHING, _parts(loaded))
        case Extractor():
            return Made(
                None, lambda images, _: _inferred(lambda i: component.embed(i.to(ctx.device), ctx), images, "embed")
            )
        case _ if toy is None:
            raise AssertionError(component)
        case NeuralExtractor():
            network = signatures.network(component.build(toy.train.image_shape, toys.K)).to(ctx.device)
            component.fit(network, toy.train, toy.val, ctx)
            network.eval()
            device = ctx.device
            return Made(network, lambda i, _: _inferred(network.body, i.to(device), "body"), network.state_dict())
        case Selector():
            positions = component.select(toy.train, ctx)
            return Made(positions, lambda _, __: _on_cpu(positions, "select"))
        case Synthesizer():
            sample = signatures.function(component.fit(toy.train, toy.val, ctx), "fit", signatures.SAMPLE)
            return Made(sample, lambda labels, rng: _on_cpu(sample(labels, rng), "sample"))
        case JointTrainer():
            classifier = toys.ToyNetwork()
            trained = classifier.network(toy.train, ctx)
            found = component.fit_jointly(toy.train, toy.val, trained, classifier, ctx)
            predict = signatures.function(found, "fit_jointly", signatures.PREDICT)
            return Made(predict, lambda rows, _: _on_cpu(predict(rows), "predict"), trained.state_dict())
        case Classifier():
            predict = signatures.function(component.fit(toy.train, toy.val, ctx), "fit", signatures.PREDICT)
            return Made(predict, lambda rows, _: _on_cpu(predict(rows), "predict"))
        case _:
            raise AssertionError(component)


def digest(outcome: Mapping[str, Tensor]) -> dict[str, str]:
    """A hash of each tensor's dtype, shape and bytes."""
    return {name: _hashed(values) for name, values in outcome.items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two outcomes are equal to the last byte."""
    return digest(one) == digest(other)


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """The parts in which two digests differ: `answer, layer.weight`."""
    return ", ".join(sorted(name for name in {**one, **other} if one.get(name) != other.get(name)))


def _hashed(values: Tensor) -> str:
    plain = values.detach().cpu().contiguous()
    content = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())
    content.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return content.hexdigest()


def _inferred(body: Callable[[Tensor], Tensor], images: Tensor, name: str) -> Tensor:
    with torch.inference_mode():
        return _on_cpu(body(images), name)


def _on_cpu(found: Any, name: str) -> Tensor:
    values = signatures.tensor(found, name)
    if values.requires_grad:
        raise Breach(f"{name} returned a tensor that requires grad; wants it detached: @torch.no_grad(), or .detach()")
    return values.cpu()


def _parts(loaded: Any) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = {}
    for name, part in loaded.parts.items():
        parts[f"{name}.rows"] = part.rows(torch.arange(len(part)))
        parts[f"{name}.labels"] = part.labels
    return parts


def _tensors(toy: Toy) -> dict[str, Tensor]:
    found = {"labels": toy.labels, "rows": toy.rows}
    for name, part in (("train", toy.train), ("val", toy.val)):
        for column in COLUMNS if part is not None else ():
            values = getattr(part, column, None)
            values = values() if column == "counts" and values is not None else values
            if isinstance(values, Tensor):
                found[f"{name}.{column}"] = values
    return found


def _copies(toy: Toy) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in _tensors(toy).items()}


def _changed(before: Mapping[str, Tensor], toy: Toy, asked: Tensor, question: Tensor) -> str | None:
    """What a fit and a use changed of a toy set, or of what was asked: `train.values (first at row 3)`."""
    pairs = {name: (before[name], values) for name, values in _tensors(toy).items()}
    for name, (old, new) in (pairs | {"the rows or labels it was asked about": (question, asked)}).items():
        if old.shape != new.shape:
            return f"the shape of {name}"
        other = ~torch.isclose(_rows(old), _rows(new), rtol=0, atol=0, equal_nan=True)
        if bool(other.any()):
            return f"{name} (first at row {int(other.any(1).nonzero()[0])})"
    return None


def _rows(values: Tensor) -> Tensor:
    return values.flatten(1) if values.ndim > 1 else values[:, None]


def _new_fields(component: Component, before: Mapping[str, object]) -> list[str]:
    """The attributes that were set on a component, but for cached properties, which hang on its parameters alone."""
    after = vars(component)
    changed = [name for name in {**before, **after} if before.get(name) is not after.get(name)]
    return [name for name in changed if not isinstance(getattr(type(component), name, None), cached_property)]


def _alive(context: weakref.ref[Context]) -> bool:
    if context() is None:
        return False
    gc.collect()
    return context() is not None
