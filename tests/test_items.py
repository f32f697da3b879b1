"""Two classifiers on the same items: McNemar's test and the paired bootstrap."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels

from benchfw.errors import DataError
from benchfw.items import by_items, mcnemar

ITEMS = 3000


def hits(right, *, n=ITEMS, seed=0):
    return np.random.default_rng(seed).random(n) < right


def unbalanced(n=ITEMS):
    """Labels of three classes, 80, 15 and 5 % of the items."""
    return np.random.default_rng(9).choice(3, n, p=[0.80, 0.15, 0.05])


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (5, 0), (9, 3), (3, 9), (4, 4), (120, 90), (4000, 4200)])
def test_mcnemar_equals_the_exact_one_of_statsmodels(gained, lost):
    want = mcnemar_of_statsmodels([[10, gained], [lost, 10]], exact=True).pvalue
    assert mcnemar(gained, lost) == pytest.approx(want)


def test_mcnemar_is_one_when_no_item_differs():
    assert mcnemar(0, 0) == 1


def test_items_are_counted_by_who_was_right():
    found = by_items(np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool))
    assert (found.n, found.gained, found.lost) == (5, 2, 1)
    assert found.mean == pytest.approx(1 / 5)


def test_without_labels_the_difference_is_that_of_accuracy():
    a, b = hits(0.8), hits(0.7, seed=1)
    assert by_items(a, b).mean == pytest.approx(a.mean() - b.mean())


def test_with_labels_the_difference_is_that_of_balanced_accuracy():
    labels, a, b = unbalanced(), hits(0.8), hits(0.7, seed=1)
    predicted = [np.where(hit, labels, (labels + 1) % 3) for hit in (a, b)]
    want = balanced_accuracy_score(labels, predicted[0]) - balanced_accuracy_score(labels, predicted[1])
    assert by_items(a, b, labels).mean == pytest.approx(want)


def test_interval_of_accuracy_is_near_the_percentile_bootstrap_of_scipy():
    a, b = hits(0.8), hits(0.78, seed=1)
    d = a.astype(float) - b
    want = stats.bootstrap(
        (d,), np.mean, method="percentile", n_resamples=4000, batch=500, random_state=1
    ).confidence_interval
    found = by_items(a, b)
    assert (found.low, found.high) == pytest.approx(tuple(want), abs=0.06 * (want.high - want.low))


def test_interval_of_balanced_accuracy_is_as_wide_as_the_classes_recalls_make_it():
    labels, a, b = unbalanced(), hits(0.8), hits(0.7, seed=1)
    parts = [(a.astype(float) - b)[labels == c] for c in range(3)]
    error = np.sqrt(sum(part.var() / len(part) for part in parts)) / 3
    found = by_items(a, b, labels)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_a_gain_in_a_small_class_weighs_as_a_whole_class():
    labels = np.repeat([0, 1], [990, 10])
    reference = labels == 0
    found = by_items(np.ones(1000, bool), reference, labels)
    assert (found.gained, found.mean) == (10, 0.5)
    assert by_items(np.ones(1000, bool), reference).mean == pytest.approx(0.01)


def test_classes_may_bear_any_number():
    labels, a, b = unbalanced(), hits(0.8), hits(0.7, seed=1)
    assert by_items(a, b, labels * 7 + 3) == by_items(a, b, labels)


def test_p_is_under_five_percent_exactly_when_the_interval_leaves_out_zero():
    found = [by_items(hits(0.80 + 0.002 * i), hits(0.80, seed=1), unbalanced()) for i in range(30)]
    said = [item.low > 0 or item.high < 0 for item in found]
    assert [item.p < 0.05 for item in found] == said
    assert 0 < sum(said) < len(said)


def test_p_of_accuracy_is_near_mcnemars():
    found = by_items(hits(0.82), hits(0.80, seed=1))
    assert found.p == pytest.approx(found.mcnemar, abs=0.03)


def test_the_same_predictions_differ_in_nothing():
    found = by_items(hits(0.8), hits(0.8))
    assert (found.mean, found.low, found.high, found.p, found.mcnemar) == (0, 0, 0, 1, 1)
    assert found.note == "no item differs"


def test_few_differing_items_send_the_reader_to_mcnemar():
    here = np.ones(100, bool)
    reference = np.arange(100) >= 4
    assert by_items(here, reference).note == "4 of 100 items differ; read mcnemar"
    assert by_items(here, np.arange(100) >= 10).note == ""


def test_equal_predictions_give_equal_numbers():
    assert by_items(hits(0.8), hits(0.7, seed=1)) == by_items(hits(0.8), hits(0.7, seed=1))


@pytest.mark.parametrize(
    ("a", "b", "labels"),
    [
        (np.ones(3, bool), np.ones(4, bool), None),
        (np.ones(3, bool), np.ones(3, bool), np.zeros(4, np.int64)),
        (np.ones((3, 2), bool), np.ones((3, 2), bool), None),
        (np.ones(0, bool), np.ones(0, bool), None),
    ],
)
def test_items_that_cannot_be_paired_are_refused(a, b, labels):
    with pytest.raises(DataError, match=r"by_items: .* wants \(N,\) for all, N > 0"):
        by_items(a, b, labels)
