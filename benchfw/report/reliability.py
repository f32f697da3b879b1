"""How far a line's probabilities can be believed: accuracy by confidence, for each correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.metrics import CORRECTIONS
from benchfw.report.drawing import DIM, drawn
from benchfw.tables import AXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchfw.report.outcomes import Line, Outcomes
    from benchfw.report.palette import Style
    from benchfw.report.reading import Block, Run

    Record = Mapping[Any, Any]

SIDE, LEFT, BOTTOM, TOP, GAP = 190, 48, 44, 26, 40  # pixels
MOST_AUGMENTERS = 8
FEWEST = 20  # samples of a bin, below which it is not drawn


@dataclass(frozen=True)
class Reliability:
    """The diagrams of one block and classifier, and the calibration error of each augmenter that is drawn.

    errors: the metric `ece` in points, a mean over repetitions, by correction; `(n = 3)` where some are missing.
    """

    block: Block
    classifier: str
    svg: Markup
    corrections: list[str]
    errors: list[tuple[str, list[str]]]
    note: str


def reliability(
    run: Run,
    found: Mapping[Line, Outcomes],
    records: Mapping[Line, Record],
    setting: tuple[Block, str],
    order: Sequence[str],
    styles: Mapping[str, Style],
    *,
    name: str,
) -> Reliability | None:
    """The diagrams of a block and classifier; None where no predictions were kept.

    records: the lines of the table. order: the augmenters, those first that are to be seen first.
    """
    block, classifier = setting
    lines = {line: outcome for line, outcome in found.items() if (*line[:3], line[4]) == (*block, classifier)}
    there = [label for label in order if any(line[3] == label for line in lines)]
    kept = there[:MOST_AUGMENTERS]
    panels = {
        correction: {label: lines[line] for label in kept if (line := (*block, label, classifier, correction)) in lines}
        for correction in CORRECTIONS
    }
    panels = {correction: members for correction, members in panels.items() if members}
    if not panels:
        return None
    size = (len(panels) * (SIDE + GAP) + LEFT, TOP + SIDE + BOTTOM)

    def draw(figure: Figure) -> None:
        for place, (correction, members) in enumerate(panels.items()):
            left = LEFT + place * (SIDE + GAP)
            axes = figure.add_axes((left / size[0], BOTTOM / size[1], SIDE / size[0], SIDE / size[1]))
            _diagram(axes, members, styles)
            axes.set_title(f"correction {correction}")
            if place == 0:
                axes.set_ylabel("share that is right")

    svg = drawn(
        name,
        draw,
        size=size,
        title=f"Reliability with {classifier}",
        description=f"Accuracy by confidence of {', '.join(kept)}; the table beside it has the calibration errors.",
    )
    errors = [
        (label, [_error(run, records.get((*block, label, classifier, correction), {})) for correction in panels])
        for label in kept
    ]
    left = there[MOST_AUGMENTERS:]
    told = f"Left out: {', '.join(left)}; their error is the metric ece." if left else ""
    return Reliability(block, classifier, svg, list(panels), errors, told)


def _error(run: Run, record: Record) -> str:
    """The metric `ece` of a line, with its repetitions where some have none."""
    n = int(record.get("ece_n", 0))
    if not n:
        return ""
    planned = run.planned[tuple(str(record[axis]) for axis in AXES)]
    return f"{100 * record['ece_mean']:.1f}{'' if n == planned else f' (n = {n})'}"


def _diagram(axes: Axes, members: Mapping[str, Outcomes], styles: Mapping[str, Style]) -> None:
    axes.plot([0, 1], [0, 1], color=DIM, lw=0.8, ls=(0, (3, 3)))
    for label, outcome in members.items():
        count = np.where(outcome.count >= FEWEST, outcome.count, np.nan)  # a line is not drawn across NaN
        confidence, correct = outcome.confidence / count, outcome.correct / count
        style = styles[label]
        axes.plot(confidence, correct, color=style.value, marker=style.marker, ms=3.6, lw=1.1, mec="none")
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), xlabel="confidence")
    axes.tick_params(length=2)
