"""A check is told in every format with the same facts, and no name can break out of its place in any of them."""

import json
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from io import StringIO
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from benchfw import announce
from benchfw.cli_results import exit_code
from benchfw.console_gate import lines, print_report
from benchfw.gate import Finding, Report
from benchfw.losses import PAIRED, Judgement
from benchfw.wording import plain, sentence, verdict

LINE = ("digits", "step:20", "pixels", "smote@k=3", "head", "none")
LOST = Judgement("worse", n=5, before=0.9, now=0.6, loss=0.3, tolerance=0.005, test=PAIRED, p=0.00123, detectable=0.04)
FINE = replace(LOST, verdict="fine", now=0.9, loss=0.0, p=1.0)

HOSTILE = [
    "a|b",
    "<script>alert(1)</script>",
    "</details><h1>",
    "line\nbreak\r\nmore",
    "::error::forged",
    "%0A::error::forged",
    "##[error]forged",
    "]]>",
    "\x1b[2J\x00\x07",
    "[link](https://example.org) www.example.org",
    "`code` **bold** _it_ ~~no~~ $x$",
    "@somebody #1 :tada: GH-1",
    "&lt;b&gt; &#124;",
    "\udc80 \ufffe \u202e",
    "\"quoted' \\",
    "x" * 5000,
    "",
]


def finding(verdict="worse", judgement=LOST, metric="balanced_accuracy", labels=LINE, **more):
    return Finding(verdict, labels, metric, judgement=judgement, **more)


def report(*findings, **more):
    return Report("results/quick", "baseline.json", findings, **more)


def hostile(name):
    """A report in which every text is that name."""
    return Report(
        name,
        name,
        (
            finding(labels=(name,) * 6, metric=f"recall:{name}"),
            finding("fine", FINE, labels=(name,) * 6, metric=f"recall:{name}", lift=True),
            Finding("failed", (name,) * 6, reason=f"failed: {name}"),
            Finding("missing", (name,) * 6, f"recall:{name}", reason=name),
            Finding("not comparable", reason=name),
            Finding("new", (name,) * 6, reason=name),
        ),
        notes=(name,),
        bare=1,
    )


# ---- sentences ----


def test_a_sentence_names_line_metric_values_loss_tolerance_p_and_test():
    assert sentence(finding()) == (
        "worse: digits, step:20, pixels, smote@k=3, head, none: balanced accuracy: 90.00 -> 60.00, worse by 30.00 "
        "points (tolerance 0.50, p = 0.0012 after Holm; paired Student's t; 5 repetitions)"
    )


def test_a_metric_that_is_no_share_keeps_its_unit_and_says_where_lower_is_better():
    told = sentence(finding(metric="nll", judgement=replace(LOST, before=0.6, now=0.9, p=1e-9)))
    assert "nll: 0.6 -> 0.9 (lower is better), worse by 0.3 (tolerance 0.005, p < 0.0001 after Holm" in told


def test_a_lift_has_a_sign():
    told = sentence(finding(lift=True, judgement=replace(LOST, before=0.02, now=-0.01, loss=0.03)))
    assert "lift of balanced accuracy: +2.00 -> -1.00, worse by 3.00 points" in told


@pytest.mark.parametrize("name", HOSTILE)
def test_text_is_one_printable_line(name):
    assert plain(name).isprintable()
    assert len(plain(name)) < 3000
    plain(name).encode()


def test_a_gain_that_fails_stands_among_what_failed():
    better = finding("better", replace(LOST, verdict="better"))
    assert verdict(report(better)) == "passed: 1 comparison (1 better)"
    assert verdict(report(better, fail_on_better=True)) == "FAILED: 1 comparison, 1 better than chance explains"


def test_a_check_that_compared_nothing_passes_nowhere():
    nothing = report(Finding("new", LINE, reason="repetition 0: done"))
    said = "FAILED: nothing was compared (1 new)"
    assert exit_code(nothing.statuses) == 3
    assert [text for text, _ in lines(nothing)][-1].startswith(said)
    assert announce.to_markdown(nothing).startswith(f"### benchfw check {announce.escaped(said)}")
    assert json.loads(announce.to_json(nothing, 3))["passed"] is False
    assert [received(line)[0] for line in announce.to_annotations(nothing)] == ["error"]
    assert ElementTree.fromstring(announce.to_junit(nothing))[0].get("errors") == "1"


# ---- the terminal ----


def test_failures_come_first_and_the_verdict_last():
    gone = Finding("missing", LINE, reason="gone")
    told = [text for text, _ in lines(report(finding("fine", FINE), gone, finding()))]
    assert [text.partition(":")[0] for text in told[:1] + told[2:3]] == ["worse", "missing"]
    assert told[-1] == "FAILED: 2 comparisons, 1 worse, 1 missing; results/quick against baseline.json"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_moves_the_cursor_or_is_read_as_markup(name):
    paper = StringIO()
    print_report(hostile(f"[red]{name}"), Console(file=paper, width=10_000, force_terminal=False))
    assert all(c.isprintable() or c == "\n" for c in paper.getvalue())
    assert "[red]" in paper.getvalue()
    assert "##[" not in paper.getvalue()  # GitHub's runner finds that anywhere in a line
    assert len(paper.getvalue().splitlines()) == len(list(lines(hostile(name))))


# ---- Markdown ----


def rendered(text):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def tags(html):
    return Counter(re.findall(r"<(/?\w+)", html))


def test_a_comment_has_a_verdict_a_table_of_what_failed_and_the_rest_folded():
    text = announce.to_markdown(report(finding(), finding("fine", FINE, metric="ece"), notes=("torch: 3 here",)))
    assert text.startswith("### benchfw check FAILED")
    before, folded = text.split("<details>")
    row = next(line for line in before.splitlines() if line.startswith("| worse"))
    assert "<code>balanced accuracy</code> | 90.00 | 60.00 | 30.00 | 0.50 |" in row
    assert "| fine |" in folded
    assert "torch" in before


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_a_comment(name):
    calm, wild = (rendered(announce.to_markdown(hostile(text))) for text in ("name", name))
    assert tags(wild) == tags(calm)
    shown = [unescape(cell) for cell in re.findall(r"<code>(.*?)</code>", wild)]
    assert plain(", ".join([plain(name)] * 6)) in shown


def test_a_comment_mentions_nobody_and_links_nowhere():
    text = announce.to_markdown(hostile("@somebody #1 www.example.org :tada:"))
    assert not re.search(r"@\w|#\d+ |www\.|:tada:", text.replace("&#", ""))


def test_a_comment_of_500_lines_stays_under_githubs_limit():
    labels = [(*LINE[:3], f"augmenter-{i}@scale=0.123456789", "head", "none") for i in range(500)]
    for kind, judgement in (("worse", LOST), ("fine", FINE)):
        findings = [finding(kind, judgement, metric, line) for line in labels for metric in ("ece", "mcc")]
        text = announce.to_markdown(report(*findings))
        assert 20_000 < len(text) < 65_536
        assert re.search(r"and \d+ more, for which there is no room here", text)
        assert "</details>" in text or kind == "worse"


def test_a_comment_of_hostile_notes_and_reasons_stays_under_the_limit():
    many = [Finding("failed", ("|" * 5000,) * 6, reason="<" * 5000) for _ in range(100)]
    assert len(announce.to_markdown(report(*many, notes=("|" * 5000,) * 100))) < 65_536


# ---- JUnit ----


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_is_xml_with_a_case_for_each_finding(name):
    suite = ElementTree.fromstring(announce.to_junit(hostile(name)))[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "3",
        "skipped": "1",
    }
    case = suite[0]
    assert case.get("classname") == ", ".join([plain(name)] * 6)
    assert case.get("name").startswith(f"recall of {plain(name)}"[:500])
    assert case[0].text == sentence(hostile(name).findings[0])


def test_a_gain_that_fails_is_a_failure_in_junit():
    better = finding("better", replace(LOST, verdict="better"))
    assert b"<failure" not in announce.to_junit(report(better))
    assert b"<failure" in announce.to_junit(report(better, fail_on_better=True))


# ---- JSON ----


@pytest.mark.parametrize("name", HOSTILE)
def test_json_holds_the_names_as_they_are(name):
    content = json.loads(announce.to_json(hostile(name), 1))
    assert (content["schema"], content["passed"], content["exit_code"]) == (1, False, 1)
    found = content["findings"][0]
    assert found["line"]["augmenter"] == name
    assert found["metric"] == f"recall:{name}"


def test_json_has_every_number_and_null_where_there_is_none():
    unknown = replace(LOST, p=float("nan"), detectable=float("nan"))
    first, second = json.loads(announce.to_json(report(finding(), finding(judgement=unknown)), 1))["findings"]
    assert first["loss"] == 0.3
    assert (first["before"], first["now"], first["n"], first["tolerance"]) == (0.9, 0.6, 5, 0.005)
    assert first["test"] == PAIRED
    assert (second["p"], second["detectable"]) == (None, None)


# ---- annotations ----


def received(line):
    """What GitHub's runner reads from a line: the command, its title, and its message."""
    command, properties, message = re.fullmatch(r"::(\w+) title=([^:]*)::(.*)", line).groups()
    assert "," not in properties

    def read(text):
        for escape, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(escape, character)
        return text

    return command, read(properties), read(message)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_annotation_is_one_line_that_gives_the_message_back(name):
    told = [received(line) for line in announce.to_annotations(hostile(name))]
    assert [command for command, _, _ in told] == ["error"] * 5
    assert told[1][1] == f"worse: {', '.join([plain(name)] * 6)}"
    assert told[1][2] == sentence(hostile(name).findings[0])
    assert "##[" not in "".join(announce.to_annotations(hostile(name)))


def test_there_are_as_many_annotations_as_github_shows():
    assert len(list(announce.to_annotations(report(*[finding()] * 50)))) == 10


def test_a_check_that_passed_is_a_notice():
    (told,) = announce.to_annotations(report(finding("fine", FINE)))
    assert received(told) == ("notice", "benchfw check", "passed: 1 comparison")
