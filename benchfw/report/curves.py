"""What was logged while something trained: losses, and whatever else an augmenter tells of its health."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite
from statistics import fmean
from typing import TYPE_CHECKING

from benchfw.report.drawing import brief, drawn
from benchfw.report.palette import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchfw.report.palette import Style
    from benchfw.report.reading import Block, Row, Run

    Series = list[tuple[float, float]]  # (step, value)

MOST_PANELS = 24
FLAT = 0.2  # the height of an axis, at least, as a share of its values: a number that hardly moves is no drama
MOST_HEALTHS = 6  # augmenters of all blocks together
WIDTH, HEIGHT, EACH_ROW = 196, 126, 4

_PART = re.compile(r"(.+)_(min|median|max)")


@dataclass(frozen=True)
class Curves:
    """A figure of curves: of the training in a block, or of the health of one augmenter."""

    block: Block
    label: str
    svg: Markup
    note: str = ""


def losses(run: Run, block: Block, styles: Mapping[str, Style], *, name: str) -> Curves | None:
    """The training losses of a block: the extractor's by repetition, each classifier's by augmenter."""
    rows = [row for row in run.blocks[block] if row["status"] == "done"]
    panels: dict[str, list[tuple[Series, str]]] = {}
    extractor = {row["axes"]["repetition"]: _series(row, "extractor", "loss") for row in rows}
    if any(extractor.values()):
        panels["extractor"] = [(found, COLOURS["g1"]) for found in extractor.values() if found]
    for classifier in run.classifiers:
        by_augmenter: dict[str, list[Series]] = defaultdict(list)
        for row in rows:
            if row["axes"]["classifier"] == classifier and (found := _series(row, "classifier", "loss")):
                by_augmenter[row["axes"]["augmenter"]].append(found)
        if by_augmenter:
            panels[classifier] = [(_mean(found), styles[label].value) for label, found in by_augmenter.items()]
    if not panels:
        return None
    kept, left = dict(list(panels.items())[:MOST_PANELS]), list(panels)[MOST_PANELS:]
    svg = _figure(
        name,
        [partial(_loss, title=title, lines=lines) for title, lines in kept.items()],
        title="Training losses",
        description=f"Loss by step of {', '.join(kept)}.",
    )
    return Curves(block, "", svg, _left_out(left))


def healths(
    run: Run, block: Block, order: Sequence[str], styles: Mapping[str, Style], *, most: int, name: str
) -> list[Curves]:
    """For each augmenter that logged something: every number by step, a line for each repetition, losses first.

    order: the augmenters of the block, those first that are to be seen first; most: how many are drawn.
    """
    rows = [row for row in run.blocks[block] if row["status"] == "done"]
    found = {label: _logged([row for row in rows if row["axes"]["augmenter"] == label]) for label in order}
    found = {label: logged for label, logged in found.items() if logged}
    alike = _alike(found)
    kept, left = list(alike)[:most], list(alike)[most:]
    made = []
    for place, label in enumerate(kept):
        every = list(_panels(found[label]).items())
        panels = dict(every[:MOST_PANELS])
        svg = _figure(
            f"{name}-{place}",
            [partial(_health, title=t, parts=parts, colour=styles[label].value) for t, parts in panels.items()],
            title=f"Health of {label}",
            description=f"By step: {', '.join(panels)}.",
        )
        told = [_left_out([title for title, _ in every[MOST_PANELS:]])]
        told += [f"The same fit serves {', '.join(alike[label])}." if alike[label] else ""]
        told += [_left_out(left) if place == most - 1 else ""]
        made.append(Curves(block, label, svg, " ".join(filter(None, told))))
    return made


def _left_out(names: Sequence[str]) -> str:
    return f"Left out: {', '.join(names)}; see records in cells/ID.json." if names else ""


def _alike(found: Mapping[str, object]) -> dict[str, list[str]]:
    """The augmenters that logged something of their own, each with those that logged the same: a fit may serve many."""
    made: dict[str, list[str]] = {}
    for label, logged in found.items():
        first = next((other for other in made if found[other] == logged), None)
        if first is None:
            made[label] = []
        else:
            made[first].append(label)
    return made


def _series(row: Row, stage: str, key: str) -> Series:
    found = []
    for record in row.get("records", {}).get(stage, ()):
        step, value = record.get("step"), record.get(key)
        if isinstance(step, int | float) and isinstance(value, int | float) and isfinite(step) and isfinite(value):
            found.append((float(step), float(value)))
    return found


def _mean(series: Iterable[Series]) -> Series:
    """The mean value at each step."""
    values: dict[float, list[float]] = defaultdict(list)
    for step, value in (point for one in series for point in one):
        values[step].append(value)
    return [(step, fmean(values[step])) for step in sorted(values)]


def _logged(rows: Iterable[Row]) -> dict[str, dict[int, Series]]:
    """Everything that one augmenter's cells logged of it: key -> repetition -> series.

    A joint trainer works in the classifier's stage, whose `loss` is drawn with the classifiers'.
    """
    found: dict[str, dict[int, Series]] = defaultdict(dict)
    for row in rows:
        for stage, drawn_elsewhere in (("augmenter", {"step"}), ("classifier", {"step", "loss"})):
            keys = {key for record in row.get("records", {}).get(stage, ()) for key in record} - drawn_elsewhere
            for key in sorted(keys):
                if series := _series(row, stage, key):
                    found[key].setdefault(row["axes"]["repetition"], series)
    return dict(found)


def _panels(logged: Mapping[str, dict[int, Series]]) -> dict[str, dict[str, list[Series]]]:
    """Panels by name: one for each number, but `x_min`, `x_median` and `x_max` share theirs."""
    made: dict[str, dict[str, list[Series]]] = defaultdict(dict)
    for key, by_repetition in logged.items():
        whole = _PART.fullmatch(key)
        title, part = (whole[1], whole[2]) if whole else (key, "median")
        made[title][part] = list(by_repetition.values())
    moving = {
        name: parts for name, parts in made.items() if any(len(one) > 1 for some in parts.values() for one in some)
    }
    order = sorted((moving or made).items(), key=lambda item: ("loss" not in item[0], len(item[1]) == 1))
    return dict(order)  # losses first, then those by class; stable


# ---- drawing ----


def _figure(name: str, panels: Sequence[Callable[[Axes], None]], *, title: str, description: str) -> Markup:
    n = len(panels)
    columns = min(n, EACH_ROW)
    rows = ceil(n / columns)
    size = (columns * (WIDTH + 56), rows * (HEIGHT + 52))

    def draw(figure: Figure) -> None:
        for place, panel in enumerate(panels):
            left = (place % columns) * (WIDTH + 56) + 48
            bottom = size[1] - (place // columns) * (HEIGHT + 52) - 22 - HEIGHT
            box = (left / size[0], bottom / size[1], WIDTH / size[0], HEIGHT / size[1])
            panel(figure.add_axes(box))

    return drawn(name, draw, size=size, title=title, description=description)


def _loss(axes: Axes, title: str, lines: Sequence[tuple[Series, str]]) -> None:
    values = [value for series, _ in lines for _, value in series]
    _dress(axes, title)
    if min(values) > 0 and max(values) > 30 * min(values):
        _as_logarithm(axes)
    for series, colour in lines:
        axes.plot(*zip(*series, strict=True), color=colour, lw=1.1, solid_capstyle="round")


def _health(axes: Axes, title: str, parts: Mapping[str, Sequence[Series]], colour: str) -> None:
    _dress(axes, title)
    for low, high in zip(parts.get("min", ()), parts.get("max", ()), strict=False):
        if [step for step, _ in low] == [step for step, _ in high]:
            steps = [step for step, _ in low]
            axes.fill_between(
                steps, [y for _, y in low], [y for _, y in high], color=colour, alpha=0.3 / len(parts["min"]), lw=0
            )
    for series in parts.get("median", [one for lines in parts.values() for one in lines]):
        axes.plot(*zip(*series, strict=True), color=colour, lw=1.1, marker="o" if len(series) == 1 else None, ms=3)
    bottom, top = axes.get_ylim()
    least = FLAT * max(abs(bottom), abs(top))
    if top - bottom < least:
        axes.set_ylim((bottom + top - least) / 2, (bottom + top + least) / 2)


def _dress(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(brief(title.replace("_", " ")))
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(length=2)


def _as_logarithm(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # not in mathematical setting
    axes.yaxis.set_minor_locator(NullLocator())
