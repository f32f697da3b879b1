"""What the code says of itself, for the pages of the documentation, so that the two cannot disagree.

    python scripts/write_reference.py           write it into README.md and docs/
    python scripts/write_reference.py --check   name the pages where it differs, and end with 5

A block stands between `<!-- [[[cog put(NAME()) ]]] -->` and `<!-- [[[end]]] -->`, where NAME is a function of this
module: cog calls it. What a run printed stays as it is, unless RUN names its results directory. All other text is
written by hand.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tomllib
from dataclasses import fields
from enum import StrEnum
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from cogapp import Cog
from typer.models import ArgumentInfo

from benchfw import cli, experiment, hookspecs, tables
from benchfw.components import Classifier, Component, Dataset, JointTrainer, Selector, Synthesizer
from benchfw.measures import MEASURES
from benchfw.metrics import METRICS, RECALL, metric_named
from benchfw.registry import KINDS, installed
from benchfw.seeding import AXES_OF_STAGE
from benchfw.settings import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typer import Typer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WIDTH = 120

COLUMNS = {
    "n": "repetitions that have a value",
    "mean": "their mean",
    "sd": "their standard deviation",
    "lift": "mean difference from augmenter `none`, same classifier and correction",
    "lift_low": "lower end of its 95 % interval; empty where there is none",
    "lift_high": "upper end",
    "lift_p": "two-sided p of Student's t; empty where there is no interval",
    "lift_holm": "the same, adjusted by Holm over the lifts of the same block, classifier and correction",
    "lift_n": "pairs behind it",
    "gain": "mean difference from the reference line",
    "gain_low": "lower end of its 95 % interval; empty where there is none",
    "gain_high": "upper end",
    "gain_p": "two-sided p of Student's t; empty where there is no interval",
    "gain_holm": "the same, adjusted by Holm over the gains of the same block and correction",
    "gain_n": "pairs behind it",
}
TESTS = {
    "kind": "`lift` or `gain`",
    "n": "pairs: repetitions that both lines have",
    "mean": "mean difference, in the metric's own unit",
    "low": "lower end of Student's 95 % interval; empty with one pair or equal differences",
    "high": "upper end",
    "p": "two-sided p of Student's t",
    "holm": "the same, adjusted by Holm over the family, as in table.csv",
    "sd": "standard deviation of the differences",
    "bca_low": "lower end of the BCa bootstrap interval; empty below 20 pairs",
    "bca_high": "upper end",
    "sign_flip": "exact two-sided p when each difference may take either sign",
    "sign_flip_least": "the smallest that so many pairs can give: 0.0625 for 5",
    "effect": "Hedges' g: mean over standard deviation of the differences, unbiased",
    "detectable": "the true difference that such pairs find with 80 % power at 5 %, taken by itself",
    "underpowered": "True where nothing was found, and one point (0.1 where no share) would be missed too often",
    "needed": "pairs that would find such a difference with 80 % power; 1000 stands for more",
}
COSTS = {
    "embed_seconds": "splitting, training the extractor and embedding; paid once and shared by the cells of a split",
    "augment_seconds": "fitting the augmenter; paid once and shared by the classifiers",
    "fidelity_seconds": "comparing synthetic with held-out rows; paid once and shared by the classifiers",
    "classify_seconds": "training the classifier, with the synthetic rows drawn on the way, and predicting",
    "score_seconds": "all metrics, with and without correction",
    "peak_mib": "largest resident size of the worker process so far, MiB",
    "synthetic_rows": "rows that are missing to the target counts, all classes together; 0 for a joint trainer",
}
EXIT_CODES = {
    0: "fine: every planned cell is done, or skipped with a reason while others are done; `check` found nothing worse",
    1: "a cell failed, was killed or ran out of memory; `check` found a line worse or newly failed; `plugin check` a "
    "check that fails",
    2: "the request is wrong: an unknown name, a parameter out of bounds, the directory of another run, no baseline",
    3: "incomplete: nothing was measured, a result could not be saved, or `check` misses a line or repetition",
    4: "`check` found other data, test items or settings, or another metric of that name; 1 goes before 4, 4 before 3",
    130: "interrupted with Ctrl-C; what is finished is kept",
}


def main(arguments: list[str]) -> int:
    """Let cog write all pages, or with `--check` compare them; returns its exit code."""
    here = ["-I", str(Path(__file__).parent), "-p", f"from {Path(__file__).stem} import *", "-P", "--verbosity=1"]
    check = ["--check", "--diff", "--check-fail-msg=the pages differ from the code: run make reference"]
    done: int = Cog().main(["cog", *here, *(check if "--check" in arguments else ["-r"]), *map(str, PAGES)])
    return done


def put(text: str) -> None:
    """Print a block with the blank lines that Markdown wants around it; cog puts it into the page."""
    print(f"\n{text.strip()}\n")


def printed(name: str, before: str) -> str:
    """What the run in the directory $RUN printed, if that has this name, as a fenced block; else what stood there."""
    directory = Path(os.environ.get("RUN", ""))
    return screenshot(directory) if directory.name == name else before


def screenshot(directory: Path) -> str:
    """What a run prints, from its results directory, as a fenced block."""
    from rich.console import Console

    from benchfw.console import print_results
    from benchfw.store import RunDirectory

    planned, rows = RunDirectory(directory).rows()
    paper = StringIO()
    screen = Console(file=paper, width=WIDTH, highlight=False)
    table, costs = tables.table(rows, classifiers=planned.classifiers), tables.costs(rows)
    print_results(table, costs, planned.metric, screen)
    lines = (line.rstrip() for line in paper.getvalue().rstrip().splitlines())
    return "```text\n" + "\n".join(lines) + "\n```"


def rows(*heads: str, lines: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    texts = [[str(cell).replace("|", r"\|") for cell in line] for line in (heads, ["---"] * len(heads), *lines)]
    return "".join(f"| {' | '.join(line)} |\n" for line in texts)


def prose(text: str) -> str:
    """Plain text as Markdown: what looks like markup outside of backticks is shown as it is."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def code(text: object) -> str:
    """A value as code; nothing for an empty text. Not all readers of Markdown know how to escape | in backticks."""
    if "|" in str(text):
        return f"<code>{str(text).replace('|', '&#124;')}</code>"
    return f"`{text}`" if text != "" else ""


def functions(app: Typer = cli.app, words: str = "benchfw") -> dict[str, Callable[..., Any]]:
    """The function of each command by what a user types, in the order of `--help`; commands of commands last."""
    found = {words: app.registered_callback.callback} if app.registered_callback else {}
    for command in app.registered_commands:
        found[f"{words} {command.name or command.callback.__name__}"] = command.callback
    for group in app.registered_groups:
        found |= functions(group.typer_instance, f"{words} {group.name or group.typer_instance.info.name}")
    return found


def commands() -> str:
    """Each command with its arguments and options."""
    return "\n".join(f"## {n}\n\n{inspect.getdoc(f)}\n\n{_options(f)}" for n, f in functions().items())


def commands_in_short() -> str:
    """Each command with its first line of help."""
    lines = [(code(name), inspect.getdoc(function)) for name, function in functions().items() if " " in name]
    return rows("command", "what it does", lines=lines)


def _options(function: Callable[..., Any]) -> str:
    hints = get_type_hints(function, include_extras=True)
    lines = [_option(parameter, hints[name]) for name, parameter in inspect.signature(function).parameters.items()]
    return rows("option", "value", "default", "what it does", lines=lines)


def _option(parameter: inspect.Parameter, hint: Any) -> tuple[str, ...]:
    kind, info = hint.__origin__, hint.__metadata__[0]
    value = info.metavar or "|".join(_choices(kind))
    bare = parameter.default in (None, parameter.empty) or isinstance(parameter.default, bool)  # 1 is no True
    default = "" if bare else str(parameter.default)
    if isinstance(info, ArgumentInfo):
        return code(value or parameter.name.upper()), "", code(default), str(info.help)
    return ", ".join(map(code, option_names(parameter.name, info))), code(value), code(default), str(info.help)


def option_names(name: str, info: Any) -> list[str]:
    """The names of an option, the long one first. Inside `Annotated`, typer keeps the first as `default`."""
    given = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    return [part for text in given or [f"--{name.replace('_', '-')}"] for part in text.split("/")]


def _choices(kind: Any) -> Iterator[str]:
    for part in get_args(kind) or [kind]:
        if isinstance(part, type) and issubclass(part, StrEnum):
            yield from part


def exit_codes() -> str:
    """What each exit code says."""
    return rows("code", "meaning", lines=EXIT_CODES.items())


def settings() -> str:
    """The axes and settings of an experiment."""
    return rows("key", "type", "default", "what it is", lines=map(_setting, fields(experiment.Experiment)))


def _setting(field: Any) -> tuple[str, ...]:
    if field.name == "set":
        kind, default = "table", ""
    elif field.name in experiment.AXES:
        kind, default = "list of texts", str(list(field.default)).replace("'", '"')
    else:
        kind, default = wanted(experiment.Experiment, field), _shown(field.default)
    return code(field.name), kind, code(default), prose(field.metadata["help"])


def _shown(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def experiments() -> str:
    """The packaged experiments."""
    return rows("name", "what it asks", lines=((code(n), prose(text)) for n, text in experiment.packaged().items()))


def ours(kind: str) -> Iterator[type[Component]]:
    """The components of a kind that come with benchfw."""
    there = [installed().registered(kind, name) for name in installed().names(kind)]
    yield from (found.component for found in there if found.distribution == "benchfw")


def components() -> str:
    """Every component: help, parameters, presets, source."""
    return "\n".join(f"## {kind}s\n\n" + "\n".join(map(_component, ours(kind))) for kind in map(str, KINDS))


def _component(component: type[Component]) -> str:
    parts = [f"### {component.name}", prose(inspect.cleandoc(component.__doc__ or ""))]
    lines = [
        (code(field.name), wanted(component, field), code(_shown(field.default)), prose(field.metadata["help"]))
        for field in fields(component)
    ]
    heads = ("parameter", "type", "default", "what it is")
    parts.append(rows(*heads, lines=lines).rstrip() if lines else "No parameters.")
    for name, values in component.presets.items():
        given = ", ".join(code(f"{key}={_shown(value)}") for key, value in values.items())
        parts.append(f"Preset `{component.name}@{name}`: {given}.")
    parts += _facts(component())
    return "\n\n".join(parts) + "\n"


def _facts(component: Component) -> Iterator[str]:
    """What the plan reads from a component at its defaults, its source and licence."""
    if isinstance(component, Synthesizer | Selector | JointTrainer | Classifier):
        yield f"Takes features that are: {', '.join(component.accepts)}."
    if component.needs:
        yield f"Needs: {', '.join(sorted(component.needs))}."
    if component.gives:
        yield f"Gives: {', '.join(sorted(component.gives))}."
    yield f"Source: {prose(component.source or 'not stated')}."
    if isinstance(component, Dataset):
        yield f"Licence of the data: {component.licence}."


def in_the_box() -> str:
    """The components, a line each."""
    lines = [(kind, code(c.name), prose((c.__doc__ or "").splitlines()[0])) for kind in KINDS for c in ours(kind)]
    return rows("kind", "name", "what it is", lines=lines)


def hooks() -> str:
    """The hooks of a plugin."""
    found = [(name, hook) for name, hook in vars(hookspecs).items() if name.startswith("register_")]
    lines = [(code(f"{n}({', '.join(inspect.signature(h).parameters)})"), inspect.getdoc(h)) for n, h in found]
    return rows("hook", "what it does", lines=lines)


def contract() -> str:
    """Every check of the contract, with what it wants and the roles that it is for."""
    from benchfw.testing import all_checks

    lines = [(code(check.name), check.wants, _roles(check.roles)) for check in all_checks()]
    return rows("check", "wants", "of", lines=lines)


def _roles(roles: tuple[type[Component], ...]) -> str:
    return "every component" if Component in roles else ", ".join(role.__name__ for role in roles)


def metrics() -> str:
    """Every metric with its direction."""
    of_class = metric_named(f"{RECALL}<class name>")
    lines = [(code(m.name), f"{m.direction} is better", prose(m.help)) for m in (*METRICS.values(), of_class)]
    return rows("metric", "direction", "what it is", lines=lines)


def columns() -> str:
    """The columns of table.csv for one metric."""
    return rows("column of a metric `m`", "what it is", lines=((code(f"m_{n}"), text) for n, text in COLUMNS.items()))


def fidelity() -> str:
    """The measures of fidelity.csv."""
    lines = [(code(m.name), m.range, code(m.best), prose(m.help), prose(m.source)) for m in MEASURES.values()]
    return rows("measure", "range", "best", "what it is", "source", lines=lines)


def costs() -> str:
    """The columns of costs.csv."""
    return rows("column", "what it is", lines=((code(name), text) for name, text in COSTS.items()))


def tests() -> str:
    """The columns of comparisons.csv."""
    return rows("column", "what it is", lines=((code(name), text) for name, text in TESTS.items()))


def axes() -> str:
    """Which axes each stage's seed depends on."""
    names = list(dict.fromkeys(axis for stage in AXES_OF_STAGE.values() for axis in stage))
    lines = ([stage, *("x" if axis in on else "" for axis in names)] for stage, on in AXES_OF_STAGE.items())
    return rows("stage", *names, lines=lines)


def layers() -> str:
    """The layers of the core from the top, with what each room says of itself."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(contract for contract in linter["contracts"] if contract["type"] == "layers")
    height = len(contract["layers"])
    lines = [
        (height - place - 1, code(room), prose(_sentence(room)))
        for place, layer in enumerate(contract["layers"])
        for room in layer.split(" : ")
    ]
    return rows("layer", "room", "what is in it", lines=lines)


def _sentence(room: str) -> str:
    return (inspect.getdoc(import_module(f"benchfw.{room}")) or "").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
