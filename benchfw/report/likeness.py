"""Do the synthetic rows look right: the measures of fidelity with their floors, as a table to sort and filter.

The numbers are those of `tables.fidelity`; that function loads torch for the measures' texts, and a report does not.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from benchfw.report.grids import Column, Grid, choices
from benchfw.tables import ALL, FIDELITY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchfw.report.reading import Run

    Looks = dict[tuple[str, ...], dict[int, dict[str, Mapping[str, Any]]]]  # line -> repetition -> class -> numbers

MEASURES = {
    "frechet": "Fréchet distance of Gaussians; lower is better",
    "energy": "energy distance; lower is better, 0.3 above the floor lies elsewhere",
    "precision": "generated rows near a held-out row; above the floor they huddle in the middle",
    "recall": "held-out rows near a generated row; higher is better",
    "density": "how crowded it is where generated rows lie; above 1 they huddle",
    "coverage": "held-out rows with a generated row near; higher is better",
    "diversity": "spread of generated over spread of held-out rows; near 0 the class has collapsed",
    "c2st": "how often a classifier tells generated from held-out rows; 0.5 is chance",
    "c2st_p": "chance of that if there is nothing to tell",
    "nearer_train": "generated rows nearer to training than to held-out rows; near 1 they are copies",
    "memorisation": "distance to the nearest training row over that row's own; near 0 they are copies",
    "memorised": "generated rows that are all but copies; lower is better",
    "leakage": "generated rows that repeat a held-out row; above the floor test rows have leaked",
    "consistency": "generated rows that an oracle gives their class; above the floor they are all easy",
}
"""What each measure says, in the order of the columns."""

MOST_ROWS = 600  # of the table; beyond, classes are left out and their means stay


def fidelity_grid(run: Run) -> Grid | None:
    """Each measure with its floor in brackets, means over the repetitions; None where nothing was generated."""
    found = _looks(run)
    if not found:
        return None
    names = [name for name in MEASURES if any(name in look for look in _all_looks(found))]
    every = sum(len(next(iter(looks.values()))) for looks in found.values())
    lines = [
        (axes, c, list(looks.values()))
        for axes, looks in found.items()
        for c in next(iter(looks.values()))
        if every <= MOST_ROWS or c == ALL
    ]
    kept = [place for place in range(3) if len({axes[place] for axes, *_ in lines}) > 1]
    rows = [
        (
            *(axes[place] for place in kept),
            axes[3],
            c,
            str(len(looks)),
            _mean(looks, c, "n_fake", digits=0),
            *(_beside_floor(looks, c, name) for name in names),
        )
        for axes, c, looks in lines
    ]
    columns = (
        *(Column(FIDELITY_KEY[place], numeric=False) for place in kept),
        Column("augmenter", numeric=False),
        Column("class", numeric=False),
        Column("n", help="repetitions"),
        Column("rows", help="generated rows that were compared"),
        *(Column(name.replace("_", " "), help=MEASURES[name]) for name in names),
    )
    place = len(kept) + 1
    offered = {**choices(rows, place), place: list(dict.fromkeys([ALL, *(row[place] for row in rows)]))}
    left = f"Classes are left out, since there would be {every} lines; they stand in fidelity.csv."
    return Grid(
        "fidelity",
        "",
        columns,
        rows,
        ["." * len(columns)] * len(rows),
        coloured=len(kept),
        choices=offered if len(offered[place]) > 1 else choices(rows, place),
        chosen={place: ALL} if len(offered[place]) > 1 else {},
        note=left if every > MOST_ROWS else "",
    )


def _looks(run: Run) -> Looks:
    """One look at each augmenter and repetition, whatever the classifier: they share the fit."""
    found: Looks = defaultdict(dict)
    for row in run.done:
        if row.get("fidelity") and len(row["fidelity"]) == len(row["class_names"]) + 1:
            line = tuple(row["axes"][axis] for axis in FIDELITY_KEY[:-1])
            found[line][row["axes"]["repetition"]] = dict(zip([*row["class_names"], ALL], row["fidelity"], strict=True))
    return dict(sorted(found.items()))


def _all_looks(found: Looks) -> list[Mapping[str, Any]]:
    return [numbers for looks in found.values() for look in looks.values() for numbers in look.values()]


def _defined(looks: Sequence[Mapping[str, Mapping[str, Any]]], c: str, name: str) -> list[float]:
    return [float(look[c][name]) for look in looks if c in look and look[c].get(name) is not None]


def _mean(looks: Sequence[Mapping[str, Mapping[str, Any]]], c: str, name: str, digits: int = 2) -> str:
    there = _defined(looks, c, name)
    return f"{sum(there) / len(there):.{digits}f}" if there else ""


def _beside_floor(looks: Sequence[Mapping[str, Mapping[str, Any]]], c: str, name: str) -> str:
    digits = 1 if name == "frechet" else 2
    value, floor = _mean(looks, c, name, digits), _mean(looks, c, f"{name}_floor", digits)
    return f"{value} ({floor})" if value and floor else value
