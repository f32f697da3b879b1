"""What a component declares: class, name, help, parameters, presets, words; and that its module is light."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from benchfw.components import Component, parameters
from benchfw.errors import BenchfwError
from benchfw.hooks import NAME
from benchfw.settings import Named, configure, read
from benchfw.testing.check import HEAVY, Breach, NotChecked, check, said
from benchfw.testing.process import address, import_cost
from benchfw.testing.signatures import check_methods

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

WORDS = ("features", "head", "natural rows", "network", "validation")
LAYOUTS = ("vector", "map")
IMPORT_SECONDS = 5.0  # of CPU; a plugin that imports nothing heavy takes a hundredth of it


@check("frozen-dataclass", "@dataclass(frozen=True) above its class", Component, behaviour=False)
def frozen_dataclass(subject: Subject) -> None:
    """Its parameters are fields that nobody changes."""
    declared = subject.type.__dict__.get("__dataclass_params__")
    if not is_dataclass(subject.type) or declared is None or not declared.frozen:
        raise Breach(f"{subject.type.__name__}: found no @dataclass(frozen=True) above the class; put it there")


@check("name", "a name of lower-case words joined by hyphens", Component, behaviour=False)
def name(subject: Subject) -> None:
    """People type it."""
    found = subject.type.name
    if not isinstance(found, str) or not NAME.fullmatch(found):
        raise Breach(f"name: found {found!r}; wants lower-case words joined by hyphens, e.g. 'class-gaussian'")


@check("help", "a docstring whose first line is its help text", Component, behaviour=False)
def help_(subject: Subject) -> None:
    """`benchfw list` prints it."""
    text = subject.type.__dict__.get("__doc__") or ""
    if not text.strip() or text.startswith(f"{subject.type.__name__}("):  # what @dataclass writes by itself
        raise Breach("docstring: found none; wants one whose first line is the help text")


@check("parameter-help", "a line of help for each parameter", Component, behaviour=False)
def parameter_help(subject: Subject) -> None:
    """`benchfw show` prints it."""
    for field in fields(subject.type):
        if "help" not in field.metadata:
            raise Breach(f"parameter {field.name}: found a plain field; wants param(default, 'a line of help')")
        if not field.metadata["help"].strip():
            raise Breach(f"parameter {field.name}: found an empty help; wants a line that says what it is")


@check(
    "defaults-build",
    "defaults of the declared types and bounds, with which it can be made",
    Component,
    after="parameter-help",
    behaviour=False,
)
def defaults_build(subject: Subject) -> None:
    """Its name alone is a component."""
    try:
        for field in fields(subject.type):
            read(subject.type, field.name, field.default, subject.type.name)
        subject.type()
    except BenchfwError as error:
        raise Breach(f"{error}; mend the default or its bounds") from error
    except Exception as error:
        raise Breach(f"{subject.type.__name__}(): {said(error)}; wants a component from the defaults") from error


@check(
    "presets-build",
    "presets of known parameters within bounds, that can be made",
    Component,
    after=("parameter-help", "defaults-build"),
    behaviour=False,
)
def presets_build(subject: Subject) -> None:
    """`name@preset` is a component."""
    if not subject.type.presets:
        raise NotChecked("it has no presets")
    for preset in subject.type.presets:
        try:
            configure(subject.type, Named(subject.type.name, preset, {}), subject.type.name)
        except Exception as error:
            raise Breach(f"preset {preset}: {error}; wants known parameters within their bounds") from error


@check("parameters-travel", "the same component from its parameters as JSON", Component, behaviour=False)
def parameters_travel(subject: Subject) -> None:
    """Workers and cache keys get them as text."""
    component = subject.component
    values = parameters(component)
    again = type(component)(**json.loads(json.dumps(values)))
    if again != component or hash(again) != hash(component):
        raise Breach(f"parameters: found {parameters(again)} after JSON, were {values}; wants plain values")


@check("known-words", "words and layouts that the harness knows", Component, after="signature", behaviour=False)
def known_words(subject: Subject) -> None:
    """The plan matches them before anything runs; a word that nobody gives fits nowhere."""
    component = subject.component
    for attribute, known in (("needs", WORDS), ("gives", WORDS), ("accepts", LAYOUTS)):
        strange = [word for word in getattr(component, attribute) if word not in known]
        if strange:
            raise Breach(f"{attribute}: found {strange[0]!r}; wants words of {', '.join(known)}")
    if not component.accepts:
        raise Breach("accepts: found no layout; wants 'vector', 'map' or both")


@check("signature", "methods with the arguments with which they are called", Component, behaviour=False)
def signature(subject: Subject) -> None:
    """The arguments and properties of its role; their names are free."""
    check_methods(subject.component)


@check("light-import", "an import without heavy libraries", Component, behaviour=False)
def light_import(subject: Subject) -> None:
    """`benchfw --help` imports every plugin; what needs torch imports it inside a method."""
    found = import_cost(json.dumps(address(subject.component) | {"class": ""}))
    if found["error"]:
        raise NotChecked(f"a fresh process cannot import {subject.type.__module__}, see fresh-process")
    loaded = {module.partition(".")[0] for module in found["modules"]}
    if heavy := [library for library in HEAVY if library in loaded]:
        raise Breach(f"import: loads {', '.join(heavy)}; wants heavy libraries imported inside methods")
    if found["seconds"] > IMPORT_SECONDS:
        raise Breach(f"import: takes {found['seconds']:.1f} s; wants less than {IMPORT_SECONDS:g} s")
