"""Experiment -> cells; each fits, or says why not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from benchfw.components import (
    Classifier,
    Component,
    Dataset,
    Extractor,
    Given,
    JointTrainer,
    NeuralExtractor,
    Selector,
    Synthesizer,
    called,
    label,
    parameters,
)
from benchfw.errors import UsageError, did_you_mean
from benchfw.experiment import OURS, REFERENCES, Experiment, named_on
from benchfw.hooks import KINDS, in_a_line
from benchfw.imbalance import Imbalance
from benchfw.registry import Registry, installed, of_origins, origin_of
from benchfw.seeding import TRAINING, seed_for, stage_seed
from benchfw.settings import configure, parse_named

if TYPE_CHECKING:
    from collections.abc import Iterator

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Cell:
    """One measurement: a value on each axis, a repetition, and the experiment whose settings hold."""

    dataset: Dataset
    imbalance: Imbalance
    extractor: Extractor | NeuralExtractor
    augmenter: Synthesizer | Selector | JointTrainer
    classifier: Classifier
    repetition: int
    experiment: Experiment

    @cached_property
    def axes(self) -> dict[str, Any]:
        """The labels by which tables name it, and the repetition."""
        components = {kind: label(getattr(self, kind)) for kind in KINDS}
        return {**components, "imbalance": str(self.imbalance), "repetition": self.repetition}

    @cached_property
    def seed_axes(self) -> dict[str, Any]:
        """The axes as they enter the seeds: names without parameters, so variants are paired."""
        names = {kind: getattr(self, kind).name for kind in KINDS}
        return {**names, "imbalance": self.imbalance.kind, "repetition": self.repetition}

    def seed_of(self, stage: str) -> int:
        """The seed of one stage. `reseed` changes those of training and leaves the splits as they are."""
        base, again = self.experiment.seed, self.experiment.reseed
        if again and stage in TRAINING:
            base = seed_for(base, "reseed", again)
        return stage_seed(base, stage, self.seed_axes)

    @cached_property
    def id(self) -> str:
        """The name of its files: 16 hexadecimal digits of the SHA-256 of its axes."""
        return hashlib.sha256(json.dumps(self.axes, sort_keys=True).encode()).hexdigest()[:16]

    def misfit(self) -> str | None:
        """Why it cannot run, as far as the components alone tell; None when it fits."""
        try:
            return self._unmet_need() or layout_misfit(self.classifier, self.extractor.layout, self.experiment.adapt)
        except Exception as error:  # properties of plugins
            return f"a component cannot say what it needs, gives or accepts: {in_a_line(error)}"

    def _unmet_need(self) -> str | None:
        given = frozenset().union(*(getattr(self, kind).gives for kind in KINDS))
        if self.experiment.val_fraction > 0:
            given |= {"validation"}
        for kind in KINDS:
            component = getattr(self, kind)
            for need in sorted(set(component.needs) - given):
                return f"{kind} {label(component)} needs {need}, which no other part of the cell gives"
        return None


def layout_misfit(classifier: Classifier, layout: str | None, adapt: str) -> str | None:
    """Why a classifier cannot take features of this layout; None when it can, or the layout is not known yet."""
    if layout in (None, *classifier.accepts) or adapt != "none":
        return None
    accepted = " or ".join(f"{kind}s" for kind in classifier.accepts)
    cure = "--set adapt=pool or --set adapt=flatten"
    return f"classifier {label(classifier)} takes {accepted}, but the features are {layout}s; {cure}"


def cells(experiment: Experiment, registry: Registry) -> list[Cell]:
    """All cells of an experiment, those that share an embedding next to each other.

    The cells' `experiment` is the resolved one: references added, and canonical labels that hold every parameter.
    Raises UsageError for unknown names and parameters, empty axes, settings of components that are on no axis,
    `many_over` below `few_under`, and two variants that are the same.
    """
    _check_bounds(experiment)
    imbalances = _imbalances(experiment)
    axes = {kind: _components(experiment, kind, registry) for kind in KINDS}
    if axes["dataset"] and not any(map(_has_images, axes["dataset"])):
        axes["extractor"] = [Given()]
    for axis, values in {"imbalance": imbalances, **axes}.items():
        if not values:
            raise UsageError(f"experiment {experiment.name}: {axis}s is empty; wants at least one")
    if experiment.references:
        axes["augmenter"] = _with_references(axes["augmenter"], experiment, registry)
    _check_settings(experiment, axes, registry)
    labels: dict[str, Any] = {f"{kind}s": tuple(map(label, axes[kind])) for kind in KINDS}
    experiment = dataclasses.replace(experiment, imbalances=tuple(map(str, imbalances)), set=(), **labels)
    return [
        Cell(dataset, imbalance, extractor, augmenter, classifier, repetition, experiment)
        for dataset in axes["dataset"]
        for imbalance in imbalances
        for repetition in range(experiment.repetitions)
        for extractor in (axes["extractor"] if _has_images(dataset) else [Given()])
        for augmenter in axes["augmenter"]
        for classifier in axes["classifier"]
    ]


def _has_images(dataset: Dataset) -> bool:
    """Whether an extractor makes its features; else it brings them."""
    try:
        return "features" not in dataset.gives
    except Exception:  # of a plugin; `misfit` says so in its row
        return True


def _imbalances(experiment: Experiment) -> tuple[Imbalance, ...]:
    found = [Imbalance.parse(text) for text in experiment.imbalances]
    for position, imbalance in enumerate(found):
        if imbalance in found[:position]:
            text = experiment.imbalances[position]
            raise UsageError(f"imbalance {text!r} is on the axis twice (as {str(imbalance)!r}); give it once")
    return tuple(found)


def _components(experiment: Experiment, kind: str, registry: Registry) -> list[Any]:
    found: dict[str, Component] = {}
    for text in named_on(experiment, f"{kind}s"):
        component = _component(text, kind, experiment, registry)
        if label(component) in found:
            raise UsageError(f"{kind} {text!r} is on the axis twice (as {label(component)!r}); give it once")
        found[label(component)] = component
    return list(found.values())


def _with_references(augmenters: list[Any], experiment: Experiment, registry: Registry) -> list[Any]:
    """The augmenters behind the references that every comparison needs, unless they are among them."""
    given = {label(augmenter) for augmenter in augmenters}
    references = [_component(OURS + name, "augmenter", experiment, registry) for name in REFERENCES]
    return [reference for reference in references if label(reference) not in given] + augmenters


def _component(text: str, kind: str, experiment: Experiment, registry: Registry) -> Component:
    named = parse_named(text)
    component = registry.get(kind, named.name)
    where = f"{kind}.{called(component)}"
    overrides = {key.parameter: key.value for key in _settings(experiment, registry) if key.component == where}
    return configure(component, named, where, overrides)


def _check_settings(experiment: Experiment, axes: dict[str, list[Component]], registry: Registry) -> None:
    used = {f"{kind}.{called(component)}" for kind in KINDS for component in axes[kind]}
    for key in _settings(experiment, registry):
        if key.component not in used:
            raise UsageError(f"set {key.text}: no such component in this experiment{did_you_mean(key.component, used)}")


@dataclass(frozen=True)
class _Setting:
    """A parameter that an experiment sets: the component as tables name it, `augmenter.smote`, and as it was typed."""

    component: str
    parameter: str
    value: object
    text: str


def _settings(experiment: Experiment, registry: Registry) -> Iterator[_Setting]:
    """What an experiment sets. Raises UsageError for `distribution:name` that nobody has."""
    for text, value in experiment.set:
        component, _, parameter = text.rpartition(".")
        kind, _, name = component.partition(".")  # a name may have dots: `my_aug.py:jitter`
        if kind in KINDS and ":" in name:
            component = f"{kind}.{called(registry.get(kind, name))}"
        yield _Setting(component, parameter, value, text)


def _check_bounds(experiment: Experiment) -> None:
    many, few = experiment.many_over, experiment.few_under
    if many < few:
        found = f"many_over = {many} and few_under = {few}"
        raise UsageError(f"experiment {experiment.name}: {found} call a class both; wants many_over >= few_under")


def as_json(cell: Cell) -> str:
    """The cell as text, for a worker process, with the plugins that it needs."""
    found = [getattr(cell, kind) for kind in KINDS]
    components = {
        kind: {"name": _address(component), "parameters": parameters(component)}
        for kind, component in zip(KINDS, found, strict=True)
    }
    plugins = [origin_of(component) for component in found if not isinstance(component, Given)]
    rest = {"repetition": cell.repetition, "experiment": dataclasses.asdict(cell.experiment), "plugins": plugins}
    return json.dumps({**components, "imbalance": str(cell.imbalance), **rest})


def _address(component: Component) -> str:
    """Its name for a worker, where another plugin of the cell may have it too."""
    origin = component.origin
    ours = isinstance(component, Given) or (origin is not None and f"{origin.distribution}:" == OURS)
    return OURS + component.name if ours else called(component)


def dump(component: Component) -> dict[str, Any]:
    """A component's name and all its parameters, as JSON values."""
    return {"name": component.name, "parameters": parameters(component)}


def from_json(text: str) -> Cell:
    """The cell that `as_json` wrote; no other plugin than its own is loaded. Raises PluginError when one cannot be."""
    content = json.loads(text)
    registry = installed() if None in content["plugins"] else of_origins(content["plugins"])
    components = {kind: registry.get(kind, content[kind]["name"])(**content[kind]["parameters"]) for kind in KINDS}
    stored = content["experiment"].items()
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored}
    return Cell(
        **components,  # type: ignore[arg-type]  # the registry gives each kind its own role
        imbalance=Imbalance.parse(content["imbalance"]),
        repetition=content["repetition"],
        experiment=Experiment(**settings),
    )
