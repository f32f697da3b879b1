"""The roles that a plugin subclasses, and `param`, which declares their parameters.

A component is a frozen dataclass: its fields are its parameters, it keeps no state, and fitting returns a product. From
the one list of fields come `--set`, the label in the table, the help page and the cache key. Importing this module
loads no torch; a plugin imports heavy libraries inside its methods.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from benchfw.context import Context
    from benchfw.data import FeatureSet, FeatureSpace, ImageSet, Layout, Predictor, Sample
    from benchfw.dataset import FeatureDataset, ImageDataset
    from benchfw.plugins import Origin
    from benchfw.training import Network

PLAIN = re.compile(r"(?!(?:none|true|false)$)[A-Za-z_./~][\w./~+-]*")  # text that reads back as itself, unquoted
KIND_OF_ROLE = {  # where the two have other names
    "NeuralExtractor": "an extractor",
    "Synthesizer": "an augmenter",
    "Selector": "an augmenter",
    "JointTrainer": "an augmenter",
    "NeuralClassifier": "a classifier",
}
Loss = Literal["ce", "balanced-softmax"]
BatchNorm = Literal["frozen", "train", "refresh"]


def param(
    default: Any,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """A parameter of a component: its default, a line of help, and bounds (>=, >, <=, <).

    The type is the field's annotation: int, float, str, bool, Literal[...], or any of them or None.
    """
    bounds = {name: bound for name, bound in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if bound is not None}
    return dataclasses.field(default=default, metadata={"help": help, "bounds": bounds})


@dataclasses.dataclass(frozen=True)
class Component:
    """What all roles share.

    name: what users type; lower-case words joined by hyphens. accepts: the layouts of features it works on.
    needs, gives: words that the plan matches before anything runs: all that a component needs, the others of its cell
    must give. presets: named sets of parameters, `name@preset`. source: paper, equation or repository. libraries:
    distributions beside torch whose version changes the result; their versions enter the cache key.
    `accepts`, `needs` and `gives` are read from the configured component, so they may be properties.
    """

    name: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    source: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    origin: ClassVar[Origin | None] = None  # the plugin that brought it; set when it is loaded
    asked: ClassVar[str] = ""  # `distribution:name`, where it was asked for so

    @property
    def accepts(self) -> Sequence[Layout]:
        """The layouts of features that it works on."""
        return ("vector", "map")

    @property
    def needs(self) -> frozenset[str]:
        """What the others of its cell must give: `features`, `head`, `natural rows`, `network`, `validation`."""
        return frozenset()

    @property
    def gives(self) -> frozenset[str]:
        """What it gives to the other components of its cell."""
        return frozenset()


def role_hint(text: str) -> str:
    """`; a Selector is an augmenter` where a role is named in place of its kind, in any spelling; else nothing."""
    asked = re.sub(r"[^a-z]", "", text.lower())
    return next((f"; a {role} is {kind}" for role, kind in KIND_OF_ROLE.items() if role.lower() == asked), "")


def parameters(component: Component) -> dict[str, Any]:
    """The values of a component's parameters, by name, in the order of declaration."""
    return {field.name: getattr(component, field.name) for field in dataclasses.fields(component)}


def called(component: Component | type[Component]) -> str:
    """Its name; with the distribution before it, `dist:name`, where somebody asked for it so."""
    return component.asked or component.name


def first_line(component: type[Component]) -> str:
    """Its line of help: the first of its docstring."""
    return (component.__doc__ or "").strip().splitlines()[0]


def label(component: Component) -> str:
    """How a table names it, in the shortest way: `smote`, `smote@k=3`, `gan-feature@paper`, `gan-feature@paper,z=8`."""
    values = parameters(component)
    defaults = {field.name: field.default for field in dataclasses.fields(component)}
    ways: list[list[str]] = []
    for preset, settings in {"": {}, **component.presets}.items():
        start = defaults | dict(settings)
        rest = [f"{name}={as_text(value)}" for name, value in values.items() if value != start[name]]
        ways.insert(0, [preset] * bool(preset) + rest)  # of two equally short ways, the later preset's
    parts = min(ways, key=len)
    return f"{called(component)}@{','.join(parts)}" if parts else called(component)


def as_text(value: object) -> str:
    """A parameter's value as somebody types it: `none`, `true`, `0.5`, a bare word, or a quoted text."""
    if value is None:
        return "none"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return as_toml(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_toml(value: object) -> str:
    """A text, number or list of them as a TOML value: its JSON, where TOML wants the delete character escaped too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclasses.dataclass(frozen=True)
class Dataset(Component):
    """A source of labelled images, or of features that were computed before; then it gives `features`."""

    licence: ClassVar[str] = "not stated"

    def load(self, ctx: Context) -> ImageDataset | FeatureDataset:
        """Read it whole. Raises DataError with the cure when files are missing or wrong."""
        raise NotImplementedError

    def files(self, downloads: Path) -> Sequence[Path]:
        """The files whose contents decide what `load` gives, as far as they exist; they enter the cache key."""
        return ()


@dataclasses.dataclass(frozen=True)
class Extractor(Component):
    """Maps images to features without training: pixels, HOG."""

    @property
    def layout(self) -> Layout | None:
        """The layout of its features, where its parameters decide it; None where the data does."""
        return None

    def embed(self, images: Tensor, ctx: Context) -> Tensor:
        """(B, C, H, W) uint8 -> (B, *shape) float32."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Given(Extractor):
    """No extractor: the data set brings its features."""

    name = "given"
    source = "none"

    @property
    def needs(self) -> frozenset[str]:
        """Features that were computed before."""
        return frozenset({"features"})


@dataclasses.dataclass(frozen=True)
class NeuralExtractor(Component):
    """A network trained on the imbalanced images; its body gives the features, its head is the warm start."""

    steps: int | None = param(None, "optimiser steps; none: as many as the epochs have", ge=0)
    epochs: float = param(50.0, "passes over the training images; only where steps is none", ge=0)
    batch: int = param(64, "images in a step", ge=2)
    lr: float = param(1e-3, "Adam's learning rate", gt=0)

    @property
    def layout(self) -> Layout | None:
        """The layout of its features, where its parameters decide it; None where the data does."""
        return None

    @property
    def gives(self) -> frozenset[str]:
        """A trained head."""
        return frozenset({"head"})

    def build(self, image_shape: tuple[int, int, int], n_classes: int) -> Network:
        """The untrained network, from parameters and shapes alone; the harness seeds its initialisation."""
        raise NotImplementedError

    def fit(self, network: Network, train: ImageSet, val: ImageSet | None, ctx: Context) -> None:
        """Train the network in place: cross-entropy, Adam, shuffled epochs."""
        from benchfw import training

        steps = self.steps
        if steps is not None and self.epochs != type(self).epochs:
            ctx.warn(f"{label(self)}: epochs={self.epochs:g} is not used, since steps={steps}; give steps=none too")
        if steps is None:
            steps = round(self.epochs * -(-len(train) // self.batch))
        batches = training.image_batches(train, steps=steps, batch=self.batch, ctx=ctx)
        training.fit(network, batches, steps=steps, lr=self.lr, loss=training.cross_entropy, ctx=ctx)


@dataclasses.dataclass(frozen=True)
class Synthesizer(Component):
    """An augmenter that adds rows: resampling, interpolation, a generator."""

    fill: float = param(1.0, "share of each class's deficit n_max - n_c that is filled", ge=0, le=1)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Sample:
        """Learn from the training rows; returns a function (labels (M,), rng) -> rows (M, *shape) float32.

        It must not depend on `fill`, which the harness applies: all values of it share one fit.
        A product with a method `state() -> dict[str, Tensor]` is stored and brought back by `restore`, so that all
        classifiers and all later runs share it; another product is fitted again where it is needed.
        """
        raise NotImplementedError

    def restore(self, state: Mapping[str, Tensor], train: FeatureSet, ctx: Context) -> Sample:
        """The product of `fit` from its stored state; wanted from components whose product has `state`."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Selector(Component):
    """An augmenter that keeps or drops real rows and adds none."""

    def select(self, train: FeatureSet, ctx: Context) -> Tensor:
        """The positions of the rows that stay, (N',) int64."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class JointTrainer(Component):
    """An augmenter that owns the training loop: its generator and the classifier's network train together."""

    @property
    def needs(self) -> frozenset[str]:
        """A classifier with a network, which it trains."""
        return frozenset({"network"})

    def fit_jointly(
        self, train: FeatureSet, val: FeatureSet | None, network: nn.Module, classifier: NeuralClassifier, ctx: Context
    ) -> Predictor:
        """Train the classifier's network in place, and predict with it: rows (M, *shape) -> log-scores (M, K).

        network: as the classifier built it, on the context's device. classifier: its `steps` are the number of updates
        that `network` gets; its `lr`, `batch`, `batch_norm` and `loss` hold for each of them. ctx: of the classifier's
        stage, so that a stream with its seed meets the rows that the other augmenters meet. Raises CannotRun for a
        classifier that it cannot train.
        """
        raise NotImplementedError

    def prior(self, train: FeatureSet) -> Tensor:
        """The label distribution that `network` meets: (K,) float64, sums to 1."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Classifier(Component):
    """Learns from features, real and synthetic, and gives log-scores."""

    @property
    def corrects_prior(self) -> bool:
        """Whether its log-scores are corrected for the training prior already; then no correction is added."""
        return False

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Predictor:
        """Learn from `train.numpy()` or a stream of it; returns rows (M, *shape) -> log-scores (M, K) float32."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class NeuralClassifier(Classifier):
    """A network on features, trained on the stream that all augmenters share; its budget does not depend on them."""

    steps: int = param(500, "optimiser steps, the same for every augmenter", ge=0)
    batch: int = param(64, "rows in a step", ge=2)
    lr: float = param(1e-4, "Adam's learning rate", gt=0)
    loss: Loss = param("ce", "ce: cross-entropy; balanced-softmax: with log prior added to the logits")
    batch_norm: BatchNorm = param("frozen", "running statistics of batch norm: kept; updated; refresh: they alone")

    @property
    def gives(self) -> frozenset[str]:
        """A network, which a joint trainer may train; a subclass with a loop of its own gives nothing here."""
        return frozenset({"network"})

    @property
    def corrects_prior(self) -> bool:
        """True for the balanced softmax, whose logits carry no prior."""
        return self.loss == "balanced-softmax"

    def build(self, space: FeatureSpace) -> nn.Module:
        """The network before training, (B, *shape) -> logits (B, K); the harness seeds its initialisation."""
        raise NotImplementedError

    def network(self, train: FeatureSet, ctx: Context) -> nn.Module:
        """The network before training, on the context's device; where it needs measures of the features, with them."""
        return self.build(train.space).to(ctx.device)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Predictor:
        """Build, train for the step budget on the shared stream, and predict with the last step's weights."""
        return self.fit_network(self.network(train, ctx), train, ctx)

    def fit_network(self, network: nn.Module, train: FeatureSet, ctx: Context) -> Predictor:
        """Train a built network, on the context's device, for the step budget."""
        from benchfw import training

        batches = training.stream(train, steps=self.steps, batch=self.batch, seed=ctx.seed)
        if self.batch_norm == "refresh":
            training.refresh(network, batches, steps=self.steps, ctx=ctx)
            return training.predictor(network)
        loss = training.loss_named(self.loss, train.prior)
        frozen = self.batch_norm == "frozen"
        training.fit(network, batches, steps=self.steps, lr=self.lr, loss=loss, ctx=ctx, frozen_batch_norm=frozen)
        return training.predictor(network)
