"""The gate: a run held against a baseline, line by line; what is worse, failed, missing or not comparable."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Any, Literal

from benchfw.baseline import NOTED, definition, settings_that_differ
from benchfw.comparison import Both
from benchfw.errors import UsageError, did_you_mean
from benchfw.losses import Judgement, judged
from benchfw.metrics import metric_named
from benchfw.store import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchfw.baseline import Baseline, Line, Outcome
    from benchfw.losses import Pair
    from benchfw.measured import Labels, Measured, Reading

Verdict = Literal["worse", "failed", "not comparable", "missing", "better", "mended", "new", "fine"]
BAD: tuple[Verdict, ...] = ("worse", "failed", "not comparable", "missing")  # in the order in which they are told
BLUNT = 0.05  # a loss of five points, which a gate should see


@dataclass(frozen=True)
class Asked:
    """What the caller wants.

    metrics: only these. tolerances: by metric, in its own unit. fail_on_better: gains fail too.
    """

    metrics: tuple[str, ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=dict)
    fail_on_better: bool = False


@dataclass(frozen=True)
class Finding:
    """What is said of a line, of one of its metrics, or of its lift in one; without labels, of the whole run."""

    verdict: Verdict
    labels: Labels = ()
    metric: str | None = None
    lift: bool = False
    reason: str = ""
    judgement: Judgement | None = None


@dataclass(frozen=True)
class Report:
    """All that a check found. notes: what differs and fails nothing. bare: comparisons without calibrated noise."""

    run: str
    baseline: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    fail_on_better: bool = False
    bare: int = 0

    @property
    def verdicts(self) -> Counter[str]:
        """How many findings there are of each verdict."""
        return Counter(finding.verdict for finding in self.findings)

    @property
    def statuses(self) -> Counter[str]:
        """The same as an exit code is made of: what was compared is done, and a gain that fails counts as worse."""
        counted = self.verdicts + Counter({"done": len(self.compared)})
        return counted + Counter({"worse": counted["better"]}) if self.fail_on_better else counted

    @property
    def bad(self) -> tuple[Verdict, ...]:
        """The verdicts that fail this check, the gravest first."""
        return (*BAD, "better") if self.fail_on_better else BAD

    @property
    def failures(self) -> list[Finding]:
        """The findings that fail this check, the gravest kind first."""
        return [finding for verdict in self.bad for finding in self.findings if finding.verdict == verdict]

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing fails: exit code 0."""
        return bool(self.compared) and not self.failures

    @property
    def others(self) -> list[Finding]:
        """The findings that fail nothing."""
        return [finding for finding in self.findings if finding.verdict not in self.bad]

    @property
    def compared(self) -> list[Finding]:
        """The metrics of lines that were judged."""
        return [finding for finding in self.findings if finding.judgement is not None]

    def sight(self, *, lift: bool) -> tuple[Finding, Finding] | None:
        """The comparisons with the median and the largest loss that would just be seen; of shares, if there are any.

        lift: among the lifts, else among the values. None where that is not known.
        """
        asked = [finding for finding in self.compared if finding.lift == lift]
        shares = [finding for finding in asked if metric_named(str(finding.metric)).points] or asked
        sizes = {finding: finding.judgement.detectable for finding in shares if finding.judgement}
        known = sorted((finding for finding in sizes if not isnan(sizes[finding])), key=sizes.__getitem__)
        return (known[(len(known) - 1) // 2], known[-1]) if known else None


def compare(baseline: Baseline, run: Measured, asked: Asked, name: str = "the baseline") -> Report:
    """Hold a run against a baseline. name: what people call the baseline.

    Raises UsageError for a metric that the baseline does not have.
    """
    metrics = _wanted(baseline, asked)
    report = Report(str(run.root), name, (), tuple(_notes(baseline, run)), asked.fail_on_better)
    others = settings_that_differ(baseline.experiment, run.experiment)
    findings = [_other_setting(baseline, run, setting) for setting in others]
    findings += [finding for metric in metrics if (finding := _other_definition(baseline, metric))]
    metrics = [] if others else [m for m in metrics if m not in {finding.metric for finding in findings}]
    pairs: list[tuple[Finding, Pair]] = []
    for line in baseline.lines:
        told, both = _faced(baseline, line, run)
        findings += [finding for finding in told if not others or finding.verdict != "not comparable"]
        findings += [_without_value(line, metric, lost) for metric in metrics if (lost := both.lost(metric))]
        pairs += _pairs(both, metrics, {**baseline.tolerances, **asked.tolerances})
    findings += [
        replace(finding, verdict=judgement.verdict, judgement=judgement)
        for (finding, _), judgement in zip(pairs, judged([pair for _, pair in pairs]), strict=True)
    ]
    bare = sum(pair.noise is None for _, pair in pairs)
    return replace(report, findings=(*findings, *_new(baseline, run)), bare=bare)


def tolerances_named(texts: Iterable[str]) -> dict[str, float]:
    """Read `METRIC=X`, X in the metric's own unit. Raises UsageError."""
    found = {}
    for text in texts:
        name, equals, raw = text.rpartition("=")
        try:
            value = float(raw)
        except ValueError:
            value = nan
        if not (equals and name and 0 <= value < inf):
            raise UsageError(f"--tolerance {text}: wants METRIC=X with X >= 0, e.g. balanced_accuracy=0.01 for a point")
        found[metric_named(name).name] = value
    return found


def _wanted(baseline: Baseline, asked: Asked) -> list[str]:
    for option, names in (("--metric", asked.metrics), ("--tolerance", tuple(asked.tolerances))):
        for name in names:
            if name not in baseline.metrics:
                raise UsageError(f"{option} {name}: not in the baseline{did_you_mean(name, baseline.metrics)}")
    return list(dict.fromkeys(asked.metrics)) or list(baseline.metrics)


def _other_setting(baseline: Baseline, run: Measured, setting: str) -> Finding:
    there, here = baseline.experiment.get(setting), run.experiment.get(setting)
    return Finding("not comparable", reason=f"{setting} is {here}, and was {there} when the baseline was written")


def _other_definition(baseline: Baseline, metric: str) -> Finding | None:
    there = baseline.metrics[metric]
    try:
        here = definition(metric)
    except UsageError:
        return Finding("not comparable", metric=metric, reason="this version of benchfw has no such metric")
    for what in ("direction", "version", "help"):
        if getattr(there, what) != getattr(here, what):
            said = f"its {what} is {getattr(here, what)!r}, and was {getattr(there, what)!r}"
            return Finding("not comparable", metric=metric, reason=said)
    return None


# ---- a line, repetition by repetition ----


def _faced(baseline: Baseline, line: Line, run: Measured) -> tuple[list[Finding], Both]:
    """What became of a line's repetitions, and those that can be compared."""
    fates: dict[Verdict, dict[int, str]] = defaultdict(dict)
    comparable = {}
    for outcome in line.repetitions:
        now = run.reading(line.labels, outcome.repetition)
        verdict, reason = _fate(baseline, line, outcome, now)
        if verdict != "fine":
            fates[verdict][outcome.repetition] = reason
        elif now is not None and now.status == "done":
            comparable[outcome.repetition] = now
    findings = [Finding(verdict, line.labels, reason=_together(told)) for verdict, told in fates.items()]
    return findings, Both(line, comparable, run)


def _fate(baseline: Baseline, line: Line, before: Outcome, now: Reading | None) -> tuple[Verdict, str]:
    """What became of one repetition; `fine` where there is nothing to say."""
    status = "not planned" if now is None else now.status
    said = f"{status}: {now.reason}" if now is not None and now.reason else status
    if before.status != "done":
        if status in TROUBLE and before.status not in TROUBLE:
            return "failed", f"{said}; before: {before.status}"
        return ("mended", f"done; before: {before.status}") if status == "done" else ("fine", "")
    if status in TROUBLE:
        return "failed", said
    if now is None or status != "done":
        return "missing", said
    there, here = baseline.split_of(line, before), now.cell.split
    differs = "the data" if there is None or here is None else there.differs(here)
    return ("not comparable", f"{differs} changed") if differs else ("fine", "")


def _together(told: Mapping[int, str]) -> str:
    """`repetitions 0, 2: failed: out of memory`, each reason once."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for repetition, reason in told.items():
        by_reason[reason].append(repetition)
    return "; ".join(f"{_repetitions(repetitions)}: {reason}" for reason, repetitions in by_reason.items())


def _repetitions(numbers: Sequence[int]) -> str:
    return f"repetition{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _without_value(line: Line, metric: str, lost: Sequence[int]) -> Finding:
    return Finding("missing", line.labels, metric, reason=f"{_repetitions(lost)}: has no value now")


def _pairs(both: Both, metrics: Iterable[str], tolerances: Mapping[str, float]) -> Iterator[tuple[Finding, Pair]]:
    for metric in metrics:
        for lift in (False, True):
            pair = both.pair(metric_named(metric), tolerances.get(metric), lift=lift)
            if pair is not None:
                yield Finding("fine", both.line.labels, metric, lift), pair


# ---- what is not in both ----


def _new(baseline: Baseline, run: Measured) -> Iterator[Finding]:
    known = {line.labels: {outcome.repetition for outcome in line.repetitions} for line in baseline.lines}
    for labels, members in run.lines.items():
        told = {r: reading.status for r, reading in members.items() if r not in known.get(labels, ())}
        if told:
            yield Finding("new", labels, reason=_together(told))


def _notes(baseline: Baseline, run: Measured) -> Iterator[str]:
    """What differs and fails nothing: threads, other seeds of training, machine, versions of libraries."""
    for setting in NOTED:
        yield from _differs(setting, baseline.experiment.get(setting), run.experiment.get(setting))
    for what in ("device", "system", "python"):
        yield from _differs(what, baseline.machine.get(what), run.machine.get(what))
    there, here = _versions(baseline.machine), _versions(run.machine)
    for library in sorted(there.keys() | here.keys()):
        yield from _differs(library, there.get(library), here.get(library))


def _versions(machine: Mapping[str, Any]) -> Mapping[str, Any]:
    found = machine.get("versions")
    return found if isinstance(found, dict) else {}


def _differs(what: str, there: object, here: object) -> Iterator[str]:
    if there != here:
        yield f"{what}: {here} here, {there} in the baseline"
