"""The verdicts of the contract's checks as people read them: a table, Markdown for a pull request, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from benchfw.announce import code, escaped
from benchfw.console import BAD, DIM, GOOD, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchfw.testing.report import Examined, Line

WORDS = {"passed": "passed", "failed": "FAILED", "skipped": "skipped", "expected": "failed as expected"}
STYLES = {"passed": GOOD, "failed": BAD, "skipped": DIM, "expected": DIM}


@dataclass(frozen=True)
class Told:
    """A component that was checked, with its kind."""

    kind: str
    examined: Examined

    @property
    def name(self) -> str:
        """`augmenter smote`."""
        return f"{self.kind} {self.examined.label}"


def verdict(told: Told) -> str:
    """One component in a line: `augmenter smote: passed (22 passed, 3 skipped; ...)`."""
    counts = Counter(WORDS[line.outcome] for line in told.examined.lines)
    found = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{told.name}: {'passed' if told.examined.passed else 'FAILED'} ({found}{_took(told.examined)})"


def _took(examined: Examined) -> str:
    if examined.seconds is None or examined.mib is None:
        return ""
    return f"; one fit and use on the toy set: {examined.seconds:.2f} s, {examined.mib:.0f} MiB"


def unlooked(told: Told) -> str | None:
    """What to say where every check that runs the component was skipped; None else."""
    if not told.examined.unlooked:
        return None
    reasons = Counter(line.reason for line in told.examined.lines if line.check.behaviour)
    return f"no check could look at what it does: {reasons.most_common(1)[0][0]}"


def print_contract(everything: Sequence[Told], there: Console) -> None:
    """A table for each component, and a line for each below them."""
    for told in everything:
        made = Table("check", "verdict", "what it wants, or why not", title=plain(told.name), show_edge=False)
        for line in told.examined.lines:
            style = STYLES[line.outcome]
            made.add_row(plain(line.check.name), plain(WORDS[line.outcome], style=style), plain(_why(line)))
        there.print(made)
        there.print()
    for told in everything:
        there.print(plain(verdict(told), style="" if told.examined.passed else BAD))
        if why := unlooked(told):
            there.print(plain(f"  {why}", style=BAD))


def to_markdown(everything: Sequence[Told]) -> str:
    """The same for a pull request; what did not pass is shown, all of it folded below."""
    return "\n\n".join(part for told in everything for part in _section(told)) + "\n"


def _section(told: Told) -> list[str]:
    bad = [line for line in told.examined.lines if line.outcome in ("failed", "expected")]
    whole = f"<details><summary>all checks</summary>\n\n{_table(told.examined.lines)}\n\n</details>"
    said = unlooked(told)
    why = [escaped(said)] if said else []
    return [f"### {escaped(verdict(told))}", *why, *([_table(bad)] if bad else []), whole]


def _table(lines: Sequence[Line]) -> str:
    rows = [f"| {code(line.check.name)} | {WORDS[line.outcome]} | {escaped(_why(line))} |" for line in lines]
    return "\n".join(["| check | verdict | what it wants, or why not |", "| --- | --- | --- |", *rows])


def _why(line: Line) -> str:
    return line.reason or line.check.wants


def to_json(everything: Sequence[Told]) -> str:
    """A list of components: kind, name, passed, seconds, mib, and its checks with name, wants, verdict and reason."""
    return json.dumps([_record(told) for told in everything], indent=2)


def _record(told: Told) -> dict[str, object]:
    examined = told.examined
    checks = [
        {"name": line.check.name, "wants": line.check.wants, "verdict": line.outcome, "reason": line.reason}
        for line in examined.lines
    ]
    about = {"kind": told.kind, "name": examined.label, "passed": examined.passed}
    return about | {"seconds": examined.seconds, "mib": examined.mib, "checks": checks}
