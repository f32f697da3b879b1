"""The gate through the command line: a table that got worse, smaller, broken or incomparable fails, each in its way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import commands
import gated
import numpy as np
import pytest
import typer
from commands import Home

from benchfw import cli

ROOT = Path(__file__).parents[1]
NONE = gated.LABELS.format(augmenter="none", correction="none")
RANDOM = gated.LABELS.format(augmenter="random", correction="none")
HEAVY = ("pandas", "sklearn", "timm", "torch", "torchvision")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run of two augmenters in three repetitions, and one of one repetition, each with its baseline."""
    home = Home(tmp_path_factory.mktemp("gate"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home.path)
        for out, repetitions in (("out", 3), ("single", 1)):
            assert home.run(*gated.words(repetitions, "--out", out)).code == 0
            assert home.run(*gated.update(out, baseline=f"{out}.json")).code == 0
    return home


@pytest.fixture
def out(ran, tmp_path):
    """A copy of the run with three repetitions, to be edited."""
    return gated.copied(ran.path / "out", tmp_path / "now")


@pytest.fixture
def single(ran, tmp_path):
    """A copy of the run with one repetition, to be edited."""
    return gated.copied(ran.path / "single", tmp_path / "now")


@pytest.fixture
def check(ran, monkeypatch, capsys):
    """Check a run against the baseline in this process."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def check(directory, *words, baseline="out.json"):
        return commands.here(monkeypatch, capsys, ran, "check", directory, "--baseline", baseline, *words)

    return check


def said(done, *parts):
    """The one line of the output that has all of these parts."""
    found = [line for line in done.out.splitlines() if all(part in line for part in parts)]
    assert len(found) == 1, done.out
    return found[0]


# ---- exit code 0 ----


def test_an_unchanged_run_passes_and_says_that_every_value_is_the_same(check):
    done = check("out")
    assert done.code == 0
    assert "passed: 24 comparisons, 24 with the same values to the bit" in said(done, "passed:")


@pytest.mark.parametrize(("metric", "by"), [("balanced_accuracy", 0.3), ("ece", -0.05)])
def test_a_gain_is_noted_and_fails_only_if_it_shall(check, out, metric, by):
    gated.move(out, metric, by)
    done = check(out)
    assert done.code == 0
    assert "better by" in said(done, f"better than chance explains: {NONE}: {metric.replace('_', ' ')}")
    assert check(out, "--fail-on-better").code == 1


def test_new_and_mended_lines_are_noted(check, ran, out):
    gated.end(out, "failed", "boom")
    assert check(out, "--update", "--reason", "broken", baseline="broken.json").code == 0
    done = check("out", baseline="broken.json")
    assert done.code == 0
    assert said(done, f"mended: {RANDOM}: repetitions 0, 1, 2: done; before: failed")
    gated.forget(out, gated.cells(out, "random")[2])
    assert check(out, "--update", "--reason", "smaller", baseline="smaller.json").code == 0
    assert said(check("out", baseline="smaller.json"), f"new: {RANDOM}: repetition 2: done")


def test_another_machine_and_other_threads_are_noted(check, out):
    gated.edit(out / "machine.json", lambda machine: machine["versions"].update(torch="3.0"))
    gated.edit(out / "manifest.json", lambda manifest: manifest["experiment"].update(threads=2))
    done = check(out)
    assert done.code == 0
    assert re.fullmatch(r"noted: torch: 3\.0 here, \S+ in the baseline", said(done, "noted: torch"))
    assert said(done, "noted: threads: 2 here, 1 in the baseline")


def test_a_loss_that_is_certain_may_be_tolerated(check, out):
    gated.move(out, "balanced_accuracy", -0.03)
    assert check(out).code == 1
    assert check(out, "--tolerance", "balanced_accuracy=0.031").code == 0


def test_a_large_loss_that_may_be_chance_is_tolerated(check, out):
    for path, by in zip(gated.cells(out, "none"), (0.05, -0.30, 0.01), strict=True):
        gated.edit(path, lambda row, by=by: row["scores"]["none"].update(nll=row["scores"]["none"]["nll"] - by))
    assert check(out).code == 0


# ---- exit code 1 ----


@pytest.mark.parametrize(
    ("metric", "by", "unit"),
    [("balanced_accuracy", -0.3, " points"), ("ece", 0.3, " points"), ("nll", 1.0, "")],
)
def test_a_metric_that_got_worse_fails_whatever_its_direction(check, out, metric, by, unit):
    gated.move(out, metric, by)
    done = check(out, "--metric", metric)
    assert done.code == 1
    number = r"\d+\.?\d*"
    told = said(done, f"worse: {NONE}: {metric.replace('_', ' ')}: ")
    assert re.search(rf": {number} -> -?{number}( \(lower is better\))?, worse by {number}{unit} \(", told)
    assert re.search(
        rf"\(tolerance {number}, p [<=] 0\.0\d+ after Holm; paired Student's t[^;]*; 3 repetitions\)$", told
    )
    assert "FAILED: 6 comparisons, 4 with the same values to the bit, 1 worse" in said(done, "FAILED")


def test_a_lift_that_fell_fails_where_its_line_alone_shows_nothing(check, out):
    for repetition, chance in enumerate((-0.1, 0.05, 0.02)):  # of both lines together, as an extractor has it
        for augmenter, loss in (("none", 0), ("random", 0.03 + 0.001 * repetition)):
            path = gated.cells(out, augmenter)[repetition]

            def change(row, by=chance - loss):
                row["scores"]["none"]["balanced_accuracy"] += by

            gated.edit(path, change)
    done = check(out)
    assert done.code == 1
    assert said(done, f"worse: {RANDOM}: lift of balanced accuracy")
    assert f"worse: {RANDOM}: balanced accuracy" not in done.out


@pytest.mark.parametrize("status", ["failed", "oom", "killed"])
def test_a_cell_that_newly_fails_fails_the_check(check, out, status):
    gated.end(out, status, "boom", repetitions=1)
    done = check(out)
    assert done.code == 1
    assert said(done, f"newly failed: {RANDOM}: repetition 0: {status}: boom")


def test_a_cell_that_failed_before_is_no_news(check, out):
    gated.end(out, "failed", "boom")
    assert check(out, "--update", "--reason", "it fails", baseline="failing.json").code == 0
    assert check(out, baseline="failing.json").code == 0


# ---- exit code 3 ----


def test_a_deleted_cell_is_missing(check, out):
    gated.cells(out, "random")[1].unlink()
    done = check(out)
    assert done.code == 3
    assert said(done, f"missing: {RANDOM}: repetition 1: not run")


def test_a_cell_that_left_the_matrix_is_missing(check, out):
    for path in gated.cells(out, "random"):
        gated.forget(out, path)
    done = check(out)
    assert done.code == 3
    assert said(done, f"missing: {RANDOM}: repetitions 0, 1, 2: not planned")


def test_a_cell_that_is_skipped_now_is_missing(check, out):
    gated.end(out, "skipped", "too few samples")
    done = check(out)
    assert done.code == 3
    assert said(done, f"missing: {RANDOM}: repetitions 0, 1, 2: skipped: too few samples")


def test_a_value_that_is_gone_is_missing(check, out):
    path = gated.cells(out, "none")[0]
    gated.edit(path, lambda row: row["scores"]["none"].update(minority_recall=None))
    done = check(out)
    assert done.code == 3
    assert said(done, f"missing: {NONE}: minority recall: repetition 0: has no value now")


# ---- exit code 4 ----


def test_other_data_is_not_comparable(check, out):
    for path in gated.cells(out):
        gated.edit(path, lambda row: row["data"].update(fingerprint="other"))
    done = check(out)
    assert done.code == 4
    assert said(done, f"not comparable: {NONE}: repetitions 0, 1, 2: the fingerprint of the data changed")


def test_other_test_items_are_not_comparable(check, out):
    name = gated.cells(out, "none")[0].stem
    kept = dict(np.load(out / "predictions" / f"{name}.npz"))
    kept["ids"] = kept["ids"][::-1]
    np.savez(out / "predictions" / f"{name}.npz", **kept)
    done = check(out)
    assert done.code == 4
    assert said(done, f"not comparable: {NONE}: repetition 0: the list of test items changed")


def test_other_settings_are_not_comparable(check, out):
    gated.edit(out / "manifest.json", lambda manifest: manifest["experiment"].update(test_fraction=0.5))
    done = check(out)
    assert done.code == 4
    assert said(done, "not comparable: the whole run: test_fraction is 0.5, and was 0.3 when the baseline was written")
    assert "FAILED: 0 comparisons, 1 not comparable" in done.out
    gated.end(out, "failed", "boom")
    assert check(out).code == 1


def test_a_setting_that_an_older_version_did_not_have_was_what_the_default_is(check, ran):
    baseline = json.loads((ran.path / "out.json").read_text())
    del baseline["experiment"]["adapt"]
    (ran.path / "older.json").write_text(json.dumps(baseline))
    assert check("out", baseline="older.json").code == 0
    baseline["experiment"]["adapt"] = "pool"
    (ran.path / "older.json").write_text(json.dumps(baseline))
    assert check("out", baseline="older.json").code == 4


@pytest.mark.parametrize(("what", "value"), [("direction", "lower"), ("version", 2), ("help", "something else")])
def test_a_metric_that_means_something_else_is_not_comparable(check, ran, what, value):
    baseline = json.loads((ran.path / "out.json").read_text())
    baseline["metrics"]["balanced_accuracy"][what] = value
    (ran.path / "changed.json").write_text(json.dumps(baseline))
    done = check("out", baseline="changed.json")
    assert done.code == 4
    assert said(done, f"not comparable: the whole run: balanced accuracy: its {what} is", repr(value))
    assert "20 with the same values" not in done.out


def test_a_metric_that_is_known_no_more_is_not_comparable(check, ran):
    text = (ran.path / "out.json").read_text().replace('"nll"', '"logloss"')
    (ran.path / "renamed.json").write_text(text)
    assert check("out", baseline="renamed.json").code == 4


# ---- precedence ----


def test_worse_goes_before_not_comparable_and_that_before_missing(check, out):
    gated.cells(out, "random")[2].unlink()
    assert check(out).code == 3
    gated.edit(gated.cells(out, "random")[0], lambda row: row.update(counts=[*row["counts"][:-1], 1]))
    assert check(out).code == 4
    gated.move(out, "nll", 1.0)
    assert check(out).code == 1


def test_a_check_that_compared_nothing_does_not_pass(check, ran, out):
    gated.end(out, "failed", "boom", augmenter="random")
    gated.end(out, "failed", "boom", augmenter="none")
    baseline = json.loads((ran.path / "out.json").read_text())
    for line in baseline["lines"]:
        line["repetitions"] = [{"repetition": r, "status": "failed", "reason": "boom"} for r in range(3)]
    (ran.path / "nothing.json").write_text(json.dumps(baseline))
    done = check(out, baseline="nothing.json")
    assert done.code == 3
    assert said(done, "FAILED: nothing was compared; ")


# ---- one repetition: test items ----


def test_with_one_repetition_test_items_that_are_missed_now_tell_a_loss(check, single):
    gated.miss(single, 0.5)
    done = check(single, "--metric", "balanced_accuracy", baseline="single.json")
    assert done.code == 1
    assert "test items that changed sides, and an assumed chance of training; 1 repetition" in said(
        done, f"worse: {NONE}: balanced accuracy"
    )


def test_with_one_repetition_a_loss_that_training_may_explain_passes(check, single):
    gated.miss(single, 0.05)
    assert check(single, "--metric", "balanced_accuracy", baseline="single.json").code == 0


def test_without_kept_hits_the_items_of_the_new_run_are_left_out_in_turn(check, ran, single):
    words = ("--update", "--reason", "small", "--no-items", "--metric", "balanced_accuracy")
    assert check("single", *words, baseline="small.json").code == 0
    gated.miss(single, 0.5)
    done = check(single, baseline="small.json")
    assert done.code == 1
    assert "test items left out in turn" in said(done, f"worse: {NONE}: balanced accuracy")


def test_without_predictions_a_loss_beyond_the_tolerance_counts_and_says_that_nothing_tested_it(check, single):
    gated.move(single, "balanced_accuracy", -0.01)
    for path in (single / "predictions").iterdir():
        path.unlink()
    done = check(single, baseline="single.json")
    assert done.code == 1
    assert "no p; nothing to test it by" in said(done, f"worse: {NONE}: balanced accuracy")


@pytest.mark.parametrize("spoilt", [(), ("labels",), ("log_scores",), ("ids", "labels", "log_scores")])
def test_predictions_that_do_not_give_the_scores_are_no_evidence(check, single, spoilt):
    gated.move(single, "balanced_accuracy", -0.01)
    if spoilt:
        path = single / "predictions" / f"{gated.cells(single, 'none')[0].stem}.npz"
        kept = dict(np.load(path))
        np.savez(path, **kept | {name: kept[name][:-1] for name in spoilt})
    done = check(single, baseline="single.json")
    if len(spoilt) == 3:  # whole, but of other items
        assert said(done, f"not comparable: {NONE}: repetition 0: the list of test items changed")
    else:
        assert "nothing to test it by" in said(done, f"worse: {NONE}: balanced accuracy")


# ---- damage ----

SPOILT = {
    "text for a score": (lambda row: row["scores"]["none"].update(nll="0.5"), "scores.none.nll"),
    "no scores": (lambda row: row.pop("scores"), "scores: Field required"),
    "no data": (lambda row: row.pop("data"), "data: Field required"),
    "no status": (lambda row: row.pop("status"), "status: Field required"),
    "a class too few": (lambda row: row["counts"].pop(), "not of one length"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_cell_that_cannot_be_used_is_one_line_that_names_its_file(check, out, how):
    path = gated.cells(out)[0]
    spoil, message = SPOILT[how]
    gated.edit(path, spoil)
    done = check(out)
    assert done.code == 2
    assert done.err.startswith(f"benchfw: {path}: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_cell_without_a_key_is_not_run(check, out):
    gated.edit(gated.cells(out, "none")[0], lambda row: row.pop("key"))
    assert said(check(out), f"missing: {NONE}: repetition 0: not run")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_value_that_is_not_finite_is_missing(check, out, value):
    gated.edit(gated.cells(out, "none")[0], lambda row: row["scores"]["none"].update(nll=value))
    done = check(out)
    assert done.code == 3
    assert said(done, f"missing: {NONE}: nll: repetition 0: has no value now")


# ---- requests ----


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metric", "mcc"), "--metric mcc: not in the baseline; known: balanced_accuracy, ece"),
        (("--metric", "ecee"), "--metric ecee: not in the baseline; did you mean 'ece'?"),
        (("--tolerance", "ece"), "--tolerance ece: wants METRIC=X with X >= 0"),
        (("--tolerance", "ece=-1"), "--tolerance ece=-1: wants METRIC=X with X >= 0"),
        (("--tolerance", "ece=nan"), "--tolerance ece=nan: wants METRIC=X with X >= 0"),
        (("--tolerance", "mcc=0.1"), "--tolerance mcc: not in the baseline"),
        (("--reason", "why"), "--reason: is for --update"),
        (("--update",), "--update: wants a reason"),
        (("--update", "--reason", " "), "--update: wants a reason"),
        (("--update", "--reason", "why", "--json", "x"), "--update: writes the baseline and no report"),
        (("--update", "--reason", "why", "--metric", "recall:ten"), "--metric recall:ten: no line of out has a value"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(check, words, message):
    done = check("out", *words)
    assert done.code == 2
    assert done.err.startswith(f"benchfw: {message}")
    assert done.err.count("\n") == 1


def test_a_directory_without_a_run_and_a_baseline_that_is_not_there_are_wrong_requests(check, tmp_path):
    assert "holds no run" in check(tmp_path).err
    done = check("out", baseline="nowhere.json")
    assert done.code == 2
    assert (
        "nowhere.json: no such baseline; write one with benchfw check DIR --baseline nowhere.json --update" in done.err
    )


def test_a_check_may_be_narrowed_to_some_metrics(check, out):
    gated.move(out, "nll", 1.0)
    assert check(out, "--metric", "ece").code == 0
    assert check(out, "--metric", "ece", "--metric", "nll").code == 1


def test_it_says_the_smallest_loss_that_would_be_seen_and_warns_where_that_is_large(check, out):
    gated.move(out, "balanced_accuracy", 0.001)
    done = check(out)
    assert "points in the middle line" in said(done, "smallest loss that 80 % of checks would see: values")
    assert said(done, "comparisons have no calibrated noise; measure it with benchfw calibrate --baseline out.json")
    assert said(done, "a loss of 5 points may pass this check unseen; calibrate")


def test_annotations_are_printed_where_github_runs_it(check, out, monkeypatch):
    gated.move(out, "nll", 1.0)
    assert "::error" not in check(out).out
    assert said(check(out, "--annotations"), "::error title=worse%3A digits%2C step%3A10", "nll")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert said(check(out), "::error title=benchfw check::FAILED: 24 comparisons, 22 with the same")


def test_the_reports_are_written_where_they_are_wanted(check, out, tmp_path):
    gated.move(out, "nll", 1.0)
    done = check(out, *(f"--{name}={tmp_path / 'new' / name}" for name in ("markdown", "junit", "json")))
    assert done.code == 1
    assert "FAILED" in (tmp_path / "new" / "markdown").read_text()
    assert "<failure" in (tmp_path / "new" / "junit").read_text()
    assert json.loads((tmp_path / "new" / "json").read_text())["exit_code"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--markdown", "here/../out.json"), "--markdown here/../out.json: is the file of --baseline too"),
        (("--markdown", "x", "--json", "./x"), "--json x: is the file of --markdown too"),
    ],
)
def test_two_files_of_one_path_are_refused_before_anything_is_written(check, ran, words, message):
    before = (ran.path / "out.json").read_bytes()
    done = check("out", *words)
    assert done.code == 2
    assert done.err == f"benchfw: {message}; choose another path\n"
    assert (ran.path / "out.json").read_bytes() == before
    assert not (ran.path / "x").exists()


def test_a_report_that_cannot_be_written_hides_neither_the_verdict_nor_the_others(check, out, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    bad = {"--markdown": tmp_path / "file" / "x.md", "--junit": tmp_path / "folder"}
    words = [str(word) for option in bad.items() for word in option]
    done = check(out, *words, "--json", tmp_path / "gate.json")
    assert done.code == 2
    told = done.err.splitlines()
    assert [line.partition(" (")[0] for line in told] == [
        f"benchfw: {path}: cannot be written" for path in bad.values()
    ]
    assert all(line.endswith("; choose another path") for line in told)
    assert json.loads((tmp_path / "gate.json").read_text())["passed"] is True
    gated.end(out, "failed", "boom")
    done = check(out, *words, "--annotations")
    assert done.code == 1
    assert said(done, "::error title=benchfw check::")


def test_a_check_loads_neither_torch_nor_plugins(ran):
    script = (
        "import sys; sys.argv[1:] = ['check', 'out', '--baseline', 'out.json']\n"
        "from benchfw.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        f"print(*sorted(m for m in sys.modules if m in {HEAVY} or m.startswith('benchfw_')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ran.path, env=ran.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_the_commands_of_the_guide_are_understood():
    text = (ROOT / "docs" / "how-to" / "gate-in-ci.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\s*(?:run: )?(benchfw (?:check|calibrate) .*)$", text, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        name, *words = [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line.split(" #")[0])][1:]
        command = typer.main.get_command(cli.app).commands[name]
        command.make_context(name, words)
