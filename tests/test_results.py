"""The results of a run from Python: what the commands print and write, as pandas frames and files."""

import pandas as pd
import pytest

import benchfw
from benchfw.errors import UsageError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    axes = {"extractors": ["pixels"], "augmenters": ["smote"], "classifiers": ["linear"]}
    settings = {"repetitions": 2, "classifier.linear.steps": 5}
    return benchfw.run(**axes, settings=settings, out=tmp_path_factory.mktemp("results") / "out", cache="off")


def test_comparisons_are_those_of_the_file_and_of_any_metric(results):
    written = pd.read_csv(results.directory / "comparisons.csv", keep_default_na=False)
    assert results.comparisons()["augmenter"].tolist() == written["augmenter"].tolist()
    against = results.comparisons("nll", versus={"augmenter": "random"})
    assert set(against[against["kind"] == "gain"]["augmenter"]) == {"none", "smote", "random"}
    with pytest.raises(UsageError, match="no metric 'acuracy'"):
        results.comparisons("acuracy")


def test_a_report_is_written_where_it_is_asked_for(results, tmp_path):
    assert results.report() == results.directory / "report.html"
    asked = results.report(tmp_path / "other.html", metric="nll")
    assert asked.read_text().count("nll") > results.report().read_text().count("nll")
