"""Plugins on the terminal: what each brings, how long it takes to load, and what is wrong with it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchfw.console import BAD, plain

if TYPE_CHECKING:
    from rich.console import Console

    from benchfw.plugins import Plugin
    from benchfw.registry import Registry

COLUMNS = ("distribution", "version", "plugin", "components", "status", "seconds", "what is wrong")


def print_plugins(registry: Registry, there: Console) -> None:
    """A line for each plugin, in the order in which they were loaded."""
    made = Table(*COLUMNS, show_edge=False)
    for record in map(_record, registry.plugins, [registry] * len(registry.plugins)):
        cells = record | {"components": _in_words(record["components"]), "seconds": f"{record['seconds']:.3f}"}
        style = BAD if record["what is wrong"] and record["status"] != "not asked for" else ""
        made.add_row(*(plain(cells[column], style=style) for column in COLUMNS))
    there.print(made)


def as_json(registry: Registry) -> str:
    """The same as JSON: a list of objects, where `components` is a list of {kind, name}."""
    return json.dumps([_record(plugin, registry) for plugin in registry.plugins], indent=2)


def _record(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    clashes = [text for kind, name in plugin.components if (text := registry.clash_of(kind, name))]
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
        "what is wrong": "; ".join([plugin.reason] * bool(plugin.reason) + clashes),
    }


def _in_words(components: list[dict[str, str]]) -> str:
    """`augmenter eos, none; classifier head`."""
    names: dict[str, list[str]] = defaultdict(list)
    for component in components:
        names[component["kind"]].append(component["name"])
    return "; ".join(f"{kind} {', '.join(sorted(of_kind))}" for kind, of_kind in names.items())
