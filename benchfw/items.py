"""Two classifiers on the same test items: what one training can tell, from the predictions that were kept.

It speaks of other test samples for these two trainings, never of training again. Letters: N items, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchfw.errors import DataError
from benchfw.statistics import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np

    Bools = np.ndarray[Any, np.dtype[np.bool_]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

RESAMPLES = 5_000  # the share of resamples beyond each end of the interval errs by 0.2 points
FEW = 10  # items that differ, below which the bootstrap's ends are rough and McNemar's exact p is to be read


@dataclass(frozen=True)
class ItemComparison:
    """How hits differ from the reference's hits on the same n items.

    gained: items right here and wrong in the reference; lost: the other way round. mcnemar: exact two-sided p of gained
    against lost, which is about accuracy, whatever the labels. mean: of the differences, of accuracy or of balanced
    accuracy. low, high: its 95 % bootstrap interval over items. p: two-sided, of the same resamples: twice the smaller
    share at or beyond 0, so it falls under 5 % when the interval leaves out 0; at least 0.0004.
    """

    n: int
    gained: int
    lost: int
    mcnemar: float
    mean: float
    low: float
    high: float
    p: float

    @property
    def note(self) -> str:
        """Why the interval is not to be trusted; empty where it is."""
        differing = self.gained + self.lost
        if not differing:
            return "no item differs"
        return f"{differing} of {self.n} items differ; read mcnemar" if differing < FEW else ""


def by_items(hits: Bools, reference_hits: Bools, labels: Ints | None = None) -> ItemComparison:
    """Compare which items were classified correctly, with McNemar's test and a paired bootstrap.

    hits, reference_hits: (N,) bool; place i of both is one item. labels: (N,) int64; with them the difference is that
    of balanced accuracy, the mean of the recalls of the classes present, and each class is resampled by itself; without
    them it is that of accuracy. The resamples have a fixed seed. Raises DataError for other shapes and for no items.
    """
    import numpy as np

    hits, reference_hits = np.asarray(hits, dtype=bool), np.asarray(reference_hits, dtype=bool)
    strata = np.zeros(len(hits), dtype=np.int64) if labels is None else np.asarray(labels)
    if not (hits.shape == reference_hits.shape == strata.shape == (len(hits),)) or not len(hits):
        found = f"{hits.shape}, {reference_hits.shape} and {strata.shape}"
        raise DataError(f"by_items: hits, reference and labels have shapes {found}; wants (N,) for all, N > 0")
    outcomes = _outcomes(hits, reference_hits, strata)
    gained, lost = (int(count) for count in outcomes[:, :2].sum(axis=0))
    drawn = _resampled(outcomes)  # (RESAMPLES,)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return ItemComparison(
        n=len(hits),
        gained=gained,
        lost=lost,
        mcnemar=mcnemar(gained, lost),
        mean=float(_shares(outcomes).mean()),
        low=float(low),
        high=float(high),
        p=_p(drawn),
    )


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p of McNemar's test: as uneven a split of the items that differ, each a fair coin.

    1 where no item differs. Source: McNemar 1947, in the binomial form.
    """
    from scipy.special import bdtr

    return min(1.0, float(2 * bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def _outcomes(hits: Bools, reference_hits: Bools, strata: Ints) -> Ints:
    """(K, 3): items gained, lost and alike in each class present."""
    import numpy as np

    classes, place = np.unique(strata, return_inverse=True)
    kind = np.where(hits == reference_hits, 2, np.where(hits, 0, 1))
    return np.bincount(place * 3 + kind, minlength=3 * len(classes)).reshape(-1, 3)


def _resampled(outcomes: Ints) -> Floats:
    """(RESAMPLES,) differences. To draw n items again is to draw how many of each of the three kinds come."""
    import numpy as np

    rng = np.random.default_rng(0)
    total = np.zeros(RESAMPLES)
    for kinds in outcomes[outcomes[:, :2].any(axis=1)]:  # class by class, to bound the memory; others stay 0
        total += _shares(rng.multinomial(kinds.sum(), kinds / kinds.sum(), size=RESAMPLES))
    return total / len(outcomes)


def _shares(outcomes: Ints) -> Floats:
    """(gained - lost) / items. outcomes: (..., 3). Returns (...)."""
    import numpy as np

    return np.asarray((outcomes[..., 0] - outcomes[..., 1]) / outcomes.sum(axis=-1))


def _p(drawn: Floats) -> float:
    """Twice the smaller share of resamples at or beyond 0, rounding apart, the one found counted with them."""
    beyond = min((drawn <= 1e-12).sum(), (drawn >= -1e-12).sum())
    return min(1.0, float(2 * (1 + beyond) / (1 + len(drawn))))
