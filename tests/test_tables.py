"""The table pairs what it says, leaves nothing out silently, and is written the same each time."""

import csv
import io
import random
from math import isnan, nan

import pandas as pd
import pytest
from scipy import stats

from benchfw.errors import UsageError
from benchfw.metrics import METRICS, readouts, score
from benchfw.tables import AXES, KEY, TESTS, comparisons, costs, difference, table, to_csv

NONE = [0.50, 0.52, 0.54, 0.56, 0.58]
SMOTE = [0.53, 0.57, 0.55, 0.60, 0.64]
ADJUSTED = [0.60, 0.60, 0.66, 0.65, 0.63]
MLP = [0.45, 0.50, 0.52, 0.51, 0.58]
MLP_SMOTE = [0.50, 0.53, 0.58, 0.57, 0.62]


def axes(augmenter="none", classifier="linear", repetition=0, dataset="digits"):
    labels = {"dataset": dataset, "imbalance": "step:20", "extractor": "pixels"}
    return labels | {"augmenter": augmenter, "classifier": classifier, "repetition": repetition}


def done(plain, natural=None, *, repeats, **where):
    """A finished cell with balanced accuracies; where la-met repeats an earlier readout its scores are that one's."""
    scores = {"none": {"balanced_accuracy": plain, "recall:a|b": plain / 2}}
    if natural is not None:
        scores["la-natural"] = {"balanced_accuracy": natural, "recall:a|b": natural / 2}
        scores["la-met"] = scores[repeats]
    spent = {"augment_seconds": 1.0, "classify_seconds": 2.0 + where.get("repetition", 0), "synthetic_rows": 30}
    return {
        "axes": axes(**where),
        "status": "done",
        "reason": None,
        "scores": scores,
        "repeats": {"la-met": repeats} if natural is not None else {},
        "costs": spent,
    }


def undone(status, reason, **where):
    return {"axes": axes(**where), "status": status, "reason": reason}


def runs(augmenter, classifier, plain, natural=None):
    repeats = "la-natural" if augmenter == "none" else "none"
    natural = natural or [None] * len(plain)
    return [
        done(p, q, repeats=repeats, augmenter=augmenter, classifier=classifier, repetition=r)
        for r, (p, q) in enumerate(zip(plain, natural, strict=True))
    ]


@pytest.fixture
def rows():
    return [
        *runs("smote", "linear", SMOTE, ADJUSTED),
        *runs("none", "linear", NONE, ADJUSTED),
        *runs("none", "mlp", MLP, ADJUSTED),
        *runs("smote", "mlp", MLP_SMOTE, ADJUSTED),
    ]


def of(rows, augmenter, classifier, correction="none", **settings):
    frame = table(rows, **({"classifiers": ["linear", "mlp"]} | settings))
    wanted = (augmenter, classifier, correction)
    (record,) = [r for r in frame.to_dict("records") if tuple(r[a] for a in KEY[3:]) == wanted]
    return record


def assert_paired(lift, values, reference):
    want = stats.ttest_rel(values, reference).confidence_interval(0.95)
    assert lift.n == len(values)
    assert lift.mean == pytest.approx(sum(values) / len(values) - sum(reference) / len(reference))
    assert (lift.low, lift.high) == pytest.approx((want.low, want.high))


def test_mean_and_deviation_are_over_the_repetitions(rows):
    record = of(rows, "smote", "linear")
    assert (record["n"], record["balanced_accuracy_n"], record["status"]) == (5, 5, "done")
    assert record["balanced_accuracy_mean"] == pytest.approx(0.578)
    assert record["balanced_accuracy_sd"] == pytest.approx(0.0432435, abs=1e-6)


def test_lift_is_paired_with_none_of_the_same_classifier_and_correction(rows):
    assert_paired(difference(of(rows, "smote", "mlp"), "balanced_accuracy", "lift"), MLP_SMOTE, MLP)


def test_gain_is_paired_with_none_and_the_first_classifier_uncorrected(rows):
    assert_paired(difference(of(rows, "smote", "mlp"), "balanced_accuracy", "gain"), MLP_SMOTE, NONE)
    adjusted = of(rows, "none", "linear", "la-natural")
    assert_paired(difference(adjusted, "balanced_accuracy", "gain"), ADJUSTED, NONE)
    first_mlp = of(rows, "smote", "linear", classifiers=["mlp", "linear"])
    assert_paired(difference(first_mlp, "balanced_accuracy", "gain"), SMOTE, MLP)


def test_a_line_is_not_compared_with_itself(rows):
    record = of(rows, "none", "linear")
    for kind in ("lift", "gain"):
        assert difference(record, "balanced_accuracy", kind).n == 0
        assert isnan(record[f"balanced_accuracy_{kind}"])


def test_recall_of_a_class_has_its_name_and_its_own_lift(rows):
    lift = difference(of(rows, "smote", "linear"), "recall:a|b", "lift")
    assert lift.mean == pytest.approx(0.038 / 2)


def test_repeated_corrections_have_no_line(rows):
    frame = table(rows, classifiers=["linear"])
    lines = set(zip(frame["augmenter"], frame["correction"], strict=True))
    assert lines == {("none", "none"), ("none", "la-natural"), ("smote", "none"), ("smote", "la-natural")}


def test_a_line_is_paired_with_a_repeated_correction_by_its_name(rows):
    half_filled = runs("smote@fill=0.5", "linear", SMOTE, ADJUSTED)
    for row in half_filled:
        row["scores"]["la-met"] = {"balanced_accuracy": row["scores"]["none"]["balanced_accuracy"] + 0.1}
        row["repeats"] = {}
    lift = difference(of(rows + half_filled, "smote@fill=0.5", "linear", "la-met"), "balanced_accuracy", "lift")
    assert_paired(lift, [value + 0.1 for value in SMOTE], ADJUSTED)  # none's la-met repeats its la-natural


def test_a_correction_that_repeats_in_some_repetitions_only_keeps_all_of_them(rows):
    rows[0]["repeats"] = {}
    assert of(rows, "smote", "linear", "la-met")["balanced_accuracy_n"] == 5


def test_versus_pairs_the_gain_with_any_line(rows):
    versus = {"augmenter": "smote", "classifier": "mlp", "correction": "none"}
    assert_paired(difference(of(rows, "none", "linear", versus=versus), "balanced_accuracy", "gain"), NONE, MLP_SMOTE)


def test_versus_needs_only_what_differs_from_the_usual_reference(rows):
    lift = difference(of(rows, "smote", "linear", versus={"correction": "la-natural"}), "balanced_accuracy", "gain")
    assert_paired(lift, SMOTE, ADJUSTED)


@pytest.mark.parametrize(
    ("versus", "message"),
    [
        ({"augmenter": "smoot"}, "augmenter 'smoot'; did you mean 'smote'"),
        ({"augmentor": "smote"}, "'augmentor'; did you mean 'augmenter'"),
        ({"correction": "la_met"}, "correction 'la_met'; did you mean 'la-met'"),
        ({"classifier": "svm", "correction": "la-met"}, "together; known: .*none,svm,none"),
    ],
)
def test_versus_an_unknown_line_is_refused_with_the_known_ones(versus, message, rows):
    rows += runs("none", "svm", NONE)  # it corrects its prior itself: one readout
    with pytest.raises(UsageError, match=message):
        table(rows, classifiers=["linear"], versus=versus)


def test_failed_repetitions_are_told_and_not_averaged_over(rows):
    rows[2] = undone("failed", "loss is nan\n  at step 3", augmenter="smote", repetition=2)
    record = of(rows, "smote", "linear")
    assert record["status"] == "4 of 5 done; 1 failed: loss is nan at step 3"
    assert (record["n"], record["balanced_accuracy_lift_n"]) == (4, 4)
    assert record["balanced_accuracy_lift"] == pytest.approx((0.03 + 0.05 + 0.04 + 0.06) / 4)


def test_a_skipped_group_has_one_line_with_the_reason(rows):
    rows += [undone("skipped", "adasyn: needs vectors", augmenter="adasyn", repetition=r) for r in range(5)]
    record = of(rows, "adasyn", "linear")
    assert (record["n"], record["status"]) == (0, "skipped: adasyn: needs vectors")
    assert isnan(record["balanced_accuracy_mean"])
    assert list(table(rows, classifiers=["linear"])["augmenter"]).count("adasyn") == 1


def test_a_status_counts_each_outcome():
    rows = [
        undone("killed", None, repetition=0),
        undone("failed", "no memory", repetition=1),
        undone("failed", "no memory", repetition=2),
    ]
    assert of(rows, "none", "linear")["status"] == "0 of 3 done; 2 failed: no memory; 1 killed"


def test_a_status_tells_an_error_once_that_left_a_traceback_in_each_repetition():
    reasons = [f"KeyError: 3 (see tracebacks/{r}.txt)" for r in range(3)]
    rows = [undone("failed", reason, repetition=r) for r, reason in enumerate(reasons)]
    assert of(rows, "none", "linear")["status"] == "failed: KeyError: 3 (see tracebacks/0.txt and 2 more)"


def test_a_value_that_is_null_leaves_its_metric_with_fewer_repetitions(rows):
    rows[1]["scores"]["none"]["balanced_accuracy"] = None
    record = of(rows, "smote", "linear")
    assert (record["n"], record["balanced_accuracy_n"], record["balanced_accuracy_lift_n"]) == (5, 4, 4)
    assert record["balanced_accuracy_mean"] == pytest.approx((0.53 + 0.55 + 0.60 + 0.64) / 4)


def test_data_sets_are_paired_within_themselves(rows):
    other = [
        done(0.9, 0.95, repeats="none", augmenter="smote", dataset="birds"),
        done(0.7, 0.95, repeats="la-natural", dataset="birds"),
    ]
    frame = table(rows + other, classifiers=["linear"]).set_index(list(KEY))
    bird = frame.loc[("birds", "step:20", "pixels", "smote", "linear", "none")]
    assert bird["balanced_accuracy_lift"] == pytest.approx(0.2)
    assert isnan(bird["balanced_accuracy_lift_low"])


def test_lines_are_sorted_with_none_first_whatever_the_order_of_the_rows(rows):
    rows += runs("adasyn", "linear", SMOTE, ADJUSTED)
    frame = table(rows, classifiers=["linear"])
    assert list(dict.fromkeys(frame["augmenter"])) == ["none", "adasyn", "smote"]
    assert list(frame["correction"][:2]) == ["none", "la-natural"]
    random.Random(0).shuffle(rows)
    pd.testing.assert_frame_equal(table(rows, classifiers=["linear"]), frame)


def test_metrics_stand_in_the_order_of_the_registry_and_classes_last(log_scored):
    frame = table([log_scored], classifiers=["linear"])
    means = [column.removesuffix("_mean") for column in frame.columns if column.endswith("_mean")]
    assert means == [*METRICS, "recall:cat", "recall:dog"]


@pytest.fixture
def log_scored():
    """A cell as the scoring stage leaves it, on six samples."""
    import numpy as np

    log_scores = np.log([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    labels, prior = np.array([0, 0, 0, 1, 1, 1]), np.array([0.8, 0.2])
    read = readouts(log_scores, prior=prior, natural_prior=prior, corrected=False)
    row = done(0.5, repeats="")
    row["scores"] = {
        name: score(readout.log_scores, labels, counts=[8, 2], class_names=["cat", "dog"])
        for name, readout in read.items()
    }
    row["repeats"] = {name: readout.repeats for name, readout in read.items() if readout.repeats}
    return row


def test_scores_of_readouts_become_lines(log_scored):
    frame = table([log_scored], classifiers=["linear"]).set_index("correction")
    assert list(frame.index) == ["none", "la-natural"]
    assert list(frame["minority_recall_mean"]) == pytest.approx([1 / 3, 2 / 3])  # 0.3 / 0.7 beats 0.2 / 0.8
    assert frame.loc["la-natural", "minority_recall_gain"] == pytest.approx(1 / 3)


def test_a_table_of_no_rows_has_its_first_columns():
    assert list(table([], classifiers=["linear"]).columns) == [*KEY, "n", "status"]


def test_costs_are_means_over_the_done_repetitions(rows):
    rows[4] = undone("failed", "no memory", augmenter="smote", repetition=4)
    frame = costs(rows).set_index(list(AXES))
    line = frame.loc[("digits", "step:20", "pixels", "smote", "linear")]
    assert line["n"] == 4
    assert line["classify_seconds"] == pytest.approx(2 + (0 + 1 + 2 + 3) / 4)
    assert line["synthetic_rows"] == 30
    assert isnan(line["peak_mib"])


def test_the_table_has_no_times(rows):
    assert not [column for column in table(rows, classifiers=["linear"]).columns if "second" in column]


def test_csv_is_the_same_text_for_the_same_rows_in_any_order(rows):
    written = to_csv(table(rows, classifiers=["linear"]))
    random.Random(1).shuffle(rows)
    assert written == to_csv(table(rows, classifiers=["linear"]))
    assert "\r" not in written


def test_csv_holds_six_decimals_and_nothing_for_nan():
    frame = pd.DataFrame({"n": [3, 0], "x": [2 / 3, nan], "y": [-1e-9, -0.25]})
    assert to_csv(frame) == "n,x,y\n3,0.666667,0.000000\n0,,-0.250000\n"


def test_csv_text_comes_back_and_is_no_formula():
    frame = pd.DataFrame({'recall:a,"b"': ["one, two", "=1+1", "-x", 'say "so"']})
    written = io.StringIO(to_csv(frame), newline="")
    assert list(csv.reader(written)) == [['recall:a,"b"'], ["one, two"], ["'=1+1"], ["'-x"], ['say "so"']]


# ---- families and tests ----


def lifts(rows, kind="lift"):
    """Each line's lift or gain in balanced accuracy, where it is compared, by its labels."""
    frame = table(rows, classifiers=["linear", "mlp"])
    made = {tuple(r[a] for a in KEY[3:]): difference(r, "balanced_accuracy", kind) for r in frame.to_dict("records")}
    return {line: lift for line, lift in made.items() if lift.n}


def test_p_is_that_of_the_paired_t_test(rows):
    lift = lifts(rows)["smote", "linear", "none"]
    assert lift.p == pytest.approx(stats.ttest_rel(SMOTE, NONE).pvalue)


def test_the_family_of_a_lift_is_its_classifier_and_correction_and_of_a_gain_the_correction(rows):
    from statsmodels.stats.multitest import multipletests

    rows += [row | {"axes": row["axes"] | {"dataset": "another"}} for row in rows]
    for kind in ("lift", "gain"):
        found = lifts([row for row in rows if row["axes"]["dataset"] == "digits"], kind)
        families = {line[1:] if kind == "lift" else line[2:] for line in found}
        for family in families:
            members = [lift for line, lift in found.items() if line[-len(family) :] == family]
            known = [lift for lift in members if not isnan(lift.p)]
            wanted = multipletests([lift.p for lift in known], method="holm")[1]
            assert [lift.holm for lift in known] == pytest.approx(list(wanted))


def test_another_data_set_changes_no_adjusted_p(rows):
    more = [row | {"axes": row["axes"] | {"dataset": "another"}} for row in rows]
    frame = table(rows + more, classifiers=["linear", "mlp"])
    alone = table(rows, classifiers=["linear", "mlp"])
    both = frame[frame["dataset"] == "digits"].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, alone)


def test_comparisons_hold_every_lift_and_gain_with_its_tests(rows):
    frame = comparisons(rows, classifiers=["linear", "mlp"], metric="balanced_accuracy")
    assert list(frame.columns) == [*KEY, "kind", *TESTS, "needed"]
    assert {kind: len(lifts(rows, kind)) for kind in ("lift", "gain")} == dict(frame["kind"].value_counts())
    record = frame[(frame["augmenter"] == "smote") & (frame["classifier"] == "linear") & (frame["kind"] == "lift")]
    record = record[record["correction"] == "none"].iloc[0]
    assert record["sign_flip_least"] == 0.0625
    assert record["sign_flip"] == 0.0625  # all five differences are positive
    assert record["holm"] == pytest.approx(lifts(rows)["smote", "linear", "none"].holm)
    assert isnan(record["bca_low"])


def test_comparisons_of_one_repetition_have_no_tests(rows):
    once = [row for row in rows if row["axes"]["repetition"] == 0]
    frame = comparisons(once, classifiers=["linear", "mlp"], metric="balanced_accuracy")
    assert set(frame["n"]) == {1}
    assert frame[["p", "holm", "detectable", "needed"]].isna().all(axis=None)


def test_comparisons_of_nothing_are_empty_with_their_columns():
    frame = comparisons([undone("failed", "no memory")], classifiers=["linear"], metric="accuracy")
    assert list(frame.columns) == [*KEY, "kind", *TESTS, "needed"]
    assert frame.empty


def test_comparisons_refuse_a_metric_that_no_line_has(rows):
    with pytest.raises(UsageError, match="the table has no metric 'recall:b'"):
        comparisons(rows, classifiers=["linear"], metric="recall:b")
