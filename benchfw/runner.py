"""A whole run: plan, open the directory, reuse what still holds, run the rest, write the tables. One failure is one row."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchfw import summary, tables
from benchfw.cell import ended
from benchfw.errors import StoreError
from benchfw.experiment import Experiment
from benchfw.keys import Keys, keys_of
from benchfw.machine import describe, device_named, usable_cores
from benchfw.plan import Cell, as_json, cells
from benchfw.registry import Registry
from benchfw.store import Planned, RunDirectory, StageCache, experiment_digest, saving, write_atomically
from benchfw.workers import Ended, Task, in_process, in_workers
from benchfw.workers import describe as describe_task

MOST_JOBS = 8  # by default; each worker holds a copy of torch


@dataclass(frozen=True)
class Settings:
    """How to run, none of which changes a result: where to write, what to reuse, on what and how many at a time.

    out: the results directory; None is results/<experiment>, with a digest behind where the experiment was changed.
    cache: the stage cache; None is no cache beyond this run. jobs: worker processes; None is one a core, 0 is this
    process.
    """

    out: Path | None = None
    cache: Path | None = None
    device: str = "auto"
    jobs: int | None = None


@dataclass
class Step:
    """What the runner tells whoever watches, as it goes: all counts of cells."""

    total: int
    reused: int = 0
    stale: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


class Watcher:
    """Is told of a run as it goes; this one is silent. The console's shows progress."""

    def planned(self, step: Step, out: Path) -> None:
        """Before the first cell runs."""

    def tick(self, running: Sequence[tuple[Cell, str]]) -> None:
        """Several times a second: the running cells, each with its progress as `stage done total` or ''."""

    def finished(self, cell: Cell, row: dict[str, Any]) -> None:
        """After each cell."""


def cache_home() -> Path:
    """The user's cache: $BENCHFW_CACHE, else the platform's place for caches."""
    from platformdirs import user_cache_path

    given = os.environ.get("BENCHFW_CACHE")
    return Path(given).expanduser() if given else user_cache_path("benchfw", appauthor=False)


def plan(experiment: Experiment, settings: Settings, registry: Registry) -> list[tuple[Planned, Keys]]:
    """Every cell with its keys and, when it cannot run, the reason. Raises UsageError for what the user got wrong."""
    device = device_named(settings.device)
    downloads = (settings.cache or cache_home()) / "downloads"
    planned = []
    for cell in cells(experiment, registry):
        keys = keys_of(cell, device, downloads)
        planned.append((Planned(cell, keys.cell, cell.misfit()), keys))
    return planned


def directory_for(planned: Sequence[tuple[Planned, Keys]], settings: Settings, changed: bool) -> RunDirectory:
    """The results directory of a plan. changed: whether the packaged experiment was changed for it."""
    experiment = planned[0][0].cell.experiment
    name = f"{experiment.name}-{experiment_digest(experiment)}" if changed else experiment.name
    return RunDirectory(settings.out or Path("results") / name)


def run(
    planned: Sequence[tuple[Planned, Keys]], directory: RunDirectory, settings: Settings, watcher: Watcher
) -> Counter[str]:
    """Run what is planned and write the tables; returns how many cells ended in which status.

    What is finished under the same key is reused. Ctrl-C and errors leave what is finished; the same call goes on.
    Raises UsageError when the directory is taken, StoreError as soon as a result cannot be kept.
    """
    experiment = planned[0][0].cell.experiment
    device = device_named(settings.device)
    machine = describe(device, experiment.threads)
    with directory.opened([p for p, _ in planned], machine):
        step, waiting = _what_to_run(planned, directory)
        watcher.planned(step, directory.root)
        try:
            with _workplace(settings) as (cache, scratch):
                _run_cells(waiting, directory, settings, cache, scratch, watcher)
        finally:
            statuses = write_tables(directory)
    return statuses


def _what_to_run(
    planned: Sequence[tuple[Planned, Keys]], directory: RunDirectory
) -> tuple[Step, list[tuple[Planned, Keys]]]:
    """Count what is reused and stale, store the rows of misfits, and give the rest."""
    step, waiting = Step(total=len(planned)), []
    for plan_of, keys in planned:
        row = directory.row(plan_of.cell.id)
        if plan_of.misfit is not None:
            directory.save(ended(plan_of.cell, plan_of.key, "skipped", plan_of.misfit))
            step.statuses["skipped"] += 1
        elif row is not None and row["key"] == plan_of.key and row["status"] in ("done", "skipped"):
            step.reused += 1
            step.statuses[row["status"]] += 1
        else:
            step.stale += row is not None and row["key"] != plan_of.key
            waiting.append((plan_of, keys))
    return step, waiting


def _run_cells(
    waiting: list[tuple[Planned, Keys]],
    directory: RunDirectory,
    settings: Settings,
    cache: StageCache,
    scratch: Path,
    watcher: Watcher,
) -> None:
    if not waiting:
        return
    by_id = {planned.cell.id: planned for planned, _ in waiting}
    tasks = [_task(planned.cell, keys, directory, settings, cache, scratch) for planned, keys in waiting]

    def tick(running: Sequence[Task]) -> None:
        watcher.tick([(by_id[task.id].cell, _progress(scratch / task.id)) for task in running])

    for end in _executed(tasks, tick, waiting, settings, cache, scratch):
        if end.fatal is not None:
            raise StoreError(end.fatal)
        planned = by_id[end.task.id]
        row = end.row or ended(planned.cell, planned.key, "killed", end.killed or "no answer")
        directory.save(row)
        watcher.finished(planned.cell, row)


def _executed(
    tasks: list[Task],
    tick: Callable[[Sequence[Task]], None],
    waiting: list[tuple[Planned, Keys]],
    settings: Settings,
    cache: StageCache,
    scratch: Path,
) -> Iterator[Ended]:
    jobs = _jobs(settings, len(tasks))
    if jobs == 0:
        return in_process(tasks, tick)
    made = {keys.embed for _, keys in waiting if cache.find("embed", keys.embed)}
    made |= {keys.augment for _, keys in waiting if cache.find("augment", keys.augment)}
    threads = waiting[0][0].cell.experiment.threads
    return in_workers(tasks, tick, jobs=jobs, threads=threads, made=made, scratch=scratch)


def _jobs(settings: Settings, tasks: int) -> int:
    if settings.jobs is not None:
        return min(settings.jobs, tasks)
    on_cpu = device_named(settings.device).type == "cpu"
    return min(usable_cores() if on_cpu else 1, MOST_JOBS, tasks)


def _task(
    cell: Cell, keys: Keys, directory: RunDirectory, settings: Settings, cache: StageCache, scratch: Path
) -> Task:
    text = describe_task(
        as_json(cell),
        cache=cache.root.absolute(),
        results=directory.root.absolute(),
        downloads=((settings.cache or cache_home()) / "downloads").absolute(),
        device=str(device_named(settings.device)),
        progress=scratch,
    )
    return Task(cell.id, text, (keys.embed, keys.augment))


def _progress(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextmanager
def _workplace(settings: Settings) -> Iterator[tuple[StageCache, Path]]:
    """The stage cache, and a directory for what no later run needs."""
    with tempfile.TemporaryDirectory(prefix="benchfw-") as scratch:
        (Path(scratch) / "progress").mkdir()
        root = settings.cache or Path(scratch) / "cache"
        yield StageCache(root), Path(scratch) / "progress"


def write_tables(directory: RunDirectory) -> Counter[str]:
    """Build table.csv, costs.csv and table.md from the cells; returns how many cells are in which status."""
    experiment, rows = directory.rows()
    table = tables.table(rows, classifiers=experiment.classifiers)
    costs = tables.costs(rows)
    with saving(f"the tables in {directory.root}"):
        tables.write_csv(table, directory.root / "table.csv")
        tables.write_csv(costs, directory.root / "costs.csv")
    markdown = summary.to_markdown(table, costs, experiment.metric)
    write_atomically(directory.root / "table.md", markdown.encode())
    return Counter(row["status"] for row in rows)


