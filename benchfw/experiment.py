"""An experiment: the axes of the matrix and its settings, from a TOML file or the command line."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pydantic

from benchfw.components import as_toml
from benchfw.errors import UsageError, did_you_mean
from benchfw.settings import Text, checker, wanted

AXES = ("datasets", "imbalances", "extractors", "augmenters", "classifiers")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")  # it becomes a directory
OURS = "benchfw:"  # before the name of a component: of this distribution, whatever else has that name
REFERENCES = ("none", "random")
DEFAULT = "quick"


def setting(default: Any, help: str, **bounds: float) -> Any:
    """A setting of the experiment: its default, a line of help, and bounds as pydantic names them."""
    return dataclasses.field(default=default, metadata={"help": help, "bounds": bounds})


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A matrix and how to run it. The axes hold texts, e.g. `smote@k=3`; `set` holds values by kind.name.parameter."""

    name: str = setting("custom", "name of the experiment, and of its results directory")
    description: str = setting("", "one sentence on what it asks")
    datasets: tuple[str, ...] = setting((), "data sets")
    imbalances: tuple[str, ...] = setting(("natural",), "imbalances of the training set")
    extractors: tuple[str, ...] = setting((), "feature extractors")
    augmenters: tuple[str, ...] = setting((), "augmenters")
    classifiers: tuple[str, ...] = setting((), "classifiers; the first one is the reference of the gains")
    repetitions: int = setting(5, "repetitions, each with its own split, class permutation and seeds", ge=1, le=1000)
    seed: int = setting(0, "base seed", ge=0)
    reseed: int = setting(0, "other seeds for training on the same splits, to see its chance; 0 are the usual", ge=0)
    test_fraction: float = setting(0.2, "held-out part, where a data set has no test part of its own", gt=0, lt=1)
    val_fraction: float = setting(0.1, "validation part of the imbalanced training set; 0 is none", ge=0, lt=1)
    threads: int = setting(1, "threads of a cell; results depend on it", ge=1)
    precision: Literal["auto", "float32", "bf16"] = setting("auto", "of training steps; auto: bf16 on CUDA")
    deterministic: bool = setting(False, "refuse operations that give other bits each time; slower on a GPU")
    adapt: Literal["none", "pool", "flatten"] = setting("none", "how maps become vectors for vector-only classifiers")
    metric: str = setting("balanced_accuracy", "the metric that the summary speaks of")
    many_over: int = setting(100, "classes with more training samples are `many`", ge=0)
    few_under: int = setting(20, "classes with fewer training samples are `few`", ge=0)
    references: bool = setting(True, "add the augmenters none and random, which every comparison needs")
    set: tuple[tuple[str, Any], ...] = setting((), "parameters of components, by kind.name.parameter")


_SETTINGS = {field.name: field for field in dataclasses.fields(Experiment)}


@cache
def _adapters() -> dict[str, pydantic.TypeAdapter[Any]]:
    hints = get_type_hints(Experiment)
    return {name: checker(hints[name], field.metadata["bounds"]) for name, field in _SETTINGS.items()}


def packaged() -> dict[str, str]:
    """The experiments that come with benchfw: their descriptions by name."""
    found = {}
    for entry in sorted(files("benchfw.experiments").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            content = tomllib.loads(entry.read_text(encoding="utf-8"))
            found[entry.name.removesuffix(".toml")] = str(content.get("description", ""))
    return found


def load(name: str) -> Experiment:
    """The experiment of that name, or of that TOML file. Raises UsageError when there is none, or it is wrong."""
    if name in packaged():
        text = (files("benchfw.experiments") / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"experiment {name}: {error.strerror}; wants a readable TOML file") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"experiment {name}: is no text in UTF-8; wants a TOML file") from error
    else:
        raise UsageError(
            f"no experiment named {name!r}{did_you_mean(name, packaged())}; or give a file ending in .toml"
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"experiment {name}: {error}; wants TOML") from error
    return from_mapping({"name": Path(name).stem, **content}, f"experiment {name}")


def named_on(experiment: Experiment, axis: str) -> tuple[str, ...]:
    """What an experiment has on an axis of components.

    Where the axis is still that of the packaged experiment of this name, it means benchfw's own components, whatever
    else has their names: `benchfw:smote`.
    """
    texts: tuple[str, ...] = getattr(experiment, axis)
    if experiment.name in packaged() and texts == getattr(load(experiment.name), axis):
        return tuple(OURS + text for text in texts)
    return texts


def from_mapping(content: Mapping[str, object], where: str) -> Experiment:
    """The experiment that a TOML file holds. Raises UsageError for unknown keys and wrong values."""
    return changed(Experiment(), where, dict(content))


def changed(experiment: Experiment, where: str, changes: Mapping[str, object]) -> Experiment:
    """The experiment with some fields changed, each checked; a `set` mapping is added to what is set already."""
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _SETTINGS:
            raise UsageError(f"{where}: no setting {name!r}{did_you_mean(name, _SETTINGS)}")
        if name == "set":
            values["set"] = tuple(sorted({**dict(experiment.set), **_flat(value, where)}.items()))
        else:
            values[name] = _checked(name, value, where)
    if not NAME.fullmatch(values.get("name", experiment.name)):
        wants = "letters, digits, '.', '_' and '-', since it names a directory"
        raise UsageError(f"{where}: name: wants {wants}, found {values['name']!r}")
    return dataclasses.replace(experiment, **values)


def _checked(name: str, value: object, where: str) -> Any:
    for reading in value.readings() if isinstance(value, Text) else [value]:
        try:
            return _adapters()[name].validate_python(tuple(reading) if isinstance(reading, list) else reading)
        except pydantic.ValidationError:
            continue
    found = value.raw if isinstance(value, Text) else value
    raise UsageError(f"{where}: {name}: wants {wanted(Experiment, _SETTINGS[name])}, found {found!r}")


def _flat(value: object, where: str) -> dict[str, object]:
    """The table by dotted names, also where TOML read `augmenter.smote.k = 3` as tables in tables."""
    if not isinstance(value, Mapping):
        found = value.raw if isinstance(value, Text) else value
        raise UsageError(f"{where}: set: wants a table of kind.name.parameter = value, found {found!r}")
    flat: dict[str, object] = {}
    for key, item in value.items():
        inner = _flat(item, where) if isinstance(item, Mapping) else {"": item}
        flat |= {f"{key}.{name}".removesuffix("."): part for name, part in inner.items()}
    return flat


def apply_settings(experiment: Experiment, assignments: tuple[str, ...]) -> Experiment:
    """Apply the `--set` options: `kind.name.parameter=value` for components, `setting=value` for the experiment."""
    for assignment in assignments:
        key, equals, raw = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {assignment}: wants kind.name.parameter=value, or setting=value")
        change: dict[str, object] = {"set": {key: Text(raw)}} if "." in key else {key: Text(raw)}
        experiment = changed(experiment, "--set", change)
    return experiment


def requested(name: str | None, changes: Mapping[str, object], assignments: tuple[str, ...] = ()) -> Experiment:
    """The experiment of that name (default `quick`) with what the user changed; an axis given replaces the axis.

    With a data set that is not the experiment's own and no imbalance given, the data is taken as it is: `natural`.
    Raises UsageError for unknown names and wrong values.
    """
    experiment = load(name or DEFAULT)
    given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    others = {text.removeprefix(OURS) for text in given.get("datasets", ())} - set(experiment.datasets)
    if others and "imbalances" not in given:
        given["imbalances"] = ["natural"]
    return apply_settings(changed(experiment, "request", given), assignments)


def to_toml(experiment: Experiment) -> str:
    """The TOML file of an experiment as loaded or resolved; `load` of it gives the same one."""
    settings = {key: value for key, value in dataclasses.asdict(experiment).items() if key != "set"}
    parameters = {f"set.{as_toml(key)}": value for key, value in experiment.set}
    return "".join(f"{key} = {as_toml(value)}\n" for key, value in (settings | parameters).items())
