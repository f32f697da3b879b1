"""A report says what the table says, hides no hole, marks no tie, shows no path, and is the same each time."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from statistics import fmean, stdev

import numpy as np
import pytest
import scipy.stats
from commands import Home
from reported import GAN, Page, change, read, relabel, small_run

from benchfw import tables
from benchfw.errors import UsageError
from benchfw.evidence import chance
from benchfw.items import mcnemar
from benchfw.measures import MEASURES
from benchfw.report import content, write_report
from benchfw.report.forest import forests
from benchfw.report.palette import COLOURS, styles
from benchfw.report.reading import read as read_run
from benchfw.report.reading import shown
from benchfw.statistics import holm
from benchfw.store import RunDirectory

HOUSE = "/".join(["", "home", "somebody"])  # in parts, since no file here may name such a path
SECTIONS = ("answer", "table", "lifts", "classes", "synthetic", "cost", "details", "troubles", "provenance")

MEBIBYTE = 2**20


def report(directory, **settings):
    out = directory.parent / f"{directory.name}.html"
    return Page(write_report(directory, out, **settings).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two repetitions of digits: none, random, smote, a short gan-feature, and an augmenter that fails."""
    home = Home(tmp_path_factory.mktemp("report"))
    yield small_run(home)
    home.stop()


@pytest.fixture(scope="module")
def page(run):
    return report(run)


def repeated(run, out, scores, repetitions=5):
    """The run's first repetition as many, its balanced accuracies as `scores(augmenter, repetition)` says."""
    relabel(run, out, lambda axes: [axes | {"repetition": r} for r in range(repetitions) if axes["repetition"] == 0])
    for path in (out / "cells").iterdir():
        row = read(path)
        if row["status"] == "done":
            for values in row["scores"].values():
                values["balanced_accuracy"] = scores(row["axes"]["augmenter"], row["axes"]["repetition"])
            path.write_text(json.dumps(row))
    return out


def unlike(augmenter, repetition):
    """smote is 2 to 3 points better than none, all else is about the same."""
    base = 0.5 + 0.01 * repetition
    return base + {"smote": 0.02 + 0.002 * repetition, "random": 0.01 * (-1) ** repetition}.get(augmenter, 0.0)


# ---- what is there ----


def test_every_section_is_there_and_linked(page):
    assert [a["id"] for a in page.all("section")] == list(SECTIONS)
    linked = [a["href"] for a in page.all("a") if a.get("href", "").startswith("#")]
    assert set(linked) == {f"#{name}" for name in SECTIONS}


def test_numbers_are_the_tables(run, page):
    values = {}
    for row in map(read, (run / "cells").iterdir()):
        for correction, scores in row.get("scores", {}).items():
            key = row["axes"]["augmenter"], correction
            values.setdefault(key, {})[row["axes"]["repetition"]] = 100 * scores["balanced_accuracy"]
    (heads, *lines), _ = page.table("Lines of the table")
    for line in lines:
        told = dict(zip(heads, line, strict=True))
        own = values.get((told["augmenter"], told["correction"]), {})
        assert told["n"] == (str(len(own)) if own else "0 of 2")
        if own:
            plain = values["none", told["correction"]]
            assert told["balanced accuracy"] == f"{fmean(own.values()):.1f} ± {stdev(own.values()):.1f}"
            lift = fmean(own[r] - plain[r] for r in own)
            assert told["lift"] == "" if told["augmenter"] == "none" else f" {lift:+.1f} [" in told["lift"]
    repeats = {key for key in values if key[1] == "la-met"}  # of natural and of balanced rows
    assert len(lines) == len(values) - len(repeats) + 1  # the augmenter that raises has a line


def test_the_answer_holds_each_augmenter_with_its_lift(run, page):
    experiment, rows = RunDirectory(run).rows()
    records = tables.table(rows, classifiers=experiment.classifiers).to_dict("records")
    lifts = {r["augmenter"]: r["balanced_accuracy_lift"] for r in records if r["correction"] == "none"}
    (_, *lines), _ = page.table("balanced accuracy with linear@steps=5")
    told = {line[0]: line[2] for line in lines}
    assert {label: text.split()[1] for label, text in told.items() if label != "raises"} == {
        label: f"{100 * lifts[label]:+.1f}" for label in ("random", "smote", GAN)
    }


@pytest.mark.parametrize(
    "piece", ["Recall with linear", "Tests", "Fidelity", "Costs", "none + linear@steps=5 + none", "Calibration error"]
)
def test_a_table_is_there(page, piece):
    assert page.table(piece)[0]


@pytest.mark.parametrize(
    "title",
    [
        "The plane",
        "Real and generated rows",
        f"Health of {GAN}",
        "Lift against seconds",
        "Reliability",
        "Training losses",
    ],
)
def test_a_figure_is_there_and_says_what_it_shows(page, title):
    (found,) = [description for name, description in page.figures if name.startswith(title)][:1]
    assert found


def test_images_have_an_alternative_text(page):
    assert [a["alt"] for a in page.all("img")][:2] == ["4 training images of class 0", "4 training images of class 1"]
    assert all(a["src"].startswith("data:image/png;base64,") for a in page.all("img"))


def test_provenance_is_told_in_full(run, page):
    assert (run / "experiment.toml").read_text() in page.source.replace("&#34;", '"').replace("&#39;", "'")
    commit = read(run / "machine.json")["commit"]
    assert commit in page.words
    assert ("git checkout" in page.words) == bool(re.match("[0-9a-f]{7}", str(commit)))
    assert "CC BY 4.0; may be passed on" in page.words
    assert "benchfw report DIR" in page.words


def test_the_metric_is_chosen(run):
    page = report(run, metric="accuracy")
    assert "lift of accuracy" in page.words
    assert page.table("accuracy with linear@steps=5")[0]


def test_an_unknown_metric_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no metric named 'acuracy'; did you mean 'accuracy'"):
        write_report(run, tmp_path / "report.html", metric="acuracy")


def test_the_recall_of_an_unknown_class_is_refused_before_anything_is_computed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "answers", None)
    with pytest.raises(UsageError, match=r"the table has no metric 'recall:xyz'.*known: .*macro_f1.*recall:3"):
        write_report(run, tmp_path / "report.html", metric="recall:xyz")


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        write_report(tmp_path)


def test_the_measures_are_those_of_fidelity(run, page):
    heads = page.table("Fidelity")[0][0]
    assert [head for head in heads if head.replace(" ", "_") in MEASURES] == heads[4:]
    assert len(heads) > 10


def test_fidelity_stands_beside_its_floor(run, page):
    frame = tables.fidelity(RunDirectory(run).rows()[1])
    (wanted,) = [r for r in frame.to_dict("records") if (r["augmenter"], r["class"]) == ("smote", "(all)")]
    (heads, *lines), _ = page.table("Fidelity")
    (found,) = [dict(zip(heads, line, strict=True)) for line in lines if line[:2] == ["smote", "(all)"]]
    assert found["coverage"] == f"{wanted['coverage_mean']:.2f} ({wanted['coverage_floor']:.2f})"


# ---- holes and troubles ----


def test_a_failed_augmenter_is_listed_with_its_reason_cells_and_traceback(page):
    assert "failed 2 cells: Awkward: this augmenter always raises" in page.words
    assert "raises, repetition 1" in page.words
    assert 'raise Awkward("this augmenter", "always raises")' in page.words
    assert "10 cells planned, 8 done, 2 failed" in page.words


def test_a_skipped_cell_is_listed_with_its_reason(run, tmp_path):
    def skipped(row):
        off = row["axes"]["augmenter"] == "smote"
        return {**row, "status": "skipped", "reason": "smote wants 6 samples"} if off else row

    page = report(change(run, tmp_path / "run", skipped))
    assert "skipped 2 cells: smote wants 6 samples" in page.words
    rows, _ = page.table("balanced accuracy with linear@steps=5")
    assert ["smote", "not compared", "skipped: smote wants 6 samples"] in rows


def test_a_hole_is_marked_and_counted(run, tmp_path):
    def missing(row):
        return None if (row["axes"]["augmenter"], row["axes"]["repetition"]) == ("smote", 1) else row

    page = report(change(run, tmp_path / "run", missing))
    assert "1 not run" in page.words
    rows, marks = page.table("Lines of the table")
    (place,) = [i for i, row in enumerate(rows) if row[:2] == ["smote", "none"]]
    assert rows[place][2] == "1 of 2"
    assert "h" in marks[place][2].split()
    assert "n = 1 of 2" in page.words
    rows, _ = page.table("balanced accuracy with linear@steps=5")
    assert [row[4] for row in rows if row[0] == "smote"] == ["1 of 2"]


def without(run, out, label, repetition, *metrics):
    """A copy in which one augmenter has no value of some metrics in a repetition, or in every one with None."""

    def changed(row):
        axes = row["axes"]
        if axes["augmenter"] == label and repetition in (None, axes["repetition"]):
            for scores in row["scores"].values():
                scores.update(dict.fromkeys(metrics))
        return row

    return change(run, out, changed)


def test_a_recall_of_fewer_repetitions_says_so(run, tmp_path):
    page = report(without(repeated(run, tmp_path / "many", unlike), tmp_path / "run", "smote", 2, "recall:3"))
    (heads, *rows), _ = page.table("Recall with linear@steps=5")
    (smote,) = [row for row in rows if row[0] == "smote"]
    assert {head for head, text in zip(heads, smote, strict=True) if text.endswith("n = 4")} == {"3"}
    assert [row for row in rows if row[0] == "random" and any("n = " in text for text in row)] == []


def test_a_recall_of_fewer_pairs_says_so(run, tmp_path):
    page = report(without(repeated(run, tmp_path / "many", unlike), tmp_path / "run", "none", 2, "recall:3"))
    (heads, *rows), _ = page.table("Recall with linear@steps=5")
    (smote,) = [row for row in rows if row[0] == "smote"]
    assert {head for head, text in zip(heads, smote, strict=True) if text.endswith("4 pairs")} == {"3"}


def test_a_metric_without_a_value_in_one_repetition_is_counted_everywhere(run, tmp_path):
    many = repeated(run, tmp_path / "many", unlike)
    page = report(without(many, tmp_path / "run", "random", 1, "balanced_accuracy"))
    (heads, *rows), _ = page.table("balanced accuracy with linear@steps=5")
    (smote,) = [dict(zip(heads, row, strict=True)) for row in rows if row[0] == "smote"]
    assert smote["n"] == "5"
    assert smote["against random"].endswith(" (n = 4)")
    assert "(n = " not in smote["against logit adjustment alone"]
    assert "against random: ≈" in page.words.lower()
    (random,) = [dict(zip(heads, row, strict=True)) for row in rows if row[0] == "random"]
    assert (random["n"], random["verdict"]) == ("4 of 5", "too few")


def test_a_metric_without_any_value_is_said_to_be_missing(run, tmp_path):
    page = report(without(run, tmp_path / "run", "smote", None, "balanced_accuracy"))
    rows, _ = page.table("balanced accuracy with linear@steps=5")
    assert ["smote", "not compared", "smote has no value of this metric"] in rows
    page = report(without(run, tmp_path / "other", "none", None, "balanced_accuracy"))
    assert "no augmentation has no value of this metric" in page.words


def test_a_line_that_is_skipped_on_purpose_is_not_missing(run, tmp_path):
    def skipped(row):
        axes = row["axes"]
        off = axes["augmenter"] == "smote" or (axes["augmenter"], axes["repetition"]) == ("random", 1)
        return {**row, "status": "skipped", "reason": "it does not fit"} if off else row

    page = report(change(run, tmp_path / "run", skipped))
    assert "10 cells planned, 5 done, 2 skipped on purpose, 2 failed , 1 skipped ." in page.words
    assert "What is missing (3)" in page.words
    assert "Skipped on purpose Of these lines no repetition was to run" in page.words
    assert report(run).words.count("on purpose") == 0


def test_one_damaged_file_of_predictions_takes_one_repetition_out(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    rows = map(read, (run / "cells").iterdir())
    (id_,) = [r["id"] for r in rows if (r["axes"]["augmenter"], r["axes"]["repetition"]) == ("smote", 1)]
    place = tmp_path / "run" / "predictions" / f"{id_}.npz"
    place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
    page = report(tmp_path / "run")
    assert "1 done cell has no predictions that can be read" in page.words
    numbers = json.loads(re.search(r'id="numbers">(.*?)</script>', page.source)[1])
    assert sorted(n for _, n, _ in numbers["confusions"]["lines"])[:3] == [1, 1, 2]


def test_pairs_that_lack_their_other_half_are_counted(run, tmp_path):
    def missing(row):
        return None if (row["axes"]["augmenter"], row["axes"]["repetition"]) == ("none", 1) else row

    page = report(change(run, tmp_path / "run", missing))
    rows, _ = page.table("Recall with linear@steps=5")
    assert [row[0] for row in rows if row[0].startswith("smote")] == ["smote 1 pair"]
    rows, _ = page.table("balanced accuracy with linear@steps=5")
    assert [row[4] for row in rows if row[0] == "smote"] == ["1 of 2"]


def test_without_none_nothing_is_compared_and_that_is_said(run, tmp_path):
    page = report(change(run, tmp_path / "run", lambda row: None if row["axes"]["augmenter"] == "none" else row))
    assert "no augmenter is compared with no augmentation: no augmentation has no result to pair it with" in page.words


def test_a_directory_without_a_finished_cell_gives_a_report(run, tmp_path):
    page = report(change(run, tmp_path / "run", lambda row: None))
    assert [a["id"] for a in page.all("section")] == list(SECTIONS)
    assert "No augmenter has been compared with no augmentation yet." in page.words
    assert "10 not run" in page.words


def test_a_directory_whose_files_are_damaged_gives_a_report(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for folder in ("predictions", "views"):
        for path in (tmp_path / "run" / folder).iterdir():
            path.write_bytes(b"PK\x03\x04 no file")
    (tmp_path / "run" / "machine.json").unlink()
    page = report(tmp_path / "run")
    assert "8 done cells have no predictions that can be read" in page.words
    assert "machine.json is missing" in page.words


def test_predictions_of_other_classes_are_not_believed(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run" / "predictions").iterdir():
        np.savez(path, ids=np.arange(3), labels=np.array([0, 1, 99]), log_scores=np.zeros((3, 10)))
    assert "8 done cells have no predictions that can be read" in report(tmp_path / "run").words


def test_one_repetition_is_compared_sample_by_sample(run, tmp_path):
    page = report(relabel(run, tmp_path / "run", lambda axes: [axes] if axes["repetition"] == 0 else []))
    rows, _ = page.table("One repetition, sample by sample: this speaks of other test samples")
    assert rows[0][3:5] == ["McNemar p (accuracy)", "Holm p"]
    listed = [row[0] for row in page.table("balanced accuracy with linear@steps=5")[0][1:] if row[0] != "raises"]
    assert sorted(listed) == sorted(["random", "smote", GAN])
    first, second = (rows.index([f"against {name}"]) for name in ("no augmentation", "random"))
    assert [row[0] for row in rows[first + 1 : second]] == listed
    assert [row[0] for row in rows[second + 1 :]] == [label for label in listed if label != "random"]
    for some in (rows[first + 1 : second], rows[second + 1 :]):
        splits = [(int(row[1].split()[0]), int(row[2])) for row in some]
        p = [mcnemar(*split) for split in splits]
        assert [row[3:5] for row in some] == [[chance(a), chance(b)] for a, b in zip(p, holm(p), strict=True)]
    assert "One repetition cannot show a difference, which takes at least 5; what single test samples" in page.words
    assert "One pair has neither interval nor p" in page.words


def test_ranks_want_six_data_sets_or_a_reason(run, page, tmp_path):
    assert "1 data set; rank tests want at least 6" in page.words
    assert "with fewer, no pair of methods can differ at 5%" in page.words
    many = relabel(run, tmp_path / "many", lambda axes: [axes | {"dataset": f"set-{i}"} for i in range(6)])
    assert "Critical-difference diagram" in [title for title, _ in report(many).figures]


def ranked_run(run, out):
    """Seven data sets with one repetition each; smote is ahead of random, that of none, in all but one."""
    relabel(run, out, lambda axes: [axes | {"dataset": f"set-{i}"} for i in range(7) if axes["repetition"] == 0])
    gains = {"smote": 0.03, "random": 0.02, GAN: -0.01}
    for path in (out / "cells").iterdir():
        row = read(path)
        place = int(row["axes"]["dataset"][-1])
        for scores in row.get("scores", {}).values():
            scores["balanced_accuracy"] = 0.5 + 0.01 * place + gains.get(row["axes"]["augmenter"], 0.0) * (place or -1)
        path.write_text(json.dumps(row))
    return out


def test_ranks_stand_beside_their_tests(run, tmp_path):
    page = report(ranked_run(run, tmp_path / "run"))
    (heads, *rows), _ = page.table("Mean ranks")
    assert [row[:2] for row in rows] == [["smote", "1.43"], ["random", "2.14"], ["none", "2.86"], [GAN, "3.57"]]
    told = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    six = scipy.stats.wilcoxon([3.0 * p if p else -3.0 for p in range(7)]).pvalue
    assert told["none"]["Wilcoxon-Holm p, against the first"] == chance(min(1.0, 6 * six))
    assert (
        told["smote"]["Wilcoxon-Holm p, against the first"] == told["none"]["Nemenyi p, against no augmentation"] == ""
    )
    error = (4 * 5 / (12 * 7)) ** 0.5
    nemenyi = scipy.stats.studentized_range.sf((2.857142857 - 1.428571429) / error, 4, np.inf)
    assert told["none"]["Nemenyi p, against the first"] == chance(nemenyi)
    assert re.fullmatch(r"\[1\.\d\d, \d\.\d\d\]", told["smote"]["95 % bootstrap over data sets"])
    (caption,) = [name for name in page.tables if name.startswith("Mean ranks")]
    assert re.search(r"7 data sets; Iman-Davenport p = [<\d.]+; .* no holes, so nothing was imputed", caption)


def test_a_line_with_fewer_repetitions_is_a_hole_in_the_ranks(run, tmp_path):
    many = relabel(run, tmp_path / "many", lambda axes: [axes | {"dataset": f"set-{i}"} for i in range(6)])

    def missing(row):
        axes = row["axes"]
        off = (axes["dataset"], axes["augmenter"], axes["repetition"]) == ("set-3", "smote", 1)
        return None if off else row

    page = report(change(many, tmp_path / "run", missing))
    assert "Critical-difference diagram" not in [title for title, _ in page.figures]
    assert "fewer repetitions than planned, so a hole: smote on set-3 (1 of 2)" in page.words
    assert "1 hole (smote on set-3); ranks want every method on every data set: choose 'drop data sets'" in page.words


# ---- pictures ----


def logging(run, out, label, records):
    def changed(row):
        return row | {"records": row["records"] | {"augmenter": records}} if row["axes"]["augmenter"] == label else row

    return change(run, out, changed)


def test_losses_come_first_and_panels_that_are_left_out_are_named(run, tmp_path):
    records = [{"step": i, **{f"a{k:02}": i * k for k in range(30)}, "critic_loss": 1.0 / (i + 1)} for i in range(4)]
    page = report(logging(run, tmp_path / "run", GAN, records))
    (drawn,) = [description for title, description in page.figures if title == f"Health of {GAN}"]
    assert drawn.startswith("By step: critic_loss, a")
    assert drawn.count(",") + 1 == 24
    left = [f"a{k:02}" for k in range(30) if f"a{k:02}" not in drawn]
    assert len(left) == 7
    assert f"Left out: {', '.join(left)}; see records in cells/ID.json." in page.words


def test_a_generator_that_logs_its_loss_alone_has_its_curve(run, tmp_path):
    page = report(logging(run, tmp_path / "run", "smote", [{"step": i, "loss": 1 / (i + 1)} for i in range(4)]))
    assert ("Health of smote", "By step: loss.") in page.figures


def test_calibration_errors_are_means_of_the_metric(run, tmp_path):
    def known(row):
        for scores in row.get("scores", {}).values():
            scores["ece"] = [0.11, 0.25][row["axes"]["repetition"]]
        if (row["axes"]["augmenter"], row["axes"]["repetition"]) == ("smote", 1):
            row["scores"]["none"]["ece"] = None
        return row

    rows, _ = report(change(run, tmp_path / "run", known)).table("Calibration error (ece) in points, mean")
    told = {row[0]: row[1] for row in rows}
    assert (told["none"], told["smote"]) == ("18.0", "11.0 (n = 1)")


# ---- marks ----


def test_a_reliable_difference_is_marked(run, tmp_path):
    page = report(repeated(run, tmp_path / "run", unlike))
    rows, marks = page.table("balanced accuracy with linear@steps=5")
    place = [row[0] for row in rows].index("smote")
    assert rows[place][1:3] == ["better", "+2.4 [2.0, 2.8]"]
    assert marks[place][2] == "n better"
    assert "1 of 2 augmenters is reliably better than no augmentation" in page.words


def test_a_tie_is_never_marked(run, tmp_path):
    page = report(repeated(run, tmp_path / "run", unlike))
    marked = 0
    for rows, marks in page.tables.values():
        for texts, classes in zip(rows, marks, strict=True):
            bold = [
                text
                for text, name in zip(texts, classes, strict=True)
                if {"b", "w", "better", "worse"} & {*name.split()}
            ]
            assert not [text for text in bold if "≈" in text]
            marked += len(bold)
    assert marked > 0


def test_the_yardsticks_are_counted(run, tmp_path):
    def even(augmenter, repetition):
        return 0.5 if augmenter == "none" else 0.52 + 0.001 * repetition

    page = report(repeated(run, tmp_path / "run", even))
    (rows, _) = page.table("")
    assert rows[1:3] == [["no augmentation", "2", "0", "0", "0"], ["random", "0", "2", "0", "0"]]


def test_few_pairs_are_never_marked(page):
    classes = {name for _, attributes in page.elements for name in attributes.get("class", "").split()}
    assert not classes & {"b", "w", "better", "worse"}


def test_the_answer_opens_with_the_best_augmenter_and_all_it_is_held_against(run, tmp_path):
    directory = repeated(run, tmp_path / "run", unlike)
    lift = [2 + 0.2 * r for r in range(5)]
    half = 2.7764 * stdev(lift) / 5**0.5
    lead = report(directory).words.partition("What is missing")[2].partition("The answer ")[2]
    assert lead.startswith(
        f"With linear@steps=5, smote lifts balanced accuracy by {fmean(lift):.1f} points [{fmean(lift) - half:.1f}, "
        f"{fmean(lift) + half:.1f}] over no augmentation (Holm p <0.001, n = 5). Against random: "
    )
    assert re.match(r".*; against logit adjustment alone: [+-]?\d.*? \(Holm p [<\d.]+, n = 5\)\.", lead)


def test_the_answer_to_few_repetitions_is_that_they_cannot_show_a_difference(page):
    lead = page.words.partition("What is missing")[2].partition("The answer ")[2]
    assert lead.startswith("2 repetitions cannot show a difference, which takes at least 5. With linear@steps=5, ")
    assert re.match(r"[^.]*\. With linear@steps=5, furthest ahead of no augmentation|.* none is ahead", lead)
    (rows, _) = page.table("")
    assert rows[0][1:] == ["better", "no reliable difference", "worse", "too few"]
    assert rows[1] == ["no augmentation", "0", "0", "0", "2"]
    listed, _ = page.table("balanced accuracy with linear@steps=5")
    assert {row[1] for row in listed[1:]} == {"too few", "not compared"}
    assert "2 too few" in page.words


def test_a_metric_that_is_better_when_lower_is_lowered(run, tmp_path):
    def changed(row):
        r = row["axes"]["repetition"]
        change = {"smote": -0.33 - 0.001 * r, "random": 0.01 * (-1) ** r}.get(row["axes"]["augmenter"], 0.0)
        for scores in row.get("scores", {}).values():
            scores["nll"] = 1.5 + change
        return row

    many = repeated(run, tmp_path / "many", unlike)
    words = report(change(many, tmp_path / "run", changed), metric="nll").words
    assert "smote lowers negative log-likelihood by 0.332 [0.330, 0.334] over no augmentation" in words
    assert "To find a true difference of 0.1 four times in five takes about 5 repetitions" in words


def test_random_with_parameters_is_a_reference(run, tmp_path):
    def renamed(axes):
        return [axes | {"augmenter": "random@fill=0.5"} if axes["augmenter"] == "random" else axes]

    page = report(relabel(run, tmp_path / "run", renamed))
    (rows, _) = page.table("")
    assert rows[1] == ["no augmentation", "0", "0", "0", "2"]
    listed, _ = page.table("balanced accuracy with linear@steps=5")
    assert "against random@fill=0.5" in listed[0]
    assert next(row for row in listed if row[0] == "smote")[5].startswith("≈")


def test_a_reliable_difference_never_looks_like_nothing(run, tmp_path):
    def slight(augmenter, repetition):
        return 0.5 + 0.01 * repetition + (0.0003 + 0.00001 * repetition) * (augmenter == "smote")

    rows, _ = report(repeated(run, tmp_path / "run", slight)).table("balanced accuracy with linear@steps=5")
    assert [row[1:3] for row in rows if row[0] == "smote"] == [["better", "+0.03 [0.03, 0.03]"]]


def test_one_test_part_for_all_repetitions_is_told_with_what_it_can_tell(run, page, tmp_path):
    directory = repeated(run, tmp_path / "run", unlike)
    row = next(r for r in map(read, (directory / "cells").iterdir()) if r["axes"]["augmenter"] == "none")
    with np.load(directory / "predictions" / f"{row['id']}.npz") as kept:
        hits = kept["log_scores"].argmax(axis=1) == kept["labels"]
    half = 100 * 1.96 * (hits.mean() * (1 - hits.mean()) / len(hits)) ** 0.5
    words = report(directory).words
    assert f"All 5 repetitions are tested on the same {len(hits)} samples: intervals speak of training again" in words
    assert f"a 95 % half-width of {half:.1f} points" in words
    assert "are tested on the same" not in page.words


def test_few_pairs_are_not_said_to_find_anything(page):
    assert "would find a true one" not in page.words
    (needed,) = set(re.findall(r"takes about (\d+)(?: or more)? repetitions", page.words))
    assert int(needed) >= 5


def test_what_is_not_shown_is_told(run, tmp_path):
    words = report(repeated(run, tmp_path / "run", unlike)).words
    assert "With 5 pairs a sign-flip test cannot give a p below 0.0625" in words
    assert re.search(
        r"Taken by itself, before Holm's adjustment, .* would find a true one of about [\d.]+ points", words
    )
    assert re.search(r"takes about \d+( or more)? repetitions \(by itself, before Holm's adjustment\)", words)


def test_a_forest_draws_the_numbers_that_it_prints(run, tmp_path):
    content = read_run(repeated(run, tmp_path / "run", unlike))
    frame = tables.table(content.rows, classifiers=content.classifiers)
    forest = next(f for f in forests(content, frame, "balanced_accuracy") if f.correction == "none")
    (row,) = [row for row in forest.rows if row.augmenter == "smote"]
    (other,) = [row for row in forest.rows if row.augmenter == "random"]
    assert forest.zero < row.low < row.middle < row.high
    assert other.low < forest.zero < other.high
    per_point = (row.middle - forest.zero) / (100 * row.amount.lift.mean)
    assert row.high - row.middle == pytest.approx(
        per_point * 100 * (row.amount.lift.high - row.amount.lift.mean), abs=0.2
    )


# ---- what must not be there ----


def test_images_stay_out_where_the_data_is_not_public(run, tmp_path):
    private = {"fingerprint": "f", "licence": "a use agreement", "origin": "a hospital", "public": False}
    copy = change(run, tmp_path / "run", lambda row: row | {"data": private} if row["status"] == "done" else row)
    page = report(copy)
    assert page.all("img") == []
    assert "No images are shown: the licence of the data (a use agreement) does not say" in page.words
    assert report(copy, images=True).all("img")


def test_one_row_that_is_not_public_is_enough(run, tmp_path):
    def unstated(row):
        return row | {"data": {}} if row["axes"]["augmenter"] == "smote" else row

    page = report(change(run, tmp_path / "run", unstated))
    assert page.all("img") == []
    assert "the licence of the data is not stated" in page.words


def test_images_stay_out_where_they_are_not_wanted(run):
    assert report(run, images=False).all("img") == []


def test_no_path_of_the_machine_is_shown(run, tmp_path):
    def placed(row):
        where = {"dataset": f"npz@path={HOUSE}/scans/scans.npz"}
        reason = row["reason"] and f"{row['reason']} in {HOUSE}/x/plugin.py"
        return row | {
            "axes": row["axes"] | where,
            "reason": reason,
            "warnings": [f"reads file://{HOUSE}/y/z.bin"],
        }

    page = report(change(run, tmp_path / "run", placed))
    assert "npz@path=…/scans/scans.npz" in page.words
    assert [text for text in ("somebody", str(run), tempfile.gettempdir(), sys.prefix) if text in page.source] == []


def test_labels_that_differ_only_in_their_path_stay_apart(run, tmp_path):
    def renamed(axes):
        return [axes | {"dataset": f"npz@path=/data/{name}/a/b/scans.npz"} for name in ("one", "two")]

    page = report(relabel(run, tmp_path / "run", renamed))
    rows, _ = page.table("Lines of the table")
    assert {row[0] for row in rows[1:]} == {"npz@path=…/b/scans.npz", "npz@path=…/b/scans.npz (2)"}


def test_nothing_of_a_plugin_is_read_as_markup(run, tmp_path):
    bad = "<script>alert(1)</script>"

    def hostile(row):
        axes = row["axes"] | {
            "dataset": bad,
            "augmenter": row["axes"]["augmenter"].replace("smote", f'{bad}" onload="x'),
        }
        row = row | {"axes": axes, "reason": row["reason"] and bad, "warnings": [bad, "</script><!--"]}
        text = json.dumps(row).replace("recall:3", f"recall:{bad}").replace('"3"', json.dumps(bad))
        return json.loads(text)

    page = report(change(run, tmp_path / "run", hostile))
    assert len(page.all("script")) == 2
    assert [a for _, a in page.elements if any(name.startswith("on") for name in a)] == []
    assert bad in page.words


def test_the_page_allows_no_other_script_and_no_request(page):
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert [a for _, a in page.elements if "style" in a] == []
    links = [a.get(name, "") for _, a in page.elements for name in ("href", "src", "action")]
    assert [link for link in links if link and not link.startswith(("#", "data:"))] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f'File "{HOUSE}/lib/site-packages/torch/nn.py", line 3', 'File "…/torch/nn.py", line 3'),
        ("npz@path=/data/scans.npz,size=3", "npz@path=…/scans.npz,size=3"),
        ("see https://example.org/a/b and and/or ~/x/y ../a/b", "see https://example.org/a/b and and/or ~/x/y ../a/b"),
        ("right\u202eleft\x00", "right�left�"),
        ("a\udc80", "a\\udc80"),
    ],
)
def test_a_text_is_made_safe_to_show(text, wanted):
    assert shown(text) == wanted


# ---- size and sameness ----


def test_equal_directories_give_equal_bytes(run, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    first = write_report(run, tmp_path / "first.html").read_bytes()
    assert write_report(tmp_path / "other").read_bytes() == first


def test_a_report_lies_in_its_directory_and_a_run_goes_on_beside_it(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    assert write_report(tmp_path / "run") == tmp_path / "run" / "report.html"
    RunDirectory(tmp_path / "run").rows()


def test_writing_a_report_loads_no_torch(run, tmp_path):
    code = (
        "import sys; from pathlib import Path; from benchfw.report import write_report; "
        f"write_report(Path({str(run)!r}), Path({str(tmp_path / 'report.html')!r})); "
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_importing_the_report_loads_neither_matplotlib_nor_jinja():
    code = "import sys, benchfw.report; print({'matplotlib', 'jinja2', 'numpy', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("shape", ["many augmenters", "many blocks"])
def test_five_hundred_cells_stay_under_five_mebibytes(run, tmp_path, shape):
    def renamed(axes):
        if shape == "many augmenters":
            return [axes | {"augmenter": f"{axes['augmenter']}@x={i}" if i else axes["augmenter"]} for i in range(50)]
        return [axes | {"dataset": f"set-{i % 10}", "imbalance": f"step:{i // 10}"} for i in range(50)]

    out = relabel(run, tmp_path / "run", renamed)
    assert len(list((out / "cells").iterdir())) == 500
    assert write_report(out).stat().st_size < 5 * MEBIBYTE


# ---- looks ----


def test_an_augmenter_keeps_one_colour_and_marker():
    labels = ["none", "random", *(f"{name}@k={k}" for name in ("smote", "gan", "vae") for k in range(8))]
    found = styles(labels)
    assert len(set(found.values())) == len(labels)
    assert {found["none"].colour, found["random"].colour} == {"g1", "g2"}
    assert len({found[f"gan@k={k}"].colour for k in range(8)}) == 1


def test_every_colour_is_in_the_style_sheet(page):
    assert [name for name in COLOURS if f"--{name}:" not in page.source] == []
