"""What a run measured, as the gate reads it: each line of the table by repetition, its data, and kept predictions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchfw import predictions
from benchfw.errors import StoreError, UsageError
from benchfw.hits import Split, left_out
from benchfw.store import RunDirectory, read_json, settings_of
from benchfw.tables import AXES, corrections_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from benchfw.predictions import Predictions

    Row = Mapping[str, Any]
    Labels = tuple[str, ...]  # a label for each of KEY
    Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A cell: its row, and the run's directory, where its predictions lie."""

    row: Row
    results: Path

    @cached_property
    def split(self) -> Split | None:
        """The data it was measured on; None where it did not run to its end."""
        row = self.row
        if row["status"] != "done":
            return None
        kept = self.predictions()
        return Split(
            fingerprint=str(row["data"]["fingerprint"]),
            class_names=tuple(row["class_names"]),
            counts=tuple(row["counts"]),
            test_counts=tuple(row["test_counts"]),
            items=None if kept is None else digest_of(kept),
        )

    def predictions(self) -> Predictions | None:
        """What it predicted; None where that was not kept, or is none of this cell."""
        return predictions.read(self.results, self.row)


@dataclass(frozen=True, eq=False)
class Reading:
    """One line in one repetition: a cell under one correction."""

    cell: Measurement
    correction: str

    @property
    def status(self) -> str:
        """How the cell ended: done, skipped, failed, oom, killed, not run."""
        return str(self.cell.row["status"])

    @property
    def reason(self) -> str | None:
        """Why it gave no numbers."""
        return self.cell.row.get("reason")

    def value(self, metric: str) -> float:
        """A metric of the line; NaN where it has none, or none that is finite."""
        if self.status != "done":
            return nan
        found = self.cell.row["scores"].get(self.correction, {}).get(metric)
        return float(found) if found is not None and isfinite(found) else nan

    def hits(self) -> Bools | None:
        """(N,): which test items the line classifies correctly; None where that was not kept."""
        kept = self.cell.predictions()
        return None if kept is None else kept.hits(self.cell.row, self.correction)

    def left_out(self, metric: str, bounds: tuple[int, int]) -> float | None:
        """The standard error of a metric over test items; None where predictions were not kept or do not give it."""
        kept, split = self.cell.predictions(), self.cell.split
        if kept is None or split is None:
            return None
        scores = kept.readouts(self.cell.row)[self.correction]
        return left_out(scores, kept.labels, metric, self.value(metric), split=split, bounds=bounds)


@dataclass(frozen=True, eq=False)
class Measured:
    """A run: its experiment as resolved, its machine, and its lines by labels and repetition."""

    root: Path
    experiment: Mapping[str, Any]
    machine: Mapping[str, Any]
    lines: Mapping[Labels, Mapping[int, Reading]]

    @property
    def bounds(self) -> tuple[int, int]:
        """The settings that say which classes are many and few."""
        return int(self.experiment["many_over"]), int(self.experiment["few_under"])

    @property
    def readings(self) -> Iterator[tuple[Labels, int, Reading]]:
        """Every line in every repetition."""
        for labels, members in self.lines.items():
            yield from ((labels, repetition, reading) for repetition, reading in members.items())

    def reading(self, labels: Labels, repetition: int) -> Reading | None:
        """A line in one repetition, also under a correction that repeats another; None where no cell was planned."""
        plain = self.lines.get((*labels[:-1], "none"), {}).get(repetition)
        return None if plain is None else Reading(plain.cell, labels[-1])

    def value(self, labels: Labels, repetition: int, metric: str, *, lift: bool = False) -> float:
        """A metric of a line in one repetition, or its lift over augmenter `none`; NaN where there is none."""
        own = self.reading(labels, repetition)
        if own is None:
            return nan
        if not lift:
            return own.value(metric)
        plain = self.reading((*labels[:3], "none", *labels[4:]), repetition) if labels[3] != "none" else None
        return nan if plain is None else own.value(metric) - plain.value(metric)

    def count(self, status: str) -> int:
        """How many cells ended so."""
        return len({reading.cell.row["id"] for _, _, reading in self.readings if reading.status == status})


def measured(root: Path) -> Measured:
    """Read a run directory. Raises UsageError when it holds no run, or a cell that cannot be used."""
    directory = RunDirectory(root)
    experiment, rows = directory.rows()
    for row in rows:
        _check(row, directory.cells / f"{row['id']}.json")
    try:
        machine = read_json(root / "machine.json")
    except StoreError:
        machine = None
    return Measured(root, settings_of(experiment), machine if isinstance(machine, dict) else {}, lines_of(rows, root))


class _Axes(BaseModel):
    """What names a cell; the labels are read as text."""

    repetition: int = Field(ge=0, strict=True)


class _Ended(BaseModel):
    """What is read of a cell that gave no numbers."""

    model_config = ConfigDict(strict=True)

    axes: _Axes
    status: str
    reason: str | None = None


class _Data(BaseModel):
    fingerprint: str


class _Done(_Ended):
    """What is read of a cell that gave numbers; one that is not finite is no value, and no damage."""

    scores: dict[str, dict[str, float | None]]
    repeats: dict[str, str] = {}
    data: _Data
    class_names: list[str]
    counts: list[int]
    test_counts: list[int]
    prior: list[float]
    natural_prior: list[float]

    @model_validator(mode="after")
    def _of_all_classes(self) -> Self:
        by_class = (self.class_names, self.counts, self.test_counts, self.prior, self.natural_prior)
        if len({len(values) for values in by_class}) != 1:
            raise ValueError("class_names, counts, test_counts, prior and natural_prior are not of one length")
        return self


def _check(row: Row, path: Path) -> None:
    """Refuse a row that cannot be read as one; path: of its file."""
    try:
        (_Done if row.get("status") == "done" else _Ended).model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the row"
        raise UsageError(f"{path}: {where}: {first['msg']}; delete it and run the same command again") from error


def lines_of(rows: Sequence[Row], root: Path) -> dict[Labels, dict[int, Reading]]:
    """The lines that the table of these rows has: without corrections that repeat another in every repetition."""
    cells: dict[Labels, list[Row]] = defaultdict(list)
    for row in rows:
        cells[tuple(str(row["axes"][axis]) for axis in AXES)].append(row)
    lines = {}
    for axes in sorted(cells, key=lambda axes: (axes[:3], axes[3] != "none", axes[3:])):  # as in the table
        members = {
            row["axes"]["repetition"]: Measurement(row, root)
            for row in sorted(cells[axes], key=lambda row: row["axes"]["repetition"])
        }
        for correction in corrections_of(cells[axes]):
            lines[(*axes, correction)] = {r: Reading(cell, correction) for r, cell in members.items()}
    return lines


def digest_of(kept: Predictions) -> str:
    """32 hexadecimal digits of the test items' ids and labels, in their order."""
    return hashlib.sha256(b"".join(array.astype("<i8").tobytes() for array in (kept.ids, kept.labels))).hexdigest()[:32]
