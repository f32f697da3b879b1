"""Every check of the contract finds the faults that it is for, and no check finds one in a sound component."""

import pytest
from faults import classifiers, datasets, declarations, extractors, heavy, joint, selectors, synthesizers

from benchfw.testing import Limits, all_checks
from benchfw.testing.report import examine
from benchfw.testing.subject import Subject

PLANTED = (classifiers, datasets, declarations, extractors, heavy, joint, selectors, synthesizers)
FAULTS = {component: checks for module in PLANTED for component, checks in module.FAULTS.items()}
SOUND = [component for module in PLANTED for component in getattr(module, "SOUND", ())]
LOW = Limits(seconds=1, mib=256)
UNPLANTED = {"on-the-gpu"}  # it is looked at where there is one


def failing(component, limits=None):
    return {
        line.check.name: line.reason for line in examine(Subject(component, limits)).lines if line.outcome == "failed"
    }


@pytest.mark.parametrize("component", FAULTS, ids=lambda component: component.__name__)
def test_a_planted_fault_fails_the_check_that_is_meant_for_it_and_no_other(component):
    found = failing(component, LOW if FAULTS[component] == {"within-limits"} else None)
    assert set(found) == FAULTS[component], found
    assert all(reason and "\n" not in reason for reason in found.values())


@pytest.mark.parametrize("component", SOUND, ids=lambda component: component.__name__)
def test_a_sound_component_passes_every_check(component):
    examined = examine(Subject(component))
    assert {line.check.name: line.reason for line in examined.lines if line.outcome == "failed"} == {}
    assert examined.passed


def test_every_check_has_a_planted_fault():
    assert {check.name for check in all_checks()} - set().union(*FAULTS.values()) == UNPLANTED


def test_every_role_has_a_sound_component():
    roles = {role for check in all_checks() for role in check.roles}
    assert {role for role in roles if not any(issubclass(sound, role) for sound in SOUND)} == set()
