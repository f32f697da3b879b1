"""The errors that benchfw raises on purpose; each message is one line that says where, found, wanted, cure.

BenchfwError            anything below; the command line prints the message and no traceback
|-- UsageError          the request is wrong: an unknown name, a bad parameter, a directory of another run
|-- DataError           the data is wrong: files missing, NaN features, too few samples
|-- CannotRun           a component does not fit this data; the cell becomes a skipped row with the reason
|-- PluginError         a plugin breaks its contract: wrong shape, wrong role, duplicate name
`-- StoreError          a result cannot be saved or read back; always fatal for the run
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class BenchfwError(Exception):
    """Base of every error that benchfw raises on purpose."""


class UsageError(BenchfwError):
    """The request is wrong: an unknown name, a bad parameter, a directory that belongs to another experiment."""


class DataError(BenchfwError):
    """The data is wrong: files missing, values not finite, too few samples."""


class CannotRun(BenchfwError):
    """A component does not fit this data or these neighbours; the cell is skipped with this reason."""


class PluginError(BenchfwError):
    """A plugin breaks its contract."""


class StoreError(BenchfwError):
    """A result cannot be saved or read back."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The clause `; did you mean 'x'? (known: ...)` for an unknown name, or `; known: ...`."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f"; did you mean {close[0]!r}? (known: {listed})" if close else f"; known: {listed}"


def os_words(error: OSError) -> str:
    """The operating system's own words for an error, without its number: `No space left on device`."""
    return error.strerror or str(error)
