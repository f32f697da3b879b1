"""Intervals hold the truth as often as they say, and the page on statistics says how often when they do not."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from math import sqrt
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "statistics.md").read_text(encoding="utf-8")


def script():
    spec = spec_from_file_location("simulate_intervals", ROOT / "scripts" / "simulate_intervals.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulation = script()


def block(name):
    """The lines of a simulated table on the page, as lists of cells."""
    text = next(match[3] for match in simulation.BLOCK.finditer(PAGE) if match[2] == name)
    return [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]


def named(line):
    return "-".join(line[:2])


def share(cell):
    return float(cell.removesuffix(" %")) / 100


def near(written, found, *, tables, of):
    """Whether both are samples of one share: within four standard errors, and the rounding of the page."""
    spread = sqrt(max(written * (1 - written), 0.01) * (1 / tables + 1 / of))
    return abs(written - found) <= 4 * spread + 0.0005


@pytest.mark.parametrize("n", [5, 10])
def test_students_interval_holds_the_truth_in_95_percent_of_tables_of_normal_differences(n):
    assert simulation.coverage_of_t("normal", n, tables=3000) == pytest.approx(0.95, abs=0.016)  # four standard errors


@pytest.mark.parametrize("n", [5, 10])
def test_students_interval_holds_the_truth_less_often_when_differences_are_skewed(n):
    assert 0.85 < simulation.coverage_of_t("skewed", n, tables=1500) < 0.92


@pytest.mark.parametrize("n", [5, 10])
def test_students_interval_is_on_the_safe_side_when_tails_are_heavy(n):
    assert simulation.coverage_of_t("heavy tails", n, tables=1500) > 0.94


def test_bca_is_too_short_just_where_it_is_not_given():
    assert simulation.coverage_of_bca("normal", 5, tables=400) < 0.90


def test_a_family_marks_falsely_in_five_percent_of_tables_and_lines_by_themselves_in_far_more():
    alone, adjusted = simulation.false_marks(5, 8, tables=800)
    assert alone > 0.2
    assert adjusted < 0.05 + 3 * 0.0077


@pytest.mark.parametrize("line", block("coverage"), ids=named)
def test_the_page_tells_the_coverage_that_students_interval_has(line):
    shape, n, written, _ = line
    found = simulation.coverage_of_t(shape, int(n), tables=500)
    assert near(share(written), found, tables=500, of=simulation.TABLES)


@pytest.mark.parametrize("line", [line for line in block("coverage") if int(line[1]) <= 20], ids=named)
def test_the_page_tells_the_coverage_that_bca_has(line):
    shape, n, _, written = line
    found = simulation.coverage_of_bca(shape, int(n), tables=100)
    assert near(share(written), found, tables=100, of=simulation.TABLES)


@pytest.mark.parametrize("line", [line for line in block("marks") if int(line[1]) <= 8], ids=named)
def test_the_page_tells_how_often_marks_are_false(line):
    n, lines, alone, adjusted = line
    found = simulation.false_marks(int(n), int(lines), tables=150)
    for written, again in zip((alone, adjusted), found, strict=True):
        assert near(share(written), again, tables=150, of=simulation.FEWER_TABLES)


@pytest.mark.parametrize("line", [line for line in block("items") if int(line[1]) <= 20], ids=named)
def test_the_page_tells_the_coverage_of_intervals_over_items(line):
    shares, per_class, _, written = line
    found = simulation.coverage_of_items(shares, int(per_class), tables=100)
    assert near(share(written), found, tables=100, of=simulation.FEWER_TABLES)


def test_the_page_tells_what_pairs_can_find():
    assert ["| " + " | ".join(line) + " |" for line in block("pairs")] == simulation.pairs().splitlines()[2:]


def test_every_simulated_block_stands_on_the_page_once():
    assert sorted(re.findall(r"<!-- simulated: ([\w-]+) -->", PAGE)) == sorted(simulation.BLOCKS)


def test_a_block_is_written_anew_and_the_text_around_it_stays():
    text = "before\n\n<!-- simulated: pairs -->\n\nold\n\n<!-- end -->\n\nafter\n"
    assert simulation.filled(text, {"pairs": "new"}) == text.replace("old", "new")
    assert simulation.filled(text, {}) == text
