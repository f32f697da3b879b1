"""What a terminal shows while cells work, and what a pipe gets."""

import io
import re

import pytest
from rich.console import Console

from benchfw import console as screen
from benchfw.console_plugins import print_plugins
from benchfw.experiment import load
from benchfw.plan import cells
from benchfw.plugins import Origin, Plugin
from benchfw.registry import Registry, installed

LONG = "a reason of many words that goes on and on " * 8


@pytest.fixture(scope="module")
def cell():
    return cells(load("quick"), installed())[0]


def shown(cell, progress):
    """What a terminal shows of a cell whose progress is this text."""
    there = Console(file=io.StringIO(), force_terminal=True, width=200)
    with screen.Progressing(there) as bars:
        bars.tick([(cell, progress)])
    return there.file.getvalue()


@pytest.mark.parametrize("progress", ["fit 1 2", "fit 1.0 2.0", "fit 1.5 2.0"])
def test_a_bar_shows_how_far_a_cell_is_in_any_unit(cell, progress):
    assert ": fit" in shown(cell, progress)
    assert "1/2" in shown(cell, progress)


@pytest.mark.parametrize(
    "progress", ["", "fit", "fit nan 1", "fit 1 inf", "fit one two", "fit 1 2 3", "fit tensor(1.) 2"]
)
def test_a_bar_passes_over_progress_that_is_no_two_numbers(cell, progress):
    assert ": fit" not in shown(cell, progress)


def test_no_label_or_reason_acts_on_the_terminal(cell, capsys):
    hostile = "\x1b[31mred \x9b2J \u202egnp"
    row = {"status": "failed", "reason": hostile, "axes": cell.axes | {"augmenter": hostile}, "id": cell.id}
    screen.Lines(screen.console(stderr=True)).finished(cell, row)
    screen.print_troubles([row, row | {"status": "done", "warnings": [hostile]}], screen.console())
    captured = capsys.readouterr()
    assert "[31mred" in captured.out
    assert not {"\x1b", "\x9b", "\u202e"} & set(captured.out + captured.err)


def test_no_line_is_broken_in_a_pipe(cell, capsys):
    row = {"status": "failed", "reason": LONG, "axes": cell.axes, "id": cell.id}
    screen.Lines(screen.console(stderr=True)).finished(cell, row)
    screen.print_troubles([row], screen.console())
    captured = capsys.readouterr()
    assert captured.out == f"1 cell failed: {LONG}\n"
    assert captured.err.endswith(f"{LONG}\n")
    assert captured.err.count("\n") == 1


def test_a_table_names_a_status_and_leaves_its_reason_to_the_lines_below(capsys):
    from benchfw.summary import headings
    from benchfw.tables import costs, table

    axes = {"dataset": "digits", "imbalance": "exp:5", "extractor": "pixels", "classifier": "linear"}
    scores = {"none": {"accuracy": 0.5}}
    done = [
        {"axes": axes | {"augmenter": augmenter, "repetition": r}, "status": "done", "reason": None, "scores": scores}
        for augmenter in ("none", "smote")
        for r in range(3)
    ]
    failed = {"status": "failed", "reason": LONG, "scores": None}
    rows = [*done[:-1], done[-1] | failed]
    frame = table(rows, classifiers=["linear"])
    assert LONG.strip() in "".join(frame["status"])
    assert headings("accuracy")[-1] == "status"
    screen.print_results(frame, costs(rows), "accuracy", screen.console())
    printed = capsys.readouterr().out
    assert "failed" in printed
    assert re.search(r"^ augmenter +┃ correction", printed, re.MULTILINE)  # the classifier is in the title
    assert LONG.strip() not in printed.partition("\n\n")[0]


def test_many_warnings_are_cut_short_and_the_rest_is_counted(cell, capsys):
    warnings = [f"warning {number}" for number in range(20)]
    screen.print_troubles([{"status": "done", "axes": cell.axes, "id": "a", "warnings": warnings}], screen.console())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[-1] == "and 8 other warnings: see `warnings` in the files of the cells"


def test_failures_that_differ_in_their_traceback_alone_are_told_once(cell, capsys):
    row = {"status": "failed", "axes": cell.axes}
    rows = [row | {"id": name, "reason": f"KeyError: 3 (see tracebacks/{name}.txt)"} for name in "abc"]
    other = row | {"id": "d", "reason": "KeyError: 4 (see tracebacks/d.txt)"}
    screen.print_troubles([*rows, other, other | {"reason": "KeyError: 3"}], screen.console())
    assert capsys.readouterr().out.splitlines() == [
        "3 cells failed: KeyError: 3 (see tracebacks/a.txt and 2 more)",
        "1 cell failed: KeyError: 4 (see tracebacks/d.txt)",
        "1 cell failed: KeyError: 3",
    ]


def test_the_classifiers_of_a_table_begin_on_the_left(capsys):
    from benchfw.tables import costs, table

    axes = {"dataset": "digits", "imbalance": "exp:5", "extractor": "pixels", "augmenter": "none", "repetition": 0}
    done = {"status": "done", "reason": None, "scores": {"none": {"accuracy": 0.5}}}
    rows = [done | {"axes": axes | {"classifier": name}} for name in ("head", "logistic")]
    frame = table(rows, classifiers=["head"])
    screen.print_results(frame, costs(rows), "accuracy", screen.console())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("│")[1] for line in lines if "│" in line] == [" head       ", " logistic   "]


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("0", screen.PIPE_WIDTH), ("", screen.PIPE_WIDTH)])
def test_a_pipe_is_as_wide_as_somebody_says(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert screen.console().width == width


LONGEST_NAME = "a-plugin-of-a-distribution-with-a-name-that-is-long"
PLUGINS = (
    Plugin(Origin("benchfw-jitter", "0.1.0", "jitter", "jitter"), "loaded", (("augmenter", "jitter"),), 0.002),
    Plugin(Origin("broken-one", "1.0", "broken", "broken"), "broken", seconds=0.5, reason="ImportError: no such " * 8),
    Plugin(Origin(LONGEST_NAME, "2.0.1", "long", "long"), "not asked for", reason="--no-plugins or $BENCHFW_PLUGINS"),
)


def listed(width, plugins):
    registry = Registry()
    registry.plugins = [*installed().plugins, *plugins]
    there = Console(file=io.StringIO(), width=width)
    print_plugins(registry, there)
    return there.file.getvalue().splitlines()


def test_each_plugin_has_a_line_on_a_small_terminal():
    lines = listed(80, PLUGINS[:2])
    jitter = r" benchfw-jitter │ 0\.1\.0 +│ loaded │ +0\.002 │ jitter: augmenter jitter"
    assert [line for line in lines if re.match(jitter, line)]
    assert [line for line in lines if re.match(r" broken-one +│ 1\.0 +│ broken │ +0\.500 │ broken", line)]
    assert max(map(len, lines)) <= 80
    assert len(lines) < 25


@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_no_name_and_no_reason_is_cut_short_in_the_list_of_plugins(width):
    lines = listed(width, PLUGINS)
    assert "…" not in "".join(lines)
    cells = [line.replace(" ", "").split("│") for line in lines if line.count("│") == 4]
    distributions, brings = ("".join(row[at] for row in cells) for at in (0, 4))
    assert LONGEST_NAME in distributions
    assert "jitter:augmenterjitter" in brings
    assert ("ImportError: no such " * 8).split() == " ".join(lines).partition("broken-one: ")[2].split()[:24]
