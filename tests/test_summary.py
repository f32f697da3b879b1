"""What people read: marked differences only, in words, Markdown that cannot be broken by a label."""

from math import isnan

import pytest

from benchfw.errors import UsageError
from benchfw.statistics import Lift
from benchfw.summary import answer, cells, escaped, headings, summary, to_markdown, verdict
from benchfw.tables import costs, table

NONE = [0.50, 0.52, 0.54, 0.56, 0.58]
BETTER = [0.53, 0.57, 0.55, 0.60, 0.64]  # +3.8 points, 1.4 to 6.2
SIMILAR = [0.51, 0.51, 0.57, 0.53, 0.61]  # +0.6
WORSE = [0.40, 0.43, 0.43, 0.47, 0.47]  # -10
ADJUSTED = [0.60, 0.60, 0.66, 0.65, 0.63]  # +8.8


def cell(augmenter, repetition, value, *, natural=None, classifier="linear", imbalance="step:20"):
    scores = {"none": {"balanced_accuracy": value, "minority_recall": value - 0.3, "nll": 3 - value}}
    if natural is not None:
        scores["la-natural"] = {"balanced_accuracy": natural, "minority_recall": natural - 0.1, "nll": 3 - natural}
    labels = {"dataset": "digits", "imbalance": imbalance, "extractor": "pixels"}
    return {
        "axes": labels | {"augmenter": augmenter, "classifier": classifier, "repetition": repetition},
        "status": "done",
        "reason": None,
        "scores": scores,
        "repeats": {},
        "costs": {"embed_seconds": 100.0, "augment_seconds": 1.0, "classify_seconds": 0.5},
    }


def runs(augmenter, values, **settings):
    return [cell(augmenter, r, value, **settings) for r, value in enumerate(values)]


@pytest.fixture
def rows():
    plain = [cell("none", r, value, natural=ADJUSTED[r]) for r, value in enumerate(NONE)]
    return [*plain, *runs("smote", SIMILAR), *runs("gan-feature", BETTER), *runs("noise", WORSE)]


def told(rows, metric="balanced_accuracy", **settings):
    return answer(table(rows, classifiers=["linear"], **settings), metric)


def shown(rows, metric="balanced_accuracy"):
    frame = table(rows, classifiers=["linear"])
    return {
        (line.augmenter, line.correction): dict(zip(headings(metric), cells(line, metric), strict=True))
        for line in summary(frame, costs(rows), metric)
    }


def test_the_answer_is_a_sentence_best_first_with_the_yardstick_last(rows):
    assert told(rows) == (
        "digits, step:20, pixels: balanced accuracy with linear: "
        "gan-feature lifts it by 3.8 points [1.4, 6.2]; "
        "smote makes no reliable difference (+0.6 points [-2.6, 3.8]); "
        "noise lowers it by 10.0 points [-11.2, -8.8]; "
        "logit adjustment alone lifts it by 8.8 points [5.6, 12.0] "
        "(5 repetitions; 95 % intervals in brackets; taken by itself, a true difference of about 3.8 points would be "
        "found four times in five)."
    )


def test_the_answer_does_not_call_what_many_comparisons_give_by_chance_a_difference(rows):
    many = [run for scale in range(40) for run in runs(f"other@k={scale}", SIMILAR)]
    sentence = told(rows + many)
    assert (
        "gan-feature ends 3.8 points above [1.4, 6.2], but chance may give that among so many comparisons" in sentence
    )
    assert "noise lowers it by 10.0 points" in sentence


def test_the_answer_is_silent_on_power_where_all_that_was_asked_is_found(rows):
    found = [row for row in rows if row["axes"]["augmenter"] != "smote"]
    assert told(found).endswith("(5 repetitions; 95 % intervals in brackets).")


def test_the_answer_puts_the_lowest_first_where_lower_is_better(rows):
    sentence = told(rows, "nll")
    assert "gan-feature lowers it by 0.038 [" in sentence
    assert sentence.index("gan-feature") < sentence.index("smote") < sentence.index("noise lifts it by 0.100")


def test_the_answer_says_that_few_repetitions_are_too_few(rows):
    few = [row for row in rows if row["axes"]["repetition"] < 3 and row["axes"]["augmenter"] in ("none", "noise")]
    told_so = "noise ends 10.0 points below [-12.5, -7.5], but 3 pairs are too few to rely on"
    assert told_so in told(few)


def test_the_answer_says_that_one_repetition_has_no_interval(rows):
    once = [row for row in rows if row["axes"]["repetition"] == 0]
    assert "smote differs by +1.0 points (no interval: one pair)" in told(once)


def test_the_answer_tells_why_an_augmenter_has_no_result(rows):
    rows[5:10] = [row | {"status": "skipped", "reason": "smote: too few", "scores": None} for row in rows[5:10]]
    assert "; smote has no result (skipped: smote: too few); logit adjustment" in told(rows)


def test_the_answer_names_another_reference(rows):
    sentence = told(rows, versus={"correction": "la-natural"})
    assert "with linear against none + linear + la-natural: gan-feature makes no reliable difference (-5.0" in sentence
    assert "logit adjustment" not in sentence


def test_there_is_one_sentence_for_each_block(rows):
    other = [*runs("none", NONE, imbalance="exp:10"), *runs("smote", BETTER, imbalance="exp:10")]
    first, second = told(rows + other).split("\n\n")
    assert first.startswith("digits, exp:10, pixels: ")
    assert second.startswith("digits, step:20, pixels: ")


def test_a_run_of_references_alone_compares_nothing():
    assert told(runs("none", NONE)).endswith("nothing was compared.")


def test_a_metric_that_the_table_lacks_is_refused_with_the_nearest(rows):
    with pytest.raises(UsageError, match="the table has no metric 'macro_f1'"):
        told(rows, "macro_f1")
    with pytest.raises(UsageError, match="did you mean 'balanced_accuracy'"):
        told(rows, "balanced_acuracy")


def test_shown_numbers_are_points_with_intervals_and_marks(rows):
    line = shown(rows)["gan-feature", "none"]
    assert line["balanced accuracy"] == "57.8 ± 4.3"
    assert line["lift"] == line["gain"] == "+3.8 [1.4, 6.2]"
    assert line["minority recall"] == "27.8 (+3.8)"
    assert (line["n"], line["seconds"], line["status"]) == ("5", "1.5", "done")
    assert shown(rows)["smote", "none"]["lift"] == "≈ +0.6 [-2.6, 3.8]"


def test_a_metric_that_is_no_share_is_shown_as_it_is(rows):
    line = shown(rows, "nll")["gan-feature", "none"]
    assert line["nll (lower is better)"] == "2.422 ± 0.043"
    assert line["lift"] == "-0.038 [-0.062, -0.014]"


def test_the_reference_line_is_compared_with_nothing(rows):
    line = shown(rows)["none", "none"]
    assert (line["lift"], line["gain"], line["minority recall"]) == ("", "", "24.0")


def test_pairs_that_are_fewer_than_the_repetitions_are_told(rows):
    rows[0] |= {"status": "failed", "reason": "no memory"}
    assert shown(rows)["noise", "none"]["lift"].startswith("≈ ")
    assert shown(rows)["noise", "none"]["lift"].endswith("(n = 4)")


def test_costs_belong_to_the_line_and_leave_the_shared_embedding_out(rows):
    lines = summary(table(rows, classifiers=["linear"]), costs(rows[:5]))
    assert {line.augmenter: line.seconds for line in lines if not isnan(line.seconds)} == {"none": 1.5}


@pytest.mark.parametrize(
    ("lift", "metric", "says"),
    [
        (Lift(5, 0.04, 0.01, 0.07, 0.01, 0.02), "accuracy", "better"),
        (Lift(5, 0.04, 0.01, 0.07, 0.01, 0.02), "ece", "worse"),
        (Lift(5, -0.04, -0.07, -0.01, 0.01, 0.02), "accuracy", "worse"),
        (Lift(4, 0.04, 0.01, 0.07, 0.01, 0.02), "accuracy", "unclear"),
        (Lift(5, 0.04, 0.01, 0.07, 0.01, 0.06), "accuracy", "unclear"),
        (Lift(1, 0.04), "accuracy", "unclear"),
        (Lift(), "accuracy", "nothing"),
    ],
)
def test_a_verdict_follows_the_metrics_direction(lift, metric, says):
    assert verdict(lift, metric) == says


def test_markdown_has_as_many_cells_in_each_line_whatever_the_labels(rows):
    rows += runs("gan|<b>x", BETTER)
    text = to_markdown(table(rows, classifiers=["linear"]), costs(rows))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(headings()) + 1}
    assert "| gan\\|&lt;b>x | linear |" in text


def test_markdown_opens_with_the_answer_and_ends_with_the_footnote(rows):
    frame = table(rows, classifiers=["linear"])
    text = to_markdown(frame, costs(rows))
    assert text.startswith(answer(frame))
    assert "**digits, step:20, pixels**\n\n| augmenter |" in text
    assert "gain: difference from none + linear + none of the same" in text.splitlines()[-1]


def test_a_run_without_a_finished_cell_still_tells_why(rows):
    failed = [row | {"status": "failed", "reason": "no memory", "scores": None} for row in rows]
    text = to_markdown(table(failed, classifiers=["linear"]), costs(failed))
    assert "gan-feature has no result (failed: no memory)" in text
    assert "| none | linear | none | 0 |  |  |  |  |  | failed: no memory |" in text


def test_the_answer_speaks_of_a_classifier_that_augmenters_change(rows):
    head = [row | {"axes": row["axes"] | {"classifier": "head"}} for row in rows]
    untouched = [row for row in rows if row["axes"]["augmenter"] == "none"]
    skipped = [row | {"status": "skipped", "reason": "trains on nothing"} for row in rows if row not in untouched]
    frame = table([*untouched, *skipped, *head], classifiers=["linear", "head"])
    sentence = answer(frame)
    assert "balanced accuracy with head against none + linear + none: gan-feature" in sentence
    assert "the same training on real rows only" in sentence


def test_the_best_line_of_all_is_not_one_that_is_worse_than_the_reference():
    reference = runs("none", [0.58, 0.52, 0.54, 0.56, 0.50])
    worse = [
        row | {"axes": row["axes"] | {"augmenter": "noise"}} for row in runs("none", [0.5, 0.44, 0.47, 0.47, 0.43])
    ]
    assert "the best line of all" not in told([*reference, *worse])


def test_a_mean_over_fewer_repetitions_says_so(rows):
    """A metric may be undefined in some repetitions of a line that is done."""
    for row in rows:
        if row["axes"]["augmenter"] == "smote" and row["axes"]["repetition"] < 2:
            row["scores"]["none"]["balanced_accuracy"] = None
            row["scores"]["none"]["minority_recall"] = None
    line = shown(rows)["smote", "none"]
    assert line["balanced accuracy"].endswith(" (n = 3)")
    assert line["minority recall"].endswith(" (n = 3)")
    assert "(n =" not in shown(rows)["noise", "none"]["balanced accuracy"]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("a\nb", "a b"),
        ("![x](http://example.org/x.png)", "!\\[x]\\(http://example.org/x.png)"),
        ("*bold* `code` ~~gone~~", "\\*bold\\* \\`code\\` \\~\\~gone\\~\\~"),
        ("a|b<i>&lt;", "a\\|b&lt;i>&amp;lt;"),
        ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("+1.2 [0.4, 2.0]", "+1.2 [0.4, 2.0]"),
    ],
)
def test_no_label_is_markup_in_markdown(label, text):
    assert escaped(label) == text
