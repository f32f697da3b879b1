"""`benchfw.run` from Python: the same runs as the command line's, with the table as a pandas DataFrame."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchfw import experiment as experiments
from benchfw import runner, summary, tables
from benchfw.console import watcher
from benchfw.registry import installed
from benchfw.store import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from benchfw.experiment import Experiment


@dataclass(frozen=True)
class Results:
    """The results of a run, as they lie in its directory."""

    directory: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each planned cell, as its file holds it: axes, status, reason, scores, costs, warnings."""
        return self._read()[1]

    @property
    def statuses(self) -> Counter[str]:
        """How many cells are done, skipped, failed, oom, killed, not run."""
        return Counter(row["status"] for row in self.rows)

    def table(self, versus: Mapping[str, str] | None = None) -> pd.DataFrame:
        """The table of paired lifts and gains, one line for each augmenter, classifier and correction.

        versus: the line that the gains are paired with, by `augmenter`, `classifier` and `correction`; default none,
        the first classifier, none. Raises UsageError when there is no such line.
        """
        experiment, rows = self._read()
        return tables.table(rows, classifiers=experiment.classifiers, versus=versus)

    def comparisons(self, metric: str | None = None, versus: Mapping[str, str] | None = None) -> pd.DataFrame:
        """All that the repetitions say about each lift and gain of a metric; default is the experiment's.

        versus: as in `table`. Raises UsageError when there is no such line or metric.
        """
        experiment, rows = self._read()
        asked = metric or experiment.metric
        return tables.comparisons(rows, classifiers=experiment.classifiers, metric=asked, versus=versus)

    def costs(self) -> pd.DataFrame:
        """Seconds of each stage, MiB and synthetic rows, the means of the repetitions."""
        return tables.costs(self.rows)

    def fidelity(self) -> pd.DataFrame:
        """Synthetic rows beside held-out ones: a line for each augmenter and class, each measure with its floor."""
        return tables.fidelity(self.rows)

    def answer(self, metric: str | None = None) -> str:
        """What each augmenter does to a metric, in a sentence; default is the experiment's metric."""
        experiment, _ = self._read()
        return summary.answer(self.table(), metric or experiment.metric)

    def report(self, out: str | Path | None = None, *, metric: str | None = None, images: bool | None = None) -> Path:
        """Write the run as one HTML file and return its path.

        out: default report.html in the run's directory. metric: the one to speak of; default the experiment's. images:
        whether training images are shown; None shows them where the licence of the data allows it. Raises UsageError
        for a metric that the table does not have, StoreError when the file cannot be written.
        """
        from benchfw.report import write_report

        return write_report(self.directory, Path(out) if out else None, metric=metric, images=images)

    def _read(self) -> tuple[Experiment, list[dict[str, Any]]]:
        return RunDirectory(self.directory).rows()


def run(
    experiment: str | None = None,
    *,
    datasets: Sequence[str] | None = None,
    imbalances: Sequence[str] | None = None,
    extractors: Sequence[str] | None = None,
    augmenters: Sequence[str] | None = None,
    classifiers: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    jobs: int = 0,
    progress: bool = False,
    plugins: str | Path | Sequence[str | Path] = (),
) -> Results:
    """Run an experiment and return its results; finished cells in the same directory are reused.

    experiment: the name of a packaged one, or a TOML file; default `quick`. datasets, imbalances, extractors,
    augmenters, classifiers: replace the experiment's axis, as texts (`"smote@k=3"`). settings: the experiment's
    settings (`{"repetitions": 8}`) and parameters of components (`{"augmenter.smote.k": 3}`). out: the results
    directory; default results/<experiment>. cache: the stage cache; default the user's, "off" for none. jobs: worker
    processes; 0 runs in this process. progress: show it on standard error. plugins: files, each of which is a plugin.

    Raises UsageError for what is unknown or wrong, StoreError when results cannot be kept. A cell that fails raises
    nothing: it is a row with its reason.
    """
    axes = zip(experiments.AXES, (datasets, imbalances, extractors, augmenters, classifiers), strict=True)
    plain = {name: value for name, value in (settings or {}).items() if "." not in name}
    dotted = {name: value for name, value in (settings or {}).items() if "." in name}
    lists = {name: [texts] if isinstance(texts, str) else texts and list(texts) for name, texts in axes}
    wanted = experiments.requested(experiment, {**lists, **plain, "set": dotted})
    how = runner.Settings(Path(out) if out else None, runner.cache_named(cache), device, jobs)
    files = [plugins] if isinstance(plugins, str | Path) else plugins
    planned = runner.plan(wanted, how, installed(tuple(map(str, files))))
    directory = runner.directory_for(planned, how, wanted, experiment)
    with watcher() if progress else nullcontext(runner.Silent()) as watching:
        runner.run(planned, directory, how, watching)
    return Results(directory.root)
