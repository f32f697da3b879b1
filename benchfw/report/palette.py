"""One colour and one marker for each augmenter, the same in every figure; the references are grey.

Colours are names of the style sheet's variables, so that light and dark pages each have their own.
Source of the colours: Okabe and Ito 2008 (Color universal design), without black and without yellow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw.experiment import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = {
    "c1": "#0072b2",
    "c2": "#d55e00",
    "c3": "#009e73",
    "c4": "#cc79a7",
    "c5": "#56b4e9",
    "c6": "#e69f00",
    "g1": "#5f6368",
    "g2": "#96999e",
}
"""As a light page shows them; figures are drawn with these values, and carry the names instead."""

HUES = ("c1", "c2", "c3", "c4", "c5", "c6")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
GREY = {"none": ("g1", "o"), "random": ("g2", "s")}


@dataclass(frozen=True)
class Style:
    """How an augmenter looks. colour: a key of `COLOURS`. marker: as matplotlib names it."""

    colour: str
    marker: str

    @property
    def value(self) -> str:
        """The colour that figures are drawn with."""
        return COLOURS[self.colour]


def styles(augmenters: Sequence[str]) -> dict[str, Style]:
    """The look of each augmenter: few have a colour each, of many those of one name share theirs.

    augmenters: labels, e.g. `smote@k=3`; no two get the same colour and marker while there are enough of both.
    """
    labels = [label for label in augmenters if label not in GREY]
    keys = labels if len(labels) <= len(HUES) else list(dict.fromkeys(_family(label) for label in labels))
    hue = {key: HUES[place % len(HUES)] for place, key in enumerate(keys)}
    worn = dict.fromkeys(HUES, 0)
    found = {label: Style(*GREY[label]) for label in augmenters if label in GREY}
    for label in labels:
        colour = hue[label if label in hue else _family(label)]
        found[label] = Style(colour, MARKERS[worn[colour] % len(MARKERS)])
        worn[colour] += 1
    return found


def _family(label: str) -> str:
    name = label.partition("@")[0]
    return name if name not in REFERENCES else label
