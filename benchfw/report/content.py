"""Everything that a report says and shows, gathered section by section in the order in which it is read."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchfw import tables
from benchfw.errors import UsageError, did_you_mean
from benchfw.metrics import metric_named
from benchfw.report.answers import Answer, Score, answers, overview, scores
from benchfw.report.classes import RecallTable, recall_tables
from benchfw.report.confusion import Confusions, confusions
from benchfw.report.curves import MOST_HEALTHS, Curves, healths, losses
from benchfw.report.forest import Forest, forests
from benchfw.report.grids import Grid, columns_of, cost_grid, line_grid, metrics_of, test_grid
from benchfw.report.images import Examples, examples
from benchfw.report.items import compared_in
from benchfw.report.likeness import fidelity_grid
from benchfw.report.outcomes import Outcomes, outcomes
from benchfw.report.palette import Style, styles
from benchfw.report.projection import Projection, projection
from benchfw.report.ranks import Ranks, ranks
from benchfw.report.reliability import Reliability, reliability
from benchfw.report.scatter import Scatter, scatters
from benchfw.report.troubles import Trouble, troubles, warnings
from benchfw.report.verdicts import title

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from benchfw.metrics import Metric
    from benchfw.report.outcomes import Line
    from benchfw.report.reading import Block, Run

UNFOLDED = 4  # blocks that are shown without a click
PICTURED = 6  # blocks whose pictures are drawn; tables hold all


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, as its cells say."""

    dataset: str
    origin: str
    licence: str
    public: bool
    fingerprint: str


@dataclass(frozen=True)
class Content:
    """What the page shows. pictured: the blocks that have pictures; unpictured: how many have none for size."""

    run: Run
    metric: Metric
    metrics: list[str]
    styles: dict[str, Style]
    overview: str
    scores: list[Score]
    answers: list[Answer]
    lines: Grid
    forests: list[Forest]
    recalls: list[RecallTable]
    confusions: Confusions
    fidelity: Grid | None
    projections: list[Projection]
    healths: list[Curves]
    examples: list[Examples]
    costs: Grid
    scatters: list[Scatter]
    tests: Grid
    ranks: list[Ranks]
    reliabilities: list[Reliability]
    unpredicted: int
    losses: list[Curves]
    troubles: list[Trouble]
    skips: list[Trouble]
    warnings: list[Trouble]
    sources: list[Source]
    unpictured: int

    @property
    def title(self) -> str:
        """The metric in words."""
        return title(self.metric)

    @property
    def checkout(self) -> str:
        """The commit to check out; empty where none is known."""
        found = re.match(r"[0-9a-f]{7,40}\b", str(self.run.machine.get("commit", "")))
        return found[0] if found else ""

    @property
    def hole_statuses(self) -> list[tuple[str, int]]:
        """Why numbers are missing, and of how many cells: `failed`, 2."""
        return sorted(Counter(row["status"] for row in self.run.holes).items())

    @property
    def settings(self) -> list[Answer]:
        """The blocks and classifiers in which something was compared."""
        return [answer for answer in self.answers if answer.compared]

    @property
    def compared(self) -> list[str]:
        """The augmenters that have a lift somewhere."""
        there = {one.augmenter for answer in self.answers for one in answer.verdicts if one.none.lift.n}
        return [label for label in self.run.augmenters if label in there]

    @property
    def unfolded(self) -> bool:
        """Whether there are few enough blocks to show each of them at once."""
        return len(self.run.blocks) <= UNFOLDED

    def anchor(self, answer: Answer) -> str:
        """The id of an answer in the page."""
        return f"answer-{self.answers.index(answer)}"

    @property
    def items_in(self) -> str:
        """The metric in which single samples are compared, in words."""
        return title(metric_named(compared_in(self.metric.name)))


def gather(run: Run, metric: str, *, images: bool | None) -> Content:
    """All sections of a run's report. Raises UsageError for a metric that the table does not have.

    metric: that of answer, plots and tests; a reader may choose others in the tables. images: as in `write_report`.
    """
    metric_named(metric)
    frame = tables.table(run.rows, classifiers=run.classifiers)
    _refuse_unknown(frame, metric)
    costs = tables.costs(run.rows)
    metrics = metrics_of(run, frame, metric)
    narrow = columns_of(frame, metric)
    found = answers(run, narrow, metric)
    counted = scores(found)
    lines = line_grid(run, frame, costs, metrics)
    look, order = styles(run.augmenters), _orders(run, found)
    blocks = [block for block in run.blocks if any(row["status"] == "done" for row in run.blocks[block])]
    pictured = blocks[:PICTURED]
    outcome, unpredicted = outcomes(run)
    return Content(
        run=run,
        metric=metric_named(metric),
        metrics=metrics,
        styles=look,
        overview=overview(found, metric),
        scores=counted,
        answers=found,
        lines=lines,
        forests=forests(run, narrow, metric),
        recalls=recall_tables(run, frame),
        confusions=confusions(outcome, _best(found)),
        fidelity=fidelity_grid(run),
        projections=_some(projection(run, b, order[b], look, name=f"places-{i}") for i, b in enumerate(pictured)),
        healths=_healths(run, pictured, order, look),
        examples=examples(run, images),
        costs=cost_grid(costs),
        scatters=scatters(run, narrow, costs, metric, look, blocks=pictured),
        tests=test_grid(run, metrics),
        ranks=ranks(run, narrow, metric),
        reliabilities=_reliabilities(run, outcome, frame, pictured, order, look),
        unpredicted=unpredicted,
        losses=_some(losses(run, b, look, name=f"losses-{i}") for i, b in enumerate(pictured)),
        troubles=troubles(run, run.holes),
        skips=troubles(run, run.skipped),
        warnings=warnings(run),
        sources=_sources(run),
        unpictured=len(blocks) - len(pictured),
    )


def _refuse_unknown(frame: pd.DataFrame, metric: str) -> None:
    known = [column.removesuffix("_mean") for column in frame.columns if column.endswith("_mean")]
    if known and metric not in known:
        raise UsageError(f"the table has no metric {metric!r}{did_you_mean(metric, known)}")


def _some(found: Any) -> list[Any]:
    return [one for one in found if one is not None]


def _orders(run: Run, found: Sequence[Answer]) -> dict[Block, list[str]]:
    """The augmenters of each block: the references, then the others as the first answer with results ranks them."""
    orders: dict[Block, list[str]] = {}
    for block in run.blocks:
        ranked = [
            verdict.augmenter
            for answer in found
            if answer.block == block
            for verdict in answer.verdicts
            if verdict.none.lift.n
        ]
        orders[block] = list(dict.fromkeys(["none", "random", *ranked, *run.augmenters]))
    return orders


def _best(found: Sequence[Answer]) -> list[Line]:
    """The uncorrected lines of each answer that have a lift, the best first, the reference last."""
    ranked = [(answer, one) for answer in found for one in answer.verdicts if one.none.lift.n]
    ranked.sort(key=lambda pair: pair[1].reference)
    return [(*answer.block, one.augmenter, answer.classifier, "none") for answer, one in ranked]


def _reliabilities(
    run: Run,
    outcome: dict[Line, Outcomes],
    frame: pd.DataFrame,
    blocks: Sequence[Block],
    order: dict[Block, list[str]],
    look: dict[str, Style],
) -> list[Reliability]:
    records = {tuple(str(r[axis]) for axis in tables.KEY): r for r in columns_of(frame, "ece").to_dict("records")}
    return _some(
        reliability(run, outcome, records, (block, classifier), order[block], look, name=f"sure-{i}-{j}")
        for i, block in enumerate(blocks)
        for j, classifier in enumerate(run.classifiers)
    )


def _healths(run: Run, blocks: Sequence[Block], order: dict[Block, list[str]], look: dict[str, Style]) -> list[Curves]:
    most = MOST_HEALTHS // max(len(blocks), 1)
    found = (healths(run, block, order[block], look, most=most, name=f"health-{i}") for i, block in enumerate(blocks))
    return [curves for some in found for curves in some]


def _sources(run: Run) -> list[Source]:
    found = {
        (row["axes"]["dataset"], row["data"].get("fingerprint", "")): Source(
            row["axes"]["dataset"],
            str(row["data"].get("origin") or "not stated"),
            str(row["data"].get("licence") or "not stated"),
            row["data"].get("public") is True,
            str(row["data"].get("fingerprint") or ""),
        )
        for row in run.done
        if "data" in row
    }
    return [found[key] for key in sorted(found)]
