"""Synthesizers that declare something wrong; no registry would take most of them, so this is no plugin."""

from dataclasses import dataclass

from benchfw import param
from faults.synthesizers import Noisy


class Thawed(Noisy):
    """No @dataclass above it."""

    name = "thawed"


@dataclass(frozen=True)
class Shouting(Noisy):
    """A name that nobody can type."""

    name = "Shouting Name"


@dataclass(frozen=True)
class Silent(Noisy):
    name = "silent"


@dataclass(frozen=True)
class PlainField(Noisy):
    """A parameter without help."""

    name = "plain-field"
    width: int = 3


@dataclass(frozen=True)
class EmptyHelp(Noisy):
    """A parameter with an empty help."""

    name = "empty-help"
    width: int = param(3, " ")


@dataclass(frozen=True)
class BeyondBounds(Noisy):
    """A default beyond its own bounds."""

    name = "beyond-bounds"
    width: int = param(0, "units", ge=1)


@dataclass(frozen=True)
class NeverBuilds(Noisy):
    """Parameters that cannot be together, by default."""

    name = "never-builds"

    def __post_init__(self):
        raise ValueError("scale wants to be 0")


@dataclass(frozen=True)
class UnknownPreset(Noisy):
    """A preset with a parameter of another name."""

    name = "unknown-preset"
    presets = {"wide": {"widht": 3}}


@dataclass(frozen=True)
class TupleField(Noisy):
    """A parameter that comes back as a list."""

    name = "tuple-field"
    widths: tuple[int, ...] = param((3, 4), "units of each layer")


def hidden():
    """A class that no other process finds."""

    @dataclass(frozen=True)
    class Hidden(Noisy):
        """Defined inside a function."""

        name = "hidden"

    return Hidden


FAULTS = {
    Thawed: {"frozen-dataclass"},
    Shouting: {"name"},
    Silent: {"help"},
    PlainField: {"parameter-help"},
    EmptyHelp: {"parameter-help"},
    BeyondBounds: {"defaults-build"},
    NeverBuilds: {"defaults-build"},
    UnknownPreset: {"presets-build"},
    TupleField: {"parameters-travel"},
    hidden(): {"fresh-process"},
}
