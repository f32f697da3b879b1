"""The commands that read a results directory: its table, its report, and the gate. Importing it loads typer alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchfw import completion

if TYPE_CHECKING:
    from collections import Counter

    from benchfw.experiment import Experiment
    from benchfw.measured import Measured

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A results directory.")]
Baseline = Annotated[Path, typer.Option(metavar="FILE", help="The baseline file, which is committed.")]


class Format(StrEnum):
    """How a table is printed."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"


def table(
    directory: Directory,
    versus: Annotated[
        str | None,
        typer.Option(metavar="augmenter=A,classifier=C,correction=K", help="The line that gains are paired with."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="The metric to show; default the experiment's.", autocompletion=completion.metrics),
    ] = None,
    tests: Annotated[bool, typer.Option("--tests", help="What the tests say of each difference instead.")] = False,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.terminal,
) -> None:
    """Print the table of a run again, of any metric, against any line; or the tests behind it."""
    from benchfw import tables
    from benchfw.console import console, print_results
    from benchfw.store import RunDirectory
    from benchfw.summary import to_markdown

    experiment, rows = RunDirectory(directory).rows()
    reference = tables.line_named(versus) if versus else None
    if tests:
        _print_tests(experiment, rows, reference, metric or experiment.metric, format)
        return
    frame, costs = tables.table(rows, classifiers=experiment.classifiers, versus=reference), tables.costs(rows)
    if format is Format.csv:
        typer.echo(tables.to_csv(frame), nl=False)
    elif format is Format.markdown:
        typer.echo(to_markdown(frame, costs, metric or experiment.metric), nl=False)
    else:
        print_results(frame, costs, metric or experiment.metric, console())


def report(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write; default DIR/report.html.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="The metric to speak of; default the experiment's.", autocompletion=completion.metrics),
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option("--images/--no-images", help="Show training images; default where a licence allows it."),
    ] = None,
) -> None:
    """Write a run as one HTML file: the answer, tables, plots, what went wrong, and how to reproduce it."""
    from benchfw.console import console
    from benchfw.report import write_report

    console().print(f"written: {write_report(directory, out, metric=metric, images=images)}", markup=False)


def _print_tests(
    experiment: Experiment, rows: list[dict[str, Any]], versus: dict[str, str] | None, metric: str, format: Format
) -> None:
    from benchfw import evidence, tables
    from benchfw.console import console, print_tests

    frame = tables.comparisons(rows, classifiers=experiment.classifiers, metric=metric, versus=versus)
    if format is Format.csv:
        typer.echo(tables.to_csv(frame), nl=False)
    elif format is Format.markdown:
        typer.echo(evidence.to_markdown(frame, metric), nl=False)
    else:
        print_tests(frame, metric, console())


def check(
    directory: Directory,
    baseline: Baseline,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this metric; repeat for more. With --update: what is gated from now on.",
            autocompletion=completion.metrics,
        ),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=X", help="A loss that is accepted, in the metric's unit: 0.01 is one point."),
    ] = None,
    fail_on_better: Annotated[
        bool, typer.Option("--fail-on-better", help="Fail on gains that chance does not explain: leaks look like that.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Write the baseline from DIR; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the baseline is written, for its history.")] = "",
    items: Annotated[
        bool, typer.Option("--items/--no-items", help="With --update: keep which test items are classified correctly.")
    ] = True,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a pull request's comment.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")] = None,
    annotations: Annotated[
        bool, typer.Option("--annotations", envvar="GITHUB_ACTIONS", help="Print GitHub's annotations.")
    ] = False,
) -> None:
    """Hold a run against a committed baseline: fail when a line is worse, failed, missing or not comparable."""
    from benchfw import announce, gate
    from benchfw import baseline as baselines
    from benchfw.console import console
    from benchfw.console_gate import print_report
    from benchfw.measured import measured

    _check_paths({"--baseline": baseline, "--markdown": markdown, "--junit": junit, "--json": json})
    found, tolerances = measured(directory), gate.tolerances_named(tolerance or ())
    if update or reason:
        _check_update(update, markdown, junit, json)
        _update_baseline(found, baseline, reason, tuple(metric or ()), tolerances, items)
        return
    asked = gate.Asked(tuple(metric or ()), tolerances, fail_on_better)
    report = gate.compare(baselines.read(baseline), found, asked, str(baseline))
    code = exit_code(report.statuses)
    print_report(report, console())
    if annotations:
        typer.echo("\n".join(announce.to_annotations(report)))
    refused = announce.write(report, code, markdown=markdown, junit=junit, json=json)
    for why in refused:
        typer.echo(f"benchfw: {why}", err=True)
    raise typer.Exit(code or (2 if refused else 0))


def _check_paths(named: dict[str, Path | None]) -> None:
    """Refuse two files of one path, of which one would overwrite the other."""
    from os.path import realpath

    from benchfw.errors import UsageError

    seen: dict[str, str] = {}
    for option, path in named.items():
        if path is not None and (other := seen.setdefault(realpath(path), option)) != option:
            raise UsageError(f"{option} {path}: is the file of {other} too; choose another path")


def _check_update(update: bool, *reports: Path | None) -> None:
    from benchfw.errors import UsageError

    if not update:
        raise UsageError("--reason: is for --update, which writes the baseline; give both, or neither")
    if any(reports):
        raise UsageError("--update: writes the baseline and no report; check first, then update")


def _update_baseline(
    run: Measured, path: Path, reason: str, metrics: tuple[str, ...], tolerances: dict[str, float], items: bool
) -> None:
    from benchfw import baseline as baselines
    from benchfw import gate
    from benchfw.acceptance import noise_dropped, taken
    from benchfw.console import console
    from benchfw.console_gate import print_update
    from benchfw.errors import StoreError, UsageError
    from benchfw.store import refusal

    old = baselines.read(path) if path.exists() else None
    new = taken(run, old, reason=reason, metrics=metrics, tolerances=tolerances, items=items)
    try:
        baselines.write(path, new)
    except StoreError as error:
        raise UsageError(refusal(path, error)) from error
    report = None if old is None else gate.compare(old, run, gate.Asked(), str(path))
    print_update(report, new, str(path), console(), {} if old is None else noise_dropped(old, new))


def exit_code(statuses: Counter[str]) -> int:
    """0 fine, 1 cells failed or lines are worse, 4 not comparable, 3 incomplete: nothing, or not all, was measured."""
    from benchfw.store import TROUBLE

    if any(statuses[status] for status in (*TROUBLE, "worse")):
        return 1
    if statuses["not comparable"]:
        return 4
    return 0 if statuses["done"] and not statuses["not run"] and not statuses["missing"] else 3
