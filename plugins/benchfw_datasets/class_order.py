"""The order of classes that have names and no numbers, the same wherever the names come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

INTEGER = re.compile(r"-?\d{1,18}")


def ordered(names: Collection[str]) -> tuple[str, ...]:
    """The names by their value where all are integers, so that 9 comes before 10; else in the order of the alphabet."""
    numbers = all(INTEGER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))
