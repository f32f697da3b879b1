"""The checks as tests of pytest: one for each component and check. pytest is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchfw.errors import BenchfwError, UsageError
from benchfw.testing.catalogue import all_checks
from benchfw.testing.report import check_expected
from benchfw.testing.subject import Limits, Shapes, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from benchfw.testing.check import Check
    from benchfw.testing.subject import Item


@dataclass(frozen=True, eq=False)
class Asked:
    """A check of one component, as a test calls it: `check(component)` passes, fails or skips the test.

    behaviours: how many checks of the component run it, so that a suite which skips them all can be told.
    """

    subject: Subject
    check: Check
    behaviours: int

    def __call__(self, component: Item) -> None:
        """Fail or skip in one line, without a traceback."""
        import pytest

        subject = self.subject
        if component is not subject.item:
            subject = Subject(component, subject.limits, subject.shapes)
        verdict = subject.verdict(self.check)
        if verdict.status == "skipped":
            pytest.skip(verdict.reason)
        if verdict.status == "failed":
            pytest.fail(f"{subject.label}: {self.check.name}: {verdict.reason}", pytrace=False)

    @property
    def about(self) -> tuple[str, int] | None:
        """The component and its number of checks that run it, for one of these; None for a check of a declaration."""
        return (self.subject.label, self.behaviours) if self.check.behaviour else None

    def __repr__(self) -> str:
        return self.check.name


def parametrize_components(
    components: Sequence[Item],
    *,
    expected_failures: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    shapes: Shapes | None = None,
) -> pytest.MarkDecorator:
    """Make a test of `component` and `check` one for each component and each check of its role.

    components: classes, which are taken at their defaults, instances, or functions of an empty directory that return
    an instance, for data sets that read files. expected_failures: name of a check -> the reason why it fails; such a
    test must fail; a component without that failure wants a test of its own. limits: what one fit and one use on the
    toy set may take. shapes: of its samples, for components that refuse small ones.

        @parametrize_components([Jitter, Jitter(scale=0.5)])
        def test_contract(component, check):
            check(component)

    A wrong argument is an error of the collection, in one line.
    """
    import pytest

    expected = dict(expected_failures or {})
    try:
        subjects = [Subject(component, limits, shapes) for component in _several(components)]
        params = [param for subject in subjects for param in _params(subject, expected)]
        check_expected(expected, subjects)
    except BenchfwError as error:
        raise pytest.Collector.CollectError(f"parametrize_components: {error}") from None
    return pytest.mark.parametrize(("component", "check"), params)


def _several(components: Any) -> list[Any]:
    """The components as a list. Raises UsageError for what is no list, and for an empty one, which checks nothing."""
    if isinstance(components, str) or not isinstance(components, Iterable):
        found = getattr(components, "__name__", repr(components))
        raise UsageError(f"found {found}; wants a list of components, e.g. parametrize_components([{found}])")
    several = list(components)
    if not several:
        raise UsageError("found no component; wants at least one")
    return several


def _params(subject: Subject, expected: Mapping[str, str]) -> list[Any]:
    import pytest

    checks = [check for check in all_checks() if check.applies_to(subject.type)]
    behaviours = sum(check.behaviour for check in checks)
    return [
        pytest.param(
            subject.item,
            Asked(subject, check, behaviours),
            id=f"{subject.label}-{check.name}",
            marks=[pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else [],
        )
        for check in checks
    ]
