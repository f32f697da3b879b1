"""Components by kind and name, from all plugins; two of one name are told apart as `distribution:name`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from benchfw.components import Component, Given
from benchfw.errors import PluginError, UsageError, did_you_mean
from benchfw.hooks import HOOKS, KINDS, NAME, ROLES, Found, registered_by
from benchfw.plugins import OURS, Origin, Plugin, allowed, load, normal, origins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

__all__ = ["HOOKS", "KINDS", "NAME", "ROLES", "Registered", "Registry", "installed", "of_origins"]


@dataclass(frozen=True)
class Registered:
    """A component and the distribution that brought it."""

    component: type[Component]
    distribution: str


class Registry:
    """Components by kind and name, and what became of each plugin."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[Registered]]] = {kind: defaultdict(list) for kind in KINDS}
        self._found["extractor"][Given.name].append(Registered(Given, OURS))
        self._asked: dict[Registered, type[Component]] = {}
        self.plugins: list[Plugin] = []

    def add(self, plugin: ModuleType, distribution: str) -> None:
        """Take what a module registers. Raises PluginError, and adds nothing, when it breaks the contract."""
        self._keep(registered_by(plugin, distribution), distribution)

    def load(self, origin: Origin) -> Plugin:
        """Load a plugin and take what it brings; a broken one brings nothing. Raises KeyboardInterrupt."""
        plugin, found = load(origin)
        try:
            _check_owners(found, origin)
            self._keep(found, origin.distribution)
        except PluginError as error:
            plugin = replace(plugin, status="broken", components=(), reason=str(error))
        else:
            for _, component in found:
                component.origin = origin
        self.plugins.append(plugin)
        return plugin

    def _keep(self, found: Found, distribution: str) -> None:
        """Take them all, or raise PluginError for a name that this distribution brings twice, and take none."""
        new: set[tuple[str, str]] = set()
        for kind, component in found:
            known = {normal(one.distribution) for one in self._found[kind].get(component.name, ())}
            if (kind, component.name) in new or normal(distribution) in known:
                raise PluginError(f"{kind} {component.name!r} comes twice from {distribution}; wants one of a name")
            new.add((kind, component.name))
        for kind, component in found:
            self._found[kind][component.name].append(Registered(component, distribution))

    def names(self, kind: str) -> list[str]:
        """What may be asked for, sorted: each name once, or `distribution:name` for each of those that share one."""
        return sorted(text for name in self._found[kind] for text in self._ways(kind, name))

    def _ways(self, kind: str, name: str) -> list[str]:
        found = self._found[kind][name]
        return [name] if len(found) == 1 else [f"{one.distribution}:{name}" for one in found]

    def get(self, kind: str, name: str) -> type[Component]:
        """The component of that kind and name; raises as `registered` does."""
        return self.registered(kind, name).component

    def registered(self, kind: str, name: str) -> Registered:
        """The component with its distribution. name: `smote`, or `distribution:smote`.

        Raises UsageError for an unknown name, PluginError when several distributions brought it and none is named.
        """
        distribution, colon, bare = name.rpartition(":")
        found = self._found[kind].get(bare, [])
        if colon:
            found = [one for one in found if normal(one.distribution) == normal(distribution)]
        if not found:
            raise UsageError(f"no {kind} named {name!r}{did_you_mean(name, self.names(kind))}{self._hint()}")
        if len(found) > 1:
            raise PluginError(self._clash(kind, bare))
        return self._as_asked(found[0]) if colon else found[0]

    def _as_asked(self, found: Registered) -> Registered:
        """The component under the name with which somebody told it apart; benchfw's own keep theirs."""
        if found.distribution == OURS:
            return found
        if found not in self._asked:
            component = found.component
            asked = {"asked": f"{found.distribution}:{component.name}"}
            copied = {name: getattr(component, name) for name in ("__module__", "__qualname__", "__doc__")}
            self._asked[found] = type(component.__name__, (component,), copied | asked)
        return Registered(self._asked[found], found.distribution)

    def _hint(self) -> str:
        missing = [plugin for plugin in self.plugins if not plugin.usable]
        if not missing:
            return ""
        were = "plugin was" if len(missing) == 1 else "plugins were"
        return f"; {len(missing)} {were} not loaded, see `benchfw plugin list`"

    def clash_of(self, kind: str, name: str) -> str | None:
        """What to say where several distributions bring this name; None where one does."""
        return self._clash(kind, name) if len(self._found[kind].get(name, ())) > 1 else None

    def _clash(self, kind: str, name: str) -> str:
        owners = " and ".join(sorted(one.distribution for one in self._found[kind][name]))
        return f"{kind} {name!r} comes from {owners}; say which: {' or '.join(sorted(self._ways(kind, name)))}"

    def troubles(self) -> list[str]:
        """What is wrong with the plugins, a line each: not loaded, slow, or of a name that another one has."""
        here = {normal(plugin.origin.distribution) for plugin in self.plugins if plugin.usable}
        said = [
            str(plugin)
            for plugin in self.plugins
            if plugin.status in ("broken", "slow")
            or (plugin.status == "other API" and normal(plugin.origin.distribution) not in here)  # it offers both
        ]
        return said + [
            text for kind in KINDS for name in sorted(self._found[kind]) if (text := self.clash_of(kind, name))
        ]


@cache
def installed(files: tuple[str, ...] = (), third_party: bool = True) -> Registry:
    """All plugins that may load, loaded once in a process, in the order of their distributions and names.

    files: plugins that are single files. third_party: whether others than benchfw's own load. Raises PluginError for a
    file that cannot be loaded, UsageError for a wrong $BENCHFW_PLUGINS.
    """
    registry, found, own = Registry(), origins(), tuple(dict.fromkeys(map(Origin.of_file, files)))
    others = allowed(found) if third_party else set()
    for origin in found:
        if others is None or normal(origin.distribution) in {OURS, *others}:
            registry.load(origin)
        else:
            registry.plugins.append(Plugin(origin, "not asked for", reason="--no-plugins or $BENCHFW_PLUGINS"))
    for file in own:
        plugin = registry.load(file)
        if not plugin.usable:
            raise PluginError(str(plugin))
    return registry


def of_origins(found: Iterable[Mapping[str, Any]]) -> Registry:
    """The components of some plugins alone, as `origin_of` wrote them down; a worker loads no other plugin.

    Raises PluginError when one of them cannot be loaded any more.
    """
    registry = Registry()
    for origin in dict.fromkeys(Origin(**fields) for fields in found):
        plugin = registry.load(origin)
        if not plugin.usable:
            raise PluginError(str(plugin))
    return registry


def versions_of(components: Iterable[Component]) -> dict[str, str]:
    """The versions of the distributions that brought these components; of single files the digests of their content."""
    found = {component.origin for component in components if component.origin is not None}
    versions: dict[str, list[str]] = defaultdict(list)
    for origin in sorted(found, key=lambda origin: (origin.distribution, origin.version)):
        if origin.version not in versions[origin.distribution]:
            versions[origin.distribution].append(origin.version)
    return {name: ", ".join(several) for name, several in versions.items()}


def origin_of(component: Component) -> dict[str, Any] | None:
    """Where a component comes from, as JSON; None for one that no plugin brought."""
    return None if component.origin is None else asdict(component.origin)


def _check_owners(found: Found, origin: Origin) -> None:
    """Refuse a class that another distribution brought: keys and workers go by where a class is from."""
    for kind, component in found:
        other = component.__dict__.get("origin")
        if other is not None and normal(other.distribution) != normal(origin.distribution):
            of = f"the class of {kind} {component.name!r} is registered by {other.distribution} already"
            raise PluginError(f"{of}; wants one of its own, e.g. a subclass")
