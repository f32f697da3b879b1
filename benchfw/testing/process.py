"""One fresh process beside this one, shared by all checks: what a component does there, as a worker would do it.

Only text crosses: a plugin's origin, or a module and a class in it, with the parameters; hashes, seconds and MiB come
back. It is started once, since torch takes seconds to load, and ends with this process.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any

from benchfw.components import Dataset, parameters
from benchfw.registry import origin_of

if TYPE_CHECKING:
    from benchfw.components import Component
    from benchfw.testing.subject import Shapes

LOADING_SECONDS = 10.0  # for libraries that a component is the first to load
FITS = 3  # to two other sets before the usual one
HASH_SEED = "1"  # in which order a set of words comes there; here it is another one, as a rule
START_SECONDS = 120.0  # for torch to be loaded on a busy machine
LIGHT = """
import json, sys, time
asked = json.loads(sys.argv[1])
sys.path[:] = asked["path"]
from benchfw.testing.process import module_of
start = time.process_time()
try:
    module_of(asked)
    said = ""
except BaseException as error:
    said = f"{type(error).__name__}: {error}"
seconds = time.process_time() - start
print("\\n" + json.dumps({"seconds": seconds, "error": said, "modules": list(sys.modules)}))
"""


@dataclass(frozen=True)
class Elsewhere:
    """What a component did in a fresh process.

    digest: of its outcome. seconds: what the last fit and use took. mib: of memory, at most, of all of them. unlisted:
    files that a data set reads and does not list. missing: why it could not be found there. error: what it raised, or
    how the process ended. died: whether it ended the process. late: whether it was stopped, since it took longer than
    it may.
    """

    digest: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    mib: float = 0.0
    unlisted: list[str] = field(default_factory=list)
    missing: str = ""
    error: str = ""
    died: bool = False
    late: bool = False


def elsewhere(component: Component, seconds: float, shapes: Shapes) -> Elsewhere:
    """Fit and use a component on the toy set in the fresh process; it is stopped where that takes longer."""
    import torch

    about = address(component) | {"parameters": parameters(component), "shapes": asdict(shapes)}
    about |= {"threads": torch.get_num_threads(), "directory": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    try:
        text = json.dumps(about)
    except TypeError as error:
        return Elsewhere(missing=f"its parameters are no JSON: {error}")
    return _neighbour.ask(text, seconds)


def address(component: Component) -> dict[str, Any]:
    """Where another process finds the class of a component."""
    cls = type(component)
    return {"path": sys.path, "origin": origin_of(component), "module": cls.__module__, "class": cls.__qualname__}


class Neighbour:
    """The process: started when it is first asked, and again when it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, text: str, seconds: float) -> Elsewhere:
        """One question and its answer, both a line of JSON."""
        patience = FITS * seconds + LOADING_SECONDS + (START_SECONDS if self._process is None else 0)
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(text + "\n")
            process.stdin.flush()
        except OSError:
            return self._ended(process)
        line = self._line(process, patience)
        if line is None:
            self.stop()
            return Elsewhere(seconds=seconds, late=True)
        return Elsewhere(**json.loads(line)) if line else self._ended(process)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            code = "import sys; from benchfw.testing.process import serve; serve()"
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and fixed words
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": HASH_SEED},
            )
        return self._process

    def _line(self, process: subprocess.Popen[str], seconds: float) -> str | None:
        """The next line; empty when the process has ended, None when the seconds are over."""
        assert process.stdout is not None
        end = monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(max(0.0, end - monotonic())) else None

    def _ended(self, process: subprocess.Popen[str]) -> Elsewhere:
        code = process.wait()
        self.stop()
        return Elsewhere(error=f"ended the process with code {code}", died=True)

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.communicate()


_neighbour = Neighbour()
atexit.register(_neighbour.stop)


# ---- in the fresh process ----


def serve() -> None:
    """Answer questions until there are no more. What plugins print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(asdict(_answer(json.loads(line)))) + "\n")
        answers.flush()


def _answer(asked: dict[str, Any]) -> Elsewhere:
    import torch

    from benchfw.testing.check import said
    from benchfw.testing.subject import Shapes

    sys.path[:] = asked["path"]
    torch.set_num_threads(asked["threads"])
    os.chdir(asked["directory"])  # as this process has it now, and a worker would find it
    os.environ.clear()
    os.environ.update(asked["environment"])
    try:
        component = class_of(asked)(**asked["parameters"])
    except (Exception, SystemExit) as error:
        return Elsewhere(missing=said(error))
    try:
        return _measured(component, Shapes(**asked["shapes"]))
    except (Exception, SystemExit) as error:
        return Elsewhere(error=said(error))


def _measured(component: Component, shapes: Shapes) -> Elsewhere:
    from benchfw.machine import peak_mib, reset_peak
    from benchfw.testing.opened import unlisted
    from benchfw.testing.toys import OTHER_COUNTS, toy_for
    from benchfw.testing.trial import tried

    reset_peak()
    before = peak_mib()
    for changes in ({"seed": 1, "counts": OTHER_COUNTS}, {"seed": 1}):  # a worker has fitted to other data before
        if (other := toy_for(component, shapes, **changes)) is not None:
            tried(component, other)
    start = monotonic()
    found = tried(component, toy_for(component, shapes))
    took, mib = monotonic() - start, max(0.0, peak_mib() - before)
    return Elsewhere(found.digest, took, mib, unlisted(component) if isinstance(component, Dataset) else [])


def module_of(asked: dict[str, Any]) -> Any:
    """Import what brings a class: its plugin, or its module."""
    from importlib import import_module

    if asked["origin"] is None:
        return import_module(asked["module"])
    from benchfw.registry import of_origins

    return of_origins([asked["origin"]])


def class_of(asked: dict[str, Any]) -> type[Component]:
    """The class of a component. Raises what its import raises, PluginError or AttributeError when it is not there."""
    from operator import attrgetter

    if asked["origin"] is not None:
        module_of(asked)
    found: type[Component] = attrgetter(asked["class"])(module_of(asked | {"origin": None}))
    return found


# ---- a fresh interpreter for each module ----


@cache
def import_cost(address: str) -> dict[str, Any]:
    """What importing a plugin costs a fresh interpreter: seconds of CPU, the modules that it loaded, or an error.

    address: what `address` gives, as JSON; its module is looked at once in a process.
    """
    command = [sys.executable, "-c", LIGHT, address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
    if done.returncode:
        return {"seconds": 0.0, "error": f"ended the process with code {done.returncode}", "modules": []}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
