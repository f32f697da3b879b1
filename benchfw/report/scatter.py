"""What a lift costs: seconds against lift, a point for each augmenter."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import TYPE_CHECKING

from benchfw.metrics import metric_named
from benchfw.report.drawing import INK, RULE, brief, drawn
from benchfw.report.verdicts import lift_of, title
from benchfw.summary import shown
from benchfw.tables import AXES, KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchfw.metrics import Metric
    from benchfw.report.palette import Style
    from benchfw.report.reading import Block, Run

    Point = tuple[str, float, float, float, float]  # augmenter, seconds, lift, low, high

LEFT, PLOT, RIGHT, BOTTOM, TOP = 58, 380, 230, 44, 14  # pixels
APART = 15  # pixels between two labels
MOST_POINTS = 30


@dataclass(frozen=True)
class Scatter:
    """The figure of one block and classifier."""

    block: Block
    classifier: str
    svg: Markup
    note: str


def scatters(
    run: Run,
    frame: pd.DataFrame,
    costs: pd.DataFrame,
    metric: str,
    styles: Mapping[str, Style],
    *,
    blocks: Sequence[Block],
) -> list[Scatter]:
    """A figure for each of some blocks and each classifier with lifts: uncorrected lines, fit and training together."""
    asked = metric_named(metric)
    found = _points(frame, costs, asked)
    keys = [(block, classifier) for block in blocks for classifier in run.classifiers if (block, classifier) in found]
    return [_scatter(*key, found[key], asked, styles, f"cost-{place}") for place, key in enumerate(keys)]


def _points(frame: pd.DataFrame, costs: pd.DataFrame, metric: Metric) -> dict[tuple[Block, str], list[Point]]:
    """The uncorrected lines with a lift and a cost, by block and classifier."""
    spent = {tuple(line[axis] for axis in AXES): line for line in costs.to_dict("records")}
    found: dict[tuple[Block, str], list[Point]] = defaultdict(list)
    for record in frame.to_dict("records"):
        dataset, imbalance, extractor, augmenter, classifier, correction = (record[axis] for axis in KEY)
        cost = spent.get((dataset, imbalance, extractor, augmenter, classifier), {})
        seconds = cost.get("augment_seconds", nan) + cost.get("classify_seconds", nan)
        lift = lift_of(record, metric)
        if correction == "none" and lift.n and not isnan(seconds):
            mean, low, high = (shown(value, metric) for value in (lift.mean, lift.low, lift.high))
            found[(dataset, imbalance, extractor), classifier].append((augmenter, seconds, mean, low, high))
    return found


def _scatter(
    block: Block,
    classifier: str,
    points: Sequence[Point],
    metric: Metric,
    styles: Mapping[str, Style],
    name: str,
) -> Scatter:
    kept = sorted(points, key=lambda point: point[2] * metric.sign)[-MOST_POINTS:]
    height = max(260, 40 + APART * (len(kept) + 2))
    size = (LEFT + PLOT + RIGHT, TOP + height + BOTTOM)
    svg = drawn(
        name,
        lambda figure: _draw(figure, kept, metric, styles),
        size=size,
        title=f"Lift against seconds with {classifier}",
        description="; ".join(f"{label}: {seconds:.1f} s, {lift:+.1f}" for label, seconds, lift, *_ in kept),
    )
    left = len(points) - len(kept)
    return Scatter(block, classifier, svg, f"The {left} augmenters with the least lift are left out." if left else "")


def _draw(figure: Figure, points: Sequence[Point], metric: Metric, styles: Mapping[str, Style]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    width, height = (size * 72 for size in figure.get_size_inches())
    axes = figure.add_axes((LEFT / width, BOTTOM / height, PLOT / width, (height - BOTTOM - TOP) / height))
    axes.set_xscale("log")
    seconds = [max(point[1], 1e-3) for point in points]
    axes.set_xlim(min(seconds) / 1.4, max(seconds) * 1.4)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(0, color=INK, lw=0.8)
    for (label, _, lift, low, high), x in zip(points, seconds, strict=True):
        style = styles[label]
        if not isnan(low):
            axes.plot([x, x], [low, high], color=style.value, lw=1, alpha=0.45, solid_capstyle="butt")
        axes.plot([x], [lift], marker=style.marker, ms=6, color=style.value, mec="none", ls="none")
    axes.set_ylim(*_limits(points))
    axes.set_xlabel("seconds to augment and classify, mean of a repetition")
    axes.set_ylabel(f"lift of {title(metric)}{', points' * metric.points}")
    _labels(axes, points, seconds, styles)


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    """All lifts and 0, and intervals as far as they do not dwarf them."""
    lifts = [0.0, *(point[2] for point in points)]
    ends = [end for point in points for end in point[3:] if not isnan(end)]
    pad = 0.15 * max(max(lifts) - min(lifts), 0.1)
    low, high = min(lifts) - pad, max(lifts) + pad
    most = 1.5 * (high - low)
    return max(min([low, *ends]), low - most), min(max([high, *ends]), high + most)


def _labels(axes: Axes, points: Sequence[Point], seconds: Sequence[float], styles: Mapping[str, Style]) -> None:
    """Every augmenter's name right of the plot, at the height of its point as far as names stay apart."""
    from matplotlib.transforms import ScaledTranslation

    low, high = axes.get_ylim()
    per_pixel = (high - low) / (axes.get_window_extent().height)
    order = sorted(range(len(points)), key=lambda i: points[i][2])
    wanted = [min(max(points[i][2], low), high) for i in order]
    edge = axes.get_xlim()[1]
    for i, y in zip(order, _apart(wanted, APART * per_pixel, low, high), strict=True):
        place = min(max(points[i][2], low), high)
        axes.plot([seconds[i], edge], [place, y], color=RULE, lw=0.7, zorder=0.5, clip_on=False)
        style = styles[points[i][0]]
        axes.annotate(
            brief(points[i][0]), (edge, y), xytext=(16, 0), textcoords="offset points", va="center", color=INK
        )
        beside = axes.transData + ScaledTranslation(8 / 72, 0, axes.figure.dpi_scale_trans)
        axes.plot(
            [edge], [y], transform=beside, marker=style.marker, ms=6, color=style.value, mec="none", clip_on=False
        )


def _apart(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Sorted places moved as little as keeps them `least` apart: those that would touch share their mean.

    Together they are then moved into low..high, as far as they fit.
    """
    heaps: list[list[float]] = []  # of wanted places, each minus what stands below it in its heap and before
    for i, place in enumerate(wanted):
        heaps.append([place - i * least])
        while len(heaps) > 1 and fmean(heaps[-2]) > fmean(heaps[-1]):
            heaps[-2:] = [heaps[-2] + heaps[-1]]
    bases = [fmean(heap) for heap in heaps for _ in heap]
    places = [base + i * least for i, base in enumerate(bases)]
    over, under = max(places[-1] - high, 0.0), max(low - places[0], 0.0)
    return [place - over + (0.0 if over else under) for place in places]
