"""Local worker processes: each takes a cell as text and gives its row as text; a dead worker costs one cell.

A worker leads a session of its own, dies with its parent, and takes its children with it. A pool that breaks is made
anew and what is not done is submitted again.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from pebble import ProcessPool

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
BROKE = (
    "the worker processes died before they could say why, again and again around this cell; "
    'a script that calls benchfw.run wants `if __name__ == "__main__":` around it, or jobs=0'
)
TICK = 0.2  # seconds between two looks at the workers
REPORT_EVERY = 0.2  # seconds between two lines of a cell's progress
ATTEMPTS = 3  # times that a cell is submitted when the pool breaks around it


@dataclass(frozen=True)
class Task:
    """A cell to run: its id, the text for the worker, and the keys of the stages that it shares with other cells."""

    id: str
    text: str
    shares: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """What came of a task: its row; or how its worker died; or why nothing more can be saved."""

    task: Task
    row: dict[str, Any] | None = None
    killed: str | None = None
    fatal: str | None = None


def describe(
    cell: str, failed: dict[str, Any], *, cache: Path, results: Path, downloads: Path, device: str, progress: Path
) -> str:
    """The text of a task.

    cell: as `plan.as_json` writes it. failed: its row where its components cannot be loaded, without the reason.
    progress: the directory where it says how far it is.
    """
    paths = {"cache": str(cache), "results": str(results), "downloads": str(downloads), "progress": str(progress)}
    return json.dumps({"cell": cell, "failed": failed, "device": device, **paths})


def work(text: str, heard: Callable[[], None] | None = None) -> str:
    """Run one cell in this process: text as `describe` writes it -> {"row": ...} or {"fatal": ...} as text.

    heard: called now and then, after the cell has said how far it is.
    """
    import torch

    from benchfw.cell import attempt
    from benchfw.errors import StoreError
    from benchfw.hooks import in_a_line
    from benchfw.place import Place
    from benchfw.plan import from_json
    from benchfw.store import StageCache

    task = json.loads(text)
    try:
        cell = from_json(task["cell"])
    except Exception as error:  # a plugin that could be loaded when the run was planned
        return json.dumps({"row": task["failed"] | {"reason": in_a_line(error)}})
    place = Place(
        cache=StageCache(Path(task["cache"])),
        results=Path(task["results"]),
        downloads=Path(task["downloads"]),
        device=torch.device(task["device"]),
        listen=_Progress(Path(task["progress"]) / cell.id, heard),
    )
    try:
        with one_size(cell.experiment.threads):
            return json.dumps({"row": attempt(cell, place)})
    except StoreError as error:
        return json.dumps({"fatal": str(error)})


@contextmanager
def one_size(threads: int) -> Iterator[None]:
    """Exactly this many threads for torch and BLAS while a cell runs, and what was before afterwards."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


class _Progress:
    """Writes `stage done total` to a small file, now and then, where the parent looks."""

    def __init__(self, path: Path, heard: Callable[[], None] | None):
        self._path = path
        self._heard = heard
        self._next = 0.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_EVERY
            with suppress(OSError):  # how far it is, is no result
                self._path.write_text(f"{stage} {done} {total}")
            if self._heard is not None:
                self._heard()


def in_process(tasks: Sequence[Task], tick: Callable[[Sequence[Task]], None]) -> Generator[Ended]:
    """Run the tasks one after the other in this process, for a debugger or a notebook."""
    for task in tasks:
        tick([task])
        yield _ended(task, work(task.text, heard=partial(tick, [task])))


def in_workers(
    tasks: Sequence[Task],
    tick: Callable[[Sequence[Task]], None],
    *,
    jobs: int,
    threads: int,
    made: set[str],
    scratch: Path,
) -> Generator[Ended]:
    """Run the tasks in worker processes; yields what came of each, as they end.

    tick: called every 0.2 s with the running tasks. made: keys of shared stages that are in the cache already. No two
    tasks make the same stage at once: the second waits until the first one has put it there. scratch: an empty
    directory for process numbers.
    """
    waiting, running, attempts = list(tasks), dict[Future[str], Task](), Counter[str]()
    made = set(made)
    pool = _new_pool(jobs, threads, scratch)
    try:
        while waiting or running:
            if not pool.active:
                for task in running.values():
                    attempts[task.id] += 1
                lost = [task for task in running.values() if attempts[task.id] >= ATTEMPTS]
                waiting = [task for task in running.values() if task not in lost] + waiting
                running.clear()
                yield from (Ended(task, killed=BROKE) for task in lost)
                _stop(pool, scratch)
                pool = _new_pool(jobs, threads, scratch)
            _submit(pool, waiting, running, made, jobs)
            done, _ = wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
            tick(list(running.values()))
            for future in done:
                task = running.pop(future)
                ended = _outcome(future, task)
                if ended is None:
                    running[future] = task
                    continue
                if ended.row is not None and ended.row["status"] == "done":
                    made.update(task.shares)
                yield ended
    finally:
        _stop(pool, scratch)


def _submit(
    pool: ProcessPool, waiting: list[Task], running: dict[Future[str], Task], made: set[str], jobs: int
) -> None:
    while len(running) < jobs:
        task = next_ready(waiting, list(running.values()), made)
        if task is None:
            return
        try:
            future = pool.schedule(work, args=(task.text,))
        except RuntimeError:  # the pool broke since we looked; the caller makes a new one
            return
        waiting.remove(task)
        running[future] = task


def next_ready(waiting: Sequence[Task], running: Sequence[Task], made: set[str]) -> Task | None:
    """The first task that would not make a stage that a running one is making now; None when there is none."""
    in_the_making = {key for task in running for key in task.shares} - made
    return next((task for task in waiting if in_the_making.isdisjoint(task.shares)), None)


def _outcome(future: Future[str], task: Task) -> Ended | None:
    """What came of a task, or None when the pool broke before it was done."""
    from pebble import ProcessExpired

    try:
        return _ended(task, future.result())
    except ProcessExpired as error:
        return Ended(task, killed=_how_it_died(error.exitcode))
    except (BrokenProcessPool, CancelledError):
        return None
    except (Exception, SystemExit) as error:  # what `work` lets through must not stop the other cells
        return Ended(task, killed=f"{type(error).__name__}: {error}")


def _how_it_died(exitcode: int) -> str:
    if exitcode >= 0:
        return f"the worker process ended with exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    cause = "; the system kills so when memory is short" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{cause}"


def _ended(task: Task, text: str) -> Ended:
    answer = json.loads(text)
    return Ended(task, row=answer.get("row"), fatal=answer.get("fatal"))


def _new_pool(jobs: int, threads: int, scratch: Path) -> ProcessPool:
    from pebble import ProcessPool

    initargs = (threads, os.getpid(), str(scratch))
    return ProcessPool(jobs, initializer=_start_worker, initargs=initargs, context=get_context("spawn"))


def _stop(pool: ProcessPool, scratch: Path) -> None:
    pool.stop()
    pool.join()
    for path in scratch.glob("worker-*"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(path.name.removeprefix("worker-")), signal.SIGKILL)
        path.unlink(missing_ok=True)


def _start_worker(threads: int, parent: int, scratch: str) -> None:
    """Before the first import of torch: own session, thread counts, and a watch on the parent."""
    os.setsid()
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    Path(scratch, f"worker-{os.getpid()}").touch()
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(TICK)
    os.killpg(os.getpid(), signal.SIGKILL)
