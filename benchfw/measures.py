"""The measures of fidelity: what each is called, how it is read, and where it is from. Importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NEIGHBOURS = 5  # k of precision, recall, density and coverage, as Naeem et al. 2020 advise
COPY = 0.1  # of a training row's distance to its nearest neighbour: nearer than that is a copy
AXES = 64  # of the Fréchet distance, whose covariances want more rows than axes
DUPLICATE = 1e-3  # of the usual distance between held-out neighbours: nearer than that is the same row


@dataclass(frozen=True)
class Measure:
    """A named number of fidelity.

    range: its unit and the values it can have. best: `lower` or `higher`, or `floor` where a departure to either side
    is bad. ideal: what endless rows of a perfect generator would give; None where only the floor can tell.
    """

    name: str
    range: str
    best: Literal["lower", "higher", "floor"]
    ideal: float | None
    help: str
    source: str

    @property
    def floor(self) -> str:
        """The key of its floor: the same number with real rows in place of the generated ones."""
        return f"{self.name}_floor"


_PRECISION = (
    "Kynkäänniemi et al. 2019 (Improved precision and recall), section 2; k and strict balls as in Naeem et al."
)
_DENSITY = "Naeem et al. 2020 (Reliable fidelity and diversity metrics), section 3; the ideal by lemma 2"
_TEST = "Lopez-Paz and Oquab 2017 (Revisiting classifier two-sample tests), section 3"
_RATIO = "ratio of nearest-neighbour distances; floor: held-out rows against the training rows"

MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "frechet",
            "squared distance, from 0",
            "lower",
            0.0,
            f"Fréchet distance of Gaussians, in {AXES} principal axes of other training rows",
            "Dowson and Landau 1982; Heusel et al. 2017 (Two time-scale update rule)",
        ),
        Measure(
            "energy",
            "ratio, about 0 to 2",
            "lower",
            0.0,
            "energy distance over the mean distance of held-out pairs; chance takes it a little below 0",
            "Székely and Rizzo 2013 (Energy statistics), the unbiased estimate",
        ),
        Measure(
            "precision",
            "share, 0 to 1",
            "floor",
            None,
            "generated rows in the neighbourhood of a held-out row; above the floor: huddled in the middle",
            _PRECISION,
        ),
        Measure(
            "recall",
            "share, 0 to 1",
            "higher",
            None,
            "held-out rows in the neighbourhood of a generated row",
            _PRECISION,
        ),
        Measure(
            "density",
            "ratio, from 0",
            "floor",
            1.0,
            "held-out neighbourhoods that a generated row lies in, over k; above 1: huddled where rows are dense",
            _DENSITY,
        ),
        Measure(
            "coverage",
            "share, 0 to 1",
            "higher",
            1 - 0.5**NEIGHBOURS,
            "held-out rows with a generated row in their neighbourhood; alone it is fooled",
            _DENSITY,
        ),
        Measure(
            "diversity",
            "ratio, from 0",
            "floor",
            1.0,
            "mean distance of generated pairs over that of held-out pairs; near 0: collapsed",
            "ratio of mean pair distances within a class",
        ),
        Measure(
            "c2st",
            "share, 0 to 1",
            "lower",
            0.5,
            "accuracy of a logistic regression that tells generated from held-out rows, on unseen ones",
            _TEST,
        ),
        Measure(
            "c2st_p",
            "probability, 0 to 1",
            "higher",
            None,
            "chance of that accuracy or a better one if there is nothing to tell (binomial)",
            _TEST,
        ),
        Measure(
            "nearer_train",
            "share, 0 to 1",
            "floor",
            0.5,
            "generated rows nearer to a training row than to any of as many held-out rows",
            "nearest-neighbour comparison, in the spirit of Meehan et al. 2020 (Data-copying)",
        ),
        Measure(
            "memorisation",
            "ratio, from 0",
            "floor",
            None,
            "median of the distance to the nearest training row over that row's own distance to its nearest",
            _RATIO,
        ),
        Measure(
            "memorised",
            "share, 0 to 1",
            "lower",
            None,
            f"generated rows with such a ratio below {COPY}: all but copies of training rows",
            _RATIO,
        ),
        Measure(
            "leakage",
            "share, 0 to 1",
            "lower",
            0.0,
            "generated rows that repeat a held-out row; floor: training rows that do",
            f"search for duplicates, to within {DUPLICATE:g} of the median distance of held-out neighbours",
        ),
        Measure(
            "consistency",
            "share, 0 to 1",
            "floor",
            None,
            "generated rows that an oracle gives their class; above the floor: shrunk to easy rows",
            "Mariani et al. 2018 (BAGAN), accuracy of generated images; floor: held-out rows",
        ),
    )
}
"""Every measure, in the order of the tables' columns."""
