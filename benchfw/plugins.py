"""Which plugins there are, and one of them loaded in isolation.

Nothing that a plugin does while it is imported stops a command: an exception, a call of `sys.exit` or a wrong hook
becomes the reason that stands beside its name. What it prints goes to standard error; what it sets in the environment,
the search path or the working directory is put back.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TextIO

from benchfw import hookspecs
from benchfw.errors import PluginError, UsageError, did_you_mean
from benchfw.hooks import Found, in_a_line, registered_by, tracing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OURS = "benchfw"  # the distribution whose plugins are always loaded
ALLOWED = "BENCHFW_PLUGINS"
SLOW = 1.0  # seconds to import, from which on a plugin is named as slow
HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "torchvision", "timm", "imblearn")
UNREADABLE = "unreadable entry points"

_digests: dict[str, str] = {}  # of the files that this process has loaded, by the names of their modules

Status = Literal["loaded", "slow", "broken", "other API", "not asked for"]


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    distribution, version: as installed; of a single file its name, and the digest of its content. name: of the entry
    point. target: the entry point's module, or the path of the file. group: the entry-point group, which carries the
    API version; empty for a file.
    """

    distribution: str
    version: str
    name: str
    target: str
    group: str = hookspecs.ENTRY_POINT_GROUP

    @classmethod
    def of_file(cls, path: str | Path) -> Origin:
        """A plugin that is one file, which nobody has installed."""
        path = Path(path).resolve()
        digest = ""
        with suppress(OSError):  # why it cannot be read is said when it is loaded
            digest = f"file {sha256(path.read_bytes()).hexdigest()[:12]}"
        return cls(re.sub(r"[^\w.-]", "-", path.name), digest, path.stem, str(path), group="")


@dataclass(frozen=True)
class Plugin:
    """What became of a plugin.

    components: (kind, name) of what it brings. seconds: to import it and call its hooks. heavy: the heavy libraries
    that its import was the first to load. reason: why it is not `loaded`, in one line.
    """

    origin: Origin
    status: Status
    components: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether its components are there."""
        return self.status in ("loaded", "slow")

    def __str__(self) -> str:
        of = f"plugin {self.origin.name!r} of {self.origin.distribution}"
        return f"{of} {'' if self.usable else 'was not loaded: '}{self.reason}"


# ---- which ----


def origins() -> list[Origin]:
    """Every installed plugin, of any API version, benchfw's own first, then by distribution; none is imported."""
    names: dict[int, tuple[str, str]] = {}  # reading a distribution's metadata takes a millisecond
    found = []
    for dist, point in _entry_points():
        if id(dist) not in names:
            names[id(dist)] = _name_and_version(dist)
        found.append(Origin(*names[id(dist)], point.name, point.value, point.group))
    return sorted(found, key=lambda o: (o.distribution != OURS, o.distribution, o.name, o.group))


def _entry_points() -> Iterator[tuple[Distribution | None, EntryPoint]]:
    try:
        every = entry_points()
    except Exception:  # of any distribution whatever: one bad line, and nobody's are read
        yield from _readable_entry_points()
        return
    for group in filter(hookspecs.GROUP.fullmatch, every.groups):
        yield from ((point.dist, point) for point in every.select(group=group))


def _readable_entry_points() -> Iterator[tuple[Distribution, EntryPoint]]:
    """Those of each distribution that can be read, and one without a target where they cannot, but name our group."""
    seen = set()
    for dist in distributions():
        name = normal(_name_and_version(dist)[0])
        if name in seen:  # the first on the path is the one that counts
            continue
        seen.add(name)
        try:
            yield from [(dist, point) for point in dist.entry_points if hookspecs.GROUP.fullmatch(point.group)]
        except Exception:
            if _names_us(dist):
                yield dist, EntryPoint(UNREADABLE, "", hookspecs.ENTRY_POINT_GROUP)


def _names_us(dist: Distribution) -> bool:
    with suppress(Exception):  # it may be no text at all
        return hookspecs.GROUP.search(dist.read_text("entry_points.txt") or "") is not None
    return False


def _name_and_version(dist: Distribution | None) -> tuple[str, str]:
    """As its metadata says; an interrupted uninstall leaves a distribution without them."""
    with suppress(Exception):
        if dist is not None and isinstance(dist.name, str):
            return dist.name, dist.version or ""
    return "an unknown distribution", ""


def allowed(found: Iterable[Origin]) -> set[str] | None:
    """The distributions that $BENCHFW_PLUGINS lets load beside benchfw's own; None where it is not set.

    Raises UsageError for a name that no distribution with a plugin has.
    """
    text = os.environ.get(ALLOWED)
    if text is None:
        return None
    there = {normal(origin.distribution): origin.distribution for origin in found}
    asked = {normal(name) for name in text.split(",") if name.strip()}
    for name in sorted(asked - set(there)):
        raise UsageError(f"{ALLOWED}: no plugin of a distribution named {name!r}{did_you_mean(name, there.values())}")
    return asked


def normal(distribution: str) -> str:
    """A distribution's name as installers compare it: case, and the kind and number of hyphens, do not count."""
    return re.sub(r"[-_.]+", "-", distribution.strip().lower())


# ---- load ----


def load(origin: Origin) -> tuple[Plugin, Found]:
    """Import one plugin and call its hooks; what it brings, or why it could not be loaded. Raises KeyboardInterrupt."""
    if origin.group not in ("", hookspecs.ENTRY_POINT_GROUP):
        return Plugin(origin, "other API", reason=_other_version(origin.group)), []
    before, start = set(sys.modules), perf_counter()
    try:
        with _surroundings():
            found = registered_by(_module(origin), f"plugin {origin.name!r} of {origin.distribution} {origin.version}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit while it is imported
        if tracing():
            traceback.print_exc()
        return Plugin(origin, "broken", seconds=perf_counter() - start, reason=_reason(error, origin)), []
    seconds = perf_counter() - start
    heavy = tuple(name for name in HEAVY if name in sys.modules and name not in before)
    components = tuple((kind, component.name) for kind, component in found)
    if seconds < SLOW:
        return Plugin(origin, "loaded", components, seconds, heavy), found
    loads = f"; it loads {', '.join(heavy)}" if heavy else ""
    reason = f"took {seconds:.1f} s to import{loads}; a plugin imports heavy libraries inside its methods"
    return Plugin(origin, "slow", components, seconds, heavy, reason), found


class _Lent:
    """Standard error as a plugin gets it in place of both streams: it can print, now and later, and close nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Leave it open, for all others."""


@contextmanager
def _surroundings() -> Iterator[None]:
    """Let a plugin print on standard error alone, and put back what it sets: of others it must change nothing."""
    directory, environment, variables, paths = _directory(), os.environ, dict(os.environ), list(sys.path)
    lent: Any = _Lent(sys.stderr)
    try:
        with redirect_stdout(lent), redirect_stderr(lent):
            yield
    finally:
        os.environ = environment  # noqa: B003  # the very object, should it have been replaced
        for name in set(environment) - set(variables):
            del environment[name]
        environment.update(variables)
        sys.path[:] = paths
        with suppress(OSError):  # it may be gone
            if directory != _directory():
                os.chdir(directory)


def _directory() -> str:
    with suppress(OSError):  # it may be gone
        return str(Path.cwd())
    return "."


def _module(origin: Origin) -> Any:
    if origin.name == UNREADABLE:
        raise PluginError("its entry_points.txt cannot be read; wants lines of name = module")
    if origin.group:
        return EntryPoint(origin.name, origin.target, origin.group).load()
    place = sha256(origin.target.encode()).hexdigest()[:8]
    name = f"_benchfw_file_{place}_{re.sub(r'[^A-Za-z0-9]', '_', origin.name)}"  # without a dot, which is a package
    if name in sys.modules:
        if _digests[name] != origin.version:
            raise PluginError("the file was edited since this process loaded it; start Python anew")
        return sys.modules[name]
    if origin.version != Origin.of_file(origin.target).version:
        raise PluginError("the file was edited since the run was planned; run it again")
    spec = spec_from_file_location(name, origin.target)
    if spec is None or spec.loader is None:
        raise PluginError("wants a Python file, whose name ends in .py")
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    _digests[name] = origin.version
    return module


def _other_version(group: str) -> str:
    ours, theirs = map(_version, (hookspecs.ENTRY_POINT_GROUP, group))
    cure = "upgrade benchfw" if theirs > ours else "upgrade the plugin, or ask its author to move to that group"
    return f"it is for the API of {group!r}, and this benchfw has {hookspecs.ENTRY_POINT_GROUP!r}; {cure}"


@cache
def _version(group: str) -> int:
    found = hookspecs.GROUP.fullmatch(group)
    return int(found[1]) if found else 0


def _reason(error: BaseException, origin: Origin) -> str:
    """What was raised, in one line; of a file also the line where it was raised."""
    where, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == origin.target and not isinstance(error, PluginError):
            where = f" ({origin.distribution}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return in_a_line(error) + where
