"""What the contract says to an author whose methods take, return or raise something else: in the harness's words."""

import pytest
from faults.signatures import FAULTS, WORDS
from faults.synthesizers import Noisy

from benchfw import Classifier, Synthesizer
from benchfw.testing.report import examine
from benchfw.testing.subject import Subject


def failures(component):
    return {line.check.name: line.reason for line in examine(Subject(component)).lines if line.outcome == "failed"}


@pytest.mark.parametrize("component", WORDS, ids=lambda component: component.__name__)
def test_the_one_failure_says_what_was_found_and_wanted(component):
    ((check, said),) = failures(component).items()
    assert {check} == FAULTS[component]
    assert WORDS[component] in said
    assert "\n" not in said


class OtherNames(Noisy):
    """Names of its own, and more arguments with defaults."""

    name = "other-names"

    def fit(self, rows, held_out, context, rounds=3, *more, **named):
        return super().fit(rows, held_out, context)


class Anything(Noisy):
    """Whatever it is called with."""

    name = "anything"

    def fit(self, *given):
        return super().fit(*given)


@pytest.mark.parametrize("component", [OtherNames, Anything, Synthesizer, Classifier])
def test_other_names_and_further_arguments_with_defaults_are_taken(component):
    from benchfw.testing.signatures import check_methods

    check_methods(component())


def test_a_product_that_does_not_say_its_arguments_is_taken():
    from benchfw.testing.signatures import SAMPLE, function

    assert function(max, "fit", SAMPLE) is max
