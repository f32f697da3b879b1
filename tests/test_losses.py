"""How a loss is told from chance: each test against a reference, and the order in which they are taken."""

from dataclasses import replace
from math import inf, isnan, sqrt

import numpy as np
import pytest
from scipy import stats

from benchfw.hits import FOLDS, Sides, Split, changed_sides, class_weights, left_out, packed, unpacked
from benchfw.losses import (
    ALONE,
    BY_ITEM,
    CALIBRATED,
    IN_COMPANY,
    PAIRED,
    PRIOR,
    RESAMPLED,
    SAME,
    UNTESTED,
    Items,
    Pair,
    judged,
)
from benchfw.metrics import METRICS, metric_named, score
from benchfw.noise import Noise, estimated, noncentrality, tolerance_of

ACCURACY, ECE, NLL = (METRICS[name] for name in ("accuracy", "ece", "nll"))
BEFORE = {0: 0.90, 1: 0.88, 2: 0.91, 3: 0.86}
NOW = {0: 0.84, 1: 0.84, 2: 0.86, 3: 0.79}


def judge(**given):
    return judged([Pair(**{"metric": ACCURACY, "before": BEFORE, "now": NOW} | given)])[0]


def test_repetitions_alone_are_judged_by_a_one_sided_paired_t():
    found = judge()
    assert found.test == PAIRED
    assert found.p == pytest.approx(stats.ttest_rel([*BEFORE.values()], [*NOW.values()], alternative="greater").pvalue)
    assert (found.verdict, found.n) == ("worse", 4)
    assert found.loss == pytest.approx(found.before - found.now)


def test_a_metric_of_which_less_is_better_is_turned_round():
    found = judge(metric=ECE)
    assert found.verdict == "better"
    assert found.loss == pytest.approx(found.now - found.before)
    assert judge(metric=ECE, before=NOW, now=BEFORE).verdict == "worse"


def test_repetitions_that_one_side_lacks_and_values_that_are_none_are_left_out():
    found = judge(now=NOW | {3: float("nan"), 7: 0.1})
    assert found.n == 3
    assert found.now == pytest.approx(np.mean([0.84, 0.84, 0.86]))


def test_the_p_of_all_lines_is_adjusted_by_holm():
    pair = Pair(metric=ACCURACY, before=BEFORE, now=NOW)
    alone, (first, *_) = judge(), judged([pair] * 4)
    assert first.p == pytest.approx(4 * alone.p)


def test_equal_values_are_no_loss_whatever_was_expected():
    lucky = Noise(sd=0.001, freedom=20, draws=6, tolerance=0.001, expected={r: v + 0.05 for r, v in BEFORE.items()})
    found = judge(now=BEFORE, noise=lucky)
    assert (found.verdict, found.test, found.loss) == ("fine", SAME, 0.0)
    assert isnan(found.p)


def test_lines_that_are_the_same_to_the_bit_do_not_count_for_holm():
    same = Pair(metric=ACCURACY, before=BEFORE, now=BEFORE)
    pair = Pair(metric=ACCURACY, before=BEFORE, now=NOW)
    assert judged([pair, *[same] * 40])[0].p == judge().p


# ---- calibrated ----


def test_calibrated_noise_and_the_differences_are_pooled_by_their_degrees():
    known = Noise(sd=0.01, freedom=20, draws=1, tolerance=0.005)
    found = judge(noise=known)
    d = np.array([*BEFORE.values()]) - np.array([*NOW.values()])
    variance = (20 * 2 * 0.01**2 + 3 * d.var(ddof=1)) / 23
    assert found.test == CALIBRATED
    assert found.p == pytest.approx(2 * stats.t.sf(d.mean() / sqrt(variance / 4), 23))  # beside the worst repetition


def test_a_training_that_failed_in_one_repetition_does_not_hide_in_its_own_spread():
    """However large it is, the mean of one loss among none has a t of about 1, or 3 where the noise is pooled."""
    known = Noise(sd=0.01, freedom=15, draws=1, tolerance=0.005)
    now = BEFORE | {1: BEFORE[1] - 0.5}
    others = [Pair(metric=ACCURACY, before=BEFORE, now={r: v + 0.001 for r, v in BEFORE.items()}, noise=known)] * 43
    found = judged([Pair(metric=ACCURACY, before=BEFORE, now=now, noise=known), *others])[0]
    assert (found.verdict, found.test) == ("worse", ALONE)
    assert found.p == pytest.approx(44 * 2 * 4 * stats.t.sf(0.5 / (sqrt(2) * 0.01), 3))


def test_without_calibration_the_worst_repetition_is_held_against_an_assumed_chance():
    found = judge(now=BEFORE | {1: 0.2}, training=0.01)
    assert (found.verdict, found.test) == ("worse", ALONE)
    assert judge(now=BEFORE | {1: 0.2}).verdict == "fine"  # where nothing is assumed, nothing can be said


def test_an_assumed_chance_lends_half_of_the_spread_where_no_lines_do():
    """In a test of its own, beside that of the differences and that of the worst repetition."""
    found = judge(training=0.01)
    d = np.array([*BEFORE.values()]) - np.array([*NOW.values()])
    se = sqrt((d.var(ddof=1) + 2 * 0.01**2) / 2 / 4)
    assert found.test == PRIOR
    assert found.p == pytest.approx(3 * stats.t.sf(d.mean() / se, 6))


def test_a_small_loss_that_is_certain_needs_no_assumption():
    found = judge(now={r: v - 0.02 - 0.0001 * r for r, v in BEFORE.items()}, training=0.03)
    assert (found.verdict, found.test) == ("worse", PAIRED)


@pytest.mark.parametrize(("lines", "blocks"), [(1, 20), (2, 10), (5, 8), (6, 8)])
def test_a_drop_from_90_to_60_fails_a_table_that_is_redrawn_whatever_its_shape(lines, blocks):
    """Three repetitions without calibration: a paired t of two degrees would be blind after Holm."""
    rng = np.random.default_rng(lines)
    for _ in range(20):
        pairs = []
        for line in range(lines * blocks):
            before, now = rng.normal(0.9, 0.01, (2, 3))
            now -= 0.3 * (line == 0)
            values = (dict(enumerate(side.tolist())) for side in (before, now))
            pairs.append(Pair(ACCURACY, *values, block=line // lines, training=0.013))
        verdicts = [found.verdict for found in judged(pairs)]
        assert verdicts[0] == "worse"
        assert verdicts.count("worse") == 1


def test_no_more_is_said_to_be_seen_than_there_is_to_lose():
    noisy = {0: 0.9, 1: 0.2, 2: 0.9}
    assert judge(before=noisy, now={0: 0.2, 1: 0.9, 2: 0.1}).detectable <= np.mean([*noisy.values()])


def test_one_repetition_is_enough_where_noise_is_calibrated():
    known = Noise(sd=0.01, freedom=20, draws=1, tolerance=0.005)
    found = judge(before={0: 0.9}, now={0: 0.85}, noise=known)
    assert found.p == pytest.approx(stats.t.sf(0.05 / (sqrt(2) * 0.01), 20))


def test_now_is_held_against_the_mean_of_all_draws_and_that_is_less_uncertain():
    known = Noise(sd=0.01, freedom=20, draws=6, tolerance=0.0, expected={0: 0.88})
    found = judge(before={0: 0.9}, now={0: 0.85}, noise=known)
    assert found.before == pytest.approx(0.88)
    assert found.p == pytest.approx(stats.t.sf(0.03 / (sqrt(1 + 1 / 6) * 0.01), 20))


def test_the_noise_is_the_spread_within_repetitions():
    before, again = {0: 0.90, 1: 0.70}, [{0: 0.92, 1: 0.71}, {0: 0.91, 1: 0.75}]
    found = estimated(before, again, [], 0.0)
    groups = np.array([[0.90, 0.92, 0.91], [0.70, 0.71, 0.75]])
    assert found.sd == pytest.approx(sqrt(groups.var(axis=1, ddof=1).mean()))
    assert (found.freedom, found.draws, found.nondeterminism) == (4, 3, None)
    assert found.expected == pytest.approx({0: 0.91, 1: 0.72})
    assert found.tolerance == pytest.approx(stats.t.ppf(0.95, 4) * found.sd * sqrt((1 + 1 / 3) / 2))


def test_the_noise_is_at_least_what_the_same_seeds_do_and_what_one_item_is_worth():
    before, again = {0: 0.90, 1: 0.70}, [{0: 0.90, 1: 0.70}]
    assert estimated(before, again, [], 0.002).sd == 0.002
    found = estimated(before, again, [{0: 0.92, 1: 0.70}], 0.002)
    assert found.sd == found.nondeterminism == pytest.approx(0.01)


def test_noise_of_a_line_that_changed_expects_nothing_any_more():
    found = estimated(BEFORE, [NOW], [], 0.0).of_changed(4)
    assert (found.expected, found.draws, found.factor) == ({}, 1, 2)
    assert found.tolerance == pytest.approx(tolerance_of(found.sd, 4, 1, 4))


# ---- the spread of others ----


def company(n):
    rng = np.random.default_rng(0)
    return [
        Pair(metric=ACCURACY, before=dict.fromkeys(range(3), 0.9), now=dict(enumerate(0.9 - rng.normal(0.02, 0.01, 3))))
        for _ in range(n)
    ]


def test_six_lines_of_a_block_lend_each_other_half_of_their_spread():
    pairs = company(6)
    losses = np.array([pair.losses for pair in pairs])
    variances = losses.var(axis=1, ddof=1)
    t = losses.mean(axis=1) / np.sqrt((variances + variances.mean()) / 2 / 3)
    found = judged(pairs)
    assert {judgement.test for judgement in found} == {IN_COMPANY}
    assert min(judgement.p for judgement in found) == pytest.approx(6 * stats.t.sf(t, 4).min())


@pytest.mark.parametrize(
    "other", [{"block": "another"}, {"metric": METRICS["mcc"]}, {"now": {0: 0.8, 1: 0.81, 2: 0.9, 3: 1}}]
)
def test_another_block_metric_or_number_of_pairs_lends_nothing(other):
    *pairs, last = company(6)
    more = {"before": dict.fromkeys(range(4), 0.9)} if "now" in other else {}
    assert {judgement.test for judgement in judged([*pairs, replace(last, **other, **more)])} == {PAIRED}


def test_a_spread_below_one_test_item_is_not_believed():
    now = {r: value - 0.01 - 1e-6 * r for r, value in BEFORE.items()}
    assert judge(now=now).p < 1e-6
    assert judge(now=now, item=0.01).p == pytest.approx(stats.t.sf(0.0100015 / (0.01 / 2), 3), rel=1e-3)


# ---- test items ----


def test_accuracy_by_items_is_mcnemars_test_with_correction():
    rng = np.random.default_rng(0)
    before, now = rng.random(500) < 0.9, rng.random(500) < 0.85
    sides = Sides(np.arange(500), np.zeros(500, dtype=int), before, now, before.mean(), now.mean())
    found = judge(before={0: before.mean()}, now={0: now.mean()}, items=lambda: changed_sides([sides], [[1.0]]))
    lost, gained = (before & ~now).sum(), (now & ~before).sum()
    assert found.test == BY_ITEM
    assert found.p == pytest.approx(stats.norm.sf((lost - gained - 1) / sqrt(lost + gained)))


def test_an_item_that_changes_in_both_repetitions_is_one_item():
    before, now = np.ones(100, dtype=bool), np.arange(100) >= 10
    sides = Sides(np.arange(100), np.zeros(100, dtype=int), before, now, 1.0, 0.9)
    others = replace(sides, ids=np.arange(100) + 100)
    once = changed_sides([sides], [[1.0]])
    assert changed_sides([sides, sides], [[1.0], [1.0]]).se == pytest.approx(once.se)
    assert changed_sides([sides, others], [[1.0], [1.0]]).se == pytest.approx(once.se / sqrt(2))


def test_hits_that_do_not_give_the_value_are_no_evidence():
    hits = np.ones(10, dtype=bool)
    sides = Sides(np.arange(10), np.zeros(10, dtype=int), hits, hits, 1.0, 0.6)
    assert changed_sides([sides], [[1.0]]) is None


SPLIT = Split("f", ("a", "b", "c", "d"), (200, 50, 10, 5), (40, 30, 20, 0))


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "balanced_accuracy", "minority_recall", "many_recall", "medium_recall", "few_recall", "recall:b"],
)
def test_the_weights_of_the_classes_make_the_metric_out_of_recalls(metric):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], SPLIT.test_counts[:3])
    log_scores = rng.normal(size=(len(labels), 4))
    recalls = [(log_scores[labels == c].argmax(axis=1) == c).mean() for c in range(3)] + [0.0]
    wanted = score(log_scores, labels, counts=SPLIT.counts, class_names=SPLIT.class_names)[metric]
    assert np.dot(class_weights(metric, SPLIT, (100, 20)), recalls) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", ["macro_f1", "ece", "recall:d", "recall:e"])
def test_a_metric_that_is_no_mean_of_recalls_has_no_weights(metric):
    assert class_weights(metric, SPLIT, (100, 20)) is None


def test_hits_are_packed_and_come_back():
    hits = np.random.default_rng(0).random(1001) < 0.9
    assert (unpacked(packed(hits), 1001) == hits).all()
    assert len(packed(hits)) < 200


@pytest.mark.parametrize("text", ["", "!", "AAAA", packed(np.ones(9, dtype=bool)), packed(np.ones(10**6, dtype=bool))])
def test_text_that_holds_other_hits_is_none(text):
    assert unpacked(text, 1001) is None


def test_the_jackknife_gives_the_standard_error_of_accuracy():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    log_scores = np.where(rng.random((4000, 1)) < 0.8, 1, -1) * np.where(labels[:, None] == [0, 1], 1.0, -1.0)
    split = Split("f", ("a", "b"), (9, 9), tuple(np.bincount(labels).tolist()))
    value = float((log_scores.argmax(axis=1) == labels).mean())
    found = left_out(log_scores, labels, "accuracy", value, split=split, bounds=(100, 20))
    assert found == pytest.approx(sqrt(0.8 * 0.2 / 4000), rel=3 / sqrt(2 * FOLDS))
    assert left_out(log_scores, labels, "accuracy", value - 0.1, split=split, bounds=(100, 20)) is None


# ---- the order of the tests ----


def test_two_repetitions_are_judged_by_items_and_the_assumed_chance_of_training():
    two = {"before": {0: 0.9, 1: 0.9}, "now": {0: 0.8, 1: 0.7}, "items": lambda: Items(se=0.01, largest=0.002)}
    assert judge(**two).p == pytest.approx(stats.norm.sf((0.15 - 0.002) / 0.01))
    assert judge(**two, training=0.03).p == pytest.approx(stats.norm.sf((0.15 - 0.002) / sqrt(0.01**2 + 0.03**2)))


def test_without_items_the_items_now_are_resampled_and_count_twice():
    one = {"before": {0: 0.9}, "now": {0: 0.8}, "resampled": lambda: 0.02}
    found = judge(**one)
    assert (found.test, found.p) == (RESAMPLED, pytest.approx(stats.norm.sf(0.1 / (sqrt(2) * 0.02))))


def test_nothing_is_resampled_for_a_loss_that_is_tolerated_and_it_counts_for_holm_all_the_same():
    def never():
        raise AssertionError

    small = Pair(metric=ACCURACY, before={0: 0.9}, now={0: 0.896}, resampled=never)
    large = Pair(metric=ACCURACY, before={0: 0.9}, now={0: 0.8}, resampled=lambda: 0.02)
    found = judged([small, large])
    assert [judgement.verdict for judgement in found] == ["fine", "worse"]
    assert found[1].p == pytest.approx(2 * stats.norm.sf(0.1 / (sqrt(2) * 0.02)))


def test_with_nothing_to_test_by_the_tolerance_decides():
    found = judge(before={0: 0.9}, now={0: 0.89})
    assert (found.verdict, found.test) == ("worse", UNTESTED)
    assert isnan(found.p)
    assert judge(before={0: 0.9}, now={0: 0.897}).verdict == "fine"


def test_equal_losses_have_no_spread_and_are_judged_by_items():
    now = {r: value - 0.1 for r, value in BEFORE.items()}
    assert judge(now=now, items=lambda: Items(se=0.01, largest=0.002)).test == BY_ITEM


# ---- lifts ----


def test_a_lift_that_fell_while_its_line_did_not_is_no_loss():
    lift = {"before": dict.fromkeys(range(4), 0.05), "now": {0: 0.01, 1: 0.011, 2: 0.012, 3: 0.01}}
    assert judge(**lift, own=Pair(metric=ACCURACY, before=BEFORE, now=NOW)).verdict == "worse"
    assert judge(**lift, own=Pair(metric=ACCURACY, before=BEFORE, now=BEFORE)).verdict == "fine"
    assert judge(**lift, own=Pair(metric=ACCURACY, before=NOW, now=BEFORE)).verdict == "fine"


# ---- tolerance and sight ----


def test_tolerances_by_default_are_half_a_point_or_a_hundredth_of_the_value():
    assert judge().tolerance == 0.005
    assert judge(metric=NLL, before={0: 2.0}, now={0: 2.1}).tolerance == pytest.approx(0.02)
    known = Noise(sd=0.01, freedom=20, draws=1, tolerance=0.007)
    assert judge(noise=known).tolerance == 0.007
    assert judge(noise=known, tolerance=0.1).tolerance == 0.1


@pytest.mark.parametrize("freedom", [2, 17, inf])
def test_the_loss_that_is_seen_is_found_in_80_percent(freedom):
    rng = np.random.default_rng(0)
    drawn = rng.normal(noncentrality(freedom, 0.01), 1, 40_000)
    if freedom != inf:
        drawn /= np.sqrt(rng.chisquare(freedom, len(drawn)) / freedom)
    critical = stats.norm.isf(0.01) if freedom == inf else stats.t.isf(0.01, freedom)
    assert (drawn > critical).mean() == pytest.approx(0.8, abs=0.01)


def test_what_is_seen_exceeds_the_tolerance_in_80_percent_too():
    assert judge(tolerance=0.5).detectable > 0.5


def test_a_metric_may_be_the_recall_of_a_class():
    assert judge(metric=metric_named("recall:7")).verdict == "worse"
