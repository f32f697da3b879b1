"""Paired lifts: the pairs, Student's interval, and when there is none."""

from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from benchfw.statistics import Lift, paired

PLAIN = {0: 0.50, 1: 0.52, 2: 0.54, 3: 0.56, 4: 0.58}


def plus(*differences):
    return {r: PLAIN[r] + difference for r, difference in enumerate(differences)}


def test_interval_equals_the_paired_t_test_of_scipy():
    better = plus(0.03, 0.05, 0.01, 0.04, 0.06)
    lift = paired(better, PLAIN)
    want = stats.ttest_rel(list(better.values()), list(PLAIN.values())).confidence_interval(0.95)
    assert lift.n == 5
    assert lift.mean == pytest.approx(0.038)
    assert (lift.low, lift.high) == pytest.approx((want.low, want.high))
    assert lift.note == ""


def test_interval_of_two_pairs_by_hand():
    lift = paired({0: 1.0, 1: 3.0}, {0: 0.0, 1: 0.0})
    assert lift.mean == 2
    assert lift.high - 2 == pytest.approx(12.7062047)  # t of 1 degree of freedom, times sqrt(2) / sqrt(2)
    assert 2 - lift.low == pytest.approx(12.7062047)


def test_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(0.3, 1.0, size=(2000, 5))
    lifts = [paired(dict(enumerate(row)), dict.fromkeys(range(5), 0.0)) for row in draws]
    covered = np.mean([lift.low <= 0.3 <= lift.high for lift in lifts])
    assert covered == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_pairs_are_made_by_repetition_and_not_by_place():
    lift = paired({4: 0.6, 2: 0.5, 7: 0.9}, {2: 0.4, 3: 0.1, 4: 0.3})
    assert lift.n == 2
    assert lift.mean == pytest.approx((0.3 + 0.1) / 2)


def test_a_pair_with_a_missing_value_is_left_out():
    lift = paired({0: nan, 1: 0.6, 2: 0.8}, {0: 0.1, 1: 0.5, 2: nan})
    assert (lift.n, lift.mean) == (1, pytest.approx(0.1))


def test_one_pair_has_a_mean_and_no_interval():
    lift = paired({0: 0.7}, {0: 0.6})
    assert lift.mean == pytest.approx(0.1)
    assert isnan(lift.low)
    assert isnan(lift.high)
    assert lift.note == "one pair"


def test_no_pair_has_no_mean():
    lift = paired({0: 0.7}, {1: 0.6})
    assert lift.n == 0
    assert isnan(lift.mean)
    assert lift.note == "no pairs"


def test_equal_differences_have_no_interval_though_they_differ_by_rounding():
    better = {0: 0.3, 1: 0.9, 2: 0.6, 3: 0.7, 4: 1.1}
    plain = {0: 0.2, 1: 0.8, 2: 0.5, 3: 0.6, 4: 1.0}
    assert len({better[r] - plain[r] for r in plain}) > 1
    lift = paired(better, plain)
    assert (lift.n, lift.mean, lift.note) == (5, pytest.approx(0.1), "equal differences")
    assert isnan(lift.low)
    assert not lift.marked


@pytest.mark.parametrize(
    ("lift", "marked"),
    [
        (Lift(5, 0.04, 0.01, 0.07, p=0.02, holm=0.04), True),
        (Lift(5, -0.04, -0.07, -0.01, p=0.02, holm=0.04), True),
        (Lift(4, 0.04, 0.01, 0.07, p=0.02, holm=0.04), False),
        (Lift(9, 0.04, 0.01, 0.09, p=0.02, holm=0.06), False),
        (Lift(5, 0.04), False),
        (Lift(), False),
    ],
)
def test_only_an_adjusted_p_of_five_percent_from_five_pairs_is_marked(lift, marked):
    assert lift.marked is marked
