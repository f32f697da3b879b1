"""Scores of log-scores against labels, each with its direction, and post-hoc correction of the prior.

Letters: N test samples, K classes. A class without test samples has no recall (NaN) and enters no mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchfw.errors import DataError, PluginError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]

CORRECTIONS = ("none", "la-natural", "la-met")
RECALL = "recall:"
ECE_BINS = 15
ZERO_RECALL = 0.001  # what imbalanced-learn's documentation suggests in place of a recall of 0
LOG_FLOOR = float(np.log(np.finfo(np.float64).eps))  # scikit-learn's log_loss clips a probability of 0 here too


@dataclass(frozen=True)
class Metric:
    """A named number.

    direction: which is better. points: a share, shown to people times 100. version: raised with a change of the
    formula, so that a baseline of the old one is not compared.
    """

    name: str
    direction: Literal["higher", "lower"]
    help: str
    points: bool = True
    version: int = 1

    @property
    def title(self) -> str:
        """The name in words."""
        return f"recall of {self.name.removeprefix(RECALL)}" if _of_class(self.name) else self.name.replace("_", " ")

    @property
    def worth(self) -> float:
        """The difference that one would not want to miss, in its own unit: one point, or 0.1 where it is no share."""
        return 0.01 if self.points else 0.1

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.direction == "higher" else -1


METRICS = {
    metric.name: metric
    for metric in (
        Metric("balanced_accuracy", "higher", "mean recall over the classes"),
        Metric("minority_recall", "higher", "mean recall of the classes with fewer training samples than the mean"),
        Metric("accuracy", "higher", "share of test samples that are classified correctly"),
        Metric("macro_f1", "higher", "mean F1 over the classes"),
        Metric("g_mean", "higher", "geometric mean of the recalls; 0 as soon as one class is never found"),
        Metric("g_mean_corrected", "higher", f"the same with {ZERO_RECALL} for a recall of 0"),
        Metric("macro_auroc", "higher", "mean area under the ROC curve, each class against the rest"),
        Metric("macro_auprc", "higher", "mean average precision, each class against the rest"),
        Metric("mcc", "higher", "Matthews' correlation coefficient"),
        Metric("ece", "lower", f"expected calibration error, {ECE_BINS} equal bins of the largest probability"),
        Metric("nll", "lower", "mean negative log-likelihood of the true class, in nats", points=False),
        Metric("many_recall", "higher", "mean recall of the classes with many training samples (over 100)"),
        Metric("medium_recall", "higher", "mean recall of the classes between many and few"),
        Metric("few_recall", "higher", "mean recall of the classes with few training samples (under 20)"),
    )
}
"""Every metric, in the order of the tables' columns; `recall:<class name>` comes after them for each class."""


def metric_named(name: str) -> Metric:
    """The metric of this name, `recall:<class name>` included. Raises UsageError for an unknown one."""
    if _of_class(name):
        return Metric(name, "higher", f"recall of class {name.removeprefix(RECALL)}")
    if name not in METRICS:
        raise UsageError(f"no metric named {name!r}{did_you_mean(name, METRICS)}")
    return METRICS[name]


def _of_class(name: str) -> bool:
    return name.startswith(RECALL)


def normalised(log_scores: Floats) -> Floats:
    """Log-probabilities from log-scores, which a predictor gives up to a shift in each row.

    log_scores: (N, K), finite or -inf. Returns (N, K) float64 whose rows' exponentials sum to 1.
    Raises PluginError for a row with NaN, with +inf, or with -inf alone.
    """
    values = np.asarray(log_scores, dtype=np.float64)
    top = values.max(axis=1, keepdims=True)  # (N, 1); NaN wherever the row has one
    if not np.isfinite(top).all():
        row = int(np.argmin(np.isfinite(top[:, 0])))
        raise PluginError(
            f"log-scores: row {row} is {values[row].tolist()}; wants finite numbers, -inf at most for some"
        )
    values = values - top
    return np.asarray(values - np.log(np.exp(values).sum(axis=1, keepdims=True)))


def adjust(log_scores: Floats, prior: Floats, tau: float = 1.0) -> Floats:
    """Take the training prior out of log-scores: log_scores - tau * log prior, normalised.

    log_scores: (N, K). prior: (K,), all positive, up to a constant factor. Returns (N, K) log-probabilities.
    Raises DataError for a class of prior 0, whose correction is not defined.

    Source: Menon et al. 2021 (logit adjustment), the post-hoc form.
    """
    if not (prior > 0).all():
        raise DataError(f"prior: class {int(np.argmin(prior))} has {prior.min():g}; wants more than 0 for every class")
    return normalised(log_scores - tau * np.log(prior))


@dataclass(frozen=True, eq=False)
class Readout:
    """One way to read a cell's log-scores. log_scores: (N, K) log-probabilities. repeats: the equal earlier readout."""

    log_scores: Floats
    repeats: str | None = None


def readouts(log_scores: Floats, *, prior: Floats, natural_prior: Floats, corrected: bool) -> dict[str, Readout]:
    """The log-scores as they are, adjusted by the natural prior, and adjusted by the prior that training met.

    log_scores: (N, K). prior, natural_prior: (K,). corrected: the classifier has corrected its prior already; then
    only `none` is given. Otherwise all of `CORRECTIONS` are, so that rows can be paired by name; one whose prior
    equals an earlier one's names that in `repeats`.
    """
    plain = normalised(log_scores)
    made = {"none": Readout(plain)}
    if corrected:
        return made
    priors = {"none": np.ones(plain.shape[1]), "la-natural": natural_prior, "la-met": prior}
    for name in CORRECTIONS[1:]:
        earlier = next((other for other in made if _proportional(priors[other], priors[name])), None)
        made[name] = Readout(made[earlier].log_scores if earlier else adjust(plain, priors[name]), earlier)
    return made


def _proportional(a: Floats, b: Floats) -> bool:
    return bool(np.allclose(a / a.sum(), b / b.sum(), rtol=1e-9, atol=0))


def score(
    log_scores: Floats,
    labels: Ints,
    *,
    counts: Sequence[int] | Ints,
    class_names: Sequence[str],
    many_over: int = 100,
    few_under: int = 20,
) -> dict[str, float]:
    """Every metric of `METRICS`, then `recall:<class name>` for each class.

    log_scores: (N, K), up to a shift in each row. labels: (N,) int64 in [0, K). counts: (K,) real training samples;
    more than many_over are many, fewer than few_under are few. A mean over no class is NaN.
    Raises DataError for an empty test set or another K, PluginError for log-scores that are no numbers.
    """
    wanted = (len(labels), len(class_names))
    if not len(labels) or np.shape(log_scores) != wanted or len(counts) != wanted[1]:
        found = f"log-scores {np.shape(log_scores)} and {len(counts)} counts"
        raise DataError(
            f"score: found {found} for {wanted[0]} labels and {wanted[1]} classes; wants (N, K), (K,), N > 0"
        )
    log_p, counts = normalised(log_scores), np.asarray(counts)
    predicted, p = log_p.argmax(axis=1), np.exp(log_p)
    confusion = _confusion(labels, predicted, classes=wanted[1])
    recall = _recall(confusion)
    many, few = counts > many_over, counts < few_under
    values = {
        "balanced_accuracy": _mean(recall),
        "minority_recall": _mean(recall[counts < counts.mean()]),
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": _mean(_f1(confusion)),
        "g_mean": _g_mean(recall),
        "g_mean_corrected": _g_mean(np.where(recall == 0, ZERO_RECALL, recall)),
        "macro_auroc": _one_against_rest("roc_auc_score", p, labels),
        "macro_auprc": _one_against_rest("average_precision_score", p, labels),
        "mcc": _mcc(confusion),
        "ece": ece(p.max(axis=1), predicted == labels),
        "nll": float(-np.maximum(log_p[np.arange(len(labels)), labels], LOG_FLOOR).mean()),
        "many_recall": _mean(recall[many]),
        "medium_recall": _mean(recall[~many & ~few]),
        "few_recall": _mean(recall[few]),
    }
    return values | {RECALL + name: float(r) for name, r in zip(class_names, recall, strict=True)}


def ece(confidence: Floats, correct: np.ndarray[Any, np.dtype[np.bool_]], bins: int = ECE_BINS) -> float:
    """The expected calibration error: sum over bins of |accuracy - mean confidence| times the bin's share.

    confidence: (N,) in [0, 1], the largest probability. correct: (N,) bool. Bins are equally wide and hold their upper
    edge. Source: Guo et al. 2017 (On calibration of modern neural networks), equation 3.
    """
    surplus = np.bincount(_bin(confidence, bins), weights=correct - confidence, minlength=bins)
    return float(np.abs(surplus).sum() / len(confidence))


def calibration_bins(
    confidence: Floats, correct: np.ndarray[Any, np.dtype[np.bool_]], bins: int = ECE_BINS
) -> tuple[Ints, Floats, Floats]:
    """The bins of `ece`: of each the samples in it, the sum of their confidence, and how many are correct.

    confidence: (N,) in [0, 1], the largest probability. correct: (N,) bool. Returns three arrays (bins,), which add up
    over parts of the samples.
    """
    place = _bin(confidence, bins)
    sums = (np.bincount(place, weights=weights, minlength=bins) for weights in (confidence, correct))
    return np.bincount(place, minlength=bins), *sums  # type: ignore[return-value]  # two of them


def _bin(confidence: Floats, bins: int) -> Ints:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _g_mean(recall: Floats) -> float:
    there = recall[~np.isnan(recall)]
    return float(np.prod(there ** (1 / len(there))))  # roots first: a product of many recalls would underflow


def _confusion(labels: Ints, predicted: Ints, *, classes: int) -> Ints:
    """(K, K): how many samples of the row's class are taken for the column's."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _recall(confusion: Ints) -> Floats:
    """(K,), NaN for a class without test samples."""
    support = confusion.sum(axis=1)
    return np.where(support > 0, confusion.diagonal() / np.maximum(support, 1), np.nan)


def _f1(confusion: Ints) -> Floats:
    """(K,), NaN for a class without test samples."""
    support, taken = confusion.sum(axis=1), confusion.sum(axis=0)
    return np.where(support > 0, 2 * confusion.diagonal() / np.maximum(support + taken, 1), np.nan)


def _mcc(confusion: Ints) -> float:
    """Matthews' coefficient for K classes; 0 where it is 0 / 0, as in scikit-learn, which warns for one class.

    Source: Gorodkin 2004 (Comparing two K-category assignments by a K-category correlation coefficient).
    """
    support, taken, size = confusion.sum(axis=1) * 1.0, confusion.sum(axis=0) * 1.0, float(confusion.sum())
    spread = (size**2 - support @ support) * (size**2 - taken @ taken)
    return float((confusion.trace() * size - support @ taken) / np.sqrt(spread)) if spread > 0 else 0.0


def _one_against_rest(area: str, p: Floats, labels: Ints) -> float:
    """The mean over the classes present of a binary metric of scikit-learn; NaN when there is one class alone."""
    from sklearn import metrics

    present = np.unique(labels)
    if len(present) < 2:
        return float("nan")
    return float(np.mean([getattr(metrics, area)(labels == c, p[:, c]) for c in present]))
