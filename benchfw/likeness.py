"""How one set of rows compares with another: the formulas of `fidelity`, on (M, D) float64 rows of one class.

Letters: M generated rows, N real rows, D numbers of a row. Distances are Euclidean. What has too few rows behind it is
None, never an error.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from benchfw.measures import COPY, DUPLICATE, NEIGHBOURS

Numbers = dict[str, float | None]

NO_LESS = 1e-12  # a distance to divide by
MEAN_ABSOLUTE = math.sqrt(2 / math.pi)  # of a standard normal number
PENALTY = 0.01  # scikit-learn's C; 1 tells less where a half has fewer rows than numbers


def compared(fake: Tensor, real: Tensor, axes: Tensor) -> Numbers:
    """All that wants as many generated as real rows. fake, real: (M, D); axes: (D, Q). None up to 5 rows."""
    names = ("frechet", "energy", "precision", "recall", "density", "coverage", "diversity", "c2st", "c2st_p")
    if len(real) <= NEIGHBOURS:
        return dict.fromkeys(names)
    near, own, across = torch.cdist(real, real), torch.cdist(fake, fake), torch.cdist(real, fake)  # (M, M) each
    return {
        "frechet": frechet_of_rows(fake @ axes, real @ axes),
        **pairs(near, own, across),
        **neighbourhoods(near, own, across),
        **two_sample_test(fake, real),
    }


def frechet(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The Fréchet distance of two Gaussians, squared: |m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)).

    mean_a, mean_b: (Q,); cov_a, cov_b: (Q, Q), symmetric, positive semidefinite; all float64. Source: Dowson and Landau
    1982. The root's trace is that of (A^(1/2) B A^(1/2))^(1/2), whose eigenvalues are real.
    """
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return float(((mean_a - mean_b) ** 2).sum() + cov_a.trace() + cov_b.trace() - 2 * shared)


def frechet_of_rows(a: Tensor, b: Tensor) -> float:
    """The same of two sets of rows, (M, Q) and (N, Q), whose covariances are shrunk towards their diagonals."""
    return frechet(a.mean(0), shrunk(a.T.cov(), len(a)), b.mean(0), shrunk(b.T.cov(), len(b)))


def shrunk(cov: Tensor, rows: int) -> Tensor:
    """Pull a covariance (Q, Q) of so many rows towards its diagonal, with weight Q / (rows + Q) for the diagonal."""
    cov = cov.reshape(math.isqrt(cov.numel()), -1)  # torch gives a number where Q is 1
    weight = rows / (rows + len(cov))
    return weight * cov + (1 - weight) * cov.diagonal().diag()


def pairs(near: Tensor, own: Tensor, across: Tensor) -> Numbers:
    """Energy distance and diversity, both relative to the mean distance of two real rows.

    near: (N, N) among the real rows, own: (M, M) among the generated ones, across: (N, M). None where all real rows are
    the same. Source: Székely and Rizzo 2013, the unbiased estimate.
    """
    typical, varied = _mean_of_pairs(near), _mean_of_pairs(own)
    if typical < NO_LESS:
        return {"energy": None, "diversity": None}
    return {"energy": (2 * float(across.mean()) - varied - typical) / typical, "diversity": varied / typical}


def neighbourhoods(near: Tensor, own: Tensor, across: Tensor, k: int = NEIGHBOURS) -> Numbers:
    """Precision, recall, density and coverage, with open balls up to the k-th neighbour.

    near: (N, N) among the real rows, own: (M, M) among the generated ones, across: (N, M); N, M > k. Source: Naeem et
    al. 2020, equations 3 to 9 (precision and recall: Kynkäänniemi et al. 2019).
    """
    in_real = across < _radius(near, k)[:, None]  # (N, M)
    in_fake = across < _radius(own, k)  # (N, M)
    return {
        "precision": float(in_real.any(0).double().mean()),
        "recall": float(in_fake.any(1).double().mean()),
        "density": float(in_real.sum(0).double().mean()) / k,
        "coverage": float(in_real.any(1).double().mean()),
    }


def two_sample_test(fake: Tensor, real: Tensor) -> Numbers:
    """Whether a logistic regression, trained on the first half of each, tells the second halves apart.

    fake, real: (M, D) each, in random order. It sees each number and, so that a wrong spread shows too, its absolute
    value, standardised by the first halves. `c2st_p` is the binomial chance of as many hits or more at 1/2.

    Source: Lopez-Paz and Oquab 2017, section 3.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    half, size = len(fake) // 2, len(fake)
    first, second = torch.cat([fake[:half], real[:half]]), torch.cat([fake[half:], real[half:]])
    mean, sd = first.mean(0), first.std(0)
    sd = sd.where(sd > NO_LESS, 1)  # a number that is dead in the first halves may live in the second
    seen, unseen = (_with_absolute((rows - mean) / sd) for rows in (first, second))
    model = LogisticRegression(C=PENALTY, tol=1e-3, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a border that could be a little better is no news
        model.fit(seen, np.repeat([1, 0], half))
    hits = int((model.predict(unseen) == np.repeat([1, 0], size - half)).sum())
    return {"c2st": hits / (2 * (size - half)), "c2st_p": chance(hits, 2 * (size - half))}


def chance(hits: int, scored: int) -> float:
    """The probability that a fair coin gives as many hits or more."""
    from scipy.stats import binom

    return float(binom.sf(hits - 1, scored, 0.5))


def nearer(fake: Tensor, train: Tensor, held: Tensor) -> float | None:
    """Share of generated rows (M, D) that are nearer to one of `train` than to any of `held`, (N, D) each; ties half.

    None up to 5 rows.
    """
    if len(held) <= NEIGHBOURS:
        return None
    to_train, to_held = nearest(fake, train)[0], nearest(fake, held)[0]
    return float(((to_train < to_held).double() + 0.5 * (to_train == to_held)).mean())


def memory(fake: Tensor, train: Tensor) -> Numbers:
    """The median ratio d(row, nearest training row t) / d(t, nearest other one), and the share below `COPY`.

    fake: (M, D); train: (N, D), the whole class. None with fewer than two training rows or without generated ones.
    """
    if len(train) < 2 or not len(fake):
        return {"memorisation": None, "memorised": None}
    distance, index = nearest(fake, train)
    ratio = distance / _to_another(train, index).clamp_min(NO_LESS)
    return {"memorisation": float(ratio.median()), "memorised": float((ratio < COPY).double().mean())}


def leakage(fake: Tensor, held: Tensor, looked_at: int) -> float | None:
    """Share of generated rows (M, D) that are the same as a held-out row, to within `DUPLICATE`.

    held: (N, D), the whole class. Nearness is relative to the median distance of the first `looked_at` held-out rows to
    their nearest. None with fewer than two held-out rows or without generated ones.
    """
    if len(held) < 2 or not len(fake):
        return None
    usual = _to_another(held, torch.arange(min(looked_at, len(held)))).median()
    return float((nearest(fake, held)[0] <= DUPLICATE * usual).double().mean())


def nearest(rows: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each row (M, D) to the nearest of the others (N, D), 0 for an exact copy, and its position."""
    index = torch.cdist(rows, others).argmin(1)
    return (rows - others[index]).norm(dim=1), index


def _to_another(rows: Tensor, index: Tensor) -> Tensor:
    """The distance of the rows at these positions to the nearest row at another position."""
    distances = torch.cdist(rows[index], rows)
    distances[torch.arange(len(index)), index] = torch.inf
    distance: Tensor = (rows[index] - rows[distances.argmin(1)]).norm(dim=1)
    return distance


def _with_absolute(rows: Tensor) -> np.ndarray:
    return torch.cat([rows, rows.abs() - MEAN_ABSOLUTE], dim=1).numpy()


def _radius(distances: Tensor, k: int) -> Tensor:
    """The distance of each row to its k-th neighbour; the smallest entry of its line is itself."""
    radius: Tensor = distances.kthvalue(k + 1, dim=1).values
    return radius


def _mean_of_pairs(distances: Tensor) -> float:
    """The mean over two different rows; matrix products leave the diagonal a little above 0."""
    count = len(distances)
    return float(distances.sum() - distances.trace()) / (count * (count - 1))
