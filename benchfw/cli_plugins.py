"""The commands for plugins, and the options with which any command chooses them. Importing it loads typer alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchfw import completion

if TYPE_CHECKING:
    from benchfw.registry import Registry

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin that is one Python file, not installed; repeat for more."),
]
NoPlugins = Annotated[
    bool, typer.Option("--no-plugins", help="Load benchfw's own plugins, and --plugin, but no other installed ones.")
]

plugin = typer.Typer(name="plugin", no_args_is_help=True, help="List, check and begin plugins.")


def loaded(files: list[Path] | None, no_plugins: bool) -> Registry:
    """The plugins that a command works with; what is wrong with any goes to standard error, a line each."""
    from benchfw.registry import installed

    registry = installed(tuple(map(str, files or ())), not no_plugins)
    for trouble in registry.troubles():
        typer.echo(f"benchfw: {printed(trouble)}", err=True)
    return registry


def printed(text: str) -> str:
    """A text of a plugin, without what would move a terminal's cursor."""
    from benchfw.text import printable

    return printable(text)


@plugin.command(name="list")
def list_(
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
    json: Annotated[bool, typer.Option("--json", help="Print the plugins as JSON.")] = False,
) -> None:
    """List the installed plugins: what each brings, how long it takes to load, and what is wrong with it."""
    from benchfw.console import console
    from benchfw.console_plugins import as_json, print_plugins
    from benchfw.registry import installed

    registry = installed(tuple(map(str, plugins or ())), not no_plugins)
    if json:
        typer.echo(as_json(registry))
    else:
        print_plugins(registry, console())


@plugin.command()
def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="dataset|extractor|augmenter|classifier",
            help="What it brings.",
            autocompletion=completion.kinds_of_plugins,
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name in tables: lower-case words joined by hyphens, e.g. my-aug.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new or empty directory; default benchfw-NAME.")
    ] = None,
) -> None:
    """Write the package of a new plugin: one component that works, its tests, and a workflow for CI."""
    from benchfw.scaffold import Package, next_commands, write

    package = Package(kind, name)
    out = out or Path(package.distribution)
    write(package, out)
    typer.echo(f"{printed(str(out))}: the {package.noun} {name} works, and waits for your method in {package.source}")
    typer.echo("\n".join(f"  {command}" for command in next_commands(package, out)))
