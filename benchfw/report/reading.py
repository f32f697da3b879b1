"""A run's directory as a report reads it: rows, predictions, views, facts; every text is safe to show."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchfw import predictions
from benchfw.errors import StoreError
from benchfw.store import RunDirectory, read_json
from benchfw.tables import AXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from benchfw.experiment import Experiment
    from benchfw.predictions import Predictions

    Row = Mapping[str, Any]
    Block = tuple[str, str, str]  # dataset, imbalance, extractor
    Group = tuple[str, str]  # augmenter, classifier
    Arrays = dict[str, np.ndarray[Any, Any]]

QUESTION = "Does synthesising minority features help, by how much, against what, and can the number be trusted?"
TAIL = 14  # lines of a traceback
UNREADABLE = (OSError, ValueError, LookupError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)

_ABSOLUTE = re.compile(r"(?:file://|(?<![\w.:/…~]))/(?:[^\s/'\"=,;:()<>|\[\]]+/)+[^\s/'\"=,;:()<>|\[\]]*")
_POINTER = re.compile(r" \(see tracebacks/\w+\.txt\)")
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


@dataclass(frozen=True)
class Run:
    """Everything a report is made from.

    classifiers: in the order of the plan. rows: one for each planned cell, as `RunDirectory.rows` gives them. machine:
    what machine.json says, empty where it cannot be read. settings: experiment.toml as text.
    """

    root: Path
    experiment: Experiment
    classifiers: list[str]
    rows: list[dict[str, Any]]
    machine: dict[str, Any]
    settings: str

    @property
    def question(self) -> str:
        """What the experiment asks, in its own words where it has some."""
        return shown(self.experiment.description) or QUESTION

    @cached_property
    def done(self) -> list[dict[str, Any]]:
        """The rows that have numbers."""
        return [row for row in self.rows if row["status"] == "done"]

    @cached_property
    def statuses(self) -> Counter[str]:
        """How many cells are done, skipped, failed, oom, killed, not run."""
        return Counter(row["status"] for row in self.rows)

    @cached_property
    def blocks(self) -> dict[Block, list[dict[str, Any]]]:
        """The rows by data set, imbalance and extractor, sorted as in the tables."""
        found: dict[Block, list[dict[str, Any]]] = {}
        for row in sorted(self.rows, key=lambda row: (block_of(row), row["axes"]["repetition"])):
            found.setdefault(block_of(row), []).append(row)
        return found

    @cached_property
    def augmenters(self) -> list[str]:
        """Every augmenter, `none` and `random` first, the others sorted."""
        labels = {row["axes"]["augmenter"] for row in self.rows}
        return sorted(labels, key=lambda label: (label != "none", label != "random", label))

    @cached_property
    def skipped(self) -> list[dict[str, Any]]:
        """The rows of lines of which every repetition was skipped: left out on purpose, so nothing is missing there."""
        kept = {line_of(row) for row in self.rows if row["status"] != "skipped"}
        return [row for row in self.rows if row["status"] == "skipped" and line_of(row) not in kept]

    @cached_property
    def holes(self) -> list[dict[str, Any]]:
        """The rows that should have numbers and have none."""
        left = {id(row) for row in self.skipped}
        return [row for row in self.rows if row["status"] != "done" and id(row) not in left]

    @cached_property
    def planned(self) -> dict[tuple[str, ...], int]:
        """How many repetitions were planned of each line, whatever its correction."""
        return dict(Counter(line_of(row) for row in self.rows))

    def predictions(self, row: Row) -> Predictions | None:
        """What a done cell predicted, or None where it cannot be read or does not fit its classes."""
        return predictions.read(self.root, row)

    def views(self, row: Row) -> Arrays:
        """The arrays that a cell of the first repetition kept to look at; empty where there are none."""
        return self._arrays("views", row, ()) or {}

    def traceback(self, row: Row) -> str:
        """The last lines of the traceback that a failed cell left; empty where there is none."""
        try:
            lines = (self.root / "tracebacks" / f"{row['id']}.txt").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return shown("\n".join(lines[-TAIL:]))

    def _arrays(self, folder: str, row: Row, wanted: Iterable[str]) -> Arrays | None:
        try:
            with (self.root / folder / f"{row['id']}.npz").open("rb") as handle:  # a damaged one is closed, too
                file = np.load(handle, allow_pickle=False)
                return {name: file[name] for name in (wanted or file.files)}
        except UNREADABLE:
            return None


def read(directory: Path) -> Run:
    """The run that lies in a directory. Raises UsageError when it holds none."""
    experiment, rows = RunDirectory(directory).rows()
    try:
        machine = read_json(directory / "machine.json")
    except StoreError:
        machine = {}
    try:
        settings = (directory / "experiment.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        settings = ""
    names = {axis: _names(row["axes"][axis] for row in rows) for axis in AXES}
    order = [names["classifier"].get(label, shown(label)) for label in experiment.classifiers]
    cleaned = [_clean_row(row, names) for row in rows]
    return Run(directory, experiment, order, cleaned, shown_all(machine), shown(settings))


def block_of(row: Row) -> Block:
    """Data set, imbalance and extractor of a row."""
    axes = row["axes"]
    return axes["dataset"], axes["imbalance"], axes["extractor"]


def line_of(row: Row) -> tuple[str, ...]:
    """A row's label for each of the axes."""
    return tuple(row["axes"][axis] for axis in AXES)


def group_of(row: Row) -> Group:
    """Augmenter and classifier of a row."""
    return row["axes"]["augmenter"], row["axes"]["classifier"]


@lru_cache(maxsize=2**16)
def shown(text: str) -> str:
    """A text without what a page cannot or must not show: control characters, and where files lie on this machine."""
    return _UNSHOWN.sub("�", _ABSOLUTE.sub(_shortened, text.encode(errors="backslashreplace").decode()))


def shown_all(content: Any) -> Any:
    """The same JSON content with every text as `shown`."""
    if isinstance(content, str):
        return shown(content)
    if isinstance(content, dict):
        return {shown(key): shown_all(value) for key, value in content.items()}
    return [shown_all(item) for item in content] if isinstance(content, list) else content


def _shortened(path: re.Match[str]) -> str:
    """Only the end of an absolute path: its last part, or two where it is deep, as in `…/torch/nn.py`."""
    parts = path[0].removeprefix("file://").strip("/").split("/")
    return "…/" + "/".join(parts[-2:] if len(parts) > 3 else parts[-1:])


def _names(labels: Iterable[str]) -> dict[str, str]:
    """Each label as `shown`; those that are then alike are numbered, or two lines would become one."""
    names: dict[str, str] = {}
    for label in sorted(set(labels)):
        alike = sum(shown(other) == shown(label) for other in names)
        names[label] = f"{shown(label)} ({alike + 1})" if alike else shown(label)
    return names


def _clean_row(row: dict[str, Any], names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The row with texts as `shown`, but for its long lists of numbers, which hold none."""
    if row.get("reason"):  # the end of the traceback is shown beside it, and cells with one reason stand together
        row = {**row, "reason": _POINTER.sub("", row["reason"])}
    made = {key: value if key in ("records", "fidelity", "costs") else shown_all(value) for key, value in row.items()}
    axes = {axis: names[axis][row["axes"][axis]] for axis in AXES}
    return made | {"axes": {**axes, "repetition": row["axes"]["repetition"]}}


def as_json(content: object) -> str:
    """JSON that may stand inside a script element: no character in it can end the element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
