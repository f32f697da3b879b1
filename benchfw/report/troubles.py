"""What is missing: cells without numbers, each reason once, with the end of a traceback; and the warnings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw.store import TROUBLE
from benchfw.tables import AXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchfw.report.reading import Row, Run

NAMED = 30  # cells that a reason names
INTERRUPTED = "it has not run yet, or was interrupted"


@dataclass(frozen=True)
class Trouble:
    """A reason, the cells it concerns, as text, and the end of the first one's traceback."""

    status: str
    reason: str
    count: int
    cells: list[str]
    traceback: str = ""

    @property
    def unnamed(self) -> int:
        """How many cells are counted and not named."""
        return self.count - len(self.cells)


def troubles(run: Run, rows: Iterable[Row]) -> list[Trouble]:
    """Every reason why some cells have no numbers: failures first, then what has not run, then skips."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        reason = str(row.get("reason") or INTERRUPTED)
        found[row["status"], reason].append(row)
    made = [
        Trouble(status, reason, len(some), _cells(run, some), next(filter(None, map(run.traceback, some)), ""))
        for (status, reason), some in found.items()
    ]
    return sorted(made, key=lambda one: (_gravity(one.status), -one.count, one.reason))


def warnings(run: Run) -> list[Trouble]:
    """Every warning of the cells that did run."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in run.rows:
        for text in dict.fromkeys(row.get("warnings", ())):
            found[str(text)].append(row)
    made = [Trouble("warning", text, len(rows), _cells(run, rows)) for text, rows in found.items()]
    return sorted(made, key=lambda one: (-one.count, one.reason))


def _gravity(status: str) -> int:
    order = [*TROUBLE, "not run", "skipped"]
    return order.index(status) if status in order else 0


def _cells(run: Run, rows: Sequence[Row]) -> list[str]:
    kept = [axis for axis in AXES if len({row["axes"][axis] for row in run.rows}) > 1]
    return [_cell(row, kept) for row in rows[:NAMED]]


def _cell(row: Row, kept: Iterable[str]) -> str:
    return ", ".join([*(str(row["axes"][axis]) for axis in kept), f"repetition {row['axes']['repetition']}"])
