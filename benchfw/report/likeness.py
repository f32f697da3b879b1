"""Do the synthetic rows look right: the measures of fidelity with their floors, as a table to sort and filter."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from benchfw import tables
from benchfw.measures import MEASURES, Measure
from benchfw.report.grids import Column, Grid, choices
from benchfw.tables import ALL, FIDELITY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchfw.report.reading import Row, Run

    Record = Mapping[Any, Any]

MOST_ROWS = 600  # of the table; beyond, classes are left out and their means stay
BEST = {"lower": "lower is better", "higher": "higher is better", "floor": "best at its floor"}


def fidelity_grid(run: Run) -> Grid | None:
    """Each measure with its floor in brackets, means over the repetitions; None where nothing was generated."""
    every = tables.fidelity(row for row in run.done if _fits(row)).to_dict("records")
    if not every:
        return None
    records = [record for record in every if len(every) <= MOST_ROWS or record["class"] == ALL]
    measures = [m for m in MEASURES.values() if any(record[f"{m.name}_n"] for record in every)]
    kept = [place for place in range(3) if len({record[FIDELITY_KEY[place]] for record in records}) > 1]
    planned = _planned(run)
    rows = [_cells(record, measures, kept, planned[_line(record)]) for record in records]
    columns = (
        *(Column(FIDELITY_KEY[place], numeric=False) for place in kept),
        Column("augmenter", numeric=False),
        Column("class", numeric=False),
        Column("n", help="repetitions"),
        Column("rows", help="generated rows that were compared"),
        *(Column(m.name.replace("_", " "), help=f"{m.help}; {BEST[m.best]}") for m in measures),
    )
    place = len(kept) + 1
    offered = {**choices(rows, place), place: list(dict.fromkeys([ALL, *(row[place] for row in rows)]))}
    left = f"Classes are left out, since there would be {len(every)} lines; they stand in fidelity.csv."
    return Grid(
        "fidelity",
        "",
        columns,
        rows,
        ["".join("h" if _is_hole(i - place - 1, text) else "." for i, text in enumerate(row)) for row in rows],
        coloured=len(kept),
        choices=offered if len(offered[place]) > 1 else choices(rows, place),
        chosen={place: ALL} if len(offered[place]) > 1 else {},
        note=left if len(every) > MOST_ROWS else "",
    )


def _fits(row: Row) -> bool:
    return bool(row.get("fidelity")) and len(row["fidelity"]) == len(row["class_names"]) + 1


def _line(record: Record) -> tuple[str, ...]:
    return tuple(str(record[axis]) for axis in FIDELITY_KEY[:-1])


def _planned(run: Run) -> dict[tuple[str, ...], int]:
    """The repetitions planned of each augmenter: the classifiers share its fit."""
    found: dict[tuple[str, ...], set[int]] = {}
    for row in run.rows:
        found.setdefault(_line(row["axes"]), set()).add(row["axes"]["repetition"])
    return {line: len(repetitions) for line, repetitions in found.items()}


def _cells(record: Record, measures: Sequence[Measure], kept: Sequence[int], planned: int) -> tuple[str, ...]:
    n = int(record["n"])
    return (
        *(str(record[FIDELITY_KEY[place]]) for place in kept),
        str(record["augmenter"]),
        str(record["class"]),
        str(n) if n == planned else f"{n} of {planned}",
        "" if isnan(record["n_fake"]) else f"{record['n_fake']:.0f}",
        *(_beside_floor(record, measure) for measure in measures),
    )


def _beside_floor(record: Record, measure: Measure) -> str:
    """`0.62 (0.70)`, with its repetitions where they are fewer than the line's."""
    n, value, floor = (record[f"{measure.name}_{part}"] for part in ("n", "mean", "floor"))
    if isnan(value):
        return ""
    digits = 1 if measure.name == "frechet" else 2
    beside = "" if isnan(floor) else f" ({floor:.{digits}f})"
    return f"{value:.{digits}f}{beside}{'' if n == record['n'] else f' n = {n}'}"


def _is_hole(place: int, text: str) -> bool:
    """Whether a cell says that repetitions are missing. place: behind the class, from 0."""
    return place >= 0 and (" of " in text or " n = " in text)
