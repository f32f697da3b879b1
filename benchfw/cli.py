"""The commands: each a few lines that call the rooms below. Importing this module loads typer and nothing heavy."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchfw import completion
from benchfw.cli_plugins import NoPlugins, PluginFiles, loaded, plugin
from benchfw.cli_results import Baseline, check, exit_code, report, table

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from benchfw.experiment import Experiment
    from benchfw.keys import Planned
    from benchfw.registry import Registry
    from benchfw.runner import Settings
    from benchfw.store import RunDirectory

app = typer.Typer(
    name="benchfw",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Does synthesising minority features help, by how much, against what, and can the number be trusted?",
)


LISTED = ("dataset", "extractor", "augmenter", "classifier", "experiment")
KIND = "|".join(LISTED)


Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[EXPERIMENT]",
        help="A packaged experiment or a TOML file; default quick.",
        autocompletion=completion.experiments,
    ),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        help="Data set; repeat for more. Replaces the axis; with one that is not the experiment's own, and no "
        "--imbalance, the data is taken as it is (natural).",
        autocompletion=completion.component("dataset"),
    ),
]
Imbalances = Annotated[
    list[str] | None,
    typer.Option(
        "--imbalance",
        "-i",
        help="natural, exp:R, step:R or counts:a,b,...; :permuted permutes the classes.",
        autocompletion=completion.imbalances,
    ),
]
Extractors = Annotated[
    list[str] | None,
    typer.Option(
        "--extractor", "-e", help="Feature extractor, e.g. lenet5.", autocompletion=completion.component("extractor")
    ),
]
Augmenters = Annotated[
    list[str] | None,
    typer.Option(
        "--augmenter", "-a", help="Augmenter, e.g. smote@k=3.", autocompletion=completion.component("augmenter")
    ),
]
Classifiers = Annotated[
    list[str] | None,
    typer.Option(
        "--classifier", "-c", help="Classifier, e.g. head.", autocompletion=completion.component("classifier")
    ),
]
Repetitions = Annotated[int | None, typer.Option(help="Repetitions, each with its own split and seeds.")]
Seed = Annotated[int | None, typer.Option(help="Base seed.")]
Threads = Annotated[int | None, typer.Option(help="Threads of one cell; results depend on it.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="kind.name.parameter=value, or a setting of the experiment=value.",
        autocompletion=completion.assignments,
    ),
]
Reference = Annotated[bool, typer.Option("--reference/--no-reference", help="Add the augmenters none and random.")]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="Refuse operations that give other bits each time, as a GPU has.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", autocompletion=completion.devices)]
Jobs = Annotated[int | None, typer.Option(min=1, help="Worker processes; default one for each core, on a GPU one.")]
Cache = Annotated[
    str | None, typer.Option(metavar="DIR|off", help="Stage cache; default $BENCHFW_CACHE, else the user's.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Results directory; default results/EXPERIMENT.")]


def _check_kind(kind: str) -> None:
    from benchfw.components import role_hint
    from benchfw.errors import UsageError, did_you_mean

    if kind not in LISTED:
        raise UsageError(f"no kind named {kind!r}{role_hint(kind) or did_you_mean(kind, LISTED)}")


@app.callback(invoke_without_command=True)
def benchfw(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Does synthesising minority features help, by how much, against what, and can the number be trusted?"""
    if version:
        from benchfw import __version__

        typer.echo(f"benchfw {__version__}")
        raise typer.Exit


@app.command()
def run(
    experiment: Name = None,
    dataset: Datasets = None,
    imbalance: Imbalances = None,
    extractor: Extractors = None,
    augmenter: Augmenters = None,
    classifier: Classifiers = None,
    repetitions: Repetitions = None,
    seed: Seed = None,
    threads: Threads = None,
    assignments: Assignments = None,
    reference: Reference = True,
    deterministic: Deterministic = False,
    device: Device = "auto",
    jobs: Jobs = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Run in this process, for a debugger.")] = False,
    cache: Cache = None,
    out: Out = None,
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """Run an experiment and print its table; the same command again goes on where it stopped."""
    axes = _axes(dataset, imbalance, extractor, augmenter, classifier)
    changes = axes | _changes(repetitions, seed, threads, reference, deterministic)
    settings = _settings(out, cache, device, 0 if in_process else jobs)
    planned, directory = _planned(experiment, changes, assignments, settings, loaded(plugins, no_plugins))
    statuses = _run(planned, directory, settings)
    _print_results(directory)
    raise typer.Exit(exit_code(statuses))


@app.command()
def plan(
    experiment: Name = None,
    dataset: Datasets = None,
    imbalance: Imbalances = None,
    extractor: Extractors = None,
    augmenter: Augmenters = None,
    classifier: Classifiers = None,
    repetitions: Repetitions = None,
    seed: Seed = None,
    threads: Threads = None,
    assignments: Assignments = None,
    reference: Reference = True,
    deterministic: Deterministic = False,
    device: Device = "auto",
    cache: Cache = None,
    out: Out = None,
    json: Annotated[bool, typer.Option("--json", help="Print the cells as JSON.")] = False,
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """Say what `run` would do with the same options: cells to run, finished, skipped with reasons."""
    from benchfw import runner
    from benchfw.console import console, print_plan

    axes = _axes(dataset, imbalance, extractor, augmenter, classifier)
    changes = axes | _changes(repetitions, seed, threads, reference, deterministic)
    settings = _settings(out, cache, device, None)
    planned, directory = _planned(experiment, changes, assignments, settings, loaded(plugins, no_plugins))
    preview = runner.preview(planned, directory, settings)
    if json:
        from json import dumps

        typer.echo(dumps(preview, indent=2))
    else:
        print_plan(preview, console())


@app.command(name="list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar=KIND, help="What to list; default everything.", autocompletion=completion.kinds),
    ] = None,
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """List the installed data sets, extractors, augmenters and classifiers, and the packaged experiments."""
    from benchfw.console import console
    from benchfw.console_components import print_components, print_experiments
    from benchfw.experiment import packaged

    _check_kind(kind or "experiment")
    if kind != "experiment":
        registry = loaded(plugins, no_plugins)
        print_components(registry, [kind] if kind else LISTED[:-1], console())
    if kind in (None, "experiment"):
        print_experiments(packaged(), console())


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar=KIND, help="What it is.", autocompletion=completion.kinds)],
    name: Annotated[str, typer.Argument(help="Its name, as `list` prints it.", autocompletion=completion.names)],
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """Show one component: parameters, bounds, presets, what it takes and gives, source, licence; or one experiment."""
    from benchfw.console import console
    from benchfw.console_components import print_component
    from benchfw.experiment import load, to_toml

    _check_kind(kind)
    if kind == "experiment":
        typer.echo(to_toml(load(name)), nl=False)
    else:
        print_component(kind, loaded(plugins, no_plugins).registered(kind, name), console())


for command in (table, report, check):
    app.command()(command)
app.add_typer(plugin)


@app.command()
def calibrate(
    baseline: Baseline,
    repeats: Annotated[int, typer.Option(min=1, help="Runs with other seeds of training on the same splits.")] = 5,
    same: Annotated[int, typer.Option(min=0, help="Runs with the same seeds and no cache.")] = 1,
    device: Device = "auto",
    jobs: Jobs = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Run in this process, for a debugger.")] = False,
    cache: Cache = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its runs go; default results/calibration/EXPERIMENT.")
    ] = None,
    plugins: PluginFiles = None,
    no_plugins: NoPlugins = False,
) -> None:
    """Measure how much chance in training moves each line of a baseline, and keep that in the file."""
    from benchfw import baseline as baselines
    from benchfw import calibration
    from benchfw.console import console
    from benchfw.console_gate import print_calibration

    before, settings = baselines.read(baseline), _settings(out, cache, device, 0 if in_process else jobs)
    reruns = calibration.reruns(before, settings, loaded(plugins, no_plugins), repeats=repeats, same=same)
    for rerun in reruns:
        _run(rerun.planned, rerun.directory, rerun.settings)
    found = calibration.of_reruns(before, reruns)
    baselines.replace(baseline, found.baseline, before)
    print_calibration(found, str(baseline), console())
    raise typer.Exit(exit_code(found.statuses))


def _axes(
    dataset: list[str] | None,
    imbalance: list[str] | None,
    extractor: list[str] | None,
    augmenter: list[str] | None,
    classifier: list[str] | None,
) -> dict[str, Any]:
    return {
        "datasets": dataset,
        "imbalances": imbalance,
        "extractors": extractor,
        "augmenters": augmenter,
        "classifiers": classifier,
    }


def _changes(
    repetitions: int | None, seed: int | None, threads: int | None, reference: bool, deterministic: bool
) -> dict[str, Any]:
    return {
        "repetitions": repetitions,
        "seed": seed,
        "threads": threads,
        "references": None if reference else False,
        "deterministic": deterministic or None,
    }


def _settings(out: Path | None, cache: str | None, device: str, jobs: int | None) -> Settings:
    from benchfw.runner import Settings, cache_named

    return Settings(out, cache_named(cache), device, jobs)


def _planned(
    name: str | None, changes: dict[str, Any], assignments: list[str] | None, settings: Settings, registry: Registry
) -> tuple[list[Planned], RunDirectory]:
    from benchfw import runner
    from benchfw.experiment import requested

    wanted: Experiment = requested(name, changes, tuple(assignments or ()))
    planned = runner.plan(wanted, settings, registry)
    return planned, runner.directory_for(planned, settings, wanted, name)


def _run(planned: list[Planned], directory: RunDirectory, settings: Settings) -> Counter[str]:
    from benchfw import runner
    from benchfw.console import watcher

    try:
        with _ended_by_signals(), watcher() as watching:
            return runner.run(planned, directory, settings, watching)
    except KeyboardInterrupt:
        done = sum(directory.reusable(item) is not None for item in planned)
        said = f"interrupted: {done} of {len(planned)} cells are finished; the same command goes on from there"
        typer.echo(said, err=True)
        raise typer.Exit(130) from None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let what schedulers and closed terminals send end a run as Ctrl-C does."""
    import signal

    sent = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in sent:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in sent:
            signal.signal(number, signal.SIG_DFL)


def _print_results(directory: RunDirectory) -> None:
    from benchfw import console as screen
    from benchfw import tables

    experiment, rows = directory.rows()
    table, costs = tables.table(rows, classifiers=experiment.classifiers), tables.costs(rows)
    there = screen.console()
    if table["n"].any():
        screen.print_results(table, costs, experiment.metric, there)
    screen.print_troubles(rows, screen.console(stderr=True))
    there.print(screen.where(directory.root))
