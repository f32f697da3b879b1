"""The time of a report of 500 cells beside that of the tables of the same cells, and its parts.

The ratio of the rows is the result; nothing is asserted about time.
"""

import pytest
from reported import relabel

import benchfw
from benchfw import tables
from benchfw.report import write_report
from benchfw.store import RunDirectory

SETTINGS = {"repetitions": 5, "classifier.linear.steps": 5}
COPIES = {
    "of one block": lambda axes, i: axes | {"augmenter": f"{axes['augmenter']}@x={i}" if i else axes["augmenter"]},
    "of many blocks": lambda axes, i: axes | {"dataset": f"set-{i % 6}", "imbalance": f"step:{i // 6}"},
}


@pytest.fixture(scope="module", params=COPIES)
def five_hundred(request, tmp_path_factory):
    """Five repetitions of digits with four augmenters, 25 times under other labels."""
    place = tmp_path_factory.mktemp("speed")
    axes = {"extractors": ["pixels"], "augmenters": ["smote", "eos"], "classifiers": ["linear"]}
    run = benchfw.run(**axes, settings=SETTINGS, out=place / "run", cache="off").directory
    copy = COPIES[request.param]
    return relabel(run, place / "copies", lambda axes: [copy(axes, i) for i in range(25)])


@pytest.mark.benchmark(group="report", min_rounds=2)
def test_a_report_of_500_cells(benchmark, five_hundred):
    assert benchmark(write_report, five_hundred).stat().st_size > 0


@pytest.mark.benchmark(group="report", min_rounds=2)
def test_the_tables_of_500_cells(benchmark, five_hundred):
    def tabulated():
        experiment, rows = RunDirectory(five_hundred).rows()
        return tables.table(rows, classifiers=experiment.classifiers)

    assert len(benchmark(tabulated)) > 100
