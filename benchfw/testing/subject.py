"""What is checked: one component, with all that its checks have found out about it, so that nothing runs twice."""

from __future__ import annotations

import atexit
import inspect
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchfw.components import Component, Dataset, label
from benchfw.errors import UsageError
from benchfw.testing.check import CHECKS, Breach, Check, NotChecked, Verdict, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.testing.process import Elsewhere
    from benchfw.testing.trial import Trial

    Item = type[Component] | Component | Callable[[Path], Component]

WANTED = "a component class, an instance, or a function of an empty directory that returns an instance"


@dataclass(frozen=True)
class Limits:
    """What one fit and one use of a component on the toy set may take. seconds: on the clock; mib: of memory.

    Raises UsageError for a limit that nothing can keep.
    """

    seconds: float = 60.0
    mib: float = 2048.0

    def __post_init__(self) -> None:
        for name, found in vars(self).items():
            if not found > 0:
                raise UsageError(f"limit of {name}: wants more than 0, found {found:g}")


@dataclass(frozen=True)
class Shapes:
    """What the samples of the toy sets look like. Raises UsageError for shapes in which three classes have no room.

    vector: (D,); map, image: (C, H, W). Larger ones are for a component that refuses the small ones.
    """

    vector: tuple[int, ...] = (8,)
    map: tuple[int, ...] = (4, 3, 3)
    image: tuple[int, ...] = (1, 12, 12)

    def __post_init__(self) -> None:
        for name, form, least in (("vector", "D", (3,)), ("map", "C,H,W", (3, 1, 1)), ("image", "C,H,W", (1, 3, 1))):
            found = tuple(getattr(self, name))
            object.__setattr__(self, name, found)
            if len(found) != len(least) or any(size < fewest for size, fewest in zip(found, least, strict=True)):
                raise UsageError(f"{name} shape: wants {form} of at least {least}, found {found}")


class Subject:
    """One component under check.

    item: a component class, which is taken at its defaults, an instance, or a function of an empty directory that
    returns an instance. limits, shapes: of the trials on the toy sets. Raises UsageError for any other item.
    """

    def __init__(self, item: Item, limits: Limits | None = None, shapes: Shapes | None = None) -> None:
        self.item = item
        self.limits = limits or Limits()
        self.shapes = shapes or Shapes()
        self._verdicts: dict[str, Verdict] = {}
        self._trials: dict[str, Trial] = {}
        self._folder = ""
        self._made: Component | Exception | None = None
        self.type = self._type()

    def _type(self) -> type[Component]:
        item: Any = self.item
        if isinstance(item, Component):
            return type(item)
        if inspect.isclass(item) and issubclass(item, Component):
            return item
        if inspect.isclass(item) or not callable(item):
            raise UsageError(f"{item!r}: wants {WANTED}")
        return type(self._from(item))

    def _from(self, make: Callable[[Path], Component]) -> Component:
        name = getattr(make, "__name__", repr(make))
        self._folder = tempfile.mkdtemp(prefix="benchfw-")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        try:
            made = make(Path(self._folder))
        except Exception as error:
            raise UsageError(f"{name}: {said(error)}; wants {WANTED}") from error
        if not isinstance(made, Component):
            raise UsageError(f"{name}: returned {made!r}; wants an instance of a component")
        self._made = made
        return made

    @property
    def label(self) -> str:
        """How a table names it: `jitter@scale=0.5`; the name of its class where it cannot be built.

        The directory that it was made in reads DIR, so that a test has the same name in each session.
        """
        try:
            text = label(self.component)
            return text.replace(self._folder, "DIR") if self._folder else text
        except Exception:
            return self.type.name or self.type.__name__

    @property
    def component(self) -> Any:
        """The configured component. Raises NotChecked where the class cannot be built from its defaults."""
        if self._made is None:
            self._made = self.item if isinstance(self.item, Component) else _built(self.type)
        if isinstance(self._made, Exception):
            raise NotChecked("it does not build, see defaults-build") from self._made
        return self._made

    @property
    def problem(self) -> Exception | None:
        """Why the class cannot be built from its defaults; None where it can."""
        try:
            _ = self.component
        except NotChecked as reason:
            cause = reason.__cause__
            return cause if isinstance(cause, Exception) else reason
        return None

    def verdict(self, check: Check) -> Verdict:
        """What a check finds; it looks once."""
        if check.name not in self._verdicts:
            self._verdicts[check.name] = self._judged(check)
        return self._verdicts[check.name]

    def _judged(self, check: Check) -> Verdict:
        for name in check.after:
            earlier = CHECKS[name]
            if not earlier.applies_to(self.type):
                continue
            found = self.verdict(earlier)
            if found.status == "failed":
                return Verdict(check.name, "skipped", f"nothing to look at while {name} fails")
            if found.status == "skipped" and earlier.behaviour:
                return Verdict(check.name, "skipped", found.reason)
        return check.judge(self)

    # ---- what many checks look at ----

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """What the component does in a fresh process."""
        from benchfw.testing.process import elsewhere

        return elsewhere(self.component, self.limits.seconds, self.shapes)

    def toy(self, **changes: Any) -> Any:
        """The toy set of its role, made anew; None for a data set. changes: as for `toys.toy_for`."""
        from benchfw.testing.toys import toy_for

        return toy_for(self.component, self.shapes, **changes)

    def trial(self, name: str = "first", **changes: Any) -> Trial:
        """One fit and one use on the toy set, as the harness does it; kept under its name."""
        if self.elsewhere.died:
            raise Breach(
                f"in a fresh process it {self.elsewhere.error}, so it is not tried in this one; mend that first"
            )
        if name not in self._trials:
            self._trials[name] = self.tried(self.toy(), **changes)
        return self._trials[name]

    def tried(self, toy: Any, **changes: Any) -> Trial:
        """One fit and one use on a toy set. changes: as for `trial.tried`. Raises what the component raises."""
        from benchfw.testing.trial import tried

        return tried(self.component, toy, **changes)

    @property
    def is_dataset(self) -> bool:
        """Whether it loads data, so that there is nothing to fit."""
        return issubclass(self.type, Dataset)


def _built(component: type[Component]) -> Component | Exception:
    try:
        return component()
    except Exception as error:
        return error


_subjects: dict[int, Subject] = {}


def subject_of(item: Item) -> Subject:
    """The subject of an item; the last few are remembered, with what is known of them."""
    known = _subjects.get(id(item))
    if known is None or known.item is not item:
        while len(_subjects) >= 8:
            del _subjects[next(iter(_subjects))]
        known = _subjects[id(item)] = Subject(item)
    return known
