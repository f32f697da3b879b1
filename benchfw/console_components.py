"""Components on the terminal: all of a kind with a line each, and one with all that its plugin says of it."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from benchfw.components import Component, as_text, called, first_line
from benchfw.console import BAD, DIM, plain
from benchfw.plugins import OURS
from benchfw.settings import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from dataclasses import Field

    from rich.console import Console

    from benchfw.registry import Registered, Registry


def print_components(registry: Registry, kinds: Iterable[str], there: Console) -> None:
    """The components of some kinds, each with its first line of help, and who brought it where that is not benchfw."""
    for kind in kinds:
        made = _titled(f"{kind}s")
        for name in registry.names(kind):
            found = registry.registered(kind, name)
            whose = f" ({_brought_by(found)})" if found.distribution != OURS else ""
            made.add_row(plain(name), Text.assemble(plain(first_line(found.component)), plain(whose, style=DIM)))
        there.print(made)
        there.print()


def print_experiments(descriptions: Mapping[str, str], there: Console) -> None:
    """The packaged experiments, each with its sentence."""
    made = _titled("experiments")
    for name, description in descriptions.items():
        made.add_row(name, plain(description))
    there.print(made)


def _titled(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", show_edge=False, show_header=False)


def _brought_by(found: Registered) -> str:
    origin = found.component.origin
    return f"{found.distribution} {origin.version}".rstrip() if origin else found.distribution


# ---- one ----


def print_component(kind: str, found: Registered, there: Console) -> None:
    """One component: whose it is, its docstring, parameters, presets, what it takes and gives, and where it is from."""
    component = found.component
    there.print(plain(f"{kind} {called(component)}", style="bold"), plain(f"({_of(found)})", style=DIM))
    there.print()
    there.print(plain(_prose(component.__doc__ or "", there.width)))
    there.print()
    for table in [_parameters(component)] * bool(fields(component)) + [_presets(component)] * bool(component.presets):
        there.print(table)
        there.print()
    there.print(_facts(kind, component))


def _of(found: Registered) -> str:
    origin = found.component.origin
    if origin is None:
        return f"part of {found.distribution}"
    if not origin.group:
        return f"the file {origin.target}"
    return f"{_brought_by(found)}, plugin {origin.name}, {found.component.__module__}"


def _prose(text: str, width: int) -> str:
    """A docstring as it is written where that fits, else with the lines of a paragraph joined for the terminal."""
    text = inspect.cleandoc(text)
    if all(len(line) <= width for line in text.splitlines()):
        return text
    return re.sub(r"(?<=\S)\n(?=[^\s*-])", " ", text)  # indented lines and lists stay lines


def _parameters(component: type[Component]) -> Table:
    """`k=5` as one would type it; what it is, and the type with its bounds."""
    made = _columns("parameter", "what it is")
    for field in fields(component):
        what = Text.assemble(plain(f"{field.metadata['help']} "), plain(f"({wanted(component, field)})", style=DIM))
        made.add_row(plain(f"{field.name}={as_text(field.default)}"), what)
    return made


def _presets(component: type[Component]) -> Table:
    """Each preset with the parameters that it changes."""
    defaults = {field.name: field.default for field in fields(component)}
    made = _columns("preset", "what it changes")
    for preset, values in component.presets.items():
        changes = [f"{name}={as_text(value)}" for name, value in values.items() if value != defaults[name]]
        made.add_row(plain(f"{called(component)}@{preset}"), plain(", ".join(changes) or "nothing: the defaults"))
    return made


def _columns(*heads: str) -> Table:
    made = Table(show_edge=False, padding=(0, 1), header_style="bold")
    made.add_column(heads[0], max_width=32, overflow="fold")
    made.add_column(heads[1], overflow="fold")
    return made


def _facts(kind: str, component: type[Component]) -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, fact in {**_demands(kind, component), **_provenance(kind, component)}.items():
        made.add_row(name, plain(fact, style=BAD if name == "trouble" else ""))
    return made


def _demands(kind: str, component: type[Component]) -> dict[str, str]:
    """Its role, and what the plan matches: layouts, needs, gives. They are those of its default parameters."""
    facts = {"role": next(role.__name__ for role in component.__mro__[1:] if role.__module__ == Component.__module__)}
    try:
        made: Any = component()
        if kind == "extractor":
            facts["features"] = made.layout or "vector or map, as its parameters and the data have it"
        elif kind != "dataset":
            facts["takes"] = " and ".join(f"{layout}s" for layout in made.accepts)
        facts |= {name: ", ".join(sorted(words)) for name in ("needs", "gives") if (words := getattr(made, name))}
    except Exception as error:  # a plugin's own code
        facts["trouble"] = f"its default parameters give {type(error).__name__}: {error}"
    return facts


def _provenance(kind: str, component: type[Component]) -> dict[str, str]:
    facts = {"source": component.source or "not stated"}
    if kind == "dataset":
        facts["licence"] = f"{getattr(component, 'licence', 'not stated')} (of the data)"
    if component.libraries:
        facts["libraries"] = ", ".join(component.libraries)
    file = component.origin if component.origin and not component.origin.group else None
    loading = f" --plugin {os.path.relpath(file.target)}" if file else ""
    return facts | {"to run it": f"benchfw run --{kind} {_example(component)}{loading}"}


def _example(component: type[Component]) -> str:
    """Its name with what it requires, else with the last parameter that is easily typed; its own ones come last."""
    required = [f"{field.name}={field.name.upper()}" for field in fields(component) if _is_required(field)]
    typed = [f"{field.name}={as_text(field.default)}" for field in fields(component) if field.default is not None]
    given = required or [text for text in typed if re.fullmatch(r"[\w=.+-]+", text)][-1:]
    return f"{called(component)}@{','.join(given)}" if given else called(component)


def _is_required(field: Field[Any]) -> bool:
    return field.default is None and str(field.metadata["help"]).endswith("required")
