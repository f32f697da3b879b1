"""Load one plugin: import its module in isolation, check its hooks, and take what they register.

Nothing that a plugin does while it is imported stops a command: an exception, a call of `sys.exit` or a wrong hook
becomes the reason that stands beside its name. What it prints goes to standard error.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

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
from benchfw.errors import PluginError, UsageError, did_you_mean
from benchfw.settings import check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROLES: dict[str, tuple[type[Component], ...]] = {
    "dataset": (Dataset,),
    "extractor": (Extractor, NeuralExtractor),
    "augmenter": (Synthesizer, Selector, JointTrainer),
    "classifier": (Classifier,),
}
KINDS = tuple(ROLES)
HOOKS = {f"register_{kind}s": kind for kind in KINDS}
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # of a component
OURS = "benchfw"  # the distribution whose plugins are always loaded
ALLOWED = "BENCHFW_PLUGINS"
TRACE = "BENCHFW_TRACE_PLUGINS"
SLOW = 1.0  # seconds to import, from which on a plugin is named as slow
HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "torchvision", "timm", "imblearn")

Status = Literal["loaded", "slow", "broken", "other API", "not asked for"]
Found = list[tuple[str, type[Component]]]


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    distribution, version: as installed; for a single file its name, and nothing. name: of the entry point. target: the
    entry point's module, or the path of the file. group: the entry-point group, which carries the API version; empty
    for a file.
    """

    distribution: str
    version: str
    name: str
    target: str
    group: str = hookspecs.ENTRY_POINT_GROUP

    @classmethod
    def of_file(cls, path: str | Path) -> Origin:
        """A plugin that is one file, which nobody has installed."""
        path = Path(path).absolute()
        return cls(path.name, "", path.stem, str(path), group="")


@dataclass(frozen=True)
class Plugin:
    """What became of a plugin.

    components: (kind, name) of what it brings. seconds: to import it and call its hooks. heavy: the heavy libraries
    that its import was the first to load. reason: why it is not `loaded`, in one line.
    """

    origin: Origin
    status: Status
    components: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        of = f"plugin {self.origin.name!r} of {self.origin.distribution}"
        return f"{of} {'was not loaded: ' if self.status != 'slow' else ''}{self.reason}"


# ---- which ----


def origins() -> list[Origin]:
    """Every installed plugin, of any API version, in the order of distributions and names; none is imported."""
    every = entry_points()
    groups = [group for group in every.groups if hookspecs.GROUP.fullmatch(group)]
    names: dict[int, tuple[str, str]] = {}  # reading a distribution's metadata takes a millisecond
    found = []
    for point in (point for group in groups for point in every.select(group=group)):
        dist = point.dist
        if id(dist) not in names:
            names[id(dist)] = (dist.name, dist.version) if dist else ("an unknown distribution", "")
        found.append(Origin(*names[id(dist)], point.name, point.value, point.group))
    return sorted(found, key=lambda origin: (origin.distribution, origin.name, origin.group))


def allowed(found: Iterable[Origin]) -> set[str] | None:
    """The distributions that $BENCHFW_PLUGINS lets load beside benchfw's own; None where it is not set.

    Raises UsageError for a name that no distribution with a plugin has.
    """
    text = os.environ.get(ALLOWED)
    if text is None:
        return None
    there = {normal(origin.distribution): origin.distribution for origin in found}
    asked = {normal(name) for name in text.split(",") if name.strip()}
    for name in sorted(asked - set(there)):
        raise UsageError(f"{ALLOWED}: no plugin of a distribution named {name!r}{did_you_mean(name, there.values())}")
    return {there[name] for name in asked}


def normal(distribution: str) -> str:
    """A distribution's name as installers compare it: case and the kind of hyphen do not count."""
    return distribution.strip().lower().replace("_", "-").replace(".", "-")


# ---- load ----


def load(origin: Origin) -> tuple[Plugin, Found]:
    """Import one plugin and call its hooks; what it brings, or why it could not be loaded. Raises KeyboardInterrupt."""
    if origin.group not in ("", hookspecs.ENTRY_POINT_GROUP):
        return Plugin(origin, "other API", reason=_other_version(origin.group)), []
    before, start = set(sys.modules), perf_counter()
    try:
        with redirect_stdout(sys.stderr):
            found = registered_by(_module(origin), origin)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit while it is imported
        if os.environ.get(TRACE) == "1":
            traceback.print_exc()
        return Plugin(origin, "broken", seconds=perf_counter() - start, reason=_in_a_line(error, origin)), []
    seconds = perf_counter() - start
    heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
    components = tuple((kind, component.name) for kind, component in found)
    if seconds < SLOW:
        return Plugin(origin, "loaded", components, seconds, heavy), found
    loads = f"; it loads {', '.join(heavy)}" if heavy else ""
    reason = f"took {seconds:.1f} s to import{loads}; a plugin imports heavy libraries inside its methods"
    return Plugin(origin, "slow", components, seconds, heavy, reason), found


def _module(origin: Origin) -> Any:
    if origin.group:
        return EntryPoint(origin.name, origin.target, origin.group).load()
    name = f"_benchfw_file_{sha256(origin.target.encode()).hexdigest()[:8]}_{origin.name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, origin.target)
    if spec is None or spec.loader is None:
        raise PluginError("wants a Python file, whose name ends in .py")
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _other_version(group: str) -> str:
    ours, theirs = (int(hookspecs.GROUP.fullmatch(text)[1]) for text in (hookspecs.ENTRY_POINT_GROUP, group))  # type: ignore[index]
    cure = "upgrade benchfw" if theirs > ours else "upgrade the plugin, or ask its author to move to that group"
    return f"it is for the API of {group!r}, and this benchfw has {hookspecs.ENTRY_POINT_GROUP!r}; {cure}"


def _in_a_line(error: BaseException, origin: Origin) -> str:
    """What was raised, in one line, with the line of the plugin's own file where that is known."""
    text = " ".join(str(error).split())
    if isinstance(error, PluginError):
        return text
    where = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == origin.target:
            where = f" ({origin.distribution}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


# ---- hooks ----


def registered_by(module: Any, origin: Origin) -> Found:
    """The (kind, component) pairs that a plugin registers. Raises PluginError when any of it breaks the contract."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_hooks(module, manager)
    manager.register(module)
    if os.environ.get(TRACE) == "1":
        manager.add_hookcall_monitoring(*_tracers(origin))
    found: Found = []
    for hook, kind in HOOKS.items():
        found += [(kind, component) for component in _called(getattr(manager.hook, hook), hook)]
    if not found:
        raise PluginError("its hooks register nothing; wants register(Class) in one of them")
    for kind, component in found:
        check(component, kind)
    names = [(kind, component.name) for kind, component in found]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise PluginError(f"{kind} {name!r} is registered twice; wants one component of a name")
    return found


def _check_hooks(module: Any, manager: pluggy.PluginManager) -> None:
    """Refuse what pluggy would take in silence, or say in its own words: a misspelt hook, other arguments."""
    implemented = 0
    for attribute in dir(module):
        options = manager.parse_hookimpl_opts(module, attribute)
        if options is None and attribute in HOOKS and inspect.isfunction(getattr(module, attribute)):
            raise PluginError(f"hook {attribute}: wants @hookimpl above it, found a plain function")
        if options is None:
            continue
        hook = options["specname"] or attribute
        if hook not in HOOKS:
            raise PluginError(f"no hook named {hook!r}{did_you_mean(hook, HOOKS)}")
        wanted, given = (_arguments(function) for function in (getattr(hookspecs, hook), getattr(module, attribute)))
        if "register" not in given or not set(given) <= set(wanted):  # pluggy lets a hook ignore arguments
            raise PluginError(f"hook {hook}: wants {hook}({', '.join(wanted)}), found {attribute}({', '.join(given)})")
        implemented += 1
    if not implemented:
        raise PluginError(f"wants @hookimpl above one or more of {', '.join(HOOKS)}; found none")


def _arguments(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _called(hook: Any, name: str) -> list[type[Component]]:
    components: list[type[Component]] = []
    try:
        hook(register=components.append)
    except Exception as error:
        raise PluginError(f"hook {name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    return components


def _tracers(origin: Origin) -> tuple[Any, Any]:
    """What pluggy calls before and after each hook, to print it."""
    of = f"benchfw: plugin {origin.name!r} of {origin.distribution} {origin.version}".rstrip()

    def before(hook: str, implementations: list[Any], _arguments: Any) -> None:
        for implementation in implementations:
            code = implementation.function.__code__
            sys.stderr.write(f"{of}: {hook}({', '.join(implementation.argnames)}), line {code.co_firstlineno}\n")

    def after(outcome: pluggy.Result[Any], hook: str, implementations: list[Any], arguments: Any) -> None:
        if implementations:
            said = "returned" if outcome.exception is None else f"raised {type(outcome.exception).__name__}"
            names = ", ".join(getattr(c, "name", repr(c)) for c in arguments["register"].__self__) or "nothing"
            sys.stderr.write(f"{of}: {hook} {said}; registered {names}\n")

    return before, after


def check(component: type[Component], kind: str) -> None:
    """Raise PluginError unless this is a component of that kind, frozen, named and documented."""
    roles = ROLES[kind]
    *first, last = (role.__name__ for role in roles)
    wanted = " or ".join([", ".join(first), last] if first else [last])
    if not (isinstance(component, type) and issubclass(component, roles)):
        raise PluginError(f"register_{kind}s: wants a subclass of {wanted}, found {component!r}")
    where = f"{kind} {component.__name__}"
    if not NAME.fullmatch(component.name):
        raise PluginError(f"{where}: wants a name of lower-case words joined by hyphens, found {component.name!r}")
    declared = component.__dict__.get("__dataclass_params__")
    if declared is None or not declared.frozen:
        raise PluginError(f"{where}: wants @dataclass(frozen=True) above the class, found none")
    if not component.__doc__ or component.__doc__.startswith(f"{component.__name__}("):
        raise PluginError(f"{where}: wants a docstring whose first line is its help text, found none")
    check_parameters(component, where)
