"""What is kept on disk: the stage cache, and a run's directory with its manifest and one file for each cell."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import platform
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from filelock import FileLock, Timeout

from benchfw.errors import StoreError, UsageError, os_words
from benchfw.experiment import Experiment, from_mapping, to_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np

    from benchfw.keys import Planned

T = TypeVar("T")

FORMAT = 1
FINISHED = ("done", "skipped")
TROUBLE = ("failed", "oom", "killed")  # a cell ran and gave no numbers
FREE = ("name", "description", "metric", "references", "repetitions")  # may change in a run's directory
LOCK, WRITING = ".lock", ".writing-"  # names that a run may leave before its manifest stands


@contextmanager
def saving(what: str) -> Iterator[None]:
    """Turn an operating system's refusal to write into a StoreError that says what could not be saved."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "free some space, or choose another directory" if full else "choose another directory"
        kept = "then run the same command again: what is finished is kept"
        raise StoreError(f"cannot save {what}: {os_words(error)}; {cure}, {kept}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside it, fsync, rename. Raises StoreError."""
    temporary = _unfinished(path)
    with saving(str(path)):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def refusal(path: Path, error: StoreError) -> str:
    """Why a file that people named could not be written, and the cure, where no run is there to go on with."""
    why = os_words(error.__cause__) if isinstance(error.__cause__, OSError) else str(error)
    return f"{path}: cannot be written ({why}); choose another path"


def _unfinished(path: Path) -> Path:
    """A new name beside a path that says which process writes it.

    `tempfile` would hide what is written from the others of a shared directory.
    """
    return path.with_name(f"{WRITING}{_this_machine()}-{os.getpid()}-{uuid4().hex}")


def _this_machine() -> str:
    """Eight hexadecimal digits for where process numbers mean the same: this machine, or this container on it."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def sweep(paths: Iterable[Path]) -> None:
    """Remove what dead processes of this machine left unfinished. paths: names as `_unfinished` gives them."""
    for path in paths:
        machine, _, rest = path.name.removeprefix(WRITING).partition("-")
        process = rest.partition("-")[0]
        if machine == _this_machine() and process.isdecimal() and not _alive(int(process)):
            with suppress(OSError):  # somebody else's, or swept by another run just now
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def as_bytes(content: object) -> bytes:
    """JSON for people and for diff: sorted keys, two spaces, a last newline. NaN is refused."""
    return (json.dumps(content, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode(
        errors="backslashreplace"  # a file name that is not UTF-8 may stand in a message
    )


def as_npz(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Arrays as a compressed npz file."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take every name for allow_pickle
    return buffer.getvalue()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises StoreError when it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}; delete it and run the same command again") from error


class StageCache:
    """Finished stages by key, each a directory that appears whole or not at all."""

    def __init__(self, root: Path):
        """root: the cache's directory; made when the first stage is put. Raises nothing."""
        self.root = root

    def find(self, stage: str, key: str) -> Path | None:
        """The directory of a finished stage, or None."""
        path = self._path(stage, key)
        return path if path.is_dir() else None

    def put(self, stage: str, key: str, write: Callable[[Path], None]) -> Path:
        """Let `write` fill a directory, then show it under its key; one that is there already stays.

        Every OSError of `write` is taken for one of writing. Raises StoreError when it cannot be written.
        """
        path = self._path(stage, key)
        filling = _unfinished(path)
        with saving(f"a stage in the cache {self.root}"):
            try:
                filling.mkdir(parents=True)
                write(filling)
                _sync(filling)
                _rename(filling, path)
            finally:
                shutil.rmtree(filling, ignore_errors=True)
        return path

    def get(self, stage: str, key: str, *, make: Callable[[], T], read: Callable[[Path], T]) -> T:
        """What `read` gives of a finished stage's directory, else what `make` gives.

        A stage that cannot be read, e.g. after a loss of power, is removed and made anew.
        """
        found = self.find(stage, key)
        if found is not None:
            try:
                return read(found)
            except Exception:  # whatever the damage is; if it is none, making it fails in the same way and says so
                shutil.rmtree(found, ignore_errors=True)
        return make()

    def open(self) -> None:
        """Make sure, before any work, that it can be written, and remove what dead processes left unfinished.

        Raises StoreError.
        """
        with saving(f"stages in the cache {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
            probe = _unfinished(self.root / "probe")
            probe.touch()
            probe.unlink()
        self.sweep()

    def sweep(self) -> None:
        """Remove what dead processes of this machine left unfinished."""
        sweep(self.root.glob(f"stages/*/*/{WRITING}*"))

    def _path(self, stage: str, key: str) -> Path:
        return self.root / "stages" / stage / key[:2] / key


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _rename(filled: Path, path: Path) -> None:
    try:
        filled.rename(path)
    except OSError:
        if not path.is_dir():  # else another process was first, with the same content
            raise


# ---- a run's directory ----


class RunDirectory:
    """The results of one experiment: manifest, one file a cell, predictions, views, machine, experiment, tables."""

    def __init__(self, root: Path):
        self.root = root
        self._lock = FileLock(root / LOCK, blocking=False)

    @contextmanager
    def opened(self, planned: Sequence[Planned], machine: dict[str, Any]) -> Iterator[None]:
        """Hold the directory for one process, and write what is known before the first cell runs.

        Raises UsageError, and writes nothing, when another process works in it or it belongs to something else;
        StoreError when it cannot be written.
        """
        experiment = planned[0].cell.experiment
        self._check_owner(experiment)
        with saving(f"results in {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._check_owner(experiment)  # again: another process may have been here first
            write_atomically(self.manifest, as_bytes(_manifest(planned)))  # first: it says whose directory this is
            with saving(f"results in {self.root}"):
                for folder in (self.cells, self.predictions, self.views):
                    folder.mkdir(exist_ok=True)
            write_atomically(self.root / "experiment.toml", to_toml(experiment).encode())
            write_atomically(self.root / "machine.json", as_bytes(machine))
            sweep([*self.root.glob(f"{WRITING}*"), *self.root.glob(f"*/{WRITING}*")])
            yield

    @property
    def manifest(self) -> Path:
        """Every planned cell; written first."""
        return self.root / "manifest.json"

    @property
    def cells(self) -> Path:
        """One JSON file a cell."""
        return self.root / "cells"

    @property
    def predictions(self) -> Path:
        """One npz file a finished cell: sample ids, labels, log-scores."""
        return self.root / "predictions"

    @property
    def views(self) -> Path:
        """One npz file a finished cell of the first repetition: training images, and rows on a plane."""
        return self.root / "views"

    def row(self, cell_id: str) -> dict[str, Any] | None:
        """The stored row of a cell, or None when there is none that can be read."""
        try:
            row = read_json(self.cells / f"{cell_id}.json")
        except StoreError:
            return None
        return row if isinstance(row, dict) and row.get("id") == cell_id and "key" in row else None

    def reusable(self, planned: Planned) -> dict[str, Any] | None:
        """The stored row of a cell, if it is finished under the planned key; else None: it must run."""
        row = self.row(planned.cell.id)
        fits = row is not None and row["key"] == planned.keys.cell and row["status"] in FINISHED
        return row if fits else None

    def save(self, row: dict[str, Any]) -> None:
        """Store a row, whole or not at all. Raises StoreError."""
        write_atomically(self.cells / f"{row['id']}.json", as_bytes(row))

    def rows(self) -> tuple[Experiment, list[dict[str, Any]]]:
        """The experiment and a row for every planned cell.

        A cell without a row under its planned key has status `not run`: numbers of other code or data are no result of
        this plan. Raises UsageError when the directory holds no run.
        """
        if not self.manifest.is_file():
            raise UsageError(
                f"{self.root} holds no run (no manifest.json); wants the directory that `benchfw run` wrote"
            )
        manifest = self._manifest()
        rows = [self._row_of(cell) for cell in manifest["cells"]]
        return from_mapping(manifest["experiment"], str(self.manifest)), rows

    def _row_of(self, cell: dict[str, Any]) -> dict[str, Any]:
        row = self.row(cell["id"])
        if row is not None and row["key"] == cell["key"]:
            return row
        stale = "stale: something it depends on has changed since; run again"
        return {**cell, "status": "not run", "reason": None if row is None else stale}

    def _manifest(self) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = read_json(self.manifest)
        except StoreError as error:
            raise UsageError(f"{self.manifest} cannot be read; remove {self.root}, or choose another --out") from error
        if manifest.get("format") != FORMAT:
            raise UsageError(f"{self.root} was written by another version of benchfw; choose another --out")
        return manifest

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with saving(f"results in {self.root}"):
            try:
                self._lock.acquire()
            except Timeout as error:
                raise UsageError(
                    f"{self.root}: another benchfw process works in it; wait for it, or choose another --out"
                ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _check_owner(self, experiment: Experiment) -> None:
        if self.manifest.is_file():
            there = self._manifest()["experiment"]
            wanted = settings_of(experiment)
            differs = [name for name in wanted if name not in FREE and wanted[name] != there.get(name)]
            if differs:
                name = differs[0]
                change = f"{name} {there.get(name)} there, {wanted[name]} here"
                raise UsageError(f"{self.root} holds the run of another experiment ({change}); choose another --out")
        elif self.root.is_dir() and any(not path.name.startswith((LOCK, WRITING)) for path in self.root.iterdir()):
            raise UsageError(f"{self.root} is not empty and holds no run of benchfw; choose another --out")


def settings_of(experiment: Experiment) -> dict[str, Any]:
    """An experiment as JSON values; its parameters of components are in the labels."""
    content = {name: value for name, value in asdict(experiment).items() if name != "set"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}


def _manifest(planned: Sequence[Planned]) -> dict[str, Any]:
    cells = [{"id": p.cell.id, "axes": p.cell.axes, "key": p.keys.cell, "misfit": p.misfit} for p in planned]
    return {"format": FORMAT, "experiment": settings_of(planned[0].cell.experiment), "cells": cells}


def experiment_digest(experiment: Experiment) -> str:
    """Eight hexadecimal digits that tell one resolved experiment from another."""
    content = {name: value for name, value in settings_of(experiment).items() if name not in FREE}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
