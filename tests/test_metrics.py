"""Metrics agree with scikit-learn, imbalanced-learn and closed forms; correction of the prior does what it says."""

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn import metrics as sk

from benchfw.errors import DataError, PluginError, UsageError
from benchfw.metrics import CORRECTIONS, METRICS, adjust, ece, metric_named, normalised, readouts, score

NAMES = ("cat", "dog", "eel", "fox")
COUNTS = (400, 101, 100, 19)  # mean 155: all but cat are minority; many, many, medium, few
NATURAL = np.array(COUNTS) / sum(COUNTS)
UNIFORM = np.full(4, 0.25)


@pytest.fixture(scope="module")
def labels():
    return np.repeat(np.arange(4), [40, 30, 20, 10])


@pytest.fixture(scope="module")
def log_scores(labels):
    noise = np.random.default_rng(0).normal(size=(len(labels), 4))
    return noise + 1.2 * np.eye(4)[labels] + np.log(NATURAL)


@pytest.fixture(scope="module")
def scores(log_scores, labels):
    return score(log_scores, labels, counts=COUNTS, class_names=NAMES)


def scored(log_scores, labels, **changed):
    return score(np.asarray(log_scores), np.asarray(labels), **({"counts": COUNTS, "class_names": NAMES} | changed))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", lambda y, p, _: sk.accuracy_score(y, p)),
        ("balanced_accuracy", lambda y, p, _: sk.balanced_accuracy_score(y, p)),
        ("macro_f1", lambda y, p, _: sk.f1_score(y, p, average="macro")),
        ("mcc", lambda y, p, _: sk.matthews_corrcoef(y, p)),
        ("nll", lambda y, _, q: sk.log_loss(y, q)),
        ("macro_auroc", lambda y, _, q: sk.roc_auc_score(y, q, multi_class="ovr", average="macro")),
        ("macro_auprc", lambda y, _, q: sk.average_precision_score(np.eye(4)[y], q, average="macro")),
        ("g_mean", lambda y, p, _: geometric_mean_score(y, p)),
    ],
)
def test_metric_equals_its_reference_implementation(name, reference, scores, log_scores, labels):
    q = np.exp(normalised(log_scores))
    assert scores[name] == pytest.approx(reference(labels, q.argmax(1), q), abs=1e-12)


def test_recall_of_each_class_carries_its_name(scores, log_scores, labels):
    recall = sk.recall_score(labels, log_scores.argmax(1), average=None)
    assert [scores[f"recall:{name}"] for name in NAMES] == pytest.approx(recall)
    assert len(set(recall)) == 4


def test_groups_of_classes_follow_their_training_counts(scores):
    cat, dog, eel, fox = (scores[f"recall:{name}"] for name in NAMES)
    assert scores["minority_recall"] == pytest.approx((dog + eel + fox) / 3)
    assert scores["many_recall"] == pytest.approx((cat + dog) / 2)
    assert scores["medium_recall"] == eel
    assert scores["few_recall"] == fox


def test_thresholds_of_the_groups_are_settings(log_scores, labels):
    shifted = scored(log_scores, labels, many_over=400, few_under=101)
    assert np.isnan(shifted["many_recall"])
    assert shifted["medium_recall"] == pytest.approx((shifted["recall:cat"] + shifted["recall:dog"]) / 2)


def test_balanced_counts_have_no_minority(log_scores, labels):
    assert np.isnan(scored(log_scores, labels, counts=(50, 50, 50, 50))["minority_recall"])


def test_g_mean_is_zero_for_a_missed_class_and_its_corrected_form_is_not(labels):
    always_cat = np.log(np.tile([0.7, 0.1, 0.1, 0.1], (len(labels), 1)))
    got = scored(always_cat, labels)
    assert got["g_mean"] == 0
    assert got["g_mean_corrected"] == pytest.approx(
        geometric_mean_score(labels, np.zeros_like(labels), correction=0.001)
    )


def test_g_mean_of_many_classes_does_not_underflow():
    labels = np.repeat(np.arange(800), 3)
    once = np.where(
        np.arange(len(labels)) % 3 == 0, labels, (labels + 1) % 800
    )  # a recall of 1/3 for all: 3**-800 is 0
    got = score(np.eye(800)[once], labels, counts=np.ones(800, dtype=int), class_names=[str(c) for c in range(800)])
    assert got["g_mean"] == pytest.approx(1 / 3)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.97, 0.55, 1 / 3])  # bins 15, 15, 9 and 5, whose upper edge is 1/3
    correct = np.array([True, False, True, False])
    assert ece(confidence, correct) == pytest.approx((abs(1 - 1.92) + 0.45 + 1 / 3) / 4)


def test_perfect_and_certain_scores_are_perfect():
    got = scored(np.where(np.eye(4, dtype=bool), 0.0, -np.inf)[[0, 1, 2, 3, 3]], [0, 1, 2, 3, 3])
    best = {name: 1.0 if metric.direction == "higher" else 0.0 for name, metric in METRICS.items()}
    assert {name: got[name] for name in METRICS} == pytest.approx(best)


def test_certain_and_wrong_scores_have_a_finite_likelihood():
    got = scored([[0.0, -np.inf, -np.inf, -np.inf]] * 2, [0, 1])
    assert got["nll"] == pytest.approx(sk.log_loss([0, 1], [[1.0, 0.0], [1.0, 0.0]]))


def test_a_shift_of_a_row_changes_no_metric(scores, log_scores, labels):
    shift = np.linspace(-900, 900, len(labels))[:, None]
    assert scored(log_scores + shift, labels) == pytest.approx(scores)


def test_a_class_that_the_test_set_lacks_enters_no_mean(log_scores, labels):
    there = labels != 2
    log_scores, labels = log_scores[there], labels[there]
    got = scored(log_scores, labels)
    predicted = log_scores.argmax(1)
    recall = sk.recall_score(labels, predicted, average=None, labels=[0, 1, 3])
    assert 2 in predicted
    assert np.isnan(got["recall:eel"])
    assert np.isnan(got["medium_recall"])
    assert got["balanced_accuracy"] == pytest.approx(recall.mean())
    assert got["minority_recall"] == pytest.approx(recall[1:].mean())
    assert got["g_mean"] == pytest.approx(np.prod(recall) ** (1 / 3))
    assert got["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro", labels=[0, 1, 3]))
    areas = [sk.roc_auc_score(labels == c, normalised(log_scores)[:, c]) for c in (0, 1, 3)]
    assert got["macro_auroc"] == pytest.approx(np.mean(areas))


def test_a_test_set_of_one_class_has_no_ranking_metrics():
    got = scored([[1.0, 0, 0, 0]], [0])
    assert np.isnan(got["macro_auroc"])
    assert np.isnan(got["macro_auprc"])
    assert got["balanced_accuracy"] == 1


def test_score_gives_the_registry_and_then_the_classes(scores):
    assert sorted(scores) == sorted([*METRICS, *(f"recall:{name}" for name in NAMES)])
    assert all(isinstance(value, float) for value in scores.values())


@pytest.mark.parametrize("bad", [[np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [-np.inf] * 4])
def test_log_scores_that_are_no_numbers_are_refused_with_their_row(bad):
    with pytest.raises(PluginError, match="row 1"):
        scored([[0.0, 0, 0, 0], bad], [0, 1])


@pytest.mark.parametrize(("rows", "labels"), [(0, 0), (3, 2)])
def test_a_test_set_that_is_empty_or_of_another_size_is_refused(rows, labels):
    with pytest.raises(DataError, match=r"wants \(N, K\)"):
        scored(np.zeros((rows, 4)), np.zeros(labels, dtype=np.int64))


def test_adjusting_by_the_prior_gives_bayes_rule_under_equal_priors():
    likelihood = np.array([[0.2, 0.5, 0.1, 0.4], [0.3, 0.3, 0.3, 0.6]])  # of two samples in each class
    posterior = np.log(likelihood * NATURAL)  # unnormalised
    want = likelihood / likelihood.sum(1, keepdims=True)
    assert np.exp(adjust(posterior, NATURAL)) == pytest.approx(want)


def test_adjusting_ignores_the_scale_of_the_prior_and_shifts_of_the_rows(log_scores):
    want = adjust(log_scores, NATURAL)
    assert adjust(log_scores + 7, 1000 * NATURAL) == pytest.approx(want)
    assert adjust(log_scores, UNIFORM) == pytest.approx(normalised(log_scores))


def test_tau_scales_the_adjustment(log_scores):
    assert adjust(log_scores, NATURAL, tau=0) == pytest.approx(normalised(log_scores))
    assert adjust(log_scores, NATURAL, tau=2) == pytest.approx(adjust(adjust(log_scores, NATURAL), NATURAL))


def test_a_class_of_prior_zero_cannot_be_adjusted(log_scores):
    with pytest.raises(DataError, match="class 3"):
        adjust(log_scores, np.array([0.5, 0.3, 0.2, 0.0]))


@pytest.mark.parametrize(
    ("prior", "natural", "repeats"),
    [
        (NATURAL, NATURAL, {"none": None, "la-natural": None, "la-met": "la-natural"}),  # no augmenter
        (UNIFORM, NATURAL, {"none": None, "la-natural": None, "la-met": "none"}),  # balanced by an augmenter
        ((UNIFORM + NATURAL) / 2, NATURAL, {"none": None, "la-natural": None, "la-met": None}),  # half filled
        (UNIFORM, UNIFORM, {"none": None, "la-natural": "none", "la-met": "none"}),  # balanced by nature
    ],
)
def test_a_readout_names_the_earlier_one_that_it_repeats(prior, natural, repeats, log_scores):
    got = readouts(log_scores, prior=prior, natural_prior=natural, corrected=False)
    assert tuple(got) == CORRECTIONS
    assert {name: readout.repeats for name, readout in got.items()} == repeats
    assert got["la-natural"].log_scores == pytest.approx(adjust(log_scores, natural))
    assert got["la-met"].log_scores == pytest.approx(adjust(log_scores, prior))


def test_a_corrected_classifier_is_read_out_once(log_scores):
    got = readouts(log_scores, prior=NATURAL, natural_prior=NATURAL, corrected=True)
    assert list(got) == ["none"]
    assert got["none"].log_scores == pytest.approx(normalised(log_scores))


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'macro_auroc'"):
        metric_named("macro_auc")
    assert metric_named("recall:cat").title == "recall of cat"
    assert metric_named("balanced_accuracy").title == "balanced accuracy"
