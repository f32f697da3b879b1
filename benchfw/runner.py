"""A whole run: plan, open the directory, reuse what holds, run the rest, write tables. One failure is one row."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchfw import summary, tables
from benchfw.cell import ended
from benchfw.embedding import forget
from benchfw.errors import BenchfwError, StoreError, UsageError
from benchfw.experiment import REFERENCES, Experiment, requested
from benchfw.hooks import KINDS
from benchfw.keys import Planned, keys_of
from benchfw.machine import describe, device_named, prepare_determinism, usable_cores
from benchfw.metrics import metric_named
from benchfw.plan import Cell, as_json, cells
from benchfw.registry import versions_of
from benchfw.store import FREE, RunDirectory, StageCache, experiment_digest, saving, write_atomically
from benchfw.workers import Task, in_process, in_workers
from benchfw.workers import describe as describe_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchfw.registry import Registry

GUARD = 'benchfw.run was called in a worker process; put `if __name__ == "__main__":` around it, or use jobs=0'
SCRATCH = ".scratch"  # in the results directory: what no later run needs
SHARED = ("embed", "augment")  # the stages that cells share, in the order of `Task.shares`
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

    @property
    def downloads(self) -> Path:
        """Where data sets keep what they fetched: beside the stages, in the user's cache when there is none."""
        return (self.cache or cache_home()) / "downloads"


@dataclass(frozen=True)
class Start:
    """What a run finds before its first cell, as counts of cells; stale ones were finished under another key."""

    out: Path
    total: int
    misfits: int
    reused: int
    stale: int
    to_run: int


class Watcher(Protocol):
    """Is told of a run as it goes."""

    def planned(self, start: Start) -> None:
        """Before the first cell runs."""

    def tick(self, running: Sequence[tuple[Cell, str]]) -> None:
        """Several times a second: the running cells, each with its progress as `stage done total` or ''."""

    def finished(self, cell: Cell, row: dict[str, Any]) -> None:
        """After each cell, with its row."""


class Silent:
    """A watcher that says nothing."""

    def planned(self, start: Start) -> None:
        """Nothing."""

    def tick(self, running: Sequence[tuple[Cell, str]]) -> None:
        """Nothing."""

    def finished(self, cell: Cell, row: dict[str, Any]) -> None:
        """Nothing."""


def cache_home() -> Path:
    """The user's cache: $BENCHFW_CACHE, else the platform's place for caches."""
    from platformdirs import user_cache_path

    given = os.environ.get("BENCHFW_CACHE")
    return Path(given).expanduser() if given else user_cache_path("benchfw", appauthor=False)


def cache_named(name: str | Path | None) -> Path | None:
    """The cache directory of that name: the user's when None, none at all for `off`."""
    if name is None:
        return cache_home()
    return None if str(name) == "off" else Path(name).expanduser()


def plan(experiment: Experiment, settings: Settings, registry: Registry) -> list[Planned]:
    """Every cell with its keys and, when it cannot run, the reason. Raises UsageError for what the user got wrong."""
    metric_named(experiment.metric)  # or the run would end with this error
    device, downloads = device_named(settings.device), settings.downloads
    return [Planned(cell, keys_of(cell, device, downloads), cell.misfit()) for cell in cells(experiment, registry)]


def directory_for(planned: Sequence[Planned], settings: Settings, wanted: Experiment, name: str | None) -> RunDirectory:
    """The results directory: the one asked for, else results/<experiment>, with a digest where it was changed.

    wanted: the experiment as requested; name: the one that it was made from.
    """
    if settings.out is not None:
        return RunDirectory(settings.out)
    base = requested(name, {})
    changed = replace(wanted, **{name: getattr(base, name) for name in FREE}) != base
    digest = f"-{experiment_digest(planned[0].cell.experiment)}" if changed else ""
    return RunDirectory(Path("results") / f"{wanted.name}{digest}")


def preview(planned: Sequence[Planned], directory: RunDirectory, settings: Settings) -> dict[str, Any]:
    """What `run` would do, as JSON values: each cell's axes, state (to run, finished, skipped), reason and key."""
    described = [
        {
            "id": item.cell.id,
            "axes": item.cell.axes,
            "state": "skipped" if item.misfit else "finished" if directory.reusable(item) else "to run",
            "reason": item.misfit,
            "key": item.keys.cell,
        }
        for item in planned
    ]
    embeddings = {item.keys.embed for item in planned if item.misfit is None}
    cached = {key for key in embeddings if settings.cache and StageCache(settings.cache).find("embed", key)}
    counts = {"embeddings": len(embeddings), "cached_embeddings": len(cached)}
    return {"directory": str(directory.root), "cells": described, **counts}


def run(planned: Sequence[Planned], directory: RunDirectory, settings: Settings, watcher: Watcher) -> Counter[str]:
    """Run what is planned and write the tables; returns how many cells ended in which status.

    What is finished under the same key is reused. Ctrl-C and errors leave what is finished; the same call goes on.
    Raises UsageError when the directory is taken, StoreError as soon as a result cannot be kept.
    """
    if settings.jobs != 0 and multiprocessing.parent_process() is not None:
        raise UsageError(GUARD)
    forget()
    if planned[0].cell.experiment.deterministic:
        prepare_determinism()
    plugins = versions_of(getattr(item.cell, kind) for item in planned for kind in KINDS)
    machine = describe(device_named(settings.device), planned[0].cell.experiment.threads, plugins)
    with directory.opened(planned, machine):
        waiting = _what_to_run(planned, directory, watcher)
        try:
            with _workplace(directory, settings) as (cache, scratch):
                _run_cells(waiting, directory, settings, cache, scratch, watcher)
        except BaseException:
            with suppress(BenchfwError):  # what ended the run is what must be told
                write_tables(directory)
            raise
        return write_tables(directory)


def _what_to_run(planned: Sequence[Planned], directory: RunDirectory, watcher: Watcher) -> list[Planned]:
    """Store the rows of misfits, tell the watcher what is reused and stale, and give the rest."""
    misfits = [item for item in planned if item.misfit is not None]
    for item in misfits:
        directory.save(ended(item.cell, item.keys.cell, "skipped", item.misfit or ""))
    fitting = [item for item in planned if item.misfit is None]
    waiting = [item for item in fitting if directory.reusable(item) is None]
    rows = [(item, directory.row(item.cell.id)) for item in waiting]
    stale = sum(row is not None and row["key"] != item.keys.cell for item, row in rows)
    reused = len(fitting) - len(waiting)
    watcher.planned(Start(directory.root, len(planned), len(misfits), reused, stale, len(waiting)))
    # the references last: they are short, and fill the workers that have no long cell left
    return sorted(waiting, key=lambda item: item.cell.augmenter.name in REFERENCES)


def _run_cells(
    waiting: Sequence[Planned],
    directory: RunDirectory,
    settings: Settings,
    cache: StageCache,
    scratch: Path,
    watcher: Watcher,
) -> None:
    by_id = {item.cell.id: item for item in waiting}
    tasks = [_task(item, directory, settings, cache, scratch) for item in waiting]

    def tick(running: Sequence[Task]) -> None:
        watcher.tick([(by_id[task.id].cell, _progress(scratch / task.id)) for task in running])

    jobs = _jobs(settings, len(tasks))
    if jobs == 0:
        ends = in_process(tasks, tick)
    else:
        made = {key for task in tasks for stage, key in zip(SHARED, task.shares, strict=True) if cache.find(stage, key)}
        threads = waiting[0].cell.experiment.threads
        ends = in_workers(tasks, tick, jobs=jobs, threads=threads, made=made, scratch=scratch)
    with closing(ends):
        for end in ends:
            item = by_id[end.task.id]
            if end.fatal is not None:
                raise StoreError(end.fatal)
            row = end.row or ended(item.cell, item.keys.cell, "killed", end.killed or "no answer")
            directory.save(row)
            watcher.finished(item.cell, row)


def _jobs(settings: Settings, tasks: int) -> int:
    if settings.jobs is not None:
        if settings.jobs < 0:
            raise UsageError(f"jobs: wants 0 (this process) or more, found {settings.jobs}")
        return min(settings.jobs, tasks)
    on_cpu = device_named(settings.device).type == "cpu"
    return min(usable_cores() if on_cpu else 1, MOST_JOBS, tasks)


def _task(item: Planned, directory: RunDirectory, settings: Settings, cache: StageCache, scratch: Path) -> Task:
    text = describe_task(
        as_json(item.cell),
        ended(item.cell, item.keys.cell, "failed", ""),
        cache=cache.root.absolute(),
        results=directory.root.absolute(),
        downloads=settings.downloads.absolute(),
        device=str(device_named(settings.device)),
        progress=scratch,
    )
    return Task(item.cell.id, text, (item.keys.embed, item.keys.augment))


def _progress(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextmanager
def _workplace(directory: RunDirectory, settings: Settings) -> Iterator[tuple[StageCache, Path]]:
    """The stage cache, and a directory for what no later run needs."""
    scratch = directory.root.absolute() / SCRATCH
    cache = StageCache(settings.cache or scratch / "cache")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    try:
        with saving(str(scratch)):
            (scratch / "progress").mkdir(parents=True)
        cache.open()
        yield cache, scratch / "progress"
    finally:
        cache.sweep()
        shutil.rmtree(scratch, ignore_errors=True)


def write_tables(directory: RunDirectory) -> Counter[str]:
    """Build the tables from the cells, as CSV and Markdown; returns how many cells are in which status."""
    experiment, rows = directory.rows()
    table = tables.table(rows, classifiers=experiment.classifiers)
    costs = tables.costs(rows)
    write_atomically(directory.root / "table.csv", tables.to_csv(table).encode())
    compared = tables.comparisons(rows, classifiers=experiment.classifiers, metric=experiment.metric)
    write_atomically(directory.root / "comparisons.csv", tables.to_csv(compared).encode())
    write_atomically(directory.root / "costs.csv", tables.to_csv(costs).encode())
    write_atomically(directory.root / "fidelity.csv", tables.to_csv(tables.fidelity(rows)).encode())
    markdown = summary.to_markdown(table, costs, experiment.metric)
    write_atomically(directory.root / "table.md", markdown.encode())
    return Counter(row["status"] for row in rows)
