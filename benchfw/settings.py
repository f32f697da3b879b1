"""Text to typed parameters: `name@k=3`, `name@preset`, `--set augmenter.smote.k=3`; unknown keys are refused."""

from __future__ import annotations

import inspect
import re
import tomllib
import types
from dataclasses import Field, dataclass, fields
from functools import cache
from sys import modules
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import pydantic

from benchfw.components import Component
from benchfw.errors import PluginError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

C = TypeVar("C", bound=Component)

F = TypeVar("F")

STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
PARAMETER_TYPES = "int, float, str, bool, Literal[...], or any of them or None"
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _memo(function: F) -> F:
    """`functools.cache` for functions of a class; typeshed's wants a hashable instance."""
    return cast("F", cache(cast("Any", function)))


@dataclass(frozen=True)
class Text:
    """A value as somebody typed it: read as a TOML value where that fits, else as a bare string."""

    raw: str

    def readings(self) -> list[object]:
        """What it may mean, the likeliest first; `none` is None."""
        if self.raw == "none":
            return [None, "none"]
        try:
            return [tomllib.loads(f"value = {self.raw}")["value"], self.raw]
        except tomllib.TOMLDecodeError:
            return [self.raw]


@dataclass(frozen=True)
class Named:
    """A component as somebody typed it: its name, perhaps a preset, and parameters."""

    name: str
    preset: str | None
    values: Mapping[str, Text]


def parse_named(text: str) -> Named:
    """Read `smote`, `smote@k=3,fill=0.2`, `gan-feature@paper` or `gan-feature@paper,steps=100`.

    Commas inside quotes or brackets belong to the value. Raises UsageError when a part is neither a preset (which
    comes first) nor `parameter=value`, and when a parameter is given twice.
    """
    name, at, rest = text.partition("@")
    if at and not rest.strip():
        raise UsageError(f"{text!r}: wants name@parameter=value,... or name@preset, found nothing after @")
    parts = [part.strip() for part in _split(rest) or [""]] if at else []
    preset = parts.pop(0) if parts and "=" not in parts[0] else None
    values: dict[str, Text] = {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"{text!r}: wants name@parameter=value,... or name@preset, found {part!r}")
        if key in values:
            raise UsageError(f"{text!r}: gives {key} twice; give it once")
        values[key] = Text(value)
    return Named(name.strip(), preset, values)


def _split(text: str) -> list[str]:
    """Split at the commas that are in no quotes and no brackets."""
    return re.findall(r"""(?:"(?:\\.|[^"])*"|'[^']*'|\[[^\]]*\]|[^,])+""", text)


def configure(component: type[C], named: Named, where: str, overrides: Mapping[str, object] | None = None) -> C:
    """The component with its parameters: defaults, then the preset, then overrides, then what was typed with it.

    where: what an error names, e.g. `augmenter.smote`. overrides: values, or Text, from `--set` and experiments.
    Raises UsageError for unknown presets and parameters and for values out of their type or bounds.
    """
    values: dict[str, object] = {}
    if named.preset is not None:
        if named.preset not in component.presets:
            raise UsageError(f"{where}: no preset {named.preset!r}{did_you_mean(named.preset, component.presets)}")
        values.update(component.presets[named.preset])
    values |= {**(overrides or {}), **named.values}
    return component(**{name: read(component, name, value, where) for name, value in values.items()})


def read(component: type[Any], name: str, value: object, where: str) -> Any:
    """One parameter's value, checked. Raises UsageError: `augmenter.smote.k: wants int >= 1, found 'three'`."""
    known = {field.name: field for field in fields(component)}
    if name not in known:
        raise UsageError(f"{where}: no parameter {name!r}{did_you_mean(name, known)}")
    adapter = _adapters(component)[name]
    for reading in value.readings() if isinstance(value, Text) else [value]:
        try:
            return adapter.validate_python(reading)
        except pydantic.ValidationError:
            continue
    found = value.raw if isinstance(value, Text) else value
    raise UsageError(f"{where}.{name}: wants {wanted(component, known[name])}, found {found!r}")


def wanted(component: type[Any], field: Field[Any]) -> str:
    """The type and bounds of a parameter in words: `int >= 1`, `ce | balanced-softmax`, `int | none`."""
    bounds = [f"{SIGNS[key]} {bound:g}" for key, bound in field.metadata["bounds"].items()]
    return " ".join([_in_words(_types(component)[field.name]), " and ".join(bounds)]).strip()


def _in_words(kind: Any) -> str:
    if kind is type(None):
        return "none"
    if get_origin(kind) is tuple:
        return f"list of {_in_words(get_args(kind)[0])}"
    if get_args(kind):
        return " | ".join(_in_words(part) for part in get_args(kind))
    return kind.__name__ if isinstance(kind, type) else str(kind)


def choices(component: type[Any], field: Field[Any]) -> list[object]:
    """The values of a parameter that can be listed: those of a Literal, true and false, and None where it may be."""
    return _listed(_types(component)[field.name])


def _listed(kind: Any) -> list[object]:
    if kind is bool:
        return [True, False]
    if kind is type(None):
        return [None]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    inner = () if get_origin(kind) is tuple else get_args(kind)
    return [value for part in inner for value in _listed(part)]


def check_parameters(component: type[Any], where: str) -> None:
    """Check what a plugin declares: each parameter has help, a plain type and a default in its own bounds.

    So have the presets.

    Raises PluginError.
    """
    for field in fields(component):
        if "help" not in field.metadata:
            raise PluginError(f"{where}: parameter {field.name!r} wants param(default, help), found a plain field")
    try:
        found = _types(component)
    except Exception as error:  # an annotation may be any text
        raise PluginError(f"{where}: parameter types: {error}; wants {PARAMETER_TYPES}") from error
    for name, kind in found.items():
        if not _is_plain(kind):
            raise PluginError(
                f"{where}: parameter {name!r} wants {PARAMETER_TYPES}, found {inspect.formatannotation(kind)}"
            )
    try:
        _adapters(component)
        for field in fields(component):
            read(component, field.name, field.default, where)
        for settings in component.presets.values():
            for name, value in settings.items():
                read(component, name, value, f"{where}, preset")
    except UsageError as error:
        raise PluginError(str(error)) from error


def _is_plain(kind: Any) -> bool:
    """Whether it is a type whose values people type, and workers and keys get as text."""
    if get_origin(kind) in (Union, types.UnionType):
        return all(_is_plain(part) for part in get_args(kind))
    return get_origin(kind) is Literal or kind in (int, float, str, bool, types.NoneType)


@_memo
def _adapters(component: type[Any]) -> dict[str, pydantic.TypeAdapter[Any]]:
    """A checker for each parameter, from its annotation and the bounds of its `param`."""
    hints = _types(component)
    return {field.name: checker(hints[field.name], field.metadata["bounds"]) for field in fields(component)}


def checker(kind: Any, bounds: Mapping[str, float]) -> pydantic.TypeAdapter[Any]:
    """What checks values of a type (strictly, finite) within bounds, as pydantic names them."""
    ge, gt, le, lt = (bounds.get(name) for name in SIGNS)
    bounded: Any = Annotated[kind, pydantic.Field(ge=ge, gt=gt, le=le, lt=lt)]
    return pydantic.TypeAdapter(bounded, config=STRICT)


@_memo
def _types(component: type[Any]) -> dict[str, Any]:
    """The types of a component's fields; each annotation is read in the module of the class that declares it."""
    names = {field.name for field in fields(component)}
    hints: dict[str, Any] = {}
    for owner in reversed(component.__mro__):
        own = {name: text for name, text in inspect.get_annotations(owner).items() if name in names}
        hints |= get_type_hints(types.SimpleNamespace(__annotations__=own), vars(modules[owner.__module__]))
    return hints
