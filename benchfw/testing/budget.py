"""What a component may take: time and memory of one fit and one use on the toy set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchfw.components import Component
from benchfw.testing.check import Breach, NotChecked, check

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject


@check(
    "within-limits",
    "60 s and 2 GiB at most for one fit and one use on the toy set",
    Component,
    after="signature",
    behaviour=False,
)
def within_limits(subject: Subject) -> None:
    """Measured in a fresh process, which is stopped where it takes longer."""
    found, limits = subject.elsewhere, subject.limits
    budget = f"a smaller budget, e.g. {subject.type.name}@steps=20"
    cure = f"check it with {budget if hasattr(subject.type, 'steps') else 'other limits, --seconds or --mib'}"
    if found.late or found.seconds > limits.seconds:
        raise Breach(f"takes more than {limits.seconds:g} s on the toy set; {cure}")
    if found.missing or found.error:
        raise NotChecked(f"nothing to measure: in a fresh process it {found.error or 'cannot be made'}")
    if found.mib > limits.mib:
        raise Breach(f"takes {found.mib:.0f} MiB on the toy set; wants {limits.mib:g} MiB at most; {cure}")
