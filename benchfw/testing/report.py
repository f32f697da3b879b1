"""All checks of one component, and what is to be said of them, without pytest."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from benchfw.errors import UsageError, did_you_mean
from benchfw.testing.catalogue import all_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchfw.testing.check import Check, Verdict
    from benchfw.testing.subject import Subject

Outcome = Literal["passed", "failed", "skipped", "expected"]


@dataclass(frozen=True)
class Line:
    """One check of one component. outcome: `expected` is a failure that was announced, with its reason."""

    check: Check
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Examined:
    """A component and its checks. seconds, mib: what one fit and one use on the toy set took; None where none ended."""

    label: str
    lines: tuple[Line, ...]
    seconds: float | None
    mib: float | None

    @property
    def unlooked(self) -> bool:
        """Whether every check that runs the component was skipped, so that nothing is known of it."""
        return all(line.outcome == "skipped" for line in self.lines if line.check.behaviour)

    @property
    def passed(self) -> bool:
        """Whether no check failed, and at least one could look at what the component does."""
        return not self.unlooked and all(line.outcome != "failed" for line in self.lines)


def examine(
    subject: Subject, expected: Mapping[str, str] | None = None, listen: Callable[[Check], None] | None = None
) -> Examined:
    """Do all checks of a component. expected: name of a check -> why it fails. listen: told of each check before it."""
    lines = []
    for check in all_checks():
        if check.applies_to(subject.type):
            if listen is not None:
                listen(check)
            lines.append(_line(check, subject.verdict(check), (expected or {}).get(check.name)))
    ran = subject.problem is None and bool(subject.elsewhere.digest)
    took = (subject.elsewhere.seconds, subject.elsewhere.mib) if ran else (None, None)
    return Examined(subject.label, tuple(lines), *took)


def _line(check: Check, verdict: Verdict, reason: str | None) -> Line:
    if reason is None or verdict.status == "skipped":
        return Line(check, verdict.status, verdict.reason)
    if verdict.status == "failed":
        return Line(check, "expected", f"{reason} ({verdict.reason})")
    return Line(check, "failed", f"passes, but was expected to fail: {reason}; take the expectation away")


def expectations(texts: Sequence[str], subjects: Sequence[Subject]) -> dict[str, str]:
    """Expected failures as somebody typed them, CHECK=REASON. Raises UsageError for one that cannot be."""
    found = {}
    for text in texts:
        name, equals, reason = text.partition("=")
        if not equals:
            raise UsageError(f"--expect {text!r}: wants CHECK=REASON, e.g. 'other-seed=it repeats one row by design'")
        found[name.strip()] = reason
    check_expected(found, subjects)
    return found


def check_expected(expected: Mapping[str, str], subjects: Sequence[Subject]) -> None:
    """Refuse an expected failure without a reason, or of a check that none of the components has."""
    names = {check.name for check in all_checks()}
    for name, reason in expected.items():
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else did_you_mean(name, names)
            raise UsageError(f"expected failure: no check named {name!r}{hint}")
        if not reason.strip():
            raise UsageError(f"expected failure of {name}: found no reason; say why it fails")
        if not any(check.applies_to(s.type) for check in all_checks() if check.name == name for s in subjects):
            raise UsageError(f"expected failure: {name} is a check of none of these components; leave it out")
