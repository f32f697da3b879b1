"""The commands for plugins, and the options with which any command chooses them. Importing it loads typer alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchfw import completion

if TYPE_CHECKING:
    from benchfw.console_contract import Told
    from benchfw.registry import Registry
    from benchfw.testing import Check

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


class ContractFormat(StrEnum):
    """How the verdicts of checks are printed."""

    terminal = "terminal"
    markdown = "markdown"
    json = "json"


@plugin.command()
def check(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|FILE...",
            help="A component, e.g. smote@k=3 or 'augmenter smote'; a distribution; or a Python file.",
            autocompletion=completion.targets,
        ),
    ],
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK=REASON", help="A check that fails, and why; repeat for more. It must fail."),
    ] = None,
    format: Annotated[ContractFormat, typer.Option(help="How to print it.")] = ContractFormat.terminal,
    seconds: Annotated[float, typer.Option(help="Most time for one fit and one use on the toy set.")] = 60.0,
    mib: Annotated[float, typer.Option(help="Most memory for it, MiB.")] = 2048.0,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=SIZES", help="Of the toy set's samples: image=3,64,64, map=8,7,7 or vector=64."),
    ] = None,
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """Check that plugins keep the contract, on toy sets; ends with 1 where a check fails, or none could look."""
    from benchfw import console_contract as told
    from benchfw.console import console
    from benchfw.testing import Limits
    from benchfw.testing.targets import shapes_named

    wanted = {"limits": Limits(seconds, mib), "shapes": shapes_named(shape or [])}
    examined = _examined(targets, expect or [], wanted, loaded(plugins, no_plugins))
    if format is ContractFormat.json:
        typer.echo(told.to_json(examined))
    elif format is ContractFormat.markdown:
        typer.echo(told.to_markdown(examined), nl=False)
    else:
        told.print_contract(examined, console())
    raise typer.Exit(0 if all(one.examined.passed for one in examined) else 1)


def _examined(targets: list[str], expect: list[str], wanted: dict[str, Any], registry: Registry) -> list[Told]:
    """All components of the targets, checked; what plugins print on the way goes to standard error."""
    import sys
    from contextlib import redirect_stdout

    from benchfw.console import console
    from benchfw.console_contract import Told
    from benchfw.testing.report import examine, expectations
    from benchfw.testing.subject import Subject
    from benchfw.testing.targets import named_all

    with redirect_stdout(sys.stderr), console(stderr=True).status("") as status:
        found = named_all(targets, registry)
        subjects = [(kind, Subject(component, **wanted)) for kind, component in found]
        expected = expectations(expect, [subject for _, subject in subjects])
        examined = []
        for kind, subject in subjects:

            def listen(check: Check, name: str = subject.label) -> None:
                status.update(printed(f"{name}: {check.name}"))

            examined.append(Told(kind, examine(subject, expected, listen)))
        return examined


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
    typer.echo(f"{printed(str(out))}: the {package.noun} {name} works, and waits for yours in {package.source}")
    typer.echo("\n".join(f"  {command}" for command in next_commands(package, out)))
