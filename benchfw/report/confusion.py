"""Who is taken for whom: the confusion matrix of each line, its repetitions summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchfw.report.classes import shade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchfw.report.outcomes import Line, Outcomes
    from benchfw.report.reading import Block

MOST_NUMBERS = 100_000  # of all matrices together


@dataclass(frozen=True)
class Confusion:
    """Whom a line takes for whom. counts: (K, K), rows are the true classes. n: repetitions that are summed."""

    place: int
    line: Line
    n: int
    class_names: list[str]
    counts: list[list[int]]

    @property
    def block(self) -> Block:
        """Data set, imbalance and extractor."""
        return self.line[0], self.line[1], self.line[2]

    @property
    def name(self) -> str:
        """The rest of the line: `smote + head + none`."""
        return " + ".join(self.line[3:])

    def shade(self, row: int, column: int) -> int:
        """0 to 10: the share of a true class that is taken for a class."""
        return shade(self.counts[row][column] / max(sum(self.counts[row]), 1))

    def percent(self, row: int, column: int) -> str:
        """The same share in percent; empty where nothing is."""
        count = self.counts[row][column]
        return f"{100 * count / sum(self.counts[row]):.0f}" if count else ""

    def title(self, row: int, column: int) -> str:
        """The same in words, with the counts."""
        names, of = self.class_names, sum(self.counts[row])
        return f"{self.counts[row][column]} of {of} of {names[row]} taken for {names[column]}"


@dataclass(frozen=True)
class Confusions:
    """Every matrix that a reader may choose, and the two that are shown at first."""

    all: list[Confusion]
    first: list[Confusion]
    note: str

    def as_numbers(self) -> dict[str, Any]:
        """What the page's script draws them from."""
        classes: dict[tuple[str, ...], int] = {}
        lines = []
        for one in self.all:
            key = tuple(one.class_names)
            lines.append([classes.setdefault(key, len(classes)), one.n, [count for row in one.counts for count in row]])
        return {"classes": [list(names) for names in classes], "lines": lines}


def confusions(found: Mapping[Line, Outcomes], best: Iterable[Line]) -> Confusions:
    """The matrices of all lines, as far as they are small enough.

    best: lines worth a look, the most interesting first; the first one is shown beside `none` of its block.
    """
    made: list[Confusion] = []
    left = numbers = 0
    for line, outcome in sorted(found.items(), key=lambda item: (item[0][:3], item[0][3] != "none")):
        small = outcome.confusion is not None and numbers + outcome.confusion.size <= MOST_NUMBERS
        if outcome.confusion is None or not small:
            left += 1
            continue
        numbers += outcome.confusion.size
        made.append(Confusion(len(made), line, outcome.n, outcome.class_names, outcome.confusion.tolist()))
    note = f"{left} matrices are left out, for size; predictions/ID.npz holds the scores behind them." if left else ""
    return Confusions(made, _first(made, best), note)


def _first(made: Sequence[Confusion], best: Iterable[Line]) -> list[Confusion]:
    """The first of the best lines that has a matrix, behind that of `none` with the same classifier."""
    by_line = {one.line: one for one in made}
    for line in best:
        chosen, plain = by_line.get(line), by_line.get((*line[:3], "none", *line[4:]))
        if chosen is not None:
            return [one for one in (plain, chosen) if one is not None]
    return list(made[:2])
