"""Text from plugins and files, made fit to be shown."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def printable(text: str) -> str:
    """Text without control characters and marks of direction, with which a label could act on a terminal or a page.

    Tabs and line ends stay.
    """
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
