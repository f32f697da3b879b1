"""What `table --tests` prints: every number of the comparison, in points, with what few pairs cannot say."""

import pytest
from test_summary import ADJUSTED, BETTER, NONE, SIMILAR, cell, runs

from benchfw.evidence import cells, chance, footnote, headings, to_markdown
from benchfw.tables import comparisons


@pytest.fixture
def rows():
    plain = [cell("none", r, value, natural=ADJUSTED[r]) for r, value in enumerate(NONE)]
    return [*plain, *runs("smote", SIMILAR), *runs("gan|feature", BETTER)]


def shown(rows, metric="balanced_accuracy"):
    frame = comparisons(rows, classifiers=["linear"], metric=metric)
    lines = [dict(zip(headings(), cells(record, metric), strict=True)) for record in frame.to_dict("records")]
    return {(line["kind"], line["augmenter"], line["correction"]): line for line in lines}


def test_a_difference_stands_with_its_interval_and_its_tests(rows):
    line = shown(rows)["lift", "gan|feature", "none"]
    assert line["difference"] == "+3.8 [1.4, 6.2]"
    assert (line["p"], line["Holm p"]) == ("0.012", "0.023")
    assert line["sign flips p"] == "0.062 (0.062)"
    assert line["n"] == "5"


def test_what_is_not_reliable_is_marked(rows):
    assert shown(rows)["lift", "smote", "none"]["difference"] == "≈ +0.6 [-2.6, 3.8]"
    few = [row for row in rows if row["axes"]["repetition"] < 4]
    assert shown(few)["lift", "gan|feature", "none"]["difference"].startswith("≈ ")


def test_bca_comes_with_twenty_pairs(rows):
    assert shown(rows)["lift", "smote", "none"]["BCa"] == ""
    many = [
        cell(a, r, v + r % 7 / 100) for a in ("none", "smote") for r in range(20) for v in [0.5 + (a > "o") / 50 * r]
    ]
    assert shown(many)["lift", "smote", "none"]["BCa"].startswith("[")


def test_one_repetition_has_no_test(rows):
    once = [row for row in rows if row["axes"]["repetition"] == 0]
    line = shown(once)["lift", "smote", "none"]
    assert (line["p"], line["Holm p"], line["detectable"], line["needed n"]) == ("", "", "", "")
    assert line["sign flips p"] == "1.000 (1.000)"


def test_a_metric_that_is_no_share_is_shown_as_it_is(rows):
    assert shown(rows, "nll")["lift", "gan|feature", "none"]["difference"] == "-0.038 [-0.062, -0.014]"
    assert "would find a difference of 0.1 as often" in footnote("nll")


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.03449, "0.034"), (1.0, "1.000"), (float("nan"), "")])
def test_a_probability_is_short(p, text):
    assert chance(p) == text


def test_markdown_cannot_be_broken_by_a_label(rows):
    text = to_markdown(comparisons(rows, classifiers=["linear"], metric="balanced_accuracy"), "balanced_accuracy")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.replace("\\|", "").count("|") == len(headings()) + 1 for line in lines)
    assert "gan\\|feature" in text
