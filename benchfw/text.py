"""Text from plugins and files, made fit to be shown."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
POINTER = re.compile(r" \(see tracebacks/[^\s)]+\)$")  # where a failed cell's reason leads


def printable(text: str) -> str:
    """Text without control characters and marks of direction, with which a label could act on a terminal or a page.

    Tabs and line ends stay.
    """
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def counted(reasons: Iterable[str]) -> Counter[str]:
    """Each reason, and how often it is there. Those that lead to other tracebacks, and are else the same, are one.

    It names the first file: `KeyError: 3 (see tracebacks/a.txt and 4 more)`.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for reason in reasons:
        alike[POINTER.sub(" (see tracebacks/)", reason)].append(reason)
    return Counter({_first_of(several): len(several) for several in alike.values()})


def _first_of(reasons: Sequence[str]) -> str:
    first, more = reasons[0], len(set(reasons)) - 1
    return f"{first.removesuffix(')')} and {more} more)" if more else first
