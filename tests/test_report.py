"""A report says what the table says, hides no hole, marks no tie, shows no path, and is the same each time."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from commands import Home
from reported import GAN, Page, change, read, relabel, small_run

from benchfw import summary, tables
from benchfw.errors import UsageError
from benchfw.fidelity import MEASURES
from benchfw.report import likeness, write_report
from benchfw.report.forest import forests
from benchfw.report.palette import COLOURS, styles
from benchfw.report.reading import read as read_run
from benchfw.report.reading import shown
from benchfw.store import RunDirectory

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
    experiment, rows = RunDirectory(run).rows()
    frame = tables.table(rows, classifiers=experiment.classifiers)
    wanted = summary.summary(frame, tables.costs(rows))
    (heads, *lines), _ = page.table("Lines of the table")
    assert len(lines) == len(wanted)
    for line, found in zip(wanted, lines, strict=True):
        texts = dict(zip(summary.headings(), summary.cells(line), strict=True))
        shown_texts = dict(zip(heads, found, strict=True))
        for head in ("augmenter", "correction", "balanced accuracy", "lift", "gain", "minority recall", "seconds"):
            assert shown_texts[head] == texts[head]


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
    "title", ["The plane", "Real and generated rows", f"Health of {GAN}", "Lift against seconds", "Reliability", "loss"]
)
def test_a_figure_is_there_and_says_what_it_shows(page, title):
    drawings = [a for a in page.all("svg") if a.get("role") == "img"]
    assert all(len(a["aria-labelledby"].split()) == 2 for a in drawings)
    assert title in page.words


def test_images_have_an_alternative_text(page):
    assert [a["alt"] for a in page.all("img")][:2] == ["4 training images of class 0", "4 training images of class 1"]
    assert all(a["src"].startswith("data:image/png;base64,") for a in page.all("img"))


def test_provenance_is_told_in_full(run, page):
    assert (run / "experiment.toml").read_text() in page.source.replace("&#34;", '"').replace("&#39;", "'")
    assert read(run / "machine.json")["commit"] in page.words
    assert "CC BY 4.0; may be passed on" in page.words
    assert "benchfw report DIR" in page.words


def test_the_metric_is_chosen(run):
    page = report(run, metric="accuracy")
    assert "lift of accuracy" in page.words
    assert page.table("accuracy with linear@steps=5")[0]


def test_an_unknown_metric_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no metric named 'acuracy'; did you mean 'accuracy'"):
        write_report(run, tmp_path / "report.html", metric="acuracy")


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        write_report(tmp_path)


def test_the_measures_are_those_of_fidelity():
    assert list(likeness.MEASURES) == list(MEASURES)


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
    assert "no augmenter is compared with none: there is nothing of none to pair it with" in page.words


def test_a_directory_without_a_finished_cell_gives_a_report(run, tmp_path):
    page = report(change(run, tmp_path / "run", lambda row: None))
    assert [a["id"] for a in page.all("section")] == list(SECTIONS)
    assert "No augmenter has been compared with none yet." in page.words
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
    assert rows[0][3] == "McNemar p"
    assert {row[0] for row in rows[1:]} == {"random", "smote", GAN}
    assert "One pair has neither interval nor p" in page.words


def test_ranks_want_six_data_sets_or_a_reason(run, page, tmp_path):
    assert "1 data set; rank tests want at least 6" in page.words
    many = relabel(run, tmp_path / "many", lambda axes: [axes | {"dataset": f"set-{i}"} for i in range(6)])
    assert "Critical-difference diagram" in report(many).words


# ---- marks ----


def test_a_reliable_difference_is_marked(run, tmp_path):
    page = report(repeated(run, tmp_path / "run", unlike))
    rows, marks = page.table("balanced accuracy with linear@steps=5")
    place = [row[0] for row in rows].index("smote")
    assert rows[place][1:3] == ["better", "+2.4 [2.0, 2.8]"]
    assert marks[place][2] == "n better"
    assert (
        "1 of 2 augmenters is reliably better in balanced accuracy than none, first smote by +2.4 points" in page.words
    )


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
    assert (
        "2 of 2 comparisons with none show that an augmenter helps balanced accuracy, 0 that one harms it" in page.words
    )
    (rows, _) = page.table("")
    assert rows[1:3] == [["none", "2", "0", "0"], ["random", "0", "2", "0"]]


def test_few_pairs_are_never_marked(page):
    classes = {name for _, attributes in page.elements for name in attributes.get("class", "").split()}
    assert not classes & {"b", "w", "better", "worse"}


def test_what_is_not_shown_is_told(run, tmp_path):
    words = report(repeated(run, tmp_path / "run", unlike)).words
    assert "With 5 pairs a sign-flip test cannot give a p below 0.0625" in words
    assert re.search(r"would find a true one of about [\d.]+ points .* four times in five", words)


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
        where = {"dataset": "npz@path=/home/somebody/scans/scans.npz"}
        reason = row["reason"] and f"{row['reason']} in /home/somebody/x/plugin.py"
        return row | {
            "axes": row["axes"] | where,
            "reason": reason,
            "warnings": ["reads file:///home/somebody/y/z.bin"],
        }

    page = report(change(run, tmp_path / "run", placed))
    assert "npz@path=…/scans/scans.npz" in page.words
    assert [text for text in ("/home", "somebody", str(run), "/tmp/", sys.prefix) if text in page.source] == []


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
        ('File "/home/me/lib/site-packages/torch/nn.py", line 3', 'File "…/torch/nn.py", line 3'),
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
