"""The baseline file: what is written is read back, updates keep what stays true, and nothing destroys it."""

import json
import os

import commands
import gated
import pytest
from commands import Home

from benchfw import baseline as baselines
from benchfw.acceptance import noise_dropped, taken
from benchfw.errors import StoreError, UsageError
from benchfw.hits import unpacked
from benchfw.measured import measured
from benchfw.noise import Noise, tolerance_of

NOISE = Noise(sd=0.01, freedom=15, draws=6, tolerance=0.011, expected={0: 0.5, 1: 0.6, 2: 0.7})


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run of two augmenters in three repetitions."""
    home = Home(tmp_path_factory.mktemp("baseline"))
    assert home.run(*gated.words(3, "--out", "out")).code == 0
    return home


@pytest.fixture
def out(ran, tmp_path):
    """A copy of the run, to be edited."""
    return gated.copied(ran.path / "out", tmp_path / "out")


@pytest.fixture
def check(ran, monkeypatch, capsys, tmp_path):
    """Check a run in this process, where the baseline is this test's own."""
    return lambda directory, *words: commands.here(
        monkeypatch, capsys, ran, "check", directory, "--baseline", tmp_path / "baseline.json", *words
    )


@pytest.fixture
def first(out):
    """The baseline of the run, with noise on every metric."""
    made = taken(measured(out), None, reason="first")
    lines = [line.model_copy(update={"noise": dict.fromkeys(made.metrics, NOISE)}) for line in made.lines]
    how = baselines.Calibration(repeats=5, same=1, date="2026-01-01", device="cpu")
    return made.model_copy(update={"lines": tuple(lines), "calibration": how})


# ---- what is in it ----


def test_what_is_written_is_read_back(first, tmp_path):
    path = tmp_path / "new" / "baseline.json"
    baselines.write(path, first)
    assert baselines.read(path) == first


def test_the_same_run_gives_the_same_bytes_with_sorted_keys(out, tmp_path):
    contents = []
    for name in ("a.json", "b.json"):
        baselines.write(tmp_path / name, taken(measured(out), None, reason="first"))
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    content = json.loads(contents[0])
    assert list(content) == sorted(content)
    assert content["schema"] == 1


def test_it_gates_the_experiments_metric_and_minority_recall_by_default(first):
    assert list(first.metrics) == ["balanced_accuracy", "minority_recall"]
    assert first.metrics["balanced_accuracy"].direction == "higher"


def test_it_holds_the_values_the_lifts_and_the_hits_of_each_line(first, out):
    row = json.loads(gated.cells(out, "random")[1].read_text())
    plain = json.loads(gated.cells(out, "none")[1].read_text())
    (line,) = [line for line in first.lines if line.labels[3:] == ("random", "linear@steps=100", "la-natural")]
    outcome = line.repetitions[1]
    value = row["scores"]["la-natural"]["minority_recall"]
    assert outcome.values["minority_recall"] == value
    assert outcome.lifts["minority_recall"] == value - plain["scores"]["la-natural"]["minority_recall"]
    hits = unpacked(outcome.hits, sum(row["test_counts"]))
    assert hits.mean() == pytest.approx(row["scores"]["la-natural"]["accuracy"])


def test_it_holds_the_data_of_each_repetition_once(first):
    assert [(part.dataset, part.imbalance, part.repetition) for part in first.data] == [
        ("digits", "step:10", repetition) for repetition in range(3)
    ]
    assert all(part.split.items and part.split.fingerprint for part in first.data)


def test_hits_can_be_left_out(out):
    made = taken(measured(out), None, reason="small", items=False)
    assert {outcome.hits for line in made.lines for outcome in line.repetitions} == {None}


def test_a_failed_line_is_kept_with_its_reason(out):
    gated.end(out, "failed", "boom")
    made = taken(measured(out), None, reason="broken")
    (line,) = [line for line in made.lines if line.labels[3] == "random"]
    assert [(outcome.status, outcome.reason) for outcome in line.repetitions] == [("failed", "boom")] * 3


# ---- updates ----


def test_an_update_adds_to_the_history(first, out):
    second = taken(measured(out), first, reason=" because \n")
    assert [update.reason for update in second.history] == ["first", "because"]
    assert second.history[1].benchfw
    assert second.history[1].commit == json.loads((out / "machine.json").read_text())["commit"]


def test_an_update_keeps_metrics_tolerances_and_noise_of_what_is_the_same(first, out):
    tolerant = first.model_copy(update={"tolerances": {"minority_recall": 0.02}})
    second = taken(measured(out), tolerant, reason="again")
    assert (second.metrics, second.tolerances) == (first.metrics, {"minority_recall": 0.02})
    assert second.lines == first.lines
    assert second.calibration == first.calibration


def test_an_update_may_set_a_tolerance_and_other_metrics(first, out):
    second = taken(measured(out), first, reason="x", metrics=["ece"], tolerances={"ece": 0.1, "nll": 1})
    assert list(second.metrics) == ["ece"]
    assert second.tolerances == {"ece": 0.1}
    assert not any(line.noise for line in second.lines)


def test_a_line_with_new_values_keeps_its_noise_and_no_expectation(first, out):
    gated.move(out, "minority_recall", 0.01)
    second = taken(measured(out), first, reason="again")
    (line,) = [line for line in second.lines if line.labels[3:] == ("none", "linear@steps=100", "none")]
    assert line.noise == {"balanced_accuracy": NOISE, "minority_recall": NOISE.of_changed(3)}


def test_fewer_repetitions_with_the_same_values_keep_the_noise_with_their_own_tolerance(first, out):
    for augmenter in ("none", "random"):
        gated.forget(out, gated.cells(out, augmenter)[2])
    second = taken(measured(out), first, reason="fewer")
    kept = second.lines[0].noise["balanced_accuracy"]
    assert (kept.sd, kept.freedom, kept.draws, kept.expected) == (0.01, 15, 6, {0: 0.5, 1: 0.6})
    assert kept.tolerance == tolerance_of(0.01, 15, 6, 2)
    assert second.calibration == first.calibration
    third = taken(measured(out), second, reason="the same")
    assert third.lines == second.lines


def test_more_repetitions_keep_the_noise_and_expect_nothing(first, out):
    less = first.model_copy(
        update={
            "lines": tuple(line.model_copy(update={"repetitions": line.repetitions[:2]}) for line in first.lines),
            "data": first.data[:2],
        }
    )
    second = taken(measured(out), less, reason="more")
    assert {noise for line in second.lines for noise in [line.noise["balanced_accuracy"].tolerance]} == {
        NOISE.of_changed(3).tolerance
    }
    assert not noise_dropped(less, second)


def test_a_run_without_predictions_keeps_the_noise_and_the_list_of_test_items(first, out):
    for path in (out / "predictions").iterdir():
        path.unlink()
    second = taken(measured(out), first, reason="small")
    assert second.data == first.data
    assert [line.noise for line in second.lines] == [line.noise for line in first.lines]


def test_an_update_says_why_noise_is_dropped(check, first, out, tmp_path):
    baselines.write(tmp_path / "baseline.json", first)
    for path in gated.cells(out):
        gated.edit(path, lambda row: row["data"].update(fingerprint="other"))
    done = check(out, "--update", "--reason", "other data")
    lines = len(first.lines)
    assert f"noise of {lines} lines dropped, because the fingerprint of the data changed" in done.out.splitlines()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda out: gated.edit(out / "manifest.json", lambda m: m["experiment"].update(seed=5)), "seed changed"),
        (lambda out: gated.end(out, "failed", "boom"), "balanced_accuracy has no value now"),
    ],
)
def test_noise_is_dropped_for_a_reason(first, out, change, why):
    change(out)
    assert why in noise_dropped(first, taken(measured(out), first, reason="again"))


def test_another_setting_ends_the_noise(first, out):
    gated.edit(out / "manifest.json", lambda manifest: manifest["experiment"].update(seed=5))
    assert not any(line.noise for line in taken(measured(out), first, reason="again").lines)


def test_other_data_ends_the_noise(first, out):
    for path in gated.cells(out):
        gated.edit(path, lambda row: row["data"].update(fingerprint="other"))
    assert not any(line.noise for line in taken(measured(out), first, reason="again").lines)


def test_an_update_says_what_became_better_worse_new_and_gone(check, out):
    assert check(out, "--update", "--reason", "first").code == 0
    gated.move(out, "balanced_accuracy", -0.3, augmenter="random")
    gated.move(out, "balanced_accuracy", 0.05, augmenter="none")
    gated.forget(out, gated.cells(out, "random")[2])
    done = check(out, "--update", "--reason", "second")
    assert done.code == 0
    for word in ("worse: digits", "better than chance explains: digits", "missing: digits"):
        assert word in done.out
    assert "written: " in done.out.splitlines()[-1]
    done = check(out, "--update", "--reason", "third")
    assert done.out.splitlines()[0].startswith("written: ")


def test_a_tolerance_given_with_an_update_holds_from_then_on(check, out):
    assert check(out, "--update", "--reason", "first", "--tolerance", "balanced_accuracy=0.031").code == 0
    gated.move(out, "balanced_accuracy", -0.03)
    assert check(out).code == 0
    assert check(out, "--tolerance", "balanced_accuracy=0.005").code == 1


# ---- what is refused ----


def test_a_run_that_is_not_finished_is_no_baseline(check, out, tmp_path):
    gated.cells(out)[0].unlink()
    done = check(out, "--update", "--reason", "first")
    assert done.code == 2
    assert "1 cell not run; finish the run by the same command" in done.err
    assert not (tmp_path / "baseline.json").exists()


def test_a_run_without_numbers_is_no_baseline(out):
    gated.end(out, "failed", "boom", augmenter="none")
    gated.end(out, "failed", "boom", augmenter="random")
    with pytest.raises(UsageError, match="no cell is done"):
        taken(measured(out), None, reason="first")


def test_cells_of_one_split_that_disagree_on_the_data_are_refused(out):
    gated.edit(gated.cells(out, "random")[0], lambda row: row["data"].update(fingerprint="other"))
    with pytest.raises(
        UsageError, match="repetition 0: the fingerprint of the data is another than in the cells beside"
    ):
        taken(measured(out), None, reason="first")


BROKEN = {
    "truncated": (lambda text: text[: len(text) // 2], "is no JSON"),
    "empty": (lambda _: "", "is no JSON"),
    "deep": (lambda _: "[" * 100_000, "is no JSON"),
    "of no schema": (lambda _: '{"results": []}', "is no baseline of benchfw"),
    "a list": (lambda _: "[]", "is no baseline of benchfw"),
    "newer": (lambda text: text.replace('"schema": 1', '"schema": 2'), "has schema 2, and this benchfw reads 1"),
    "of an unknown key": (lambda text: text.replace('"schema": 1', '"schema": 1, "extra": 1'), "extra"),
    "with NaN": (lambda text: text.replace('"balanced_accuracy": 0', '"balanced_accuracy": NaN, "x": 0'), "finite"),
    "without history": (lambda text: text.replace('"history"', '"hist"'), "history: Field required"),
    "with a line twice": (lambda text: json.dumps(twice(json.loads(text))), "a line stands there twice"),
    "of schema 0": (lambda text: text.replace('"schema": 1', '"schema": 0'), "unknown schema 0, and this"),
    "of a schema in words": (lambda text: text.replace('"schema": 1', '"schema": "one"'), "unknown schema 'one', and"),
    "with lifts of no values": (lambda text: json.dumps(valueless(json.loads(text))), "has a lift and no value"),
    "with a repetition twice": (lambda text: json.dumps(again(json.loads(text))), "a repetition stands there twice"),
    "with noise of no degrees": (lambda text: json.dumps(noisy(json.loads(text))), "greater than or equal to 1"),
}


def twice(content):
    content["lines"].append(content["lines"][0])
    return content


def valueless(content):
    for line in content["lines"]:
        line["repetitions"][0]["values"] = {}
    return content


def again(content):
    content["lines"][0]["repetitions"].append(content["lines"][0]["repetitions"][0])
    return content


def noisy(content):
    content["lines"][0]["noise"] = {"nll": {"sd": 1, "freedom": 0, "draws": 1, "tolerance": 1}}
    return content


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_foreign_or_newer_file_is_one_line_and_is_not_overwritten(check, first, out, tmp_path, how):
    path = tmp_path / "baseline.json"
    baselines.write(path, first)
    breaks, message = BROKEN[how]
    path.write_text(breaks(path.read_text()))
    before = path.read_bytes()
    for words in ((), ("--update", "--reason", "again")):
        done = check(out, *words)
        assert done.code == 2
        assert done.err.startswith(f"benchfw: {path}: ")
        assert message in done.err
        assert done.err.count("\n") == 1
        assert ("or remove it and write one with" in done.err) == (how != "newer")
    assert path.read_bytes() == before


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        baselines.read(tmp_path)


# ---- nothing destroys it ----


def test_a_check_that_fails_and_a_bad_directory_leave_the_file_as_it_is(check, out, tmp_path):
    check(out, "--update", "--reason", "first")
    before = (tmp_path / "baseline.json").read_bytes()
    gated.move(out, "balanced_accuracy", -0.3)
    assert check(out).code == 1
    assert check(tmp_path / "nowhere", "--update", "--reason", "again").code == 2
    assert (tmp_path / "baseline.json").read_bytes() == before


def test_a_baseline_that_cannot_be_written_is_a_wrong_request(check, out, tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "baseline.json"
    done = check(out, "--update", "--reason", "first", "--baseline", path)
    assert done.code == 2
    assert done.err.startswith(f"benchfw: {path}: cannot be written (")
    assert done.err.endswith("; choose another path\n")


def test_a_write_that_fails_leaves_the_old_file_whole_and_nothing_beside_it(first, tmp_path, monkeypatch):
    path = tmp_path / "here" / "baseline.json"
    baselines.write(path, first)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        baselines.write(path, first.model_copy(update={"machine": {}}))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_baseline_that_somebody_else_wrote_meanwhile_is_not_overwritten(first, tmp_path):
    path = tmp_path / "baseline.json"
    baselines.write(path, first)
    other = first.model_copy(update={"machine": {}})
    baselines.replace(path, other, first)
    with pytest.raises(UsageError, match="was written by somebody else meanwhile"):
        baselines.replace(path, other, first)
