"""Every check of the contract, in the order in which they are looked at. Importing it loads torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from benchfw.testing.check import CHECKS, Check
from benchfw.testing.subject import subject_of

if TYPE_CHECKING:
    from benchfw.testing.subject import Item

ROOMS = ("declaration", "answers", "repeats", "manners", "leaks", "needs", "states", "learning", "edges", "budget")

for _room in ROOMS:
    import_module(f"benchfw.testing.{_room}")


def all_checks() -> tuple[Check, ...]:
    """Every check of the contract."""
    return tuple(CHECKS.values())


def checks_of(component: Item) -> tuple[Check, ...]:
    """The checks for a component: a class, an instance, or a function of an empty directory that makes one."""
    role = subject_of(component).type
    return tuple(check for check in all_checks() if check.applies_to(role))
