"""The contract of a plugin as checks, for the tests of its author: `parametrize_components`.

Importing this loads neither torch nor pytest; `benchfw plugin check` gives the same verdicts without pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchfw.testing.catalogue import all_checks, checks_of
    from benchfw.testing.check import Breach, Check, NotChecked, Verdict
    from benchfw.testing.parametrize import parametrize_components
    from benchfw.testing.subject import Limits, Shapes, Subject

_ROOM_OF = {
    "Breach": "check",
    "Check": "check",
    "Limits": "subject",
    "NotChecked": "check",
    "Shapes": "subject",
    "Subject": "subject",
    "Verdict": "check",
    "all_checks": "catalogue",
    "checks_of": "catalogue",
    "parametrize_components": "parametrize",
}

__all__ = [
    "Breach",
    "Check",
    "Limits",
    "NotChecked",
    "Shapes",
    "Subject",
    "Verdict",
    "all_checks",
    "checks_of",
    "parametrize_components",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'benchfw.testing' has no attribute {name!r}")
    value = getattr(import_module(f"benchfw.testing.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
