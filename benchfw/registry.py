"""Find plugins, load each in isolation, and give components by name; a broken plugin is named and stops nobody."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import pluggy

from benchfw import hookspecs
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
)
from benchfw.errors import PluginError, UsageError, did_you_mean
from benchfw.settings import check_parameters

if TYPE_CHECKING:
    from types import ModuleType

ROLES: dict[str, tuple[type[Component], ...]] = {
    "dataset": (Dataset,),
    "extractor": (Extractor, NeuralExtractor),
    "augmenter": (Synthesizer, Selector, JointTrainer),
    "classifier": (Classifier,),
}
KINDS = tuple(ROLES)
HOOKS = tuple(f"register_{kind}s" for kind in KINDS)
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclasses.dataclass(frozen=True)
class Registered:
    """A component and the distribution that brought it."""

    component: type[Component]
    distribution: str


@dataclasses.dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why, in one line."""

    plugin: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} was not loaded: {self.reason}"


class Registry:
    """Components by kind and name."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[Registered]]] = {kind: defaultdict(list) for kind in KINDS}
        self._found["extractor"][Given.name].append(Registered(Given, "benchfw"))
        self.broken: list[Broken] = []

    def add(self, plugin: ModuleType, distribution: str) -> None:
        """Call the hooks of one plugin. Raises PluginError, and adds nothing, when any of it breaks the contract."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        _register(manager, plugin)
        found: list[tuple[str, type[Component]]] = []
        for kind, hook in zip(KINDS, HOOKS, strict=True):
            components: list[type[Component]] = []
            getattr(manager.hook, hook)(register=components.append)
            found += [(kind, component) for component in components]
        for kind, component in found:
            _check(component, kind)
        for kind, component in found:
            self._found[kind][component.name].append(Registered(component, distribution))

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        return sorted(self._found[kind])

    def get(self, kind: str, name: str) -> type[Component]:
        """The component of that kind and name.

        Raises UsageError for an unknown name, PluginError when two distributions brought it.
        """
        return self.registered(kind, name).component

    def registered(self, kind: str, name: str) -> Registered:
        """The component with its distribution; raises as `get` does."""
        found = self._found[kind].get(name)
        if not found:
            broken = "".join(f"; {broken}" for broken in self.broken)
            raise UsageError(f"no {kind} named {name!r}{did_you_mean(name, self._found[kind])}{broken}")
        if len(found) > 1:
            owners = " and ".join(sorted(registered.distribution for registered in found))
            raise PluginError(f"{kind} {name!r} comes from {owners}; uninstall one of them")
        return found[0]


@cache
def installed() -> Registry:
    """All installed plugins, loaded once in a process, in the order of their distributions and names."""
    registry = Registry()
    points = entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    for point in sorted(points, key=lambda point: (_distribution(point), point.name)):
        try:
            registry.add(point.load(), _distribution(point))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit while it is imported
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            registry.broken.append(Broken(point.name, _distribution(point), reason))
    return registry


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


def _register(manager: pluggy.PluginManager, plugin: ModuleType) -> None:
    """Give a plugin to pluggy, which says nothing of a hook that is misspelt or lacks its `@hookimpl`."""
    try:
        manager.register(plugin)
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error
    hooks = manager.get_hookcallers(plugin)
    for hook in hooks or ():
        if not hook.has_spec():
            raise PluginError(f"no hook named {hook.name!r}{did_you_mean(hook.name, HOOKS)}")
    if not hooks:
        raise PluginError(f"wants @hookimpl above one or more of {', '.join(HOOKS)}; found none")


def _check(component: type[Component], kind: str) -> None:
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
