"""What a plugin registers: its hooks checked and called, and each component held to the form that others rely on."""

from __future__ import annotations

import inspect
import os
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from benchfw import hookspecs
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
from benchfw.errors import PluginError, did_you_mean
from benchfw.settings import PARAMETER_TYPES, check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable

ROLES: dict[str, tuple[type[Component], ...]] = {
    "dataset": (Dataset,),
    "extractor": (Extractor, NeuralExtractor),
    "augmenter": (Synthesizer, Selector, JointTrainer),
    "classifier": (Classifier,),
}
KINDS = tuple(ROLES)
HOOKS = {f"register_{kind}s": kind for kind in KINDS}
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # of a component
PRESET = re.compile(r"[^\s,=@:]+")  # what `name@preset` can say
TRACE = "BENCHFW_TRACE_PLUGINS"
WORDS = ("accepts", "needs", "gives", "libraries")  # attributes that hold several words
CURES = {  # what dataclasses say of a class, without saying what a component wants
    "cannot inherit non-frozen dataclass from a frozen one": "wants @dataclass(frozen=True)",
    "follows default argument": "wants param(default, help) for each parameter",
    "mutable default": f"wants a parameter of {PARAMETER_TYPES}",
}

Found = list[tuple[str, type[Component]]]
_traced: set[str] = set()  # the plugins whose calls this process has printed


def tracing() -> bool:
    """Whether hook calls, and the tracebacks of broken plugins, are to be printed."""
    return os.environ.get(TRACE) == "1"


def registered_by(module: Any, whose: str) -> Found:
    """The (kind, component) pairs that a plugin registers. Raises PluginError when any of it breaks the contract.

    whose: the plugin, as a printed call names it.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_hooks(module, manager)
    manager.register(module)
    if tracing() and whose not in _traced:  # a worker loads the plugins of each of its cells
        _traced.add(whose)
        manager.add_hookcall_monitoring(*_tracers(whose))
    found: Found = []
    for hook, kind in HOOKS.items():
        found += [(kind, component) for component in _called(getattr(manager.hook, hook), hook)]
    if not found:
        raise PluginError("its hooks register nothing; wants register(Class) in one of them")
    for kind, component in found:
        check(component, kind)
    return found


# ---- hooks ----


def _check_hooks(module: Any, manager: pluggy.PluginManager) -> None:
    """Refuse what pluggy would take in silence, or say in its own words: a misspelt hook, other arguments."""
    implemented = 0
    for attribute in dir(module):
        options = manager.parse_hookimpl_opts(module, attribute)
        if options is None and attribute in HOOKS and inspect.isfunction(getattr(module, attribute)):
            raise PluginError(f"hook {attribute}: wants @hookimpl above it, found a plain function")
        if options is not None:
            _check_hook(options["specname"] or attribute, getattr(module, attribute))
            implemented += 1
    if not implemented:
        raise PluginError(f"wants @hookimpl above one or more of {', '.join(HOOKS)}; found none")


def _check_hook(name: str, function: Callable[..., Any]) -> None:
    if name not in HOOKS:
        raise PluginError(f"no hook named {name!r}{did_you_mean(name, HOOKS)}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(f"hook {name}: wants a plain function, found one with await or yield")
    wanted, given = (list(inspect.signature(hook).parameters) for hook in (getattr(hookspecs, name), function))
    if "register" not in given or not set(given) <= set(wanted):  # pluggy lets a hook ignore arguments
        raise PluginError(f"hook {name}: wants {name}({', '.join(wanted)}), found {name}({', '.join(given)})")


def _called(hook: Any, name: str) -> list[type[Component]]:
    components: list[type[Component]] = []
    try:
        hook(register=components.append)
    except Exception as error:
        raise PluginError(f"hook {name}: {in_a_line(error)}") from error
    return components


def in_a_line(error: BaseException) -> str:
    """An exception of a plugin in one line: `ValueError: no licence`, without what is over 300 letters."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "its message cannot be shown"
    name = "" if isinstance(error, PluginError) else type(error).__name__
    text = "; ".join([text, *(cure for said, cure in CURES.items() if said in text)])
    line = ": ".join(filter(None, (name, text)))
    return line if len(line) <= 300 else f"{line[:297]}..."


def _tracers(whose: str) -> tuple[Any, Any]:
    """What pluggy calls before and after each hook, to print it."""

    def before(hook: str, implementations: list[Any], _arguments: Any) -> None:
        for implementation in implementations:
            code, arguments = implementation.function.__code__, ", ".join(implementation.argnames)
            place = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
            sys.stderr.write(f"benchfw: {whose}: {hook}({arguments}) in {place}\n")

    def after(outcome: pluggy.Result[Any], hook: str, implementations: list[Any], arguments: Any) -> None:
        if implementations:
            said = "returned" if outcome.exception is None else f"raised {type(outcome.exception).__name__}"
            names = ", ".join(getattr(c, "name", repr(c)) for c in arguments["register"].__self__) or "nothing"
            sys.stderr.write(f"benchfw: {whose}: {hook} {said}; registered {names}\n")

    return before, after


# ---- components ----


def check(component: type[Component], kind: str) -> None:
    """Raise PluginError unless this is a component of that kind: frozen, named, documented, of the declared types."""
    roles = ROLES[kind]
    *first, last = (role.__name__ for role in roles)
    wanted = " or ".join([", ".join(first), last] if first else [last])
    if not (isinstance(component, type) and issubclass(component, roles)):
        raise PluginError(
            f"register_{kind}s: {_elsewhere(component) or f'wants a subclass of {wanted}, found {component!r}'}"
        )
    where = f"{kind} {component.__name__}"
    if not (isinstance(component.name, str) and NAME.fullmatch(component.name)):
        raise PluginError(f"{where}: wants a name of lower-case words joined by hyphens, found {component.name!r}")
    declared = component.__dict__.get("__dataclass_params__")
    if declared is None or not declared.frozen:
        raise PluginError(f"{where}: wants @dataclass(frozen=True) above the class, found none")
    if not (component.__doc__ or "").strip() or str(component.__doc__).startswith(f"{component.__name__}("):
        raise PluginError(f"{where}: wants a docstring whose first line is its help text, found none")
    _check_attributes(component, where)
    check_parameters(component, where)


def _elsewhere(component: object) -> str:
    """Where a component of another kind belongs: `Cap subclasses Selector: register it in register_augmenters`."""
    for kind, roles in ROLES.items():
        for role in roles:
            if isinstance(component, type) and issubclass(component, role) and component is not role:
                return f"{component.__name__} subclasses {role.__name__}: register it in register_{kind}s"
    return ""


def _check_attributes(component: type[Component], where: str) -> None:
    """Refuse what Python lets stand in a class body, and the plan or the help page would stumble over."""
    if not isinstance(component.source, str):
        raise PluginError(f"{where}: source: wants a text, found {component.source!r}")
    for name in WORDS:
        words = getattr(component, name)
        if isinstance(words, property | cached_property):
            continue
        if inspect.isfunction(words):
            raise PluginError(f"{where}: {name}: wants @property above it, found a method")
        several = isinstance(words, tuple | list | set | frozenset)
        if not several or not all(isinstance(word, str) for word in words):
            raise PluginError(f"{where}: {name}: wants several words, e.g. ({words!r},), found {words!r}")
    for preset in component.presets:
        if not PRESET.fullmatch(preset):
            raise PluginError(f"{where}: preset {preset!r}: wants a name without spaces and without , = @ :")
