"""A check in words: one line for each finding, one for the whole, and what would make it say more.

Names come from plugins and files, so none is trusted: what is not printable stands as an escape.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from benchfw.gate import BLUNT
from benchfw.metrics import RECALL, metric_named

if TYPE_CHECKING:
    from benchfw.gate import Finding, Report
    from benchfw.losses import Judgement
    from benchfw.metrics import Metric

LONGEST = 500  # characters of a name or a reason
NOTHING = "nothing was compared"
NOTED = ("better", "mended", "new")  # verdicts that are counted beside the others
WORDS = {"failed": "newly failed", "better": "better than chance explains"}
CURES = {
    "worse": 'if it is meant to be so, accept it with --update --reason "..."',
    "failed": "see the tracebacks in the results directory",
    "not comparable": 'run on the baseline\'s data and settings, or write it anew with --update --reason "..."',
    "missing": 'finish the run, or accept the smaller table with --update --reason "..."',
    "better": 'look for a leak, and accept it with --update --reason "..."',
}


def printable(text: str) -> str:
    """One line of text that moves no cursor and forges no output."""
    told = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return told.replace("##[", r"##\x5b")  # anywhere in a line a command to GitHub's runner


def plain(text: str) -> str:
    """The same of a name or a reason, and no more of it than anybody reads."""
    return printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def line_name(finding: Finding) -> str:
    """The labels of a line, or what stands for the whole run."""
    return ", ".join(map(plain, finding.labels)) or "the whole run"


def title(metric: str) -> str:
    """A metric in words; it need not be one that is known."""
    return plain(f"recall of {metric.removeprefix(RECALL)}" if metric.startswith(RECALL) else metric.replace("_", " "))


def quantity(finding: Finding) -> str:
    """`balanced accuracy`, or `lift of balanced accuracy`."""
    return f"{'lift of ' * finding.lift}{title(str(finding.metric))}"


def sentence(finding: Finding) -> str:
    """What was found, with everything that led to it, in one line."""
    metric = f"{quantity(finding)}: " if finding.metric else ""
    told = plain(finding.reason) if finding.judgement is None else numbers(finding)
    return f"{WORDS.get(finding.verdict, finding.verdict)}: {line_name(finding)}: {metric}{told}"


def numbers(finding: Finding) -> str:
    """`90.00 -> 60.00, worse by 30.00 points (tolerance 0.50, p = 0.0010 after Holm; the test; 5 repetitions)`."""
    found, metric = finding.judgement, metric_named(str(finding.metric))
    assert found is not None
    way = "worse" if found.loss >= 0 else "better"
    change = f"{amount(found.before, metric, finding.lift)} -> {amount(found.now, metric, finding.lift)}"
    size = f"{way} by {amount(abs(found.loss), metric)}{' points' * metric.points}"
    lower = " (lower is better)" * (metric.direction == "lower")
    how = f"tolerance {amount(found.tolerance, metric)}, {chance(found)}; {found.test}; {repetitions(found.n)}"
    return f"{change}{lower}, {size} ({how})"


def chance(found: Judgement) -> str:
    """`p = 0.0120 after Holm`, or that there is none."""
    return "no p" if isnan(found.p) else f"p {'< 0.0001' if found.p < 0.0001 else f'= {found.p:.4f}'} after Holm"


def amount(value: float, metric: Metric, signed: bool = False) -> str:
    """A value or difference of a metric; shares in points, that is, times 100."""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.2f}" if metric.points else f"{value:{sign}.4g}"


def repetitions(n: int) -> str:
    """`3 repetitions`."""
    return f"{n} repetition{'s' * (n > 1)}"


def verdict(report: Report) -> str:
    """The check in one line."""
    counted = report.verdicts
    bad = [f"{counted[name]} {WORDS.get(name, name)}" for name in report.bad if counted[name]]
    noted = [f"{counted[name]} {name}" for name in NOTED if counted[name] and name not in report.bad]
    beside = f" ({', '.join(noted)})" if noted else ""
    found = ", ".join([_compared(report), *bad]) if bad or report.passed else NOTHING
    return f"{'passed' if report.passed else 'FAILED'}: {found}{beside}"


def _compared(report: Report) -> str:
    same = sum(finding.judgement is not None and finding.judgement.same for finding in report.findings)
    n = len(report.compared)
    return f"{n} comparison{'s' * (n != 1)}{f', {same} with the same values to the bit' * bool(same)}"


def sight(report: Report) -> str:
    """The smallest loss that the check would have seen, of the middle and of the worst line."""
    told = [
        f"{what} {_seen(seen)}"
        for what, seen in (("values", report.sight(lift=False)), ("lifts", report.sight(lift=True)))
        if seen
    ]
    return f"smallest loss that 80 % of checks would see: {'; '.join(told) or 'not known'}"


def _seen(seen: tuple[Finding, Finding]) -> str:
    middle, worst = (_detectable(finding) for finding in seen)
    return f"{middle} in the middle line, {worst} in the worst ({line_name(seen[1])}: {title(str(seen[1].metric))})"


def advice(report: Report) -> list[str]:
    """What would make the check say more."""
    told = []
    if report.bare:
        bare = f"{report.bare} of {len(report.compared)} comparisons have no calibrated noise"
        told.append(f"{bare}; measure it with benchfw calibrate --baseline {plain(report.baseline)}")
    seen = report.sight(lift=False)
    worst = seen[1] if seen else None
    if worst and worst.judgement and metric_named(str(worst.metric)).points and worst.judgement.detectable > BLUNT:
        cure = "calibrate" if report.bare else "run more repetitions"
        told.append(f"a loss of {100 * BLUNT:.0f} points may pass this check unseen; {cure}")
    return told


def _detectable(finding: Finding) -> str:
    metric, found = metric_named(str(finding.metric)), finding.judgement
    assert found is not None
    return f"{amount(found.detectable, metric)}{' points' * metric.points}"
