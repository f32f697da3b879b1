"""The baseline file: what a table was when it was last accepted, as JSON that a diff can show."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchfw.errors import UsageError, os_words
from benchfw.experiment import AXES as MATRIX
from benchfw.experiment import Experiment
from benchfw.hits import Split  # noqa: TC001  # pydantic reads it
from benchfw.metrics import metric_named
from benchfw.noise import Noise  # noqa: TC001  # pydantic reads it
from benchfw.store import FREE, as_bytes, saving, settings_of, write_atomically
from benchfw.tables import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchfw.measured import Labels

SCHEMA = 1
NOTED = ("threads", "reseed")  # settings that may differ from the baseline's, and then it is said


class Part(BaseModel):
    """A part of the file: nothing unknown, nothing infinite, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Definition(Part):
    """What a metric was when it was measured."""

    direction: Literal["higher", "lower"]
    version: int
    help: str


class Update(Part):
    """Why and when the baseline was written anew."""

    reason: str = Field(min_length=1)
    date: str
    commit: str | None
    benchfw: str


class Calibration(Part):
    """How the noise was measured: runs with other seeds of training, runs with the same, and where."""

    repeats: int
    same: int
    date: str
    device: str | None


class Outcome(Part):
    """One line in one repetition.

    values, lifts: by metric, the lift over augmenter `none`; null where not defined. hits: packed bits of test items.
    """

    repetition: int = Field(ge=0)
    status: str
    reason: str | None = None
    values: dict[str, float | None] = {}
    lifts: dict[str, float | None] = {}
    hits: str | None = None

    @model_validator(mode="after")
    def _lifts_of_values(self) -> Self:
        for metric, lift in self.lifts.items():
            if metric not in self.values or (lift is not None and self.values[metric] is None):
                raise ValueError(f"{metric} has a lift and no value")
        return self


def _once(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    if len({outcome.repetition for outcome in outcomes}) != len(outcomes):
        raise ValueError("a repetition stands there twice")
    return outcomes


class Line(Part):
    """A line of the table, with the noise of its metrics and of their lifts where it was calibrated."""

    labels: tuple[str, ...] = Field(min_length=len(KEY), max_length=len(KEY))
    repetitions: Annotated[tuple[Outcome, ...], AfterValidator(_once)]
    noise: dict[str, Noise] = {}
    lift_noise: dict[str, Noise] = {}

    @property
    def done(self) -> list[Outcome]:
        """The repetitions that gave numbers."""
        return [outcome for outcome in self.repetitions if outcome.status == "done"]

    def values(self, metric: str, *, lift: bool = False) -> dict[int, float]:
        """A metric, or its lift, by repetition, where it has a value."""
        told = {outcome.repetition: (outcome.lifts if lift else outcome.values).get(metric) for outcome in self.done}
        return {repetition: value for repetition, value in told.items() if value is not None}

    def noise_of(self, *, lift: bool) -> dict[str, Noise]:
        """The noise by metric, of the values or of their lifts."""
        return self.lift_noise if lift else self.noise


class SplitOf(Part):
    """The data of one repetition."""

    dataset: str
    imbalance: str
    repetition: int
    split: Split


def _unique(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    if len({line.labels for line in lines}) != len(lines):
        raise ValueError("a line stands there twice")
    return lines


class Baseline(Part):
    """A whole baseline file."""

    form: Literal[1] = Field(default=1, alias="schema")
    experiment: dict[str, Any]
    machine: dict[str, Any]
    metrics: dict[str, Definition] = Field(min_length=1)
    tolerances: dict[str, Annotated[float, Field(ge=0)]] = {}
    history: tuple[Update, ...] = Field(min_length=1)
    calibration: Calibration | None = None
    data: tuple[SplitOf, ...]
    lines: Annotated[tuple[Line, ...], AfterValidator(_unique)]

    @property
    def by_labels(self) -> dict[Labels, Line]:
        """The lines by their labels."""
        return {line.labels: line for line in self.lines}

    @cached_property
    def splits(self) -> dict[tuple[str, str, int], Split]:
        """The data by data set, imbalance and repetition."""
        return {(part.dataset, part.imbalance, part.repetition): part.split for part in self.data}

    def split_of(self, line: Line, outcome: Outcome) -> Split | None:
        """The data of a line in one repetition."""
        return self.splits.get((line.labels[0], line.labels[1], outcome.repetition))


def read(path: Path) -> Baseline:
    """Read a baseline. Raises UsageError, one line with the cure, for a file that is missing, broken or newer."""
    write_one = f'write one with benchfw check DIR --baseline {path} --update --reason "..."'
    cure = f"restore it from version control, or remove it and {write_one}"
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such baseline; {write_one}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({os_words(error)}); wants a baseline file") from error
    except (ValueError, RecursionError) as error:
        found = str(error).splitlines()[0]
        raise UsageError(f"{path}: is no JSON ({found}); {cure}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema is None:
        raise UsageError(f"{path}: is no baseline of benchfw (no schema); {cure}")
    if type(schema) is not int or schema < 1:
        raise UsageError(f"{path}: unknown schema {schema!r}, and this benchfw reads {SCHEMA}; {cure}")
    if schema > SCHEMA:
        raise UsageError(f"{path}: has schema {schema}, and this benchfw reads {SCHEMA}; install a newer benchfw")
    try:
        return Baseline.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {where}: {first['msg']}; {cure}") from error


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline whole or not at all. Raises StoreError."""
    with saving(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, as_bytes(baseline.model_dump(mode="json", by_alias=True)))


def replace(path: Path, new: Baseline, old: Baseline) -> None:
    """Write a baseline that was made from the old one. Raises UsageError when the file is no longer the old one."""
    if read(path) != old:
        raise UsageError(f"{path}: was written by somebody else meanwhile; run the same command again")
    write(path, new)


def definition(name: str) -> Definition:
    """What a metric is in this version of benchfw. Raises UsageError for an unknown one."""
    metric = metric_named(name)
    return Definition(direction=metric.direction, version=metric.version, help=metric.help)


def settings_that_differ(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The experiment's settings, beside its axes and what is free, that are not the same.

    One that is not there is of an older version, and was what the default is now.
    """
    usual = settings_of(Experiment())
    there, here = usual | dict(there), usual | dict(here)
    fixed = sorted((there.keys() | here.keys()) - {*MATRIX, *FREE, *NOTED})
    return [name for name in fixed if there.get(name) != here.get(name)]


def today() -> str:
    """The date in UTC."""
    return datetime.now(UTC).date().isoformat()
