"""A check told to machines and to pull requests: Markdown, JUnit, JSON and GitHub's annotations.

Every name goes through `plain` first, which leaves one printable line, and then through its format's own escaping.
"""

from __future__ import annotations

from itertools import takewhile
from math import isfinite
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

from benchfw.errors import StoreError
from benchfw.metrics import metric_named
from benchfw.store import as_bytes, refusal, saving, write_atomically
from benchfw.tables import KEY
from benchfw.wording import (
    NOTHING,
    WORDS,
    advice,
    amount,
    chance,
    line_name,
    plain,
    printable,
    quantity,
    sentence,
    sight,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from benchfw.gate import Finding, Report

SCHEMA = 1  # of the JSON
ROOM = 60_000  # characters of Markdown; a comment on GitHub holds 65,536
ANNOTATIONS = 10  # that GitHub shows of one step
PLAIN = frozenset(" -=,()+/'%")  # that mean nothing inside <code>, to Markdown or to GitHub
HEADS = ("", "line", "metric", "before", "now", "worse by", "tolerance", "p", "how")


def write(
    report: Report, exit_code: int, *, markdown: Path | None = None, junit: Path | None = None, json: Path | None = None
) -> list[str]:
    """Write the files that were asked for, each whole or not at all; what comes back says which could not, and why."""
    made = (markdown, to_markdown(report).encode()), (junit, to_junit(report)), (json, to_json(report, exit_code))
    return [why for path, content in made if path is not None and (why := _refused(path, content))]


def _refused(path: Path, content: bytes) -> str:
    try:
        with saving(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except StoreError as error:
        return refusal(path, error)
    return ""


def to_markdown(report: Report) -> str:
    """A comment for a pull request: the verdict, what failed as a table, the rest folded; at most `ROOM` characters."""
    told = [sight(report), *advice(report)]
    parts = [
        f"### benchfw check {escaped(verdict(report))}",
        f"{code(report.run)} against {code(report.baseline)}",
        *(f"- {code(note)}" for note in report.notes[:ANNOTATIONS]),
        "\n".join(f"- {escaped(text)}" for text in told),
    ]
    room = ROOM - sum(map(len, parts)) - 1_000
    failures = _table(report.failures, room)
    rest = _table(report.others, room - len(failures))
    folded = f"<details><summary>all other lines</summary>\n\n{rest}\n\n</details>" if rest else ""
    return "\n\n".join(part for part in (*parts[:2], failures, *parts[2:], folded) if part) + "\n"


def _table(findings: Iterable[Finding], room: int) -> str:
    """As many rows as there is room for, and how many were left out."""
    rows = [_row(finding) for finding in findings]
    if not rows:
        return ""
    fitting = _fitting(rows, room)
    heads = [" | ".join(HEADS), " | ".join(["---"] * len(HEADS))]
    table = "\n".join(f"| {row} |" for row in (*heads, *fitting))
    left = len(rows) - len(fitting)
    return table + (f"\n\nand {left} more, for which there is no room here" if left else "")


def _fitting(rows: list[str], room: int) -> list[str]:
    used = 0

    def fits(row: str) -> bool:
        nonlocal used
        used += len(row) + 5
        return used <= room

    return list(takewhile(fits, rows))


def _row(finding: Finding) -> str:
    found = finding.judgement
    cells = [escaped(WORDS.get(finding.verdict, finding.verdict)), code(line_name(finding))]
    cells.append(code(quantity(finding)) if finding.metric else "")
    if found is None:
        return " | ".join([*cells, *[""] * 5, code(finding.reason)])
    metric = metric_named(str(finding.metric))
    values = [amount(value, metric, finding.lift) for value in (found.before, found.now)]
    values += [amount(value, metric) for value in (found.loss, found.tolerance)]
    return " | ".join([*cells, *values, escaped(chance(found)), escaped(found.test)])


def code(text: str) -> str:
    """Any text inside <code>, where GitHub looks for no mention, issue, emoji or link; all else becomes entities."""
    return f"<code>{escaped(text)}</code>"


def escaped(text: str) -> str:
    """Any text on one line of Markdown, a table's cell included, without markup."""
    return "".join(c if c.isalnum() or c in PLAIN else f"&#{ord(c)};" for c in plain(text))


# ---- JUnit ----


def to_junit(report: Report) -> bytes:
    """One test case for each metric of each line, and one for whatever else was found."""
    suite = Xml.Element("testsuite", name="benchfw check")
    for finding in report.findings:
        case = Xml.SubElement(suite, "testcase", classname=line_name(finding), name=_case_name(finding))
        if kind := _kind(finding, report):
            Xml.SubElement(case, kind, message=sentence(finding)).text = sentence(finding)
    if not (report.passed or report.failures):
        Xml.SubElement(
            Xml.SubElement(suite, "testcase", classname="the whole run", name=NOTHING), "error", message=NOTHING
        )
    counted = {name: len(suite.findall(f"testcase/{kind}")) for kind, name in _COUNTERS.items()}
    for name, count in {"tests": len(suite), **counted}.items():
        suite.set(name, str(count))
    suites = Xml.Element("testsuites")
    suites.append(suite)
    return bytes(Xml.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


_COUNTERS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def _case_name(finding: Finding) -> str:
    return quantity(finding) if finding.metric else WORDS.get(finding.verdict, finding.verdict)


def _kind(finding: Finding, report: Report) -> str:
    if finding.verdict in report.bad:
        return "failure" if finding.verdict in ("worse", "better") else "error"
    return "skipped" if finding.verdict in ("new", "mended") else ""


# ---- JSON ----


def to_json(report: Report, exit_code: int) -> bytes:
    """Everything that was found, with a schema version; what is not known is null."""
    content = {
        "schema": SCHEMA,
        "passed": report.passed,
        "exit_code": exit_code,
        "verdict": verdict(report),
        "run": report.run,
        "baseline": report.baseline,
        "notes": list(report.notes),
        "findings": [_as_json(finding) for finding in report.findings],
    }
    return as_bytes(content)


def _as_json(finding: Finding) -> dict[str, Any]:
    line = dict(zip(KEY, finding.labels, strict=False)) or None
    told: dict[str, Any] = {"verdict": finding.verdict, "line": line, "metric": finding.metric, "lift": finding.lift}
    if finding.judgement is None:
        return told | {"reason": finding.reason}
    numbers = {name: _known(value) for name, value in vars(finding.judgement).items() if name != "verdict"}
    return told | numbers


def _known(value: object) -> object:
    return None if isinstance(value, float) and not isfinite(value) else value


# ---- GitHub ----


def to_annotations(report: Report) -> Iterator[str]:
    """Workflow commands that mark a step: an error for each failure, as many as GitHub shows, the verdict first."""
    level = "notice" if report.passed else "error"
    yield f"::{level} title=benchfw check::{_data(verdict(report))}"
    for finding in report.failures[: ANNOTATIONS - 1]:
        head = f"{WORDS.get(finding.verdict, finding.verdict)}: {line_name(finding)}"
        yield f"::error title={_property(head)}::{_data(sentence(finding))}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
