"""From the rows of the cells to the table of paired differences, those of costs and of fidelity, and CSV.

A row is what one cell left behind, as its JSON file holds it; see `table` for the keys that are read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import replace
from math import isnan, nan
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from benchfw.errors import UsageError, did_you_mean
from benchfw.metrics import CORRECTIONS, METRICS, metric_named
from benchfw.statistics import Comparison, Lift, compare, in_family, needed_pairs, paired
from benchfw.text import counted

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
FAMILY = {"lift": (0, 1, 2, 4, 5), "gain": (0, 1, 2, 5)}  # places in a line that the family of a comparison shares
LIFTED = ("n", "mean", "low", "high", "p", "holm")
TESTS = (*LIFTED, "sd", "bca_low", "bca_high", "sign_flip", "sign_flip_least", "effect", "detectable", "underpowered")
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
        m_lift_p, m_lift_holm, m_gain_p, m_gain_holm Student's p of these, and adjusted by Holm over the family
    in the metric's own unit. The family of a lift: those of its data set, imbalance, extractor, classifier and
    correction; of a gain: those of its data set, imbalance, extractor and correction. A line is not compared with
    itself: NaN, no pairs. Cells that are not done are told in the status; a group without a done cell has one line,
    with correction `none`. A correction that repeats another in every repetition has no line, but others are paired
    with it by its name. `attrs` hold the `reference` of the gains and the first `classifier`. Raises UsageError when no
    line is what versus names.
    """
    import pandas as pd

    cells = _by_axes(rows)
    lines, values, reference = _lines(cells, classifiers[0], versus)
    numbers = _numbers(lines, values, reference)
    records = []
    for line in lines:
        members = cells[line[:-1]]
        done = sum(line[-1] in _scores(row) for row in members)
        records.append(dict(zip(KEY, line, strict=True)) | {"n": done, "status": _status(members)} | numbers[line])
    frame = pd.DataFrame(records, columns=None if records else [*KEY, "n", "status"])
    frame.attrs = {"classifier": classifiers[0], "reference": dict(zip(REFERENCE, reference, strict=True))}
    return frame


def difference(record: Mapping[str, Any], metric: str, kind: str) -> Lift:
    """The paired difference that a line of the table holds. kind: `lift` or `gain`."""
    name = f"{metric}_{kind}"
    low, high, p, holm = (record[f"{name}_{part}"] for part in ("low", "high", "p", "holm"))
    return Lift(int(record[f"{name}_n"]), record[name], low, high, p, holm)


def comparisons(
    rows: Iterable[Row], *, classifiers: Sequence[str], metric: str, versus: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """All that the repetitions say about each lift and gain of one metric: a line for each line of the table and kind.

    Columns: those of `KEY`; kind, `lift` or `gain`; those of `TESTS`, in the metric's own unit, NaN where too few pairs
    are behind them; needed, the pairs that would find a difference of one point, or of a tenth where the metric is no
    share. A line that is not compared has no line. The arguments are those of `table`. Raises UsageError
    as `table` does, and for a metric that no line has.
    """
    import pandas as pd

    lines, values, reference = _lines(_by_axes(rows), classifiers[0], versus)
    known = _metrics(values)
    if known and metric not in known:
        raise UsageError(f"the table has no metric {metric!r}{did_you_mean(metric, known)}")
    worth = metric_named(metric).worth
    records = []
    for kind in FAMILY:
        lifts = _differences(lines, values, metric, kind, reference)
        for line in lines:
            other = _paired_with(line, kind, reference)
            if other != line and lifts[line].n:
                found = compare(values[line][metric], values[other][metric], worth=worth)
                records.append(_compared(line, kind, replace(found, lift=lifts[line]), worth))
    return pd.DataFrame(records, columns=[*KEY, "kind", *TESTS, "needed"])


def _compared(line: Line, kind: str, found: Comparison, worth: float) -> dict[str, Any]:
    record: dict[str, Any] = dict(zip(KEY, line, strict=True)) | {"kind": kind}
    record |= {name: getattr(found.lift if name in LIFTED else found, name) for name in TESTS}
    return record | {"needed": needed_pairs(found.sd, worth) if found.lift.n > 1 else nan}


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
    repetitions where it and its floor are defined, and m_floor, the mean of its floor over the same. NaN where no
    repetition tells.
    """
    import pandas as pd

    from benchfw.measures import MEASURES

    lines = []
    for axes, looks in sorted(_looks(rows).items(), key=lambda item: _order((*item[0], "", "none"))):
        for c in looks[0]:
            record: dict[str, Any] = dict(zip(FIDELITY_KEY, (*axes, c), strict=True)) | {"n": len(looks)}
            record |= {column: _mean(_defined(looks, c, name)) for column, name in COUNTED.items()}
            for measure in MEASURES.values():
                whole = [look for look in looks if None not in (look[c][measure.name], look[c][measure.floor])]
                record |= _spread(measure.name, dict(enumerate(_defined(whole, c, measure.name))))
                record[f"{measure.name}_floor"] = _mean(_defined(whole, c, measure.floor))
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


def _lines(
    cells: Mapping[Axes, Sequence[Row]], classifier: str, versus: Mapping[str, str] | None
) -> tuple[list[Line], dict[Line, Values], Line]:
    """The lines of the table in their order, the values of every line that has some, and the reference of the gains."""
    found = {(*axes, name): _values(members, name) for axes, members in cells.items() for name in CORRECTIONS}
    values = {line: numbers for line, numbers in found.items() if numbers}
    lines = sorted(((*axes, name) for axes in cells for name in corrections_of(cells[axes])), key=_order)
    return lines, values, _reference({line[3:] for line in values}, classifier, versus)


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


def corrections_of(members: Iterable[Row]) -> list[str]:
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
    left = counted(_outcome(row) for row in members if row["status"] != "done")
    done = len(members) - left.total()
    if not left:
        return "done"
    if not done and len(left) == 1:
        return next(iter(left))
    return "; ".join([f"{done} of {len(members)} done", *(f"{n} {outcome}" for outcome, n in sorted(left.items()))])


def _outcome(row: Row) -> str:
    reason = " ".join((row.get("reason") or "").split())
    return f"{row['status']}: {reason}" if reason else str(row["status"])


def _numbers(lines: Sequence[Line], values: Mapping[Line, Values], reference: Line) -> dict[Line, dict[str, float]]:
    """The columns of every metric for each line."""
    numbers: dict[Line, dict[str, float]] = {line: {} for line in lines}
    for metric in _metrics(values):
        by_kind = {kind: _differences(lines, values, metric, kind, reference) for kind in FAMILY}
        for line in lines:
            numbers[line] |= _spread(metric, values.get(line, {}).get(metric, {}))
            for kind, found in by_kind.items():
                numbers[line] |= _columns(f"{metric}_{kind}", found[line])
    return numbers


def _differences(
    lines: Sequence[Line], values: Mapping[Line, Values], metric: str, kind: str, reference: Line
) -> dict[Line, Lift]:
    """The lift or gain of each line in one metric, adjusted over its family."""
    families: dict[Line, dict[Line, Lift]] = defaultdict(dict)
    for line in lines:
        other = _paired_with(line, kind, reference)
        pair = [values.get(one, {}).get(metric, {}) for one in (line, other)]
        family = tuple(line[place] for place in FAMILY[kind])
        families[family][line] = Lift() if other == line else paired(*pair)
    return {
        line: lift
        for found in families.values()
        for line, lift in zip(found, in_family(list(found.values())), strict=True)
    }


def _paired_with(line: Line, kind: str, reference: Line) -> Line:
    """The line that a lift or a gain of this line is the difference from."""
    return (*line[:3], "none", *line[4:]) if kind == "lift" else (*line[:3], *reference)


def _spread(metric: str, values: Mapping[int, float]) -> dict[str, float]:
    there = [values[repetition] for repetition in sorted(values) if not isnan(values[repetition])]
    deviation = stdev(there) if len(there) > 1 else nan
    return {f"{metric}_n": len(there), f"{metric}_mean": _mean(there), f"{metric}_sd": deviation}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan


def _columns(name: str, lift: Lift) -> dict[str, float]:
    values = (lift.mean, lift.low, lift.high, lift.p, lift.holm, lift.n)
    return dict(zip((name, *(f"{name}_{part}" for part in ("low", "high", "p", "holm", "n"))), values, strict=True))
