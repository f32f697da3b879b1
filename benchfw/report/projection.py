"""Real and synthetic rows on one plane: a row of panels for each class, a column for each augmenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw.report.drawing import DIM, INK, RULE, brief, crosses, dots, drawn
from benchfw.report.palette import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchfw.report.palette import Style
    from benchfw.report.reading import Arrays, Block, Run

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]

TRAINING, HELD_OUT, GENERATED = 0, 1, 2  # positions in `benchfw.plane.Points.KINDS`
MOST_AUGMENTERS, MOST_CLASSES = 6, 5
SIDE, GAP, LEFT, TOP = 108, 6, 76, 24  # pixels
LINE = 13  # pixels between two lines of text


@dataclass(frozen=True)
class Projection:
    """The panels of one block, the whole plane beside them, and what was left out."""

    block: Block
    plane: Markup
    panels: Markup
    note: str


def projection(
    run: Run, block: Block, order: Sequence[str], styles: Mapping[str, Style], *, name: str
) -> Projection | None:
    """The panels of a block; None where no cell of the first repetition kept points.

    order: its augmenters, those first that are to be seen first.
    """
    points, names = _points(run, block)
    if not points:
        return None
    augmenters = [label for label in order if label in points]
    kept = augmenters[:MOST_AUGMENTERS]
    first = points[kept[0]]
    classes = _classes([points[label] for label in kept], first)
    left = [f"augmenters {', '.join(augmenters[MOST_AUGMENTERS:])}"] if len(augmenters) > MOST_AUGMENTERS else []
    left += [f"{len(classes) - MOST_CLASSES} classes with more rows"] if len(classes) > MOST_CLASSES else []
    classes = classes[:MOST_CLASSES]
    told = f"Left out: {' and '.join(left)}; their points are in views/ID.npz." if left else ""
    size = (LEFT + len(kept) * (SIDE + GAP), TOP + len(classes) * (SIDE + GAP))
    return Projection(
        block,
        drawn(
            f"{name}-plane",
            lambda figure: _plane(figure, first, names),
            size=(250, 250),
            title="The plane",
            description=f"Held-out rows of the classes {', '.join(names)}, each name at the middle of its class.",
        ),
        drawn(
            f"{name}-panels",
            lambda figure: _panels(figure, {label: points[label] for label in kept}, classes, names, styles),
            size=size,
            title="Real and generated rows",
            description=f"Rows of {', '.join(names[c] for c in classes)} on the plane, for {', '.join(kept)}.",
        ),
        told,
    )


def _points(run: Run, block: Block) -> tuple[dict[str, Arrays], list[str]]:
    """The points of each augmenter, by its first cell that kept some, and the names of the classes."""
    found: dict[str, Arrays] = {}
    names: list[str] = []
    for row in run.blocks[block]:
        label = row["axes"]["augmenter"]
        if row["status"] == "done" and row["axes"]["repetition"] == 0 and label not in found:
            kept = run.views(row)
            if _fits(kept, len(row["class_names"])):
                found[label], names = kept, row["class_names"]
    return found, names


def _fits(kept: Arrays, k: int) -> bool:
    if not {"places", "place_labels", "place_kinds"} <= kept.keys():
        return False
    places, labels, kinds = kept["places"], kept["place_labels"], kept["place_kinds"]
    if places.shape != (len(labels), 2) or kinds.shape != labels.shape or not len(labels):
        return False
    return bool(np.isfinite(places).all() and (labels >= 0).all() and (labels < k).all())


def _classes(points: Sequence[Arrays], first: Arrays) -> list[int]:
    """The classes with generated rows, those with the fewest training rows first."""
    made = {int(c) for kept in points for c in np.unique(kept["place_labels"][kept["place_kinds"] == GENERATED])}
    rows = {c: int(((first["place_labels"] == c) & (first["place_kinds"] == TRAINING)).sum()) for c in made}
    return sorted(made, key=lambda c: (rows[c], c))


def _plane(figure: Figure, kept: Arrays, names: Sequence[str]) -> None:
    canvas = _canvas(figure)
    shown = kept["place_kinds"] == HELD_OUT
    places, labels = kept["places"][shown], kept["place_labels"][shown]
    if not len(places):
        return
    low, high = np.quantile(places, (0.02, 0.98), axis=0)
    pad = 0.06 * np.maximum(high - low, 1e-3)
    panel = _Panel(2, 2, 246, low - pad, high + pad)
    panel.frame(canvas)
    dots(canvas, panel.at(places), COLOURS["g2"], size=2.6, opacity=0.55)
    middles = {int(c): panel.at(np.median(places[labels == c], axis=0)) for c in np.unique(labels)}
    for c, (x, y) in _legible(middles).items():
        if abs(y - middles[c][1]) > LINE / 2:
            canvas.plot([x, x], [y, middles[c][1]], color=DIM, lw=0.6)
        canvas.text(x, y, brief(names[c], 14), ha="center", va="center", weight="bold", color=INK)


def _legible(middles: Mapping[int, Floats]) -> dict[int, tuple[float, float]]:
    """Where names stand: at their middles, but above one that is there already."""
    taken: list[tuple[float, float]] = []
    places = {}
    for c, (x, y) in sorted(middles.items(), key=lambda item: float(item[1][1])):
        height = float(y)
        while any(abs(x - other) < 4 * LINE and abs(height - at) < LINE for other, at in taken):
            height += 1.0
        taken.append((float(x), height))
        places[c] = (float(x), height)
    return places


def _panels(
    figure: Figure,
    points: Mapping[str, Arrays],
    classes: Sequence[int],
    names: Sequence[str],
    styles: Mapping[str, Style],
) -> None:
    canvas = _canvas(figure)
    height = canvas.get_ylim()[1]
    for row, c in enumerate(classes):
        low, high = _around(points, c)
        bottom = height - TOP - row * (SIDE + GAP) - SIDE
        canvas.text(LEFT - 8, bottom + SIDE / 2, brief(names[c], 10), ha="right", va="center", color=INK)
        for column, (label, kept) in enumerate(points.items()):
            panel = _Panel(LEFT + column * (SIDE + GAP), bottom, SIDE, low, high)
            panel.frame(canvas)
            colour = INK if styles[label].colour in ("g1", "g2") else styles[label].value
            dots(canvas, panel.at(_of(kept, c, HELD_OUT)), COLOURS["g2"], size=2.6, opacity=0.8)
            crosses(canvas, panel.at(_of(kept, c, TRAINING)), DIM, reach=2.2)
            dots(canvas, panel.at(_of(kept, c, GENERATED)), colour, size=3.0, opacity=0.75)
            if row == 0:
                canvas.text(panel.left, height - 15, brief(label, 15), color=INK)


@dataclass(frozen=True, eq=False)
class _Panel:
    """A square of the canvas, and the part of the plane that it shows. low, high: (2,), its corners."""

    left: float
    bottom: float
    side: float
    low: Floats
    high: Floats

    def at(self, places: Floats) -> Floats:
        """Where places fall on the canvas, those beyond the frame at its edge. places: (..., 2)."""
        share = np.clip((places - self.low) / np.maximum(self.high - self.low, 1e-9), 0.0, 1.0)
        return np.asarray(np.array([self.left, self.bottom]) + self.side * share)

    def frame(self, canvas: Axes) -> None:
        """Draw the edge."""
        x, y = (self.left, self.left + self.side), (self.bottom, self.bottom + self.side)
        canvas.plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=RULE, lw=0.8)


def _canvas(figure: Figure) -> Axes:
    """Axes over the whole figure, in pixels: one is far quicker than one for each panel."""
    width, height = (size * 72 for size in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _of(kept: Arrays, c: int, kind: int) -> Floats:
    return np.asarray(kept["places"][(kept["place_labels"] == c) & (kept["place_kinds"] == kind)])


def _around(points: Mapping[str, Arrays], c: int) -> tuple[Floats, Floats]:
    """Corners (2,) that hold the real rows of a class, and most generated ones, the same for all augmenters."""
    kept = list(points.values())
    real = np.concatenate([_of(kept[0], c, TRAINING), _of(kept[0], c, HELD_OUT)])
    made = np.concatenate([_of(one, c, GENERATED) for one in kept])
    real = real if len(real) else made
    low, high = real.min(axis=0), real.max(axis=0)
    span = np.maximum(high - low, 1e-3)
    low = np.maximum(np.minimum(low, np.quantile(made, 0.02, axis=0)), low - span)
    high = np.minimum(np.maximum(high, np.quantile(made, 0.98, axis=0)), high + span)
    pad = 0.06 * (high - low)
    return low - pad, high + pad
