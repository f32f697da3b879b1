"""The pytest plugin: the marker `benchfw` names a run and its baseline, and the fixture `benchfw_table` holds them.

It also fails a session in which the contract's tests of a component looked at nothing that the component does.
pytest loads this module in every project where benchfw is installed, so it imports nothing but pytest at its top.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import pandas as pd

    from benchfw.api import Results
    from benchfw.statistics import Lift

USAGE = '@pytest.mark.benchfw("results/quick", baseline="results/reference/quick/baseline.json")'
MARKER = (
    "benchfw(directory=None, *, baseline=None, experiment=None, **run): the run and the baseline of the fixture "
    "benchfw_table; with experiment it runs first, with the arguments of benchfw.run. Paths start at pytest's rootdir."
)
CONTRACT = "benchfw-contract"  # a property of a test, in which pytest-xdist carries it between processes
LABELS = ("dataset", "imbalance", "extractor", "augmenter", "classifier", "correction")


@dataclass(frozen=True)
class MarkedTable:
    """The table of a run, for a test. metric: the experiment's. baseline: the file that `check` holds it against."""

    results: Results
    metric: str
    baseline: Path | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The table as pandas has it."""
        return self.results.table()

    def check(self, **asked: Any) -> None:
        """Fail, with the words of `benchfw check`, where the run is worse than its baseline.

        asked: metrics, tolerances (by metric) and fail_on_better, as the command has them.
        """
        from benchfw import baseline, gate
        from benchfw.console_gate import lines
        from benchfw.errors import UsageError
        from benchfw.measured import measured

        with _failing("benchfw_table.check: "):
            _check_names("argument", asked, [field.name for field in fields(gate.Asked)])
            if self.baseline is None:
                raise UsageError(f"no baseline is named; wants {USAGE}")
            run = measured(self.results.directory)
            report = gate.compare(baseline.read(self.baseline), run, gate.Asked(**asked), str(self.baseline))
        if not report.passed:
            pytest.fail("\n".join(text for text, _ in lines(report)), pytrace=False)

    def lift(self, augmenter: str, metric: str | None = None, **labels: str) -> Lift:
        """The paired difference from augmenter `none`. labels: what else names the line; correction is none."""
        return self._difference("lift", augmenter, metric, labels)

    def gain(self, augmenter: str, metric: str | None = None, **labels: str) -> Lift:
        """The paired difference from `none`, the first classifier and no correction."""
        return self._difference("gain", augmenter, metric, labels)

    def _difference(self, kind: str, augmenter: str, metric: str | None, labels: dict[str, str]) -> Lift:
        from benchfw.tables import difference

        with _failing(f"benchfw_table.{kind}: "):
            line, name = self._line(augmenter, labels), metric or self.metric
            _check_names("metric", [name], [str(c).removesuffix("_lift") for c in line if str(c).endswith("_lift")])
            return difference(line, name, kind)

    def _line(self, augmenter: str, labels: dict[str, str]) -> dict[str, Any]:
        """The one line of these labels."""
        from benchfw.errors import UsageError

        wanted = {"augmenter": augmenter, "correction": "none", **labels}
        _check_names("label", wanted, LABELS)
        records: list[dict[Any, Any]] = self.frame.to_dict("records")
        found = [record for record in records if all(record[axis] == name for axis, name in wanted.items())]
        if len(found) != 1:
            there = "; ".join(sorted({", ".join(str(record[axis]) for axis in LABELS) for record in found or records}))
            asked = ", ".join(f"{axis} {name!r}" for axis, name in wanted.items())
            raise UsageError(f"{len(found)} lines have {asked}; wants one of: {there}")
        return found[0]


@contextmanager
def _failing(where: str) -> Iterator[None]:
    """Fail the test, in one line, with what benchfw raises on purpose."""
    from benchfw.errors import BenchfwError

    try:
        yield
    except BenchfwError as error:
        raise pytest.fail.Exception(f"{where}{error}", pytrace=False) from None


def _check_names(what: str, names: Iterable[str], known: Collection[str]) -> None:
    from benchfw.errors import UsageError, did_you_mean

    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"no {what} named {unknown[0]!r}{did_you_mean(unknown[0], known)}")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and count what the contract's tests looked at."""
    config.addinivalue_line("markers", MARKER)
    if not hasattr(config, "workerinput"):  # of pytest-xdist's processes, the first one sees all reports
        config.pluginmanager.register(Looked(), "benchfw-contract")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Write on each test of a check that runs its component which component that is, of how many such checks."""
    asked: Any = getattr(getattr(item, "callspec", None), "params", {}).get("check")
    if type(asked).__module__ == "benchfw.testing.parametrize" and asked.about is not None:
        label, behaviours = asked.about
        item.user_properties.append((CONTRACT, [f"{item.nodeid.partition('[')[0]}, {label}", behaviours]))


class Looked:
    """What the contract's tests of each component came to: a component whose tests were all skipped is unchecked."""

    def __init__(self) -> None:
        self._skipped: dict[str, list[bool]] = {}
        self._behaviours: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that ran or was skipped; an expected failure ran."""
        properties: list[tuple[str, Any]] = report.user_properties
        for name, value in properties:
            if name == CONTRACT and (report.when == "call" or (report.when == "setup" and not report.passed)):
                label, self._behaviours[label] = value[0], value[1]
                self._skipped.setdefault(label, []).append(report.skipped and not hasattr(report, "wasxfail"))

    @property
    def unchecked(self) -> list[str]:
        """The components all of whose checks were asked for, and all skipped."""
        found = self._skipped.items()
        return [label for label, skipped in found if all(skipped) and len(skipped) == self._behaviours[label]]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a session that would pass."""
        if self.unchecked and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which."""
        for label in self.unchecked:
            said = f"{label}: every check that runs it was skipped, so nothing is known of it; see the reasons with -rs"
            terminalreporter.write_line(f"benchfw: {said}", red=True)


@pytest.fixture
def benchfw_table(request: pytest.FixtureRequest) -> MarkedTable:
    """The table of the run that the marker names."""
    marker = request.node.get_closest_marker("benchfw")
    if marker is None:
        pytest.fail(f"benchfw_table: the test names no run; wants {USAGE}", pytrace=False)
    with _failing("benchfw_table: "):
        _check_marker(marker)
        return _marked(request.config.rootpath, *marker.args, **marker.kwargs)


def _check_marker(marker: pytest.Mark) -> None:
    from inspect import signature

    from benchfw import run
    from benchfw.errors import UsageError

    _check_names("keyword of the marker", marker.kwargs, ["directory", "baseline", *signature(run).parameters])
    if len(marker.args) + ("directory" in marker.kwargs) > 1:
        raise UsageError(f"wants one results directory; e.g. {USAGE}")


def _marked(
    root: Path, directory: str | None = None, *, baseline: str | None = None, experiment: str | None = None, **run: Any
) -> MarkedTable:
    from benchfw import run as run_experiment
    from benchfw.api import Results
    from benchfw.errors import UsageError
    from benchfw.store import RunDirectory

    if (directory is None) == (experiment is None) or (directory is not None and run):
        raise UsageError(f"wants a results directory, or experiment= with the arguments of benchfw.run; e.g. {USAGE}")
    if experiment is None:
        results = Results(root / str(directory))
    else:
        name = str(root / experiment) if experiment.endswith(".toml") else experiment
        out = root / run.pop("out", Path("results") / Path(experiment).stem)
        results = run_experiment(name, out=out, **run)
    planned, _ = RunDirectory(results.directory).rows()
    return MarkedTable(results, planned.metric, None if baseline is None else root / baseline)
