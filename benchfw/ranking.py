"""Methods ranked over data sets: Friedman, Nemenyi, Wilcoxon with Holm, and who cannot be told apart.

Letters: N data sets, K methods. Ranks go from 1, the best, to K; equal scores share the mean of their ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import inf, isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any, Literal, get_args

from benchfw.errors import UsageError, did_you_mean
from benchfw.statistics import CONFIDENCE, holm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Hole = tuple[str, str]  # a method and a data set

Holes = Literal["refuse", "drop data sets", "drop methods", "worst rank"]

FEWEST = 6  # with five data sets Wilcoxon's two-sided p cannot fall under 0.0625
RESAMPLES = 9_999
SHOWN = 5  # holes that a reason names; it counts the rest
DECIMALS = 12  # scores that agree so far are equal: means of the same values may differ by rounding


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of methods over data sets and what tests say of them; with a `reason`, why there is none.

    methods: by mean rank, the best first; everything by method is in this order. intervals: of the mean ranks, 95 %
    bootstrap over data sets. chi2, chi2_p: Friedman's test, ties corrected; f, f_p: Iman and Davenport's form of it.
    nemenyi: (K, K) p, and critical_difference the least difference of mean ranks that it finds at 5 %. wilcoxon:
    (K, K) exact signed-rank p, Holm over all pairs; wilcoxon_least: the smallest that so many data sets can give.
    groups: the longest runs of methods that cannot be told apart, for a critical-difference diagram. holes: scores
    that were missing, of which `imputation` says what became.
    """

    reason: str = ""
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    mean_ranks: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    chi2: float = nan
    chi2_p: float = nan
    f: float = nan
    f_p: float = nan
    nemenyi: tuple[tuple[float, ...], ...] = ()
    critical_difference: float = nan
    wilcoxon: tuple[tuple[float, ...], ...] = ()
    wilcoxon_least: float = nan
    groups: tuple[tuple[str, ...], ...] = ()
    holes: tuple[tuple[str, str], ...] = ()
    imputation: Holes = "refuse"

    @property
    def n(self) -> int:
        """The number of data sets that were ranked."""
        return len(self.datasets)

    @property
    def differ(self) -> bool:
        """Whether the methods differ at all, by Iman and Davenport's test; without it no pair may be read."""
        return self.f_p <= 1 - CONFIDENCE

    @property
    def best(self) -> tuple[str, ...]:
        """The first method and all that cannot be told apart from it: a winner only when it stands alone."""
        return self.groups[0] if self.groups and self.methods[0] in self.groups[0] else self.methods[:1]

    @property
    def note(self) -> str:
        """What these tests cannot say, in one line; empty where nothing stands in the way."""
        if self.reason:
            return self.reason
        if not self.differ:
            return f"the methods cannot be told apart over {self.n} data sets (Iman-Davenport p = {self.f_p:.2g})"
        if self.wilcoxon_least > 1 - CONFIDENCE:
            found = f"{self.n} data sets and {len(self.methods)} methods"
            return f"{found}: no pair can fall under {self.wilcoxon_least:.2g} in Wilcoxon's test with Holm"
        return ""


def ranking(scores: Mapping[str, Mapping[str, float]], *, higher: bool, holes: Holes = "refuse") -> Ranking:
    """Rank methods on each data set, and test whether their mean ranks differ.

    scores: by method, then by data set; one that is absent or not finite is a hole. higher: whether more is better.
    holes: what to do about them, since a mean over holes compares methods on different data sets: refuse, leave out the
    data sets or the methods that have one, or give the worst rank. With holes refused, fewer than 6 data sets or fewer
    than 2 methods the result holds the reason and no rank. Raises UsageError for another word.

    Source: Demsar 2006 (Statistical comparisons of classifiers over multiple data sets).
    """
    if holes not in get_args(Holes):
        raise UsageError(f"holes: no choice named {holes!r}{did_you_mean(holes, get_args(Holes))}")
    missing = _holes(scores)
    imputation: Holes = holes if missing else "refuse"
    methods, datasets = _kept(scores, missing, holes)
    reason = _reason(scores, missing, methods=methods, datasets=datasets, holes=holes)
    if reason:
        return Ranking(reason, holes=missing, imputation=imputation)
    values = _losses(scores, methods, datasets, higher=higher)
    return _ranked(values, methods, datasets, holes=missing, imputation=imputation)


def _holes(scores: Mapping[str, Mapping[str, float]]) -> tuple[Hole, ...]:
    datasets = _all_datasets(scores)
    return tuple((m, d) for m, row in scores.items() for d in datasets if not isfinite(row.get(d, nan)))


def _all_datasets(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(dataset for row in scores.values() for dataset in row))


def _kept(
    scores: Mapping[str, Mapping[str, float]], missing: Iterable[Hole], holes: Holes
) -> tuple[list[str], list[str]]:
    """The methods and the data sets that are left to rank."""
    without = {method for method, _ in missing if holes == "drop methods"}
    lost = {dataset for _, dataset in missing if holes == "drop data sets"}
    return [m for m in scores if m not in without], [d for d in _all_datasets(scores) if d not in lost]


def _reason(
    scores: Mapping[str, Mapping[str, float]],
    missing: Sequence[Hole],
    *,
    methods: Sequence[str],
    datasets: Sequence[str],
    holes: Holes,
) -> str:
    """Why there is no ranking; empty where there is one."""
    if missing and holes == "refuse":
        return f"{_named(missing)}; ranks want every method on every data set: {_choices()}"
    left = f" without holes, of {len(_all_datasets(scores))}" if holes == "drop data sets" and missing else ""
    if len(datasets) < FEWEST:
        least = f"with fewer, no pair of methods can differ at {1 - CONFIDENCE:.0%}"
        return f"{_count(len(datasets), 'data set')}{left}; rank tests want at least {FEWEST}: {least}"
    if len(methods) < 2:
        left = f" without holes, of {len(scores)}" if holes == "drop methods" and missing else ""
        return f"{_count(len(methods), 'method')}{left}; ranks want at least 2"
    return ""


def _named(missing: Sequence[Hole]) -> str:
    """`2 holes (smote on digits, gan on cifar10)`."""
    names = ", ".join(f"{method} on {dataset}" for method, dataset in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return f"{_count(len(missing), 'hole')} ({names}{more})"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _choices() -> str:
    return "choose " + " or ".join(repr(choice) for choice in get_args(Holes)[1:])


def _losses(
    scores: Mapping[str, Mapping[str, float]], methods: Sequence[str], datasets: Sequence[str], *, higher: bool
) -> Floats:
    """(N, K): less is better; a hole is worse than everything."""
    import numpy as np

    sign = -1.0 if higher else 1.0
    values = np.array([[sign * scores[m].get(d, nan) for m in methods] for d in datasets], dtype=np.float64)
    return np.where(np.isfinite(values), values, inf).round(DECIMALS)


def _ranked(
    losses: Floats, methods: Sequence[str], datasets: Sequence[str], *, holes: tuple[Hole, ...], imputation: Holes
) -> Ranking:
    from scipy.stats import rankdata

    n, k = losses.shape
    ranks = rankdata(losses, axis=1)  # (N, K)
    order = sorted(range(k), key=lambda j: (ranks[:, j].mean(), methods[j]))
    ranks, losses, names = ranks[:, order], losses[:, order], tuple(methods[j] for j in order)
    mean_ranks = tuple(float(rank) for rank in ranks.mean(axis=0))
    chi2, chi2_p, f, f_p = _friedman(ranks)
    critical = _critical_difference(n, k)
    return Ranking(
        methods=names,
        datasets=tuple(datasets),
        mean_ranks=mean_ranks,
        intervals=_intervals(ranks),
        chi2=chi2,
        chi2_p=chi2_p,
        f=f,
        f_p=f_p,
        nemenyi=_nemenyi(mean_ranks, n),
        critical_difference=critical,
        wilcoxon=_wilcoxon(losses),
        wilcoxon_least=min(1.0, k * (k - 1) / 2 * 2.0 ** (1 - n)),
        groups=_groups(names, mean_ranks, critical if f_p <= 1 - CONFIDENCE else inf),
        holes=holes,
        imputation=imputation,
    )


def _intervals(ranks: Floats) -> tuple[tuple[float, float], ...]:
    """Of each method, the ends of the 95 % percentile interval of its mean rank; data sets are drawn again."""
    import numpy as np

    n = len(ranks)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) @ ranks / n  # (RESAMPLES, K)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def _friedman(ranks: Floats) -> tuple[float, float, float, float]:
    """Friedman's chi2 and its p, Iman and Davenport's F and its p. ranks: (N, K); ties are corrected for.

    Where all methods tie everywhere nothing differs: 0, 1, 0, 1. Where all data sets agree F is infinite.
    """
    from scipy.special import chdtrc, fdtrc

    n, k = ranks.shape
    middle = (k + 1) / 2
    spread = ((ranks - middle) ** 2).sum()
    if spread == 0:
        return 0.0, 1.0, 0.0, 1.0
    chi2 = float((k - 1) * ((ranks.sum(axis=0) - n * middle) ** 2).sum() / spread)
    left = n * (k - 1) - chi2
    f = (n - 1) * chi2 / left if left > 1e-9 else inf
    f_p = float(fdtrc(k - 1, (k - 1) * (n - 1), f)) if isfinite(f) else 0.0
    return chi2, float(chdtrc(k - 1, chi2)), f, f_p


def _nemenyi(mean_ranks: Sequence[float], n: int) -> tuple[tuple[float, ...], ...]:
    """(K, K) p of each difference of mean ranks, from the range of K normals; 1 on the diagonal."""
    from scipy.stats import studentized_range

    k = len(mean_ranks)
    error = sqrt(k * (k + 1) / (12 * n))
    sizes = [abs(mean_ranks[i] - mean_ranks[j]) / error for i, j in combinations(range(k), 2)]
    return _matrix(k, [min(1.0, max(0.0, float(p))) for p in studentized_range.sf(sizes, k, inf)])


def _critical_difference(n: int, k: int) -> float:
    """The least difference of mean ranks that Nemenyi's test finds at 5 %."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, k, inf)) * sqrt(k * (k + 1) / (12 * n))


def _wilcoxon(losses: Floats) -> tuple[tuple[float, ...], ...]:
    """(K, K) signed-rank p of each pair of columns, Holm over all pairs; 1 on the diagonal."""
    k = losses.shape[1]
    return _matrix(k, holm([signed_rank(losses[:, i], losses[:, j]) for i, j in combinations(range(k), 2)]))


def signed_rank(values: Floats, others: Floats) -> float:
    """The exact two-sided p of Wilcoxon's signed-rank test, with ties; 1 where no pair differs.

    values, others: (N,), paired by place; inf against a number is the largest difference, inf against inf is none.
    Pairs without difference leave, as Wilcoxon had it. All 2 ** N sign patterns count, summed rank by rank.
    """
    import numpy as np
    from scipy.stats import rankdata

    apart = values != others
    d = (values[apart] - others[apart]).round(DECIMALS)
    doubled = np.rint(2 * rankdata(abs(d))).astype(np.int64)  # shared ranks end in .5
    share = np.ones(1)  # of the sign patterns, by the doubled sum of their positive ranks
    for rank in doubled:
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    positive = doubled[d > 0].sum()
    return min(1.0, float(2 * share[: min(positive, doubled.sum() - positive) + 1].sum()))


def _matrix(k: int, upper: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """(K, K), symmetric, from the values of the pairs in the order of `combinations`."""
    rows = [[1.0] * k for _ in range(k)]
    for (i, j), value in zip(combinations(range(k), 2), upper, strict=True):
        rows[i][j] = rows[j][i] = value
    return tuple(map(tuple, rows))


def _groups(
    methods: Sequence[str], mean_ranks: Sequence[float], critical_difference: float
) -> tuple[tuple[str, ...], ...]:
    """The longest runs of at least two methods whose mean ranks all lie within the critical difference."""
    groups: list[tuple[str, ...]] = []
    reached = 0
    for first, rank in enumerate(mean_ranks):
        end = sum(other < rank + critical_difference for other in mean_ranks)
        if end > max(reached, first + 1):
            groups.append(tuple(methods[first:end]))
            reached = end
    return tuple(groups)
