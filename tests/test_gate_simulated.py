"""The gate keeps what it says: an unchanged table fails in 5 % at most, a loss that is twice what is seen is found."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from math import sqrt
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "gate.md").read_text(encoding="utf-8")


def script():
    spec = spec_from_file_location("simulate_gate", ROOT / "scripts" / "simulate_gate.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


simulation = script()
WORLDS = [
    simulation.World(n, shared, calibrated) for shared in (0.3, 0.9) for calibrated in (False, True) for n in (3, 5)
]


def block(name):
    """The lines of a simulated table on the page, as lists of cells."""
    text = next(match[3] for match in simulation.BLOCK.finditer(PAGE) if match[2] == name)
    return [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]


def share(cell):
    return float(cell.removesuffix(" %")) / 100


def near(written, found, *, checks, of):
    """Whether both are samples of one share: within four standard errors, and the rounding of the page."""
    spread = sqrt(max(written * (1 - written), 0.01) * (1 / checks + 1 / of))
    return abs(written - found) <= 4 * spread + 0.0005


def named(world):
    return f"{world.n} repetitions, {'calibrated' if world.calibrated else 'bare'}, {world.shared:.0%} shared"


@pytest.mark.parametrize("world", WORLDS, ids=named)
def test_of_200_unchanged_tables_at_most_one_in_twenty_fails_and_twice_what_is_seen_is_found(world):
    alarms, seen, _ = simulation.false_alarms(world, checks=200, seed=7)
    assert alarms <= 0.05
    assert simulation.found(world, 2 * seen, checks=60) >= 0.8


@pytest.mark.parametrize("shared", [0.3, 0.9])
def test_a_calibration_halves_the_loss_that_three_repetitions_see(shared):
    bare, calibrated = (
        simulation.false_alarms(simulation.World(3, shared, known), checks=60)[1] for known in (False, True)
    )
    assert calibrated < bare / 2


def test_lifts_see_smaller_losses_than_values_where_the_extractor_is_most_of_the_chance():
    _, values, lifts = simulation.false_alarms(simulation.World(5, 0.9, calibrated=True), checks=60)
    assert lifts < 0.7 * values


@pytest.mark.parametrize(
    "line", [line for line in block("gate") if line[2] == "3"], ids=lambda line: "-".join(line[:3])
)
def test_the_page_tells_how_often_an_unchanged_table_fails_and_a_loss_is_found(line):
    chance, calibrated, n, alarms, seen, _, once, twice = line
    world = simulation.World(int(n), calibrated=calibrated != "none", **simulation.CHANCES[chance])
    found, sees, _ = simulation.false_alarms(world, checks=100, seed=5)
    assert near(share(alarms), found, checks=100, of=simulation.CHECKS)
    assert float(seen) == pytest.approx(100 * sees, rel=0.15)
    for written, times in ((once, 1), (twice, 2)):
        again = simulation.found(world, times * float(seen) / 100, checks=60, seed=5)
        assert near(share(written), again, checks=60, of=simulation.PLANTS)


@pytest.mark.parametrize("line", block("items"), ids=lambda line: "-".join(line[:2]))
def test_the_page_tells_how_often_items_alone_raise_a_false_alarm(line):
    n, factor, written = line
    found = simulation.by_items(int(n), float(factor) * simulation.CLASS_CHANCE, checks=60)
    assert near(share(written), found, checks=60, of=simulation.CHECKS)


def test_every_simulated_block_stands_on_the_page_once():
    assert sorted(re.findall(r"<!-- simulated: ([\w-]+) -->", PAGE)) == sorted(simulation.BLOCKS)


def test_a_block_is_written_anew_and_the_text_around_it_stays():
    text = "before\n\n<!-- simulated: gate -->\n\nold\n\n<!-- end -->\n\nafter\n"
    assert simulation.filled(text, {"gate": "new"}) == text.replace("old", "new")
    assert simulation.filled(text, {}) == text
