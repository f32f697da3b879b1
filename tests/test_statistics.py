"""Paired differences: the pairs, Student's interval and p, Holm, sign flips, BCa, effect size and power."""

import subprocess
import sys
from dataclasses import replace
from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from benchfw.statistics import Lift, bca, compare, holm, in_family, needed_pairs, paired, student_p, student_quantile

PLAIN = {0: 0.50, 1: 0.52, 2: 0.54, 3: 0.56, 4: 0.58}


def plus(*differences):
    return {r: PLAIN[r] + difference for r, difference in enumerate(differences)}


def against_zero(differences, **kwargs):
    """The comparison whose differences are these."""
    return compare(dict(enumerate(differences)), dict.fromkeys(range(len(differences)), 0.0), **kwargs)


def drawn(n, *, mean=0.5, seed=0):
    return np.random.default_rng(seed).normal(mean, 1, n)


def test_interval_equals_the_paired_t_test_of_scipy():
    better = plus(0.03, 0.05, 0.01, 0.04, 0.06)
    lift = paired(better, PLAIN)
    want = stats.ttest_rel(list(better.values()), list(PLAIN.values())).confidence_interval(0.95)
    assert lift.n == 5
    assert lift.mean == pytest.approx(0.038)
    assert (lift.low, lift.high) == pytest.approx((want.low, want.high))
    assert lift.note == ""


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_p_equals_the_paired_t_test_of_scipy(n):
    values, others = drawn(n), drawn(n, seed=1)
    lift = paired(dict(enumerate(values)), dict(enumerate(others)))
    assert lift.p == pytest.approx(stats.ttest_rel(values, others).pvalue)
    assert lift.holm == lift.p
    assert (lift.p < 0.05) == lift.excludes_zero


def test_interval_of_two_pairs_by_hand():
    lift = paired({0: 1.0, 1: 3.0}, {0: 0.0, 1: 0.0})
    assert lift.mean == 2
    assert lift.high - 2 == pytest.approx(12.7062047)  # t of 1 degree of freedom, times sqrt(2) / sqrt(2)
    assert 2 - lift.low == pytest.approx(12.7062047)


def test_pairs_are_made_by_repetition_and_not_by_place():
    lift = paired({4: 0.6, 2: 0.5, 7: 0.9}, {2: 0.4, 3: 0.1, 4: 0.3})
    assert lift.n == 2
    assert lift.mean == pytest.approx((0.3 + 0.1) / 2)


def test_a_pair_with_a_missing_value_is_left_out():
    lift = paired({0: nan, 1: 0.6, 2: 0.8}, {0: 0.1, 1: 0.5, 2: nan})
    assert (lift.n, lift.mean) == (1, pytest.approx(0.1))


def test_an_infinite_value_is_left_out_with_its_pair():
    lift = paired({0: inf, 1: 0.6, 2: 0.8, 3: 0.9}, {0: 0.1, 1: 0.5, 2: -inf, 3: 0.6})
    assert (lift.n, lift.mean) == (2, pytest.approx(0.2))


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
    assert isnan(lift.p)
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


def test_holm_equals_that_of_statsmodels():
    p = np.random.default_rng(0).uniform(size=12) ** 3
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_keeps_the_order_of_p_and_never_lowers_one():
    p = np.random.default_rng(1).uniform(size=50)
    adjusted = np.array(holm(p.tolist()))
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted >= p).all()
    assert adjusted.max() == 1


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


def test_a_p_that_is_missing_stays_so_and_counts_for_nothing():
    with_holes = holm([nan, 0.04, nan, 0.01])
    assert with_holes[1::2] == pytest.approx(holm([0.04, 0.01]))
    assert isnan(with_holes[0])
    assert isnan(with_holes[2])


def test_a_family_of_one_is_not_adjusted():
    lift = paired(plus(0.03, 0.05, 0.01, 0.04, 0.06), PLAIN)
    assert in_family([lift]) == [lift]


def test_a_lift_without_p_is_no_member_of_the_family():
    equal, one = paired(plus(0.1, 0.1, 0.1, 0.1, 0.1), PLAIN), paired({0: 0.7}, PLAIN)
    lift = paired(plus(0.03, 0.05, 0.01, 0.04, 0.06), PLAIN)
    assert in_family([equal, lift, one])[1] == lift


def test_a_family_takes_the_mark_from_a_line_that_had_it_alone():
    lift = paired(plus(0.03, 0.05, 0.00, 0.04, 0.06), PLAIN)
    others = [paired(plus(0.03, -0.05, 0.0, 0.02 * i, -0.01), PLAIN) for i in range(9)]
    assert 0.005 < lift.p < 0.05
    assert lift.marked
    assert not in_family([lift, *others])[0].marked


@pytest.mark.parametrize("n", [2, 5, 9, 12])
def test_sign_flip_equals_the_exact_permutation_test_of_scipy(n):
    d = drawn(n)
    want = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=inf, vectorized=True)
    assert against_zero(d).sign_flip == pytest.approx(want.pvalue)


def test_sign_flip_counts_sums_that_are_equal_but_for_rounding():
    d = [0.1, 0.2, 0.3, -0.1, 0.3]  # 0.1 + 0.2 is not 0.3 to the last digit
    want = stats.permutation_test(([1, 2, 3, -1, 3],), np.mean, permutation_type="samples", n_resamples=inf)
    assert against_zero(d).sign_flip == want.pvalue


def test_sign_flip_of_many_pairs_is_near_the_t_test():
    found = against_zero(drawn(40, mean=0.3))
    assert found.sign_flip == pytest.approx(found.lift.p, abs=0.005)
    assert found.sign_flip == against_zero(drawn(40, mean=0.3)).sign_flip


def test_random_sign_flips_agree_with_all_of_them(monkeypatch):
    exact = against_zero(drawn(14, mean=0.4)).sign_flip
    monkeypatch.setattr("benchfw.statistics.EXACT_TO", 13)
    assert against_zero(drawn(14, mean=0.4)).sign_flip == pytest.approx(exact, abs=4 * sqrt(exact / 100_000))


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (2, 0.5), (5, 0.0625), (6, 0.03125), (10, 2**-9)])
def test_sign_flip_cannot_fall_under_what_its_pairs_allow(n, least):
    found = against_zero([10.0 + r for r in range(n)])
    assert (found.sign_flip, found.sign_flip_least) == (least, least)


def test_sign_flip_of_no_difference_at_all_is_one():
    assert compare(PLAIN, PLAIN).sign_flip == 1


@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("shape", ["normal", "gamma"])
def test_bca_is_near_that_of_scipy(n, shape):
    rng = np.random.default_rng(n)
    d = rng.normal(size=n) if shape == "normal" else rng.gamma(1, size=n)
    want = stats.bootstrap((d,), np.mean, method="BCa", n_resamples=20_000, random_state=1).confidence_interval
    found = against_zero(d)
    assert (found.bca_low, found.bca_high) == pytest.approx(tuple(want), abs=0.03 * (want.high - want.low))


def test_bca_leans_to_the_long_tail():
    d = np.random.default_rng(0).gamma(1, size=30)
    low, high = bca(d)
    assert high - d.mean() > d.mean() - low


def test_there_is_no_bca_below_twenty_pairs():
    assert isnan(against_zero(drawn(19)).bca_low)
    assert not isnan(against_zero(drawn(20)).bca_low)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_effect_is_right_on_average_where_mean_over_sd_is_not(n):
    d = np.random.default_rng(n).normal(1, 1, (4000, n))
    effects = [against_zero(row).effect for row in d]
    assert np.mean(effects) == pytest.approx(1, abs=4 * np.std(effects) / sqrt(len(d)))
    assert np.mean(d.mean(axis=1) / d.std(axis=1, ddof=1)) > 1.05


def test_effect_follows_the_usual_approximation_of_hedges():
    d = drawn(10)
    assert against_zero(d).effect == pytest.approx(d.mean() / d.std(ddof=1) * (1 - 3 / (4 * 9 - 1)), rel=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
def test_detectable_difference_equals_that_of_statsmodels(n):
    found = against_zero(drawn(n))
    want = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8) * found.sd
    assert found.detectable == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("effect", [0.1, 0.4, 0.9, 1.2])
def test_needed_pairs_equal_those_of_statsmodels(effect):
    power = TTestPower()
    n = needed_pairs(0.02, 0.02 * effect)
    assert power.power(effect, n, 0.05) >= 0.8 - 1e-5
    assert power.power(effect, n - 1, 0.05) < 0.8


@pytest.mark.parametrize(
    ("sd", "difference", "pairs"),
    [(1.0, 0.0, 1000), (1.0, 1e-9, 1000), (nan, 0.1, 1000), (1.0, inf, 1000), (0.0, 0.1, 5), (1e-9, -0.1, 5)],
)
def test_needed_pairs_stay_between_what_a_mark_wants_and_a_thousand(sd, difference, pairs):
    assert needed_pairs(sd, difference) == pairs


def test_needed_pairs_do_not_ask_for_the_sign():
    assert needed_pairs(0.02, -0.01) == needed_pairs(0.02, 0.01)


def test_what_no_mark_can_be_given_to_is_underpowered():
    """Also where p by itself is low: too few pairs, or too many comparisons beside it."""
    few = against_zero([0.03, 0.031, 0.032])
    assert few.lift.p < 0.05
    assert few.underpowered
    found = against_zero([0.05, 0.02, 0.06, 0.01, 0.07])
    assert found.lift.p < 0.05
    assert not found.underpowered
    assert replace(found, lift=replace(found.lift, holm=0.4)).underpowered


def test_silence_is_underpowered_when_a_difference_worth_having_would_be_missed():
    d = [0.03, -0.04, 0.02, -0.02, 0.03]
    assert against_zero(d).underpowered
    assert not against_zero(d, worth=0.1).underpowered


def test_a_difference_that_was_found_is_not_underpowered():
    found = compare(plus(0.13, 0.25, 0.11, 0.34, 0.16), PLAIN)
    assert found.detectable > found.worth
    assert not found.underpowered


def test_one_pair_is_underpowered_and_says_nothing_else():
    found = compare({0: 0.7}, {0: 0.6})
    assert found.underpowered
    assert [found.sd, found.effect, found.detectable] == pytest.approx([nan] * 3, nan_ok=True)


def test_no_pair_compares_to_nothing():
    found = compare({}, PLAIN)
    assert found.lift.note == "no pairs"
    assert isnan(found.sign_flip)
    assert found.underpowered


def test_equal_differences_have_neither_effect_nor_detectable_difference():
    found = compare(plus(0.1, 0.1, 0.1, 0.1, 0.1), PLAIN)
    assert isnan(found.effect)
    assert isnan(found.detectable)
    assert not found.underpowered


@pytest.mark.parametrize("t", [-3.0, 0.0, 0.7, 12.0])
def test_p_of_a_statistic_equals_that_of_scipy(t):
    assert student_p(t, 7) == pytest.approx(2 * stats.t.sf(abs(t), 7))
    assert student_p(t, 7, one_sided=True) == pytest.approx(stats.t.sf(t, 7))


def test_quantile_turns_the_share_below_back_into_t():
    assert student_quantile(0.975, 4) == pytest.approx(2.7764451)
    assert student_p(student_quantile(0.99, 6), 6, one_sided=True) == pytest.approx(0.01)


@pytest.mark.parametrize("room", ["statistics", "items", "ranking"])
def test_importing_a_room_of_statistics_loads_nothing_heavy(room):
    code = f"import sys, benchfw.{room}; print(*{{'numpy', 'scipy', 'pandas'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
