"""A check of the contract: its name, what it wants, the roles that it is for; and what it finds. Loads no torch."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchfw import plugins
from benchfw.components import Component
from benchfw.errors import CannotRun, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.testing.subject import Item, Subject

Status = Literal["passed", "failed", "skipped"]
Role = type[Component]
CORE = Path(__file__).parents[1]
HEAVY = (
    *plugins.HEAVY,
    *("matplotlib", "transformers", "tensorflow", "jax", "xgboost", "lightgbm", "cv2", "PIL", "skimage"),
)


class Breach(PluginError):
    """A component breaks its contract; one line that says where, found, wanted and the cure."""


class NotChecked(Exception):
    """A check has nothing to look at here, for this reason."""


@dataclass(frozen=True)
class Verdict:
    """What a check found. reason: why it failed or was skipped, in one line; empty where it passed."""

    check: str
    status: Status
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """One sentence of the contract. Calling it with a component raises Breach, or NotChecked with the reason.

    name: words joined by hyphens. wants: what it wants of a component, in one line. roles: whose subclasses it is for.
    after: checks that must have passed, or there is nothing to look at. behaviour: whether it says something of what
    the component does, and not only of what it declares or costs.
    """

    name: str
    wants: str
    roles: tuple[Role, ...]
    function: Callable[[Subject], None] = field(repr=False)
    after: tuple[str, ...] = ()
    behaviour: bool = True

    def __call__(self, component: Item) -> None:
        """Check a component class at its defaults, an instance, or a function of an empty directory that makes one."""
        from benchfw.testing.subject import subject_of

        verdict = subject_of(component).verdict(self)
        if verdict.status == "failed":
            raise Breach(verdict.reason)
        if verdict.status == "skipped":
            raise NotChecked(verdict.reason)

    def applies_to(self, component: type[Component]) -> bool:
        """Whether it is for the role of this component."""
        return issubclass(component, self.roles)

    def judge(self, subject: Subject) -> Verdict:
        """Look, and put what was found into words; what the component does to this process stays inside."""
        from benchfw.seeding import isolated
        from benchfw.testing.surroundings import restored

        try:
            with restored(), isolated(0):
                self.function(subject)
        except NotChecked as reason:
            return Verdict(self.name, "skipped", str(reason))
        except Breach as breach:
            return Verdict(self.name, "failed", str(breach))
        except CannotRun as reason:
            return Verdict(self.name, "skipped", f"cannot run on the toy set: {reason}")
        except (Exception, SystemExit) as error:  # a plugin may even call sys.exit
            from benchfw.testing.signatures import explained

            told = explained(error) or f"{said(error)}; {_cure(error) or f'wants {self.wants}'}"
            return Verdict(self.name, "failed", told)
        return Verdict(self.name, "passed")


CHECKS: dict[str, Check] = {}
"""Every check by name, in the order in which they are looked at; `catalogue` fills it."""


def check(
    name: str, wants: str, *roles: Role, after: str | tuple[str, ...] = (), behaviour: bool = True
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Make a function of a subject the check of this name, for these roles."""
    before = (after,) if isinstance(after, str) else after

    def kept(function: Callable[[Any], None]) -> Callable[[Any], None]:
        assert name not in CHECKS, name
        CHECKS[name] = Check(name, wants, roles, function, before, behaviour)
        return function

    return kept


def said(error: BaseException) -> str:
    """An exception in one line, with the place in the plugin where it was raised: `IndexError: ... (jitter.py:30)`."""
    if isinstance(error, Breach):
        return f"breaks its contract: {error}"
    files = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    outside = [(file, line) for file, line in files if CORE not in file.parents and _home(file).name not in HEAVY]
    theirs = [(file, line) for file, line in outside if _home(file) == _home(outside[0][0])]
    where = f" ({theirs[-1][0].name}:{theirs[-1][1]})" if theirs else ""
    return f"raised {type(error).__name__}: {' '.join(str(error).split())}{where}"


def _cure(error: BaseException) -> str:
    """The cure of the error that real seeds bring, which reach 2**63; empty for any other."""
    seeded = any(limit in str(error) for limit in ("2**32", str(2**32 - 1)))
    return "seeds reach 2**63, and scikit-learn and numpy want seed % 2**32" * seeded


def _home(file: Path) -> Path:
    """The directory of a module, or of the package below site-packages that it is in."""
    for folder in file.parents:
        if folder.parent.name == "site-packages":
            return folder
    return file.parent
