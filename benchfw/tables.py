"""From the rows of the cells to the table of paired differences, those of costs and of fidelity, and CSV.

A row is what one cell left behind, as its JSON file holds it; see `table` for the keys that are read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from math import isnan, nan
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from benchfw.errors import UsageError, did_you_mean
from benchfw.metrics import CORRECTIONS, METRICS
from benchfw.statistics import Lift, paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    Row = Mapping[str, Any]
    Axes = tuple[str, ...]  # a label for each of AXES
    Line = tuple[str, ...]  # the same and a correction: a line of the table
    Values = dict[str, dict[int, float]]  # metric -> repetition -> value

AXES = ("dataset", "imbalance", "extractor", "augmenter", "classifier")
KEY = (*AXES, "correction")
ALL = "(all)"  # in brackets, since a class may be named all
COUNTED = {"n_train": "n_train", "n_test": "n_test", "n_fake": "n_fake", "n_compared": "n", "d": "d"}
FIDELITY_KEY = ("dataset", "imbalance", "extractor", "augmenter", "class")
REFERENCE = ("augmenter", "classifier", "correction")  # what names a line inside its data set, imbalance and extractor
SECONDS = ("embed_seconds", "augment_seconds", "fidelity_seconds", "classify_seconds", "score_seconds")
COSTS = (*SECONDS, "peak_mib", "synthetic_rows")


def table(rows: Iterable[Row], *, classifiers: Sequence[str], versus: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One line for each (dataset, imbalance, extractor, augmenter, classifier, correction), sorted, `none` first.

    rows: of each the keys `axes`, `status` and `reason` are read, of done ones `scores` and `repeats` too. classifiers:
    their labels in the order of the plan. versus: names the reference line of the gains by any of `augmenter`,
    `classifier` and `correction`; the default is `none`, the first classifier, `none`.

    Columns: those of `KEY`; n, the repetitions done; status; and for each metric m
        m_n, m_mean, m_sd                            the repetitions that have a value, their mean and deviation
        m_lift, m_lift_low, m_lift_high, m_lift_n    paired with augmenter `none`, same classifier and correction
        m_gain, m_gain_low, m_gain_high, m_gain_n    paired with the reference line of the same block
    in the metric's own unit. A line is not compared with itself: NaN, no pairs. Cells that are not done are told in the
    status; a group without a done cell has one line, with correction `none`. A correction that repeats another in every
    repetition has no line, but others are paired with it by its name. `attrs` hold the `reference` of the gains and the
    first `classifier`. Raises UsageError when no line is what versus names.
    """
    import pandas as pd

    cells = _by_axes(rows)
    values = {(*axes, name): _values(members, name) for axes, members in cells.items() for name in CORRECTIONS}
    values = {line: found for line, found in values.items() if found}
    reference = _reference({line[3:] for line in values}, classifiers[0], versus)
    metrics = _metrics(values)
    records = []
    for line in sorted(((*axes, name) for axes in cells for name in _shown(cells[axes])), key=_order):
        members = cells[line[:-1]]
        done = sum(line[-1] in _scores(row) for row in members)
        record = dict(zip(KEY, line, strict=True)) | {"n": done, "status": _status(members)}
        records.append(record | _numbers(line, values, metrics, reference))
    frame = pd.DataFrame(records, columns=None if records else [*KEY, "n", "status"])
    frame.attrs = {"classifier": classifiers[0], "reference": dict(zip(REFERENCE, reference, strict=True))}
    return frame


def difference(record: Mapping[str, Any], metric: str, kind: str) -> Lift:
    """The paired difference that a line of the table holds. kind: `lift` or `gain`."""
    name = f"{metric}_{kind}"
    return Lift(int(record[f"{name}_n"]), record[name], record[f"{name}_low"], record[f"{name}_high"])


def costs(rows: Iterable[Row]) -> pd.DataFrame:
    """What the done cells cost: a line for each combination of `AXES`, sorted as the table, n and means of `COSTS`.

    Seconds of wall time, MiB of peak memory, synthetic rows; NaN where no cell tells.
    """
    import pandas as pd

    cells = _by_axes(row for row in rows if row["status"] == "done")
    lines = []
    for axes in sorted(cells, key=lambda axes: _order((*axes, "none"))):
        record: dict[str, Any] = dict(zip(AXES, axes, strict=True)) | {"n": len(cells[axes])}
        for name in COSTS:
            told = [_number(row.get("costs", {}).get(name)) for row in cells[axes]]
            record[name] = _mean([value for value in told if not isnan(value)])
        lines.append(record)
    return pd.DataFrame(lines, columns=[*AXES, "n", *COSTS])


def fidelity(rows: Iterable[Row]) -> pd.DataFrame:
    """How synthetic rows compare with held-out ones: a line for each combination of `FIDELITY_KEY`.

    The last line of an augmenter has class `(all)`. Beside the key: n, the repetitions; the means of the numbers of
    rows and of D, as `benchfw.fidelity` names them; and for each of its measures m_n, m_mean and m_sd over the
    repetitions where it is defined, and m_floor, the mean of its floor. NaN where no repetition tells.
    """
    import pandas as pd

    from benchfw.fidelity import MEASURES

    lines = []
    for axes, looks in sorted(_looks(rows).items(), key=lambda item: _order((*item[0], "", "none"))):
        for c in looks[0]:
            record: dict[str, Any] = dict(zip(FIDELITY_KEY, (*axes, c), strict=True)) | {"n": len(looks)}
            record |= {column: _mean(_defined(looks, c, name)) for column, name in COUNTED.items()}
            for measure in MEASURES.values():
                record |= _spread(measure.name, dict(enumerate(_defined(looks, c, measure.name))))
                record[f"{measure.name}_floor"] = _mean(_defined(looks, c, measure.floor))
            lines.append(record)
    return pd.DataFrame(lines, columns=None if lines else [*FIDELITY_KEY, "n"])


def _looks(rows: Iterable[Row]) -> dict[Axes, list[dict[str, Row]]]:
    """For each augmenter of a block, and each repetition: the rows of fidelity by class name."""
    found: dict[Axes, dict[int, dict[str, Row]]] = defaultdict(dict)
    for row in rows:
        if row["status"] == "done" and row.get("fidelity"):
            look = dict(zip([*row["class_names"], ALL], row["fidelity"], strict=True))
            found[tuple(row["axes"][axis] for axis in FIDELITY_KEY[:-1])][row["axes"]["repetition"]] = look
    return {axes: [looks[repetition] for repetition in sorted(looks)] for axes, looks in found.items()}


def _defined(looks: Iterable[dict[str, Row]], c: str, name: str) -> list[float]:
    return [float(look[c][name]) for look in looks if look[c][name] is not None]


def to_csv(frame: pd.DataFrame) -> str:
    r"""A frame as CSV, so that equal data give equal text: "\n", six decimals, an empty cell for NaN.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_cell(name) for name in frame.columns])
    writer.writerows([_cell(value) for value in line] for line in frame.itertuples(index=False, name=None))
    return file.getvalue()


def line_named(text: str) -> dict[str, str]:
    """Read `augmenter=A,classifier=C,correction=K`, or a part of it; labels may hold commas. Raises UsageError."""
    parts = [part.partition("=") for part in re.split(rf",(?=(?:{'|'.join(REFERENCE)})=)", text)]
    for axis, _, value in parts:
        if axis not in REFERENCE or not value:
            raise UsageError(f"--versus {text}: wants augmenter=A,classifier=C,correction=K, found {axis!r}")
    return {axis: value for axis, _, value in parts}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{round(value, 6) + 0.0:.6f}"  # + 0.0 makes -0.0 plain
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _by_axes(rows: Iterable[Row]) -> dict[Axes, list[Row]]:
    cells: dict[Axes, list[Row]] = defaultdict(list)
    for row in rows:
        cells[tuple(row["axes"][axis] for axis in AXES)].append(row)
    return dict(cells)


def _scores(row: Row) -> Mapping[str, Mapping[str, float | None]]:
    return row["scores"] if row["status"] == "done" else {}


def _values(members: Iterable[Row], correction: str) -> Values:
    values: Values = defaultdict(dict)
    for row in members:
        for metric, value in _scores(row).get(correction, {}).items():
            values[metric][row["axes"]["repetition"]] = _number(value)
    return dict(values)


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _shown(members: Iterable[Row]) -> list[str]:
    """The corrections that have a line: those that some repetition has and does not repeat, and always `none`."""
    own = {name for row in members for name in _scores(row) if name not in row.get("repeats", {})}
    return [name for name in CORRECTIONS if name in own | {"none"}]


def _order(line: Line) -> tuple[object, ...]:
    """Sorted by label, but augmenter `none` before the others and the corrections in their own order."""
    *block, augmenter, classifier, correction = line
    return *block, augmenter != "none", augmenter, classifier, CORRECTIONS.index(correction)


def _metrics(values: Mapping[Line, Values]) -> list[str]:
    """Every metric that some line has: the registry's in their order, then the classes' as they come."""
    found = dict.fromkeys(metric for line in sorted(values, key=_order) for metric in values[line])
    return [name for name in METRICS if name in found] + [name for name in found if name not in METRICS]


def _reference(known: set[Line], classifier: str, versus: Mapping[str, str] | None) -> Line:
    wanted = {"augmenter": "none", "classifier": classifier, "correction": "none"} | dict(versus or {})
    for axis in sorted(wanted.keys() - set(REFERENCE)):
        raise UsageError(f"versus: no axis named {axis!r}{did_you_mean(axis, REFERENCE)}")
    reference = tuple(wanted[axis] for axis in REFERENCE)
    if versus is None or reference in known:
        return reference
    for place, (axis, name) in enumerate(zip(REFERENCE, reference, strict=True)):
        labels = {line[place] for line in known}
        if name not in labels:
            raise UsageError(f"versus: no finished row has {axis} {name!r}{did_you_mean(name, labels)}")
    asked = ",".join(f"{axis}={name}" for axis, name in wanted.items())
    raise UsageError(f"versus: no finished row has {asked} together; known: {'; '.join(sorted(map(','.join, known)))}")


def _status(members: Sequence[Row]) -> str:
    """`done`, `skipped: why`, or `2 of 3 done; 1 failed: why`."""
    left = Counter(_outcome(row) for row in members if row["status"] != "done")
    done = len(members) - left.total()
    if not left:
        return "done"
    if not done and len(left) == 1:
        return next(iter(left))
    return "; ".join([f"{done} of {len(members)} done", *(f"{n} {outcome}" for outcome, n in sorted(left.items()))])


def _outcome(row: Row) -> str:
    reason = " ".join((row.get("reason") or "").split())
    return f"{row['status']}: {reason}" if reason else str(row["status"])


def _numbers(line: Line, values: Mapping[Line, Values], metrics: Iterable[str], reference: Line) -> dict[str, float]:
    block, own = line[:3], values.get(line, {})
    plain, gauge = (*block, "none", *line[4:]), (*block, *reference)
    lifted = values.get(plain, {}) if plain != line else {}
    gained = values.get(gauge, {}) if gauge != line else {}
    numbers: dict[str, float] = {}
    for metric in metrics:
        mine = own.get(metric, {})
        numbers |= _spread(metric, mine)
        numbers |= _columns(f"{metric}_lift", paired(mine, lifted.get(metric, {})))
        numbers |= _columns(f"{metric}_gain", paired(mine, gained.get(metric, {})))
    return numbers


def _spread(metric: str, values: Mapping[int, float]) -> dict[str, float]:
    there = [values[repetition] for repetition in sorted(values) if not isnan(values[repetition])]
    deviation = stdev(there) if len(there) > 1 else nan
    return {f"{metric}_n": len(there), f"{metric}_mean": _mean(there), f"{metric}_sd": deviation}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan


def _columns(name: str, lift: Lift) -> dict[str, float]:
    return {name: lift.mean, f"{name}_low": lift.low, f"{name}_high": lift.high, f"{name}_n": lift.n}
