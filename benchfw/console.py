"""What people see in a terminal: progress, tables, lists. Text from plugins and files is never read as markup."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchfw.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from benchfw.plan import Cell
    from benchfw.runner import Start

PIPE_WIDTH = 10_000  # columns where there is no terminal, and no $COLUMNS: who reads a pipe or a file wants whole lines
LEFT = ("augmenter", "classifier", "correction", "status")  # columns of words; those of numbers end on the right
MOVABLE = ("classifier", "n", "status")  # columns that move into the title when all their lines agree
MOST_WARNINGS = 12  # lines; many cells may say nearly the same
GOOD, BAD, DIM = "green", "red", "dim"


def plain(content: str, style: str = "", **layout: Any) -> Text:
    """Text as it is: no markup is read in it, and no control character reaches the terminal."""
    return Text(printable(content), style=style, **layout)


def console(*, stderr: bool = False) -> Console:
    """A console for results (standard output), or for progress and complaints (standard error)."""
    made = Console(stderr=stderr, highlight=False)
    columns = os.environ.get("COLUMNS", "")  # rich reads it too
    if made.is_terminal or (columns.isdecimal() and int(columns) > 0):
        return made
    return Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def watcher() -> AbstractContextManager[Progressing | Lines]:
    """Bars where there is a terminal, else a line for each finished cell; a context manager."""
    there = console(stderr=True)
    return Progressing(there) if there.is_terminal else nullcontext(Lines(there))


def _name(cell: Cell) -> str:
    axes = dict(cell.axes)
    return f"{', '.join(str(axes.pop(axis)) for axis in _AXES)}, repetition {cell.repetition}"


_AXES = ("dataset", "imbalance", "extractor", "augmenter", "classifier")


def _says(start: Start) -> str:
    """`18 cells: 6 reused, 2 stale, 10 to run`."""
    parts = [
        f"{start.total} cells in {start.out}",
        f"{start.reused} finished before" * bool(start.reused),
        f"{start.stale} stale (something they depend on has changed), so they run again" * bool(start.stale),
        f"{start.misfits} skipped" * bool(start.misfits),
        f"{start.to_run} to run",
    ]
    return ": ".join([parts[0], ", ".join(part for part in parts[1:] if part)])


class Lines:
    """Progress for a log: a line for each finished cell."""

    def __init__(self, there: Console):
        self._console = there
        self._done = self._total = 0
        self._said: set[str] = set()

    def planned(self, start: Start) -> None:
        """Say what will run."""
        self._total = start.to_run
        self._console.print(plain(_says(start)))

    def tick(self, running: Sequence[tuple[Cell, str]]) -> None:
        """Nothing: a log wants no bars."""

    def finished(self, cell: Cell, row: Mapping[str, Any]) -> None:
        """Say how a cell ended."""
        self._done += 1
        reason = "" if row["reason"] is None else f": {row['reason']}"
        if reason and reason in self._said:
            reason = ": as above"
        self._said.add(reason)
        self._console.print(plain(f"[{self._done}/{self._total}] {row['status']}  {_name(cell)}{reason}"))


class Progressing(Lines):
    """Progress for a terminal: a bar for the whole run, and one for each cell that works now."""

    def __init__(self, there: Console):
        super().__init__(there)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=there, transient=True)
        self._whole: TaskID | None = None
        self._of: dict[str, TaskID] = {}

    def __enter__(self) -> Progressing:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def planned(self, start: Start) -> None:
        """Say what will run, and show the whole run's bar."""
        super().planned(start)
        self._whole = self._bars.add_task("cells", total=start.to_run)

    def tick(self, running: Sequence[tuple[Cell, str]]) -> None:
        """Show how far each running cell is."""
        for cell, progress in running:
            if cell.id not in self._of:
                self._of[cell.id] = self._bars.add_task(_name(cell), total=None)
            stage, _, numbers = progress.partition(" ")
            if (far := _how_far(numbers)) is not None:
                text = f"{_name(cell)}: {stage}"
                self._bars.update(self._of[cell.id], description=text, completed=far[0], total=far[1])

    def finished(self, cell: Cell, row: Mapping[str, Any]) -> None:
        """Take the cell's bar away; say how it ended when it gave no numbers."""
        if cell.id in self._of:
            self._bars.remove_task(self._of.pop(cell.id))
        if self._whole is not None:
            self._bars.advance(self._whole)
        if row["status"] != "done":
            super().finished(cell, row)


def _how_far(numbers: str) -> tuple[float, float] | None:
    """(done, total) of `12 50`; None for what a plugin may say instead, which is worth no crash."""
    try:
        done, total = map(float, numbers.split())
    except ValueError:
        return None
    return (done, total) if isfinite(done) and isfinite(total) else None


def print_results(table: pd.DataFrame, costs: pd.DataFrame, metric: str, there: Console) -> None:
    """The lines that have numbers, what their signs mean, and the answer in a sentence for each block."""
    from benchfw import summary

    heads = summary.headings(metric)
    measured = [line for line in summary.summary(table, costs, metric) if line.n]
    for block, lines in groupby(measured, key=lambda line: line.block):
        there.print(_block(", ".join(block), heads, list(lines), metric))
    there.print(plain(summary.footnote(table, metric), style=DIM))
    there.print()
    there.print(plain(summary.answer(table, metric), style="bold"))


def print_tests(frame: pd.DataFrame, metric: str, there: Console) -> None:
    """What the tests say of each lift and gain, and what the columns mean."""
    from benchfw import evidence
    from benchfw.summary import block_of

    for block, records in groupby(frame.to_dict("records"), key=block_of):
        made = Table(title=plain(", ".join(block)), title_justify="left", show_edge=False)
        for at, head in enumerate(evidence.headings()):
            made.add_column(plain(head), justify="left" if at < len(evidence.HEADS[:4]) else "right")
        for record in records:
            made.add_row(*map(plain, evidence.cells(record, metric)))
        there.print(made)
    there.print(plain(evidence.footnote(metric) if len(frame) else "nothing was compared", style=DIM))
    if len(frame) and frame["n"].max() < 2:
        there.print(plain(evidence.ONE_REPETITION))


def _block(title: str, heads: list[str], lines: list[Any], metric: str) -> Table:
    from benchfw import summary

    texts = [summary.cells(line, metric) for line in lines]
    constant = {head for head in MOVABLE if len({row[heads.index(head)] for row in texts}) == 1}
    moved = ", ".join(f"{head} {texts[0][heads.index(head)]}" for head in heads if head in constant)
    status = heads.index("status")
    for row in texts:
        row[status] = row[status].partition(":")[0]  # the reasons stand below the table
    heading = plain(f"{title} ({moved})" if moved else title, no_wrap=True, overflow="ignore")
    made = Table(title=heading, title_justify="left", show_edge=False)
    shown = [at for at, head in enumerate(heads) if head not in constant]
    for at in shown:
        made.add_column(plain(heads[at]), justify="left" if heads[at] in LEFT else "right")
    colours = {"better": GOOD, "worse": BAD}
    for line, row in zip(lines, texts, strict=True):
        styles = {head: colours.get(summary.verdict(getattr(line, head), metric), "") for head in ("lift", "gain")}
        made.add_row(*(plain(row[at], style=styles.get(heads[at], "")) for at in shown))
    return made


def print_troubles(rows: Iterable[Mapping[str, Any]], there: Console) -> None:
    """What went wrong, each reason once with how many cells it concerns, and the warnings of what did run."""
    reasons: list[str] = []
    warned: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["status"] != "done":
            reasons.append(f"{row['status']}: {row['reason'] or 'interrupted before it ran'}")
        for warning in row.get("warnings", ()):
            warned[f"{row['axes']['augmenter']}: {warning}"].add(row["id"])
    for reason, times in counted(reasons).most_common():
        style = "" if reason.startswith("skipped:") else BAD
        there.print(plain(f"{times} cell{'s' * (times > 1)} {reason}", style=style))
    for warning, cells in list(warned.items())[:MOST_WARNINGS]:
        there.print(plain(f"warning in {len(cells)} cell{'s' * (len(cells) > 1)}: {warning}", style="yellow"))
    if len(warned) > MOST_WARNINGS:
        rest = len(warned) - MOST_WARNINGS
        there.print(plain(f"and {rest} other warnings: see `warnings` in the files of the cells", style="yellow"))


def print_plan(preview: Mapping[str, Any], there: Console) -> None:
    """What `runner.preview` found: how many cells will run, are finished, or are skipped and why."""
    cells = preview["cells"]
    states = Counter(cell["state"] for cell in cells)
    counts = ", ".join(f"{states[state]} {state}" for state in ("to run", "finished", "skipped"))
    there.print(plain(f"{len(cells)} cells in {preview['directory']}: {counts}"))
    there.print(f"{preview['embeddings']} embeddings, {preview['cached_embeddings']} of them in the cache")
    made = Table(*_AXES, "to run", "finished", "skipped", show_edge=False)
    for axes, group in groupby(sorted(cells, key=_axes_of), key=_axes_of):
        found = Counter(cell["state"] for cell in group)
        made.add_row(*map(plain, axes), *(str(found[state] or "") for state in ("to run", "finished", "skipped")))
    there.print(made)
    for reason, times in Counter(cell["reason"] for cell in cells if cell["reason"]).most_common():
        there.print(plain(f"{times} skipped: {reason}"))


def _axes_of(cell: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(cell["axes"][axis]) for axis in _AXES)


def where(path: Path) -> Text:
    """A line that says where the files are."""
    return plain(f"tables and a file for each cell: {path}; to see it all: benchfw report {path}", style=DIM)
