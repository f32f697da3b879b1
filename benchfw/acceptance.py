"""A run becomes the baseline: what is taken from it, and what stays true of the old one."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import TYPE_CHECKING

from benchfw import __version__
from benchfw.baseline import Baseline, Line, Outcome, SplitOf, Update, definition, settings_that_differ, today
from benchfw.errors import UsageError
from benchfw.hits import packed
from benchfw.metrics import METRICS, metric_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchfw.hits import Split
    from benchfw.measured import Labels, Measured
    from benchfw.noise import Noise, Values

ALWAYS = "minority_recall"  # gated beside the experiment's own metric, unless others are asked for


def taken(
    run: Measured,
    old: Baseline | None,
    *,
    reason: str,
    metrics: Sequence[str] = (),
    tolerances: Mapping[str, float] | None = None,
    items: bool = True,
) -> Baseline:
    """The baseline of a run; what stays true of the old one is kept: history, tolerances, metrics, and noise.

    reason: why, for those who read the history. metrics: default those of the old one, else the experiment's own and
    minority recall. items: keep which test items are hit. Raises UsageError for a run that is not finished.
    """
    _check(run, reason)
    names = tuple(dict.fromkeys(metrics or (old.metrics if old else (run.experiment["metric"], ALWAYS))))
    _check_metrics(run, names)
    tolerances = {**(old.tolerances if old else {}), **(tolerances or {})}
    fresh = Baseline(
        experiment=dict(run.experiment),
        machine=dict(run.machine),
        metrics={name: definition(name) for name in names},
        tolerances={name: tolerances[name] for name in names if name in tolerances},
        history=(*(old.history if old else ()), _update(run, reason)),
        data=_data(run),
        lines=tuple(
            Line(labels=labels, repetitions=tuple(_outcome(run, labels, r, names, items) for r in sorted(members)))
            for labels, members in run.lines.items()
        ),
    )
    return fresh if old is None else _with_noise(_with_items(fresh, old), old)


def noise_dropped(old: Baseline, new: Baseline) -> Counter[str]:
    """Why lines of both have noise in the old one and none in the new one, and how many."""
    told: Counter[str] = Counter()
    after = new.by_labels
    for line in old.lines:
        now = after.get(line.labels)
        if now is not None and (why := _dropped(old, line, new, now)):
            told[why] += 1
    return told


def _dropped(old: Baseline, line: Line, new: Baseline, now: Line) -> str:
    kept = {(lift, metric) for lift in (False, True) for metric in now.noise_of(lift=lift)}
    had = {(lift, metric) for lift in (False, True) for metric in line.noise_of(lift=lift)}
    gone = sorted(metric for _, metric in had - kept)
    if not gone:
        return ""
    if why := _ended(old, new) or _parted(old, line, new, now):
        return why
    return f"{gone[0]} {'has no value now' if gone[0] in new.metrics else 'is gated no more'}"


def _check(run: Measured, reason: str) -> None:
    if not reason.strip():
        raise UsageError('--update: wants a reason for the history of the baseline; give --reason "..."')
    if left := run.count("not run"):
        cells = f"{left} cell{'s' * (left > 1)}"
        raise UsageError(f"{run.root}: {cells} not run; finish the run by the same command before it is a baseline")
    if not run.count("done"):
        raise UsageError(f"{run.root}: no cell is done; a baseline wants numbers")


def _check_metrics(run: Measured, names: Iterable[str]) -> None:
    for name in names:
        metric_named(name)
        if all(isnan(reading.value(name)) for _, _, reading in run.readings):
            known = ", ".join(METRICS)
            raise UsageError(f"--metric {name}: no line of {run.root} has a value; known: {known}, recall:<class>")


def _update(run: Measured, reason: str) -> Update:
    commit = run.machine.get("commit")
    told = commit if isinstance(commit, str) else None
    return Update(reason=reason.strip(), date=today(), commit=told, benchfw=__version__)


def _data(run: Measured) -> tuple[SplitOf, ...]:
    found: dict[tuple[str, str, int], Split] = {}
    for labels, repetition, reading in run.readings:
        split = reading.cell.split
        if split is None:
            continue
        key = (labels[0], labels[1], repetition)
        if key not in found or found[key].items is None:
            found[key] = split
        if differs := found[key].differs(split):
            cell = f"{', '.join(labels)}, repetition {repetition}"
            raise UsageError(f"{run.root}: {cell}: {differs} is another than in the cells beside it; run it again")
    return tuple(SplitOf(dataset=d, imbalance=i, repetition=r, split=split) for (d, i, r), split in found.items())


def _outcome(run: Measured, labels: Labels, repetition: int, metrics: Sequence[str], items: bool) -> Outcome:
    reading = run.lines[labels][repetition]
    if reading.status != "done":
        return Outcome(repetition=repetition, status=reading.status, reason=reading.reason)

    def told(*, lift: bool) -> dict[str, float | None]:
        values = {name: run.value(labels, repetition, name, lift=lift) for name in metrics}
        return {name: None if isnan(value) else value for name, value in values.items()}

    hits = reading.hits() if items else None
    return Outcome(
        repetition=repetition,
        status="done",
        values=told(lift=False),
        lifts=told(lift=True) if labels[3] != "none" else {},
        hits=None if hits is None else packed(hits),
    )


def _with_noise(fresh: Baseline, old: Baseline) -> Baseline:
    """Keep the noise of lines whose settings and data are as they were.

    What was expected of them stays only if they gave the same values again.
    """
    if _ended(old, fresh):
        return fresh
    before = old.by_labels
    lines = tuple(line.model_copy(update=_kept(fresh, line, old, before.get(line.labels))) for line in fresh.lines)
    calibration = old.calibration if any(line.noise for line in lines) else None
    return fresh.model_copy(update={"lines": lines, "calibration": calibration})


def _with_items(fresh: Baseline, old: Baseline) -> Baseline:
    """Keep which test items there were, where the run kept no predictions and nothing else says that they changed."""
    if _ended(old, fresh):
        return fresh
    data = []
    for part in fresh.data:
        known = old.splits.get((part.dataset, part.imbalance, part.repetition))
        same = known is not None and part.split.items is None and not known.differs(part.split)
        data.append(part.model_copy(update={"split": known}) if same else part)
    return fresh.model_copy(update={"data": tuple(data)})


def _ended(old: Baseline, new: Baseline) -> str:
    """Why the noise of no line holds any more; empty where it may."""
    others = settings_that_differ(old.experiment, new.experiment)
    return f"{others[0]} changed" if others else ""


def _parted(old: Baseline, line: Line, new: Baseline, now: Line) -> str:
    """Why the noise of a line holds no more; empty where the repetitions of both have the same data."""
    before = {outcome.repetition: old.split_of(line, outcome) for outcome in line.repetitions}
    after = {outcome.repetition: new.split_of(now, outcome) for outcome in now.repetitions}
    both = [(there, here) for r, there in before.items() if there and (here := after.get(r))]
    if not both:
        return "no repetition is in both"
    told = next((differs for there, here in both if (differs := there.differs(here))), "")
    return f"{told} changed" if told else ""


def _kept(fresh: Baseline, line: Line, old: Baseline, known: Line | None) -> dict[str, dict[str, Noise]]:
    if known is None or _parted(old, known, fresh, line):
        return {}
    return {"noise": _still(known, line, lift=False), "lift_noise": _still(known, line, lift=True)}


def _still(old: Line, new: Line, *, lift: bool) -> dict[str, Noise]:
    kept = {}
    for metric, noise in old.noise_of(lift=lift).items():
        before, now = old.values(metric, lift=lift), new.values(metric, lift=lift)
        if now:
            kept[metric] = _of_values(noise, before, now)
    return kept


def _of_values(noise: Noise, before: Values, now: Values) -> Noise:
    if now == before:
        return noise
    return noise.of_repetitions(now) if now.items() <= before.items() else noise.of_changed(len(now))
