"""Augmenters ranked over data sets: a critical-difference diagram, or why there is none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING

from benchfw.metrics import metric_named
from benchfw.ranking import Ranking, ranking
from benchfw.report.drawing import DIM, INK, brief, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from markupsafe import Markup
    from matplotlib.figure import Figure

    Setting = tuple[str, str, str]  # imbalance, extractor, classifier

MOST_DIAGRAMS = 4
LEFT, PLOT, ROW, TOP = 250, 320, 17, 46  # pixels


@dataclass(frozen=True)
class Ranks:
    """The ranking of one setting. svg: its diagram; None where there is none, then `note` says why."""

    setting: Setting
    svg: Markup | None
    note: str


def ranks(frame: pd.DataFrame, metric: str) -> list[Ranks]:
    """A ranking for each imbalance, extractor and classifier: uncorrected lines, a score for each data set.

    Imbalances of one data set are no further data sets, since they share its images. An augmenter without any result is
    named and not ranked; a single missing one is a hole.
    """
    scores: dict[Setting, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in frame.to_dict("records"):
        if record["correction"] == "none":
            setting = record["imbalance"], record["extractor"], record["classifier"]
            value = record.get(f"{metric}_mean")
            scores[setting][record["augmenter"]][record["dataset"]] = nan if value is None else value
    made: list[Ranks] = []
    for setting, methods in scores.items():
        silent = [label for label, row in methods.items() if all(map(isnan, row.values()))]
        there = {label: row for label, row in methods.items() if label not in silent}
        found = ranking(there, higher=metric_named(metric).direction == "higher")
        drawable = not found.reason and sum(one.svg is not None for one in made) < MOST_DIAGRAMS
        svg = _diagram(found, f"ranks-{len(made)}") if drawable else None
        made.append(Ranks(setting, svg, _note(found, silent)))
    return made


def _note(found: Ranking, silent: Sequence[str]) -> str:
    """Why there is no ranking, or what it cannot say; what could be done about holes is for who calls `ranking`."""
    without = f"no result at all: {', '.join(silent)}" if silent else ""
    return "; ".join(filter(None, [found.note.partition(": choose ")[0], without]))


def _diagram(found: Ranking, name: str) -> Markup:
    k, bars = len(found.methods), len(found.groups)
    size = (LEFT * 2 + PLOT, TOP + 12 * bars + 14 + ROW * ((k + 1) // 2) + 10)
    told = ", ".join(f"{method} {rank:.2f}" for method, rank in zip(found.methods, found.mean_ranks, strict=True))
    return drawn(
        name,
        lambda figure: _draw(figure, found),
        size=size,
        title="Critical-difference diagram",
        description=f"Mean ranks over {found.n} data sets: {told}; {found.critical_difference:.2f} is critical.",
    )


def _draw(figure: Figure, found: Ranking) -> None:
    width, height = (size * 72 for size in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    k = len(found.methods)

    def at(rank: float) -> float:
        return LEFT + PLOT * (rank - 1) / max(k - 1, 1)

    axes.plot([at(1), at(k)], [TOP, TOP], color=INK, lw=1)
    for rank in range(1, k + 1):
        axes.plot([at(rank)] * 2, [TOP - 4, TOP], color=INK, lw=1)
        axes.text(at(rank), TOP - 8, str(rank), ha="center", size=11)
    reach = min(found.critical_difference, k - 1)
    axes.plot([at(1), at(1 + reach)], [14, 14], color=DIM, lw=1.4)
    axes.text(at(1 + reach) + 6, 18, f"critical difference {found.critical_difference:.2f}", size=11, color=DIM)
    by_name = dict(zip(found.methods, found.mean_ranks, strict=True))
    for place, group in enumerate(found.groups):
        y = TOP + 9 + 12 * place
        ends = [at(by_name[name]) for name in (group[0], group[-1])]
        axes.plot([ends[0] - 3, ends[1] + 3], [y, y], color=INK, lw=3.2, solid_capstyle="butt")
    first = TOP + 12 * len(found.groups) + 20
    half = (k + 1) // 2
    for place, (name, mean) in enumerate(by_name.items()):
        left = place < half
        y = first + ROW * (place if left else k - 1 - place)
        end = LEFT - 8 if left else LEFT + PLOT + 8
        axes.plot([at(mean), at(mean), end], [TOP, y, y], color=DIM, lw=0.8)
        text = f"{brief(name, 30)} {mean:.2f}"
        axes.text(end + (-4 if left else 4), y + 3, text, ha="right" if left else "left")
