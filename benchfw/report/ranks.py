"""Augmenters ranked over data sets: a critical-difference diagram with its tests, or why there is none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import isnan, nan
from typing import TYPE_CHECKING

from benchfw.evidence import chance
from benchfw.metrics import metric_named
from benchfw.ranking import Ranking, ranking
from benchfw.report.drawing import DIM, INK, brief, drawn
from benchfw.report.verdicts import PLAIN
from benchfw.tables import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from benchfw.report.reading import Run

    Setting = tuple[str, str, str]  # imbalance, extractor, classifier

MOST_DIAGRAMS = 4
LEFT, PLOT, ROW, TOP = 250, 320, 17, 46  # pixels


@dataclass(frozen=True)
class RankLine:
    """One augmenter: its mean rank with interval, and p against the first and against `none`, as text."""

    augmenter: str
    rank: str
    interval: str
    against_first: tuple[str, str]
    against_none: tuple[str, str]


@dataclass(frozen=True)
class Ranks:
    """The ranking of one setting. svg: its diagram; None where there is none, then `note` says why.

    lines: best first. told: the test of all together, and what was done about holes; both empty without a ranking.
    """

    setting: Setting
    svg: Markup | None
    note: str
    told: str = ""
    lines: list[RankLine] = field(default_factory=list)


def ranks(run: Run, frame: pd.DataFrame, metric: str) -> list[Ranks]:
    """A ranking for each imbalance, extractor and classifier: uncorrected lines, a score for each data set.

    Imbalances of one data set are no further data sets, since they share its images. An augmenter without any result is
    named and not ranked; one that is missing, or has fewer repetitions than planned, is a hole.
    """
    scores: dict[Setting, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    parts: dict[Setting, list[tuple[str, str]]] = defaultdict(list)  # the augmenter, and what is told of it
    for record in frame.to_dict("records"):
        if record["correction"] == "none":
            setting = record["imbalance"], record["extractor"], record["classifier"]
            n, planned = int(record.get(f"{metric}_n", 0)), run.planned[tuple(record[axis] for axis in AXES)]
            if 0 < n < planned:
                told = f"{record['augmenter']} on {record['dataset']} ({n} of {planned})"
                parts[setting].append((record["augmenter"], told))
            scores[setting][record["augmenter"]][record["dataset"]] = record[f"{metric}_mean"] if n == planned else nan
    made: list[Ranks] = []
    for setting, methods in scores.items():
        some = {label for label, _ in parts[setting]}
        silent = [label for label, row in methods.items() if all(map(isnan, row.values())) and label not in some]
        there = {label: row for label, row in methods.items() if label not in silent}
        found = ranking(there, higher=metric_named(metric).direction == "higher")
        drawable = not found.reason and sum(one.svg is not None for one in made) < MOST_DIAGRAMS
        svg = _diagram(found, f"ranks-{len(made)}") if drawable else None
        lines = [_line(found, place) for place in range(len(found.methods))]
        made.append(
            Ranks(setting, svg, _note(found, silent, [told for _, told in parts[setting]]), _told(found), lines)
        )
    return made


def _line(found: Ranking, place: int) -> RankLine:
    low, high = found.intervals[place]
    none = found.methods.index(PLAIN) if PLAIN in found.methods else None
    return RankLine(
        found.methods[place],
        f"{found.mean_ranks[place]:.2f}",
        f"[{low:.2f}, {high:.2f}]",
        _pair(found, place, 0),
        ("", "") if none is None else _pair(found, place, none),
    )


def _pair(found: Ranking, place: int, other: int) -> tuple[str, str]:
    """Nemenyi's p, and Wilcoxon's with Holm, of two methods; empty for one with itself."""
    if place == other:
        return "", ""
    return chance(found.nemenyi[place][other]), chance(found.wilcoxon[place][other])


def _told(found: Ranking) -> str:
    if found.reason:
        return ""
    holes = f"holes: {len(found.holes)}, {found.imputation}" if found.holes else "no holes, so nothing was imputed"
    tested = f"Iman-Davenport p = {chance(found.f_p)}"
    return f"{found.n} data sets; {tested}; critical difference {found.critical_difference:.2f}; {holes}"


def _note(found: Ranking, silent: Sequence[str], parts: Sequence[str]) -> str:
    """Why there is no ranking, or what it cannot say."""
    fewer = f"fewer repetitions than planned, so a hole: {', '.join(parts)}" if parts else ""
    without = f"no result at all: {', '.join(silent)}" if silent else ""
    return "; ".join(filter(None, [found.note, fewer, without]))


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
