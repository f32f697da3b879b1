"""How much chance in training moves each line of a baseline: its experiment again, with other seeds and the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from benchfw.baseline import Baseline, Calibration, today
from benchfw.comparison import worth_of_item
from benchfw.experiment import changed, from_mapping
from benchfw.measured import measured
from benchfw.metrics import metric_named
from benchfw.noise import estimated
from benchfw.runner import Settings, plan
from benchfw.store import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchfw.baseline import Line, Outcome
    from benchfw.keys import Planned
    from benchfw.measured import Labels, Measured, Reading
    from benchfw.noise import Noise
    from benchfw.registry import Registry


@dataclass(frozen=True)
class Afresh(Settings):
    """Run without any cache, but with the data that was fetched for the one named. fetched: its downloads."""

    fetched: Path = Path()

    @property
    def downloads(self) -> Path:
        """Where data sets find what was fetched before."""
        return self.fetched


@dataclass(frozen=True)
class Rerun:
    """One run of a calibration. name: of its directory; reseeded: whether it has seeds of its own."""

    name: str
    reseeded: bool
    planned: list[Planned]
    directory: RunDirectory
    settings: Settings


@dataclass(frozen=True)
class Calibrated:
    """The baseline with its noise. left_out: why a line has none. moved: lines that the same seeds gave otherwise."""

    baseline: Baseline
    left_out: Mapping[Labels, str]
    moved: Sequence[Labels]

    @property
    def statuses(self) -> Counter[str]:
        """How many lines have noise, and how many should have and have none."""
        return Counter(done=sum(bool(line.noise) for line in self.baseline.lines), failed=len(self.left_out))


def reruns(baseline: Baseline, settings: Settings, registry: Registry, *, repeats: int, same: int) -> list[Rerun]:
    """The runs to make: `same` with the baseline's seeds and no cache, `repeats` with other seeds of training.

    settings: its `out` is the directory above theirs; default results/calibration/<experiment>. Raises UsageError for
    an experiment that this version, or what is installed, cannot plan.
    """
    experiment = from_mapping(baseline.experiment, "the baseline's experiment")
    out = settings.out or Path("results") / "calibration" / experiment.name
    others = [r for r in range(repeats + 1) if r != experiment.reseed][:repeats]
    afresh: Settings = Afresh(out, None, settings.device, settings.jobs, settings.downloads)
    wanted = [(f"same-{i + 1}", False, experiment, afresh) for i in range(same)]
    wanted += [(f"reseed-{r}", True, changed(experiment, "calibrate", {"reseed": r}), settings) for r in others]
    return [
        Rerun(name, reseeded, plan(again, how, registry), RunDirectory(out / name), how)
        for name, reseeded, again, how in wanted
    ]


def of_reruns(baseline: Baseline, finished: Sequence[Rerun]) -> Calibrated:
    """The baseline with the noise that finished runs show."""
    told = [(rerun.reseeded, measured(rerun.directory.root)) for rerun in finished]
    return calibrated(baseline, [run for again, run in told if again], [run for again, run in told if not again])


def calibrated(baseline: Baseline, reseeded: Sequence[Measured], same: Sequence[Measured]) -> Calibrated:
    """The baseline with the noise of each line and metric, from runs of its experiment."""
    left_out: dict[Labels, str] = {}
    moved, lines = [], []
    for line in baseline.lines:
        why = _why_not(baseline, line, [*reseeded, *same])
        if why:
            left_out[line.labels] = why
        found = {} if why else {lift: _noise_of(baseline, line, reseeded, same, lift=lift) for lift in (False, True)}
        if any(noise.nondeterminism for noise in found.get(False, {}).values()):
            moved.append(line.labels)
        lines.append(line.model_copy(update={"noise": found.get(False, {}), "lift_noise": found.get(True, {})}))
    device = next((run.machine.get("device") for run in reseeded), None)
    how = Calibration(repeats=len(reseeded), same=len(same), date=today(), device=device)
    return Calibrated(baseline.model_copy(update={"lines": tuple(lines), "calibration": how}), left_out, moved)


def _noise_of(
    baseline: Baseline, line: Line, reseeded: Sequence[Measured], same: Sequence[Measured], *, lift: bool
) -> dict[str, Noise]:
    found = {}
    for metric in baseline.metrics:
        before = line.values(metric, lift=lift)
        split = baseline.split_of(line, line.done[0]) if before else None
        again = [{r: run.value(line.labels, r, metric, lift=lift) for r in before} for run in (*reseeded, *same)]
        if split is None or any(isnan(value) for values in again for value in values.values()):
            continue  # where the line has no such metric, or no lift, or `none` failed in one of the runs
        least = worth_of_item(metric_named(metric), split, fmean(line.values(metric).values()))
        found[metric] = estimated(before, again[: len(reseeded)], again[len(reseeded) :], least)
    return found


def _why_not(baseline: Baseline, line: Line, runs: Sequence[Measured]) -> str:
    """Why these runs tell nothing of a line; empty where they do."""
    for run in runs:
        for outcome in line.done:
            if why := _unusable(baseline, line, outcome, run.reading(line.labels, outcome.repetition)):
                return f"{run.root.name}, repetition {outcome.repetition}: {why}"
    return ""


def _unusable(baseline: Baseline, line: Line, outcome: Outcome, reading: Reading | None) -> str:
    if reading is None:
        return "not planned"
    if reading.status != "done":
        return f"{reading.status}: {reading.reason}" if reading.reason else reading.status
    there, here = baseline.split_of(line, outcome), reading.cell.split
    if there is None or here is None or there.differs(here):
        return "other data than the baseline's"
    told = (metric for metric, value in outcome.values.items() if value is not None)
    return next((f"no value of {metric}" for metric in told if isnan(reading.value(metric))), "")
