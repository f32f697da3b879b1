"""What somebody names for a check: components by name, all of a distribution, or all of a file."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchfw.errors import PluginError, UsageError, did_you_mean
from benchfw.hooks import KINDS
from benchfw.plugins import Origin, normal
from benchfw.registry import Registry
from benchfw.settings import configure, parse_named
from benchfw.testing.subject import Shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchfw.components import Component
    from benchfw.plugins import Plugin

    Found = list[tuple[str, type[Component] | Component]]


def named(text: str, registry: Registry) -> Found:
    """The (kind, component) pairs of a target.

    text: `./my_aug.py`; `jitter`, `jitter@scale=0.5`, `my-dist:jitter`; `augmenter jitter`; or a distribution.
    Raises UsageError for a name that nobody or several have, PluginError for a file that cannot be loaded.
    """
    if text.endswith(".py") or os.sep in text.partition("@")[0]:
        return of_file(Path(text))
    first, space, rest = text.partition(" ")
    kinds = (first,) if space and first in KINDS else KINDS
    asked = parse_named(rest.strip() if space and first in KINDS else text)
    having = [kind for kind in kinds if _has(registry, kind, asked.name)]
    if not having and len(kinds) == 1:
        raise _unknown(first, rest.strip(), asked.name, registry)
    if len(having) > 1:
        ways = " or ".join(repr(f"{kind} {text}") for kind in having)
        raise UsageError(f"{asked.name!r} is the name of several components; say which: {ways}")
    if not having:
        return _of_distribution(text, registry)
    component = _own(registry.get(having[0], asked.name))
    plain = asked.preset is None and not asked.values
    return [(having[0], component if plain else configure(component, asked, f"{having[0]}.{asked.name}"))]


def named_all(texts: Sequence[str], registry: Registry) -> Found:
    """The components of several targets. Raises as `named`, and UsageError for a kind whose name is the next target."""
    for kind, name in pairwise([*texts, "NAME"]):
        if kind in KINDS and not any(_has(registry, other, kind) for other in KINDS):
            raise UsageError(f"{kind!r} is a kind; wants it together with a name, in quotes: '{kind} {name}'")
    return [pair for text in texts for pair in named(text, registry)]


def of_file(path: Path) -> Found:
    """All components of a plugin that is one file. Raises UsageError without one, PluginError when it is broken."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; wants a Python file with a hook, or the name of a component")
    registry = Registry()
    plugin = registry.load(Origin.of_file(path))
    if not plugin.usable:
        raise PluginError(str(plugin))
    return _of_plugin(plugin, registry)


def _has(registry: Registry, kind: str, name: str) -> bool:
    bare = name.rpartition(":")[2]
    return any(known.rpartition(":")[2] == bare for known in registry.names(kind))


def _unknown(kind: str, text: str, name: str, registry: Registry) -> UsageError:
    """No component of that kind has the name; perhaps one of another kind has."""
    others = [other for other in KINDS if _has(registry, other, name)]
    hint = f"; did you mean '{others[0]} {text}'?" if others else did_you_mean(name, registry.names(kind))
    return UsageError(f"no {kind} named {name!r}{hint}")


def _of_distribution(text: str, registry: Registry) -> Found:
    plugins = [plugin for plugin in registry.plugins if normal(plugin.origin.distribution) == normal(text)]
    broken = [plugin for plugin in plugins if not plugin.usable]
    if broken:
        raise PluginError(str(broken[0]))
    if not plugins:
        known = {name for kind in KINDS for name in registry.names(kind)}
        known |= {plugin.origin.distribution for plugin in registry.plugins}
        raise UsageError(f"no component, distribution or file named {text!r}{did_you_mean(text, known)}")
    return [pair for plugin in plugins for pair in _of_plugin(plugin, registry)]


def _of_plugin(plugin: Plugin, registry: Registry) -> Found:
    of = plugin.origin.distribution
    return [(kind, _own(registry.get(kind, f"{of}:{name}"))) for kind, name in plugin.components]


def _own(component: type[Component]) -> type[Component]:
    """The class that the plugin wrote, and not the copy that carries the name with which it was told apart."""
    return component.__mro__[1] if "asked" in component.__dict__ else component


def shapes_named(texts: Sequence[str]) -> Shapes:
    """Shapes as somebody typed them: `image=3,64,64`. Raises UsageError for one that cannot be read."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        kind, _, sizes = text.partition("=")
        if kind not in ("image", "map", "vector") or not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", sizes):
            raise UsageError(f"--shape {text!r}: wants image=C,H,W, map=C,H,W or vector=D")
        found[kind] = tuple(map(int, sizes.split(",")))
    return Shapes(**found)
