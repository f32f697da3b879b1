"""What a terminal shows while cells work, and what a pipe gets."""

import io

import pytest
from rich.console import Console

from benchfw import console as screen
from benchfw.experiment import load
from benchfw.plan import cells
from benchfw.registry import installed

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
    assert LONG.strip() not in printed.partition("\n\n")[0]


def test_many_warnings_are_cut_short_and_the_rest_is_counted(cell, capsys):
    warnings = [f"warning {number}" for number in range(20)]
    screen.print_troubles([{"status": "done", "axes": cell.axes, "id": "a", "warnings": warnings}], screen.console())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[-1] == "and 8 other warnings: see `warnings` in the files of the cells"
