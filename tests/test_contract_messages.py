"""What the contract says to an author whose methods take, return or raise something else: in the harness's words."""

import re
from html import unescape

import pytest
from faults.signatures import FAULTS, WORDS, FitsATuple
from faults.synthesizers import Noisy
from markdown_it import MarkdownIt
from test_announce import HOSTILE

from benchfw import Classifier, Synthesizer
from benchfw.console_contract import FOLDED, Told, readable, to_markdown
from benchfw.testing import all_checks
from benchfw.testing.report import Examined, Line, examine
from benchfw.testing.subject import Subject
from benchfw.wording import plain


def failures(component):
    return {line.check.name: line.reason for line in examine(Subject(component)).lines if line.outcome == "failed"}


@pytest.mark.parametrize("component", WORDS, ids=lambda component: component.__name__)
def test_the_one_failure_says_what_was_found_and_wanted(component):
    ((check, said),) = failures(component).items()
    assert {check} == FAULTS[component]
    assert WORDS[component] in said
    assert "\n" not in said


class OtherNames(Noisy):
    """Names of its own, and more arguments with defaults."""

    name = "other-names"

    def fit(self, rows, held_out, context, rounds=3, *more, **named):
        return super().fit(rows, held_out, context)


class Anything(Noisy):
    """Whatever it is called with."""

    name = "anything"

    def fit(self, *given):
        return super().fit(*given)


@pytest.mark.parametrize("component", [OtherNames, Anything, Synthesizer, Classifier])
def test_other_names_and_further_arguments_with_defaults_are_taken(component):
    from benchfw.testing.signatures import check_methods

    check_methods(component())


def test_a_product_that_does_not_say_its_arguments_is_taken():
    from benchfw.testing.signatures import SAMPLE, function

    assert function(max, "fit", SAMPLE) is max


# ---- what is printed ----


def test_checks_that_wait_for_one_that_fails_share_a_row(here, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "faults.py").write_text(BROKEN)
    done = here("plugin", "check", "./faults.py")
    waiting = [line.reason for line in examine(Subject(FitsATuple)).lines].count("nothing to look at while rows fails")
    assert waiting > 15
    assert done.out.count("nothing to look at while rows fails") == 1
    assert re.search(rf"^ {waiting} checks +│ skipped │", done.out, re.MULTILINE)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "…" not in done.out
    assert done.out.splitlines()[-1] == "  rows: fit returned a tuple; wants a function (labels, rng) -> rows"


BROKEN = '''
from dataclasses import dataclass

from benchfw import Synthesizer, hookimpl


@hookimpl
def register_augmenters(register):
    register(Tuple)


@dataclass(frozen=True)
class Tuple(Synthesizer):
    """A tuple in place of a function."""

    name = "tuple"

    def fit(self, train, val, ctx):
        return (train.values, train.labels)
'''


def told(text, outcome="failed"):
    """A component whose label and reasons are all this text; it has too few checks for a row that they share."""
    checks = [check for check in all_checks() if check.behaviour][: FOLDED - 1]
    lines = tuple(Line(check, outcome, text) for check in checks)
    return Told("augmenter", Examined(text, lines, None, None))


def rendered(text):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def without_code(html):
    return re.sub(r"<code>.*?</code>", "CODE", html, flags=re.DOTALL)


@pytest.mark.parametrize("outcome", ["failed", "expected", "skipped"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_or_reason_acts_in_markdown(text, outcome):
    calm, wild = (rendered(to_markdown([told(each, outcome)])) for each in ("name", text))
    tags = [re.findall(r"</?\w+", without_code(html)) for html in (calm, wild)]
    assert tags[0] == tags[1]
    assert not re.search(r"@\w|#\d|www\.|://|:\w+:|GH-\d|\$", without_code(wild))


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
def test_markdown_shows_every_letter_of_a_label_and_a_reason(text):
    shown = unescape(re.sub(r"</?[a-z]\w*>", "", rendered(to_markdown([told(text)]))))
    assert " ".join(plain(text).split()) in " ".join(shown.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@dataclass(frozen=True) above its class", "`@dataclass(frozen=True)` above its class"),
        ("a fit that does not depend on `fill`, which", "a fit that does not depend on `fill`, which"),
        ("wants float32 (B, *shape) rows", "wants float32 `(B, *shape)` rows"),
        ("smote: passed (22 passed); see jitter.py:30", "smote: passed (22 passed); see jitter.py:30"),
        ("wants a function (rows) -> log-scores", "wants a function (rows) -> log-scores"),
        ("ask @somebody of #1 now", "ask `@somebody` of `#1` now"),
        ("a|b", "<code>a&#124;b</code>"),
    ],
)
def test_words_that_act_in_markdown_are_in_backticks_and_the_others_raw(text, said):
    assert readable(text) == said
