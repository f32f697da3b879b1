"""What `check` and `calibrate` print: what failed first, each with its reason; a one-line summary last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from benchfw.console import BAD, DIM, GOOD
from benchfw.metrics import metric_named
from benchfw.wording import CURES, advice, amount, plain, sentence, sight, title, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from benchfw.baseline import Baseline
    from benchfw.calibration import Calibrated
    from benchfw.gate import Report
    from benchfw.measured import Labels
    from benchfw.metrics import Metric
    from benchfw.noise import Noise

MOST_LINES = 100  # of one kind; a table where everything failed has no end


def lines(report: Report) -> Iterator[tuple[str, str]]:
    """(text, style) of each line that is printed; a test that fails says the same."""
    for kind in report.bad:
        found = [finding for finding in report.failures if finding.verdict == kind]
        yield from ((sentence(finding), BAD) for finding in found[:MOST_LINES])
        if len(found) > MOST_LINES:
            yield f"and {len(found) - MOST_LINES} more {kind}", BAD
        if found:
            yield f"  {CURES[kind]}", DIM
    noted = [finding for finding in report.others if finding.verdict != "fine"]
    yield from ((sentence(finding), GOOD) for finding in noted[:MOST_LINES])
    yield from ((f"noted: {plain(note)}", DIM) for note in report.notes)
    yield sight(report), DIM
    yield from ((text, "yellow") for text in advice(report))
    yield f"{verdict(report)}; {plain(report.run)} against {plain(report.baseline)}", "bold"


def print_report(report: Report, there: Console) -> None:
    """The whole report."""
    for text, style in lines(report):
        there.print(Text(text, style=style), soft_wrap=True)


def print_update(
    report: Report | None, baseline: Baseline, path: str, there: Console, dropped: Mapping[str, int]
) -> None:
    """What the new baseline changes, held against the old one, and that it is written.

    dropped: why noise of the old one is gone, and of how many lines.
    """
    found = () if report is None else (*report.failures, *report.others)
    told = [finding for finding in found if finding.verdict != "fine"]
    for finding in told[:MOST_LINES]:
        there.print(Text(sentence(finding)), soft_wrap=True)
    if len(told) > MOST_LINES:
        there.print(Text(f"and {len(told) - MOST_LINES} more"))
    for why, count in dropped.items():
        told_lines = f"{count} line{'s' * (count != 1)}"
        there.print(Text(f"noise of {told_lines} dropped, because {plain(why)}", style="yellow"), soft_wrap=True)
    bare = sum(not line.noise for line in baseline.lines)
    noise = f"; {bare} lines without calibrated noise, see benchfw calibrate" if bare else ""
    changes = "" if report is None else f", {len(told)} changes to the old one"
    gated = ", ".join(map(title, baseline.metrics))
    there.print(Text(f"written: {plain(path)}: {len(baseline.lines)} lines, {gated}{changes}{noise}"), soft_wrap=True)


def print_calibration(found: Calibrated, path: str, there: Console) -> None:
    """The noise of each line and metric, the loss that is tolerated, and the smallest that would be seen."""
    known = list(_noises(found.baseline))
    made = Table("line", "metric", "noise (sd)", "same seeds (sd)", "tolerance", "loss that is seen", show_edge=False)
    for labels, what, metric, noise in known:
        same = "" if noise.nondeterminism is None else amount(noise.nondeterminism, metric)
        seen = amount(noise.detectable(len(noise.expected), len(known)), metric)
        numbers = (amount(noise.sd, metric), same, amount(noise.tolerance, metric), seen)
        made.add_row(Text(", ".join(map(plain, labels))), Text(what), *numbers)
    there.print(made)
    there.print(Text("Shares are in points (x 100). loss that is seen: in 80 % of checks of all these.", style=DIM))
    for labels in found.moved:
        told = "the same seeds gave other values (a GPU, or not the baseline's machine or code)"
        there.print(Text(f"{told}: {', '.join(map(plain, labels))}", style="yellow"), soft_wrap=True)
    for labels, why in found.left_out.items():
        there.print(Text(f"no noise: {', '.join(map(plain, labels))}: {plain(why)}", style=BAD), soft_wrap=True)
    there.print(Text(f"written: {plain(path)}: noise of {found.statuses['done']} lines"), soft_wrap=True)


def _noises(baseline: Baseline) -> Iterator[tuple[Labels, str, Metric, Noise]]:
    for line in baseline.lines:
        yield from ((line.labels, title(name), metric_named(name), noise) for name, noise in line.noise.items())
    for line in baseline.lines:
        lifts = line.lift_noise.items()
        yield from ((line.labels, f"lift of {title(name)}", metric_named(name), noise) for name, noise in lifts)
