"""Simulate how often the intervals hold the truth and the marks are false, and write it into the page on statistics.

    python scripts/simulate_intervals.py              all blocks, in some ten minutes
    python scripts/simulate_intervals.py NAME ...     these blocks

A block stands between `<!-- simulated: NAME -->` and `<!-- end -->`, where NAME is one of `BLOCKS`; all other text is
written by hand. Seeds are fixed, so the same versions of numpy and scipy write the same page.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchfw.items import by_items
from benchfw.statistics import bca, compare, in_family, paired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "statistics.md"
BLOCK = re.compile(r"(<!-- simulated: ([\w-]+) -->\n\n)(.*?)(\n\n<!-- end -->)", re.DOTALL)

TABLES = 20_000  # a share of 95 % has a standard error of 0.15 points, one of 75 % of 0.3
FEWER_TABLES = 5_000  # 0.3 points at 95 %, for what takes longer
PAIRS = (3, 5, 8, 10, 20, 50)
LINES = (1, 8, 40)
ITEMS = (20, 100, 1000)
CLASSES = 10


class Shape(NamedTuple):
    """A distribution of differences. draw: the size wanted -> values. truth: their mean."""

    draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    truth: float


SHAPES = {
    "normal": Shape(lambda rng, size: rng.normal(0.3, 1, size), 0.3),
    "skewed": Shape(lambda rng, size: rng.gamma(1, 1, size), 1),
    "heavy tails": Shape(lambda rng, size: rng.standard_t(3, size), 0),
}
SHARES = {"6 %, 4 %": (0.06, 0.04), "1 %, 0.5 %": (0.01, 0.005)}


def coverage_of_t(shape: str, n: int, tables: int = TABLES) -> float:
    """The share of tables of n pairs whose interval of Student's t holds the true mean."""
    truth = SHAPES[shape].truth
    lifts = [paired(dict(enumerate(row)), dict.fromkeys(range(n), 0.0)) for row in _drawn(shape, n, tables)]
    return float(np.mean([lift.low <= truth <= lift.high for lift in lifts]))


def coverage_of_bca(shape: str, n: int, tables: int = TABLES) -> float:
    """The share of tables of n pairs whose BCa interval holds the true mean."""
    truth = SHAPES[shape].truth
    ends = [bca(row) for row in _drawn(shape, n, tables)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


def false_marks(n: int, lines: int, tables: int = FEWER_TABLES) -> tuple[float, float]:
    """The share of tables without any true difference that mark one: by each line's own p, and by Holm.

    The lines are independent normals and share their reference, as augmenters share `none`.
    """
    rng = np.random.default_rng([n, lines])
    alone = adjusted = 0
    for _ in range(tables):
        reference = dict(enumerate(rng.normal(size=n).tolist()))
        lifts = [paired(dict(enumerate(row)), reference) for row in rng.normal(size=(lines, n)).tolist()]
        alone += any(lift.marked for lift in lifts)
        adjusted += any(lift.marked for lift in in_family(lifts))
    return alone / tables, adjusted / tables


def coverage_of_items(shares: str, per_class: int, tables: int = FEWER_TABLES) -> float:
    """The share of test sets whose bootstrap interval holds the true difference of balanced accuracy."""
    gained, lost = SHARES[shares]
    rng = np.random.default_rng(per_class)
    labels = np.repeat(np.arange(CLASSES), per_class)
    held = 0
    for _ in range(tables):
        draw = rng.random(len(labels))
        wrong_here = (gained <= draw) & (draw < gained + lost)
        found = by_items(~wrong_here, draw >= gained, labels)
        held += found.low <= gained - lost <= found.high
    return held / tables


def _drawn(shape: str, n: int, tables: int) -> np.ndarray:
    """(tables, n) differences."""
    return SHAPES[shape].draw(np.random.default_rng([list(SHAPES).index(shape), n]), (tables, n))


def coverage() -> str:
    """Student's t beside BCa, by the shape of the differences and the number of pairs."""
    lines = [
        (shape, n, _percent(coverage_of_t(shape, n)), _percent(coverage_of_bca(shape, n)))
        for shape in SHAPES
        for n in PAIRS
    ]
    return _rows("differences", "pairs", "Student's t", "BCa", lines=lines)


def marks() -> str:
    """False marks in tables without a true difference."""
    lines = [(n, lines, *map(_percent, false_marks(n, lines))) for n in (5, 10) for lines in LINES]
    return _rows("pairs", "lines", "by p alone", "by Holm", lines=lines)


def pairs() -> str:
    """What n pairs can find at all; nothing of this is random."""
    lines = []
    for n in PAIRS:
        found = compare({r: r * 1.0 for r in range(n)}, dict.fromkeys(range(n), 0.0))
        lines.append((n, f"{found.sign_flip_least:.3g}", f"{found.detectable / found.sd:.2f}"))
    return _rows("pairs", "least p of the sign flips", "detectable difference, in deviations", lines=lines)


def items() -> str:
    """The bootstrap over test items, by how many of them differ."""
    lines = []
    for shares, each in SHARES.items():
        for per_class in ITEMS:
            differing = f"{sum(each) * per_class * CLASSES:g}"
            lines.append((shares, per_class, differing, _percent(coverage_of_items(shares, per_class))))
    return _rows("gained, lost", "items in each of 10 classes", "differing", "coverage", lines=lines)


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _rows(*head: str, lines: Iterable[Iterable[object]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in table)


BLOCKS = {"coverage": coverage, "items": items, "marks": marks, "pairs": pairs}


def filled(text: str, written: Mapping[str, str]) -> str:
    """A page with these of its blocks written anew."""
    return BLOCK.sub(lambda match: match[1] + written.get(match[2], match[3]) + match[4], text)


def main(names: Iterable[str]) -> None:
    """Simulate first and read the page last, since it may be edited meanwhile."""
    written = {name: BLOCKS[name]() for name in names}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), written), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or BLOCKS)
