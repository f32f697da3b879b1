"""Keys: all that decides a result, hashed, so that a cached one is used exactly when running again would give it.

A key holds the component and all its parameters, the seed, the key of the stage before it, the code as parsed source
without comments and docstrings, the library versions, the threads and the kind of device.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from benchfw.components import Synthesizer
from benchfw.machine import device_class, installed_version, precision_on
from benchfw.plan import Cell, dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from benchfw.components import Component, Dataset

PROTOCOL = (  # the core's modules whose code decides numbers
    *("errors", "data", "dataset", "context", "seeding", "imbalance", "splits", "training", "metrics"),
    *("components", "hookspecs", "machine", "place", "embedding", "cell"),
)
FIDELITY = ("benchfw.fidelity", "benchfw.lens", "benchfw.likeness", "benchfw.measures", "benchfw.plane")
FORMAT = 1


@dataclass(frozen=True)
class Keys:
    """The keys of one cell's stages; each holds the one before it."""

    embed: str
    augment: str
    fidelity: str
    cell: str


@dataclass(frozen=True)
class Planned:
    """A cell with its keys and, when it cannot run, the reason."""

    cell: Cell
    keys: Keys
    misfit: str | None


def keys_of(cell: Cell, device: torch.device, downloads: Path) -> Keys:
    """The keys of a cell. downloads: where data sets look for their files, whose contents enter the key."""
    import torch

    experiment = cell.experiment
    split = {
        "files": _files.digest(cell.dataset, downloads),
        "imbalance": str(cell.imbalance),
        "test_fraction": experiment.test_fraction,
        "val_fraction": experiment.val_fraction,
        "seeds": _seeds(cell, "test-split", "imbalance", "validation"),
    }
    machine = {
        "torch": str(torch.__version__),  # with the build, e.g. +cu130
        "numpy": installed_version("numpy"),
        "scikit-learn": installed_version("scikit-learn"),
        "threads": experiment.threads,
        "precision": precision_on(device, experiment.precision),
        "deterministic": experiment.deterministic,
        "device": device_class(device),
        "protocol": _digest(tuple(f"benchfw.{name}" for name in PROTOCOL)),
    }
    data = _key("data", cell.dataset, split, machine)
    embed = _key("embed", cell.extractor, data, _seeds(cell, "extractor"))
    augmenter = cell.augmenter
    fitted = fitted_as(augmenter) if isinstance(augmenter, Synthesizer) else augmenter
    augment = _key("augment", fitted, embed, _seeds(cell, "augmenter"))
    fidelity = _hashed("fidelity", augment, _digest(FIDELITY))
    scoring = {"adapt": experiment.adapt, "many_over": experiment.many_over, "few_under": experiment.few_under}
    fill = getattr(cell.augmenter, "fill", None)
    whole = _key("classify", cell.classifier, fidelity, fill, _seeds(cell, "draws", "classifier"), scoring)
    return Keys(embed, augment, fidelity, whole)


def fitted_as(synthesizer: Synthesizer) -> Synthesizer:
    """The synthesizer as it is fitted: `fill` is the harness's business, so all its values share one fit."""
    return replace(synthesizer, fill=1.0)


def _seeds(cell: Cell, *stages: str) -> list[int]:
    return [cell.seed_of(stage) for stage in stages]


def _key(stage: str, component: Component, *upstream: object) -> str:
    module, written = type(component).__module__, type(component).__qualname__
    package = module.partition(".")[0]
    own = () if package == "benchfw" else (package,)  # the core's own code is in the key of the data already
    which = f"{module.removeprefix(package)} {written}"  # a package may have two of a name, of two distributions
    versions = {name: installed_version(name) for name in component.libraries}
    return _hashed(FORMAT, stage, which, dump(component), _digest(own), versions, *upstream)


def _hashed(*content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(modules: tuple[str, ...]) -> str:
    """SHA-256 of the parsed sources of modules and packages, so that comments and docstrings do not count."""
    digest = hashlib.sha256()
    for module in modules:
        package = module.partition(".")[0]
        for name, path in _sources(module):
            code = _loaded_digest(path) if name in sys.modules else _source_digest(path)
            digest.update(f"{name.removeprefix(package)} {code}\n".encode())
    return digest.hexdigest()


def _sources(module: str) -> list[tuple[str, Path]]:
    """The dotted name and the file of a module, or of each module in a package."""
    found = import_module(module)
    if hasattr(found, "__path__"):
        files = ((root, path) for root in found.__path__ for path in Path(root).rglob("*.py") if path.is_file())
        paths = [(path.relative_to(root), path) for root, path in files]  # no lock of an editor, which leads nowhere
        return sorted((_dotted(module, below), path) for below, path in paths)
    return [(module, Path(found.__file__))] if found.__file__ else []


def _dotted(package: str, below: Path) -> str:
    return ".".join((package, *below.with_suffix("").parts)).removesuffix(".__init__")


@cache
def _loaded_digest(path: Path) -> str:
    """The digest of a module that is loaded: an edit from now on changes the file, but not what runs here."""
    return _source_digest(path)


def _source_digest(path: Path) -> str:
    """The SHA-256 of a file's parsed source; memoised by path, size and time of change."""
    return _parsed_digest(path, *_version(path))


@cache
def _parsed_digest(path: Path, _size: int, _modified: int) -> str:
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a template, say, which nobody imports
        return hashlib.sha256(content).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


class _Files:
    """The digest of the files of the data set that was asked for last, for a second.

    The cells of a run share their data set, so planning looks at 20,000 files a few times instead of once for each
    cell. Another run has a data set of its own, and looks again.
    """

    def __init__(self) -> None:
        self._asked: tuple[Dataset, Path] | None = None
        self._digest, self._until = "", 0.0

    def digest(self, dataset: Dataset, downloads: Path) -> str:
        """The SHA-256 over `contents`."""
        known = self._asked is not None and self._asked[0] is dataset and self._asked[1] == downloads
        if not known or monotonic() > self._until:
            found = json.dumps(contents(dataset.files(downloads)))
            self._asked, self._digest = (dataset, downloads), hashlib.sha256(found.encode()).hexdigest()
            self._until = monotonic() + 1
        return self._digest


_files = _Files()


def contents(paths: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Each file's path below their common parent, where labels may stand, and the SHA-256 of its content."""
    if not paths:
        return ()
    texts = {path: os.path.abspath(path) for path in paths}  # noqa: PTH100  # pathlib takes ten times as long
    top = os.path.commonpath({os.path.dirname(path) for path in texts.values()})  # noqa: PTH120
    names = {path: text[len(top) :].replace(os.sep, "/").lstrip("/") for path, text in texts.items()}
    return tuple(sorted((names[path], content_digest(path)) for path in paths))


def content_digest(path: Path) -> str:
    """The SHA-256 of a file's content; memoised by path, size and time of change."""
    return _content_digest(path, *_version(path))


def _version(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@cache
def _content_digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
