"""The files that a data set reads as it loads, as Python's audit of `open` tells them; in the fresh process alone."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchfw.components import Dataset

CODE = (".py", ".pyc", ".so", ".pyd")
OURS = tuple(Path(place).resolve() for place in {sys.prefix, sys.base_prefix})
MACHINE = tuple(map(Path, ("/proc", "/sys", "/dev", "/etc", "/usr")))

_opened: list[tuple[Path, bool]] | None = None  # what is being listened for
_listening = False  # no audit hook can be taken away again, so there is one


def unlisted(dataset: Dataset) -> list[str]:
    """Load a data set once more, and name the files that it reads and `files` leaves out.

    None are named where it lists none, since it may insist on hashes, or lists one that it has just written, since an
    inventory stands for others. What libraries bring, and what the load has written, is not the data set's.
    """
    import torch

    from benchfw.context import Context
    from benchfw.testing.trial import SEED

    with tempfile.TemporaryDirectory(prefix="benchfw-") as folder, _watched() as opened:
        dataset.load(Context(SEED, torch.device("cpu"), Path(folder)))
        read, written = ({path for path, writes in opened if writes == way} for way in (False, True))
        listed = {path.resolve() for path in dataset.files(Path(folder))}
        inventory = any(path.is_relative_to(Path(folder).resolve()) for path in listed)
        left_out = sorted(str(path) for path in read - written - listed if _is_data(path))
        return left_out if listed and not inventory else []


@contextmanager
def _watched() -> Iterator[list[tuple[Path, bool]]]:
    """While it lasts, every file that is opened, and whether to write."""
    global _opened, _listening
    if not _listening:
        sys.addaudithook(_hear)
    _listening, _opened = True, []
    try:
        yield _opened
    finally:
        _opened = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes):
        name, _, flags = arguments
        _opened.append((Path(os.fsdecode(name)).resolve(), bool(flags & (os.O_WRONLY | os.O_RDWR))))


def _is_data(path: Path) -> bool:
    elsewhere = any(path.is_relative_to(place) for place in (*OURS, *MACHINE)) or "site-packages" in path.parts
    return path.is_file() and path.suffix not in CODE and not elsewhere
