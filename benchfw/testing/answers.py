"""What a component gives back: rows, positions, scores or features of the right number, shape and type."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw.cell import resemble_probabilities
from benchfw.components import Classifier, Dataset, Extractor, JointTrainer, NeuralExtractor, Selector, Synthesizer
from benchfw.data import SYNTHETIC_BLOCK, FeatureSpace, Synthesis
from benchfw.dataset import FeatureDataset, ImageDataset
from benchfw.errors import BenchfwError, DataError, PluginError, UsageError
from benchfw.testing import toys
from benchfw.testing.check import CORE, Breach, NotChecked, check
from benchfw.testing.trial import DRAWS, Trial

if TYPE_CHECKING:
    from benchfw.testing.subject import Subject

OUTPUTS = ("rows", "positions", "scores", "feature-rows", "parts")  # one of them is each role's first behaviour
RUN = ("signature", "within-limits")


@check("rows", "a finite float32 row of the space for each label it is asked for", Synthesizer, after=RUN)
def rows(subject: Subject) -> None:
    """All classes, as many labels as a run asks for at once, one class, and one row of each."""
    check_rows(subject.trial())
    trial = subject.trial()
    for labels in (torch.arange(SYNTHETIC_BLOCK) % toys.K, torch.full((7,), 1), *torch.arange(toys.K).split(1)):
        _check_made(trial, labels)


@check("positions", "int64 positions of training rows, none twice, at least one of each class", Selector, after=RUN)
def positions(subject: Subject) -> None:
    """Only real rows."""
    check_positions(subject.trial())


@check(
    "scores",
    "finite float32 log-scores, one row of K for each row, for one row and many",
    Classifier,
    JointTrainer,
    after=RUN,
)
def scores(subject: Subject) -> None:
    """Log-scores of every class."""
    trial = subject.trial()
    check_scores(trial)
    _scores(trial.ask(_toy(trial).rows[:1]), 1)


@check(
    "feature-rows", "finite float32 features, a vector or a map for each image", Extractor, NeuralExtractor, after=RUN
)
def feature_rows(subject: Subject) -> None:
    """One row for each image."""
    check_features(subject.trial())


@check("parts", "parts of images or features that the harness can split", Dataset, after=RUN)
def parts(subject: Subject) -> None:
    """Train, and perhaps val and test; at least two classes, each with a training sample."""
    try:
        loaded = subject.trial().made.product
    except (UsageError, DataError) as error:
        if _by_a_container(error):
            raise Breach(f"load: {error}; mend what it makes of its files") from error
        raise NotChecked(f"it cannot be loaded here: {error}") from error
    if not isinstance(loaded, ImageDataset | FeatureDataset):
        raise Breach(f"load: found {type(loaded).__name__}; wants an ImageDataset or a FeatureDataset")
    counts = loaded.train.labels.bincount(minlength=loaded.n_classes)
    if loaded.n_classes < 2:
        raise Breach(f"load: found {loaded.n_classes} class; wants at least 2")
    if not bool(counts.all()):
        empty = int((counts == 0).nonzero()[0])
        raise Breach(f"train: found no sample of class {empty}; wants at least 1 of each of {loaded.n_classes} classes")
    for name, part in loaded.parts.items() if isinstance(loaded, FeatureDataset) else ():
        if not all(bool(block.isfinite().all()) for block in part.blocks()):
            raise Breach(f"{name}: found NaN or infinite features; wants finite ones: mend or remove them")


def _by_a_container(error: BenchfwError) -> bool:
    """Whether a set of the harness refused what it was given, and not the plugin its files."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return CORE in Path(last.filename).parents


def check_answer(subject: Subject, trial: Trial) -> None:
    """The check of the subject's role, on another trial. Raises Breach."""
    if issubclass(subject.type, Synthesizer):
        check_rows(trial)
    elif issubclass(subject.type, Selector):
        check_positions(trial)
    elif issubclass(subject.type, Extractor | NeuralExtractor):
        check_features(trial)
    else:
        check_scores(trial)


def check_rows(trial: Trial) -> None:
    """The rows for the labels of the toy set, by the harness's own rules."""
    _check_made(trial, _toy(trial).labels.clone())


def _check_made(trial: Trial, labels: Tensor) -> None:
    train = _toy(trial).train
    rng = torch.Generator(train.device).manual_seed(DRAWS)
    try:
        Synthesis(trial.made.product, train.counts(), 0).rows(labels, rng, train)
    except PluginError as error:
        raise Breach(f"sample, for {len(labels)} labels: {error}") from error


def check_positions(trial: Trial) -> None:
    """The positions that a selector keeps."""
    found, train = trial.made.product, _toy(trial).train
    if not isinstance(found, Tensor) or found.dtype != torch.int64 or found.ndim != 1:
        raise Breach(f"select: found {_seen(found)}; wants an int64 tensor (N',) of positions")
    if not bool(((found >= 0) & (found < len(train))).all()):
        outside = found[(found < 0) | (found >= len(train))]
        raise Breach(f"select: found position {int(outside[0])}; wants positions in 0..{len(train) - 1}")
    if len(found.unique()) < len(found):
        raise Breach(f"select: found {len(found) - len(found.unique())} positions twice; wants each row once")
    kept = train.labels[found.cpu()].bincount(minlength=toys.K)
    if bool((kept == 0).any()):
        gone = (kept == 0).nonzero()[:, 0].tolist()
        raise Breach(f"select: keeps no row of classes {gone}; wants at least 1 of each")


def check_scores(trial: Trial) -> None:
    """The log-scores of the toy set's test rows."""
    found = trial.outcome["answer"]
    _scores(found, len(_toy(trial).rows))
    if resemble_probabilities(found):
        raise Breach("predict: these look like probabilities, each row sums to 1; return their logarithm")


def _scores(found: Tensor, size: int) -> None:
    if tuple(found.shape) != (size, toys.K) or found.dtype != torch.float32:
        raise Breach(f"predict: found {_seen(found)} for {size} rows; wants float32 ({size}, {toys.K}) log-scores")
    bad = int((~found.isfinite()).sum())
    if bad:
        raise Breach(
            f"predict: found {bad} scores that are NaN or infinite; wants finite log-scores, a floor for log 0"
        )


def check_features(trial: Trial) -> None:
    """The features of the toy set's test images."""
    found, size = trial.outcome["answer"], len(_toy(trial).rows)
    if len(found) != size or found.dtype != torch.float32:
        raise Breach(f"features: found {_seen(found)} for {size} images; wants float32 ({size}, *shape)")
    try:
        FeatureSpace(tuple(found.shape[1:]), toys.K)
    except PluginError as error:
        raise Breach(str(error)) from error
    if not bool(found.isfinite().all()):
        raise Breach("features: found NaN or infinite values; wants finite ones")


def _seen(found: object) -> str:
    return f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__


def _toy(trial: Trial) -> toys.Toy:
    assert trial.toy is not None
    return trial.toy
