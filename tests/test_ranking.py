"""Methods over data sets: ranks, Friedman, Nemenyi, Wilcoxon, groups, and what is refused."""

from math import inf, nan

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from benchfw.errors import UsageError
from benchfw.ranking import ranking, signed_rank


def scores(values):
    """values: (N, K). Method m0 has the first column; the data sets are d0, d1, and so on."""
    return {f"m{j}": {f"d{i}": float(value) for i, value in enumerate(column)} for j, column in enumerate(values.T)}


def drawn(n=12, k=5, *, apart=0.8, seed=0):
    """(N, K): later methods are better by `apart`."""
    return np.random.default_rng(seed).normal(size=(n, k)) + apart * np.arange(k)


def in_order(found, matrix):
    """A (K, K) matrix by method number, in the order of a ranking."""
    place = [int(name[1:]) for name in found.methods]
    return np.asarray(matrix)[np.ix_(place, place)]


def without(values, *holes):
    """The scores with these (method, data set) taken out."""
    given = scores(values)
    for method, dataset in holes:
        del given[method][dataset]
    return given


def test_the_best_score_has_rank_one_whichever_way_is_better():
    values = drawn(apart=3)
    assert ranking(scores(values), higher=True).methods[0] == "m4"
    assert ranking(scores(values), higher=False).methods[0] == "m0"
    assert ranking(scores(values), higher=True) == ranking(scores(-values), higher=False)


def test_ties_share_ranks():
    values = np.tile([0.9, 0.5, 0.1 + 0.2, 0.3], (6, 1))  # 0.1 + 0.2 is 0.3 but for rounding
    assert ranking(scores(values), higher=True).mean_ranks == (1, 2, 3.5, 3.5)


def test_friedman_equals_that_of_scipy():
    found, want = ranking(scores(drawn()), higher=True), stats.friedmanchisquare(*drawn().T)
    assert (found.chi2, found.chi2_p) == pytest.approx(tuple(want))


def test_friedman_with_ties_equals_that_of_scipy():
    values = drawn().round()
    found, want = ranking(scores(values), higher=True), stats.friedmanchisquare(*values.T)
    assert (found.chi2, found.chi2_p) == pytest.approx(tuple(want))


def test_iman_and_davenport_by_their_formula():
    found = ranking(scores(drawn(12, 5)), higher=True)
    assert found.f == pytest.approx(11 * found.chi2 / (12 * 4 - found.chi2))
    assert found.f_p == pytest.approx(stats.f.sf(found.f, 4, 44))


def test_data_sets_that_all_agree_leave_no_doubt():
    found = ranking(scores(np.tile([0.1, 0.5, 0.9], (6, 1))), higher=True)
    assert (found.f, found.f_p) == (inf, 0)


def test_methods_that_always_tie_do_not_differ():
    found = ranking(scores(np.full((6, 3), 0.5)), higher=True)
    assert (found.chi2_p, found.f_p) == (1, 1)
    assert found.wilcoxon == ((1, 1, 1),) * 3
    assert found.best == ("m0", "m1", "m2")


def test_nemenyi_equals_that_of_scikit_posthocs():
    found = ranking(scores(drawn()), higher=True)
    want = in_order(found, scikit_posthocs.posthoc_nemenyi_friedman(drawn()))
    assert np.asarray(found.nemenyi) == pytest.approx(want, abs=1e-9)


def test_critical_difference_equals_the_published_table():
    found = ranking(scores(drawn(14, 4)), higher=True)
    assert found.critical_difference == pytest.approx(
        2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3
    )  # Demsar 2006, table 5


def test_the_critical_difference_is_where_nemenyi_reaches_five_percent():
    found = ranking(scores(drawn()), higher=True)
    gaps = np.abs(np.subtract.outer(found.mean_ranks, found.mean_ranks))
    assert ((np.asarray(found.nemenyi) < 0.05) == (gaps > found.critical_difference)).all()


def test_wilcoxon_equals_that_of_scikit_posthocs_with_holm():
    found = ranking(scores(drawn()), higher=True)
    long = drawn().T.ravel()
    groups = np.repeat(np.arange(5), 12)
    want = scikit_posthocs.posthoc_wilcoxon([long[groups == g] for g in range(5)], p_adjust="holm")
    assert np.asarray(found.wilcoxon) == pytest.approx(in_order(found, want))


@pytest.mark.parametrize("n", [6, 13, 30])
def test_signed_rank_equals_the_exact_one_of_scipy(n):
    a, b = drawn(n, 2, apart=0.4).T
    assert signed_rank(a, b) == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue)


def test_signed_rank_with_ties_equals_all_permutations_of_scipy():
    a, b = np.array([3, 1, 4, 1, 5, 9, 2, 6.0]), np.array([2, 3, 2, 2, 4, 5, 3, 4.0])
    every = stats.PermutationMethod(n_resamples=inf)
    assert signed_rank(a, b) == pytest.approx(stats.wilcoxon(a, b, method=every).pvalue)


def test_pairs_without_difference_leave_the_signed_rank_test():
    a, b = np.array([1, 2, 3, 4, 5, 6, 7.5]), np.array([0, 2, 1, 1, 1, 1, 2.0])
    assert signed_rank(a, b) == signed_rank(np.delete(a, 1), np.delete(b, 1)) == 2 / 2**6


def test_intervals_hold_the_mean_ranks():
    found = ranking(scores(drawn(20)), higher=True)
    held = [low <= rank <= high for (low, high), rank in zip(found.intervals, found.mean_ranks, strict=True)]
    assert all(held)


def test_intervals_are_near_the_percentile_bootstrap_of_scipy():
    found = ranking(scores(drawn(20)), higher=True)
    first = stats.rankdata(-drawn(20), axis=1)[:, int(found.methods[0][1:])]
    want = stats.bootstrap((first,), np.mean, method="percentile", random_state=1).confidence_interval
    assert found.intervals[0] == pytest.approx(tuple(want), abs=0.06)


def test_groups_are_the_longest_runs_within_the_critical_difference():
    found = ranking(scores(drawn(12, 6)), higher=True)
    ranks = dict(zip(found.methods, found.mean_ranks, strict=True))
    told = {(a, b) for a in ranks for b in ranks if abs(ranks[a] - ranks[b]) < found.critical_difference}
    assert {(a, b) for group in found.groups for a in group for b in group} | {(m, m) for m in ranks} == told
    assert not any(set(a) < set(b) for a in found.groups for b in found.groups)


def test_a_method_that_stands_alone_is_the_best():
    values = drawn(15, 4, apart=0)
    values[:, 2] += 9
    found = ranking(scores(values), higher=True)
    assert found.best == ("m2",)
    assert found.note == ""


def test_a_tie_has_no_winner():
    values = drawn(15, 4, apart=0)
    values[:, 1:3] += 9
    assert set(ranking(scores(values), higher=True).best) == {"m1", "m2"}


def test_methods_that_do_not_differ_are_one_group_and_the_note_says_so():
    found = ranking(scores(drawn(apart=0)), higher=True)
    assert not found.differ
    assert found.groups == (found.methods,)
    assert "cannot be told apart over 12 data sets" in found.note


def test_too_few_data_sets_for_wilcoxon_with_holm_are_told():
    found = ranking(scores(drawn(6, 4, apart=9)), higher=True)
    assert found.wilcoxon_least == 6 * 2 / 2**6
    assert found.note == "6 data sets and 4 methods: no pair can fall under 0.19 in Wilcoxon's test with Holm"


def test_fewer_than_six_data_sets_are_refused_with_their_number():
    found = ranking(scores(drawn(5)), higher=True)
    assert found.reason.startswith("5 data sets; rank tests want at least 6: ")
    assert (found.methods, found.best, found.note) == ((), (), found.reason)


def test_one_method_is_refused():
    assert ranking(scores(drawn(8, 1)), higher=True).reason == "1 method; ranks want at least 2"


def test_nothing_is_refused_too():
    assert ranking({}, higher=True).reason.startswith("0 data sets; ")


@pytest.mark.parametrize("hole", [nan, inf])
def test_holes_are_refused_named_and_counted(hole):
    given = without(drawn(), ("m1", "d3"))
    given["m4"]["d0"] = hole
    found = ranking(given, higher=True)
    assert found.reason.startswith("2 holes (m1 on d3, m4 on d0); ranks want every method on every data set: ")
    assert found.holes == (("m1", "d3"), ("m4", "d0"))
    assert found.mean_ranks == ()


def test_many_holes_are_named_in_part_and_counted_in_whole():
    reason = ranking(without(drawn(), *[("m0", f"d{i}") for i in range(9)]), higher=True).reason
    assert "9 holes (m0 on d0, " in reason
    assert " and 4 more)" in reason


def test_data_sets_with_a_hole_may_be_dropped():
    found = ranking(without(drawn(), ("m1", "d3")), higher=True, holes="drop data sets")
    want = ranking(scores(np.delete(drawn(), 3, axis=0)), higher=True)
    assert "d3" not in found.datasets
    assert (found.mean_ranks, found.nemenyi) == (want.mean_ranks, want.nemenyi)
    assert (found.holes, found.imputation) == ((("m1", "d3"),), "drop data sets")


def test_dropping_data_sets_may_leave_too_few():
    found = ranking(without(drawn(6), ("m1", "d3")), higher=True, holes="drop data sets")
    assert found.reason.startswith("5 data sets without holes, of 6; rank tests want at least 6")
    assert found.imputation == "drop data sets"


def test_methods_with_a_hole_may_be_dropped():
    found = ranking(without(drawn(), ("m1", "d3")), higher=True, holes="drop methods")
    want = ranking({m: row for m, row in scores(drawn()).items() if m != "m1"}, higher=True)
    assert (found.methods, found.mean_ranks) == (want.methods, want.mean_ranks)
    assert found.imputation == "drop methods"


def test_a_hole_may_have_the_worst_rank():
    values = drawn(8, 3, apart=9)
    found = ranking(without(values, ("m2", "d0")), higher=True, holes="worst rank")
    assert found.methods[0] == "m2"
    assert found.mean_ranks[0] == pytest.approx((7 * 1 + 3) / 8)
    assert found.imputation == "worst rank"


def test_holes_on_one_data_set_share_the_worst_rank():
    values = drawn(8, 4, apart=9)
    found = ranking(without(values, ("m2", "d0"), ("m3", "d0")), higher=True, holes="worst rank")
    ranks = dict(zip(found.methods, found.mean_ranks, strict=True))
    assert (ranks["m3"], ranks["m2"]) == pytest.approx(((7 * 1 + 3.5) / 8, (7 * 2 + 3.5) / 8))


def test_without_holes_nothing_was_imputed():
    assert ranking(scores(drawn()), higher=True, holes="worst rank").imputation == "refuse"


def test_another_word_for_holes_is_refused():
    with pytest.raises(UsageError, match="did you mean 'worst rank'"):
        ranking(scores(drawn()), higher=True, holes="worst ranks")
