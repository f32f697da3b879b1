"""The verdicts of the contract's checks as people read them: a table, Markdown for a pull request, or JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table

from benchfw.announce import code
from benchfw.console import BAD, DIM, GOOD, plain
from benchfw.wording import plain as one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from benchfw.testing.report import Examined, Line, Outcome

WORDS = {"passed": "passed", "failed": "FAILED", "skipped": "skipped", "expected": "failed as expected"}
STYLES = {"passed": GOOD, "failed": BAD, "skipped": DIM, "expected": DIM}
FOLDED = 3  # checks that are skipped for one reason, from so many on, share a row
PIECE = re.compile(r"\S*\([^()]{0,30}\)\S*|\S+")  # a word, with what is in its brackets
MARKUP = re.compile(r"[\\|<&*_`\[\]~$@#]|://|www\.|:[\w+-]+:|\bGH-\d", re.IGNORECASE)  # of Markdown, HTML, GitHub
QUOTED = re.compile(r"`[\w.()=,@-]+`[.,;:]?")  # a word in backticks already
UNQUOTABLE = re.compile(r"[`|\\]")  # what ends backticks, or a table's cell around them


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
    return f"{told.name}: {_numbers(told.examined)}"


def _numbers(examined: Examined) -> str:
    counts = Counter(WORDS[line.outcome] for line in examined.lines)
    found = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{'passed' if examined.passed else 'FAILED'} ({found}{_took(examined)})"


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
    """A table for each component; below them a line for each, and one for each of its failures."""
    for told in everything:
        made = Table("check", "verdict", "what it wants, or why not", title=plain(told.name), show_edge=False)
        for name, outcome, why in _rows(told.examined.lines):
            made.add_row(plain(name), plain(WORDS[outcome], style=STYLES[outcome]), plain(why))
        there.print(made)
        there.print()
    for told in everything:
        there.print(plain(verdict(told), style="" if told.examined.passed else BAD))
        failed = [f"{line.check.name}: {line.reason}" for line in told.examined.lines if line.outcome == "failed"]
        for why in (*failed, *filter(None, [unlooked(told)])):
            there.print(plain(f"  {why}", style=BAD))


def _rows(lines: Sequence[Line]) -> Iterator[tuple[str, Outcome, str]]:
    """Name, outcome and reason of each check, and one row for many that are skipped for one reason."""
    shared = Counter(line.reason for line in lines if line.outcome == "skipped")
    told = set()
    for line in lines:
        count = shared[line.reason] if line.outcome == "skipped" else 1
        if count < FOLDED:
            yield line.check.name, line.outcome, line.reason or line.check.wants
        elif line.reason not in told:
            told.add(line.reason)
            yield f"{count} checks", line.outcome, line.reason


def to_markdown(everything: Sequence[Told]) -> str:
    """The same for a pull request; what did not pass is shown, all of it folded below."""
    return "\n\n".join(part for told in everything for part in _section(told)) + "\n"


def _section(told: Told) -> list[str]:
    bad = [line for line in told.examined.lines if line.outcome in ("failed", "expected")]
    whole = f"<details><summary>all checks</summary>\n\n{_table(told.examined.lines)}\n\n</details>"
    said = unlooked(told)
    why = [readable(said)] if said else []
    return [
        f"### {told.kind} {quoted(one_line(told.examined.label))}: {_numbers(told.examined)}",
        *why,
        *([_table(bad)] if bad else []),
        whole,
    ]


def _table(lines: Sequence[Line]) -> str:
    rows = [f"| {name} | {WORDS[outcome]} | {readable(why)} |" for name, outcome, why in _rows(lines)]
    return "\n".join(["| check | verdict | what it wants, or why not |", "| --- | --- | --- |", *rows])


def readable(text: str) -> str:
    """A text of anybody on one line of Markdown, a table's cell included: words that would act there are in backticks.

    GitHub looks there for no mention, issue, emoji or link; all other words stay as they are.
    """
    pieces = groupby(PIECE.findall(one_line(text)), key=lambda piece: bool(_acts(piece)))
    return " ".join(quoted(" ".join(words)) if acting else " ".join(words) for acting, words in pieces)


def _acts(piece: str) -> bool:
    return bool(MARKUP.search(piece)) and not QUOTED.fullmatch(piece)


def quoted(text: str) -> str:
    """A text of one line in backticks; in entities, where these would not hold it."""
    return f"`{text}`" if text.strip() and not UNQUOTABLE.search(text) else code(text)


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
