"""Plugins on the terminal: what each brings, how long it takes to load, and what is wrong with it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchfw.console import BAD, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchfw.plugins import Plugin
    from benchfw.registry import Registry

HEADS = ("distribution", "version", "status", "seconds", "plugin: what it brings")


def print_plugins(registry: Registry, there: Console) -> None:
    """A line for each plugin, in the order in which they were loaded; below them all that is wrong, in full."""
    made = Table(show_edge=False)
    for head in HEADS:
        made.add_column(plain(head, overflow="fold"), justify="right" if head == "seconds" else "left")
    for plugin in registry.plugins:
        made.add_row(*(plain(text, style=_style(plugin), overflow="fold") for text in _cells(plugin)))
    there.print(made)
    for text, style in _troubles(registry).items():
        there.print(plain(text, style=style))


def _cells(plugin: Plugin) -> tuple[str, ...]:
    brings = f"{plugin.origin.name}: {_in_words(plugin.components)}" if plugin.components else plugin.origin.name
    return plugin.origin.distribution, plugin.origin.version, plugin.status, f"{plugin.seconds:.3f}", brings


def _style(plugin: Plugin) -> str:
    return BAD if plugin.reason and plugin.status != "not asked for" else ""


def _troubles(registry: Registry) -> dict[str, str]:
    """`distribution: what is wrong` of each plugin, and each name that several bring once; with its colour."""
    told = {
        f"{plugin.origin.distribution}: {plugin.reason}": _style(plugin) for plugin in registry.plugins if plugin.reason
    }
    return told | {text: BAD for plugin in registry.plugins for text in _clashes(plugin, registry)}


def as_json(registry: Registry) -> str:
    """The same as JSON: a list of objects, where `components` is a list of {kind, name}."""
    return json.dumps([_record(plugin, registry) for plugin in registry.plugins], indent=2)


def _record(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    return {
        "distribution": plugin.origin.distribution,
        "version": plugin.origin.version,
        "plugin": plugin.origin.name,
        "module": plugin.origin.target,
        "api": plugin.origin.group,
        "components": [{"kind": kind, "name": name} for kind, name in plugin.components],
        "status": plugin.status,
        "seconds": round(plugin.seconds, 6),
        "loads": list(plugin.heavy),
        "what is wrong": "; ".join([plugin.reason] * bool(plugin.reason) + _clashes(plugin, registry)),
    }


def _clashes(plugin: Plugin, registry: Registry) -> list[str]:
    return [text for kind, name in plugin.components if (text := registry.clash_of(kind, name))]


def _in_words(components: Iterable[tuple[str, str]]) -> str:
    """`augmenter eos, none; classifier head`."""
    names: dict[str, list[str]] = defaultdict(list)
    for kind, name in components:
        names[kind].append(name)
    return "; ".join(f"{kind} {', '.join(sorted(of_kind))}" for kind, of_kind in names.items())
