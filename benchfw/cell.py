"""One cell, stage by stage: split, embed, augment, judge the synthetic rows, classify, score."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchfw.components import (
    Classifier,
    Component,
    JointTrainer,
    NeuralClassifier,
    Selector,
    Synthesizer,
    label,
)
from benchfw.data import FeatureSet, FeatureSpace, Synthesis, target_counts
from benchfw.embedding import ROUNDING, Embedding, alike, embed, probed
from benchfw.errors import BenchfwError, CannotRun, PluginError, StoreError
from benchfw.fidelity import Bench, alarms
from benchfw.keys import Keys, fitted_as, keys_of
from benchfw.machine import arithmetic, peak_mib, reset_peak
from benchfw.metrics import readouts, score
from benchfw.place import Place, context, facts_of, save_tensors
from benchfw.plan import Cell, layout_misfit
from benchfw.plane import Points
from benchfw.seeding import isolated
from benchfw.store import as_bytes, as_npz, read_json, saving, write_atomically
from benchfw.training import EMBEDDING_BATCH

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from benchfw.context import Context
    from benchfw.data import Predictor, Sample

PREDICTION_BATCH = 4 * EMBEDDING_BATCH


@dataclass(frozen=True, eq=False)
class Augmented:
    """What a classifier trains on, the label distribution (K,) that it meets, and the facts of the stage."""

    train: FeatureSet
    prior: Tensor
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Judged:
    """The rows of `fidelity`, rows on a plane to look at, and the facts of the stage that made them."""

    rows: list[dict[str, Any]]
    points: Points
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Log-scores (N, K) float32 of the test rows, and the facts of the stage that made them."""

    log_scores: np.ndarray[Any, Any]
    facts: dict[str, Any]


def attempt(cell: Cell, place: Place) -> dict[str, Any]:
    """The row of a cell, whatever happens in it: done, skipped, failed or oom, with the reason.

    Raises StoreError, since a result that cannot be kept must stop the run.
    """
    told = place.results / "tracebacks" / f"{cell.id}.txt"
    for left in (told, *(place.results / folder / f"{cell.id}.npz" for folder in ("predictions", "views"))):
        left.unlink(missing_ok=True)  # of an earlier run of this cell
    try:
        with arithmetic(deterministic=cell.experiment.deterministic):
            return run_cell(cell, place)
    except StoreError:
        raise
    except CannotRun as error:
        return _ended(cell, place, "skipped", str(error))
    except BenchfwError as error:
        return _ended(cell, place, "failed", str(error))
    except (Exception, SystemExit) as error:  # a plugin may even call sys.exit
        if _is_memory(error):
            return _ended(cell, place, "oom", f"out of memory: {error}".splitlines()[0])
        with saving(str(told)):
            told.parent.mkdir(exist_ok=True)
        write_atomically(told, traceback.format_exc().encode(errors="backslashreplace"))
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return _ended(cell, place, "failed", f"{reason} (see tracebacks/{cell.id}.txt)")


def _is_memory(error: BaseException) -> bool:
    """Whether it says that memory is short; the CPU's allocator in torch says so in a RuntimeError."""
    named = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def run_cell(cell: Cell, place: Place) -> dict[str, Any]:
    """Measure one cell; returns its row. Raises what the stages raise."""
    reset_peak()
    keys = keys_of(cell, place.device, place.downloads)
    embedding = embed(cell, keys.embed, place)
    augmented = augment(cell, embedding, keys.augment, place)
    judged = judge(cell, embedding, augmented, keys.fidelity, place)
    predictions = classify(cell, embedding, augmented.train, place)
    start = perf_counter()
    scores = score_cell(cell, embedding, augmented, predictions, place)
    if cell.repetition == 0:
        keep_views(cell, embedding, judged, place)
    return _row(cell, keys, embedding, augmented, judged, predictions, perf_counter() - start) | scores


# ---- augment ----


def augment(cell: Cell, embedding: Embedding, key: str, place: Place) -> Augmented:
    """The training set after the augmenter: rows chosen, or a synthesis beside them."""
    ctx = context(cell, "augmenter", place)
    start = perf_counter()
    match cell.augmenter:
        case Selector() as selector:
            with isolated(ctx.seed):
                train = _selected(selector, embedding.train, ctx)
            return Augmented(train, train.prior, facts_of(ctx, start))
        case JointTrainer() as joint:  # it trains in the classifier's stage
            return Augmented(embedding.train, _met_prior(joint, embedding.train), facts_of(ctx, start))
        case Synthesizer() as synthesizer:
            sample, facts = _fitted(fitted_as(synthesizer), embedding, ctx, key, place)
            targets = target_counts(embedding.train.counts(), synthesizer.fill)
            draws = cell.seed_of("draws")
            train = replace(embedding.train, synthesis=Synthesis(sample, targets, draws))
            return Augmented(train, train.prior, facts)


def _met_prior(joint: JointTrainer, train: FeatureSet) -> Tensor:
    prior = joint.prior(train).double().cpu()
    if prior.shape != (train.space.n_classes,) or not bool((prior > 0).all()) or abs(float(prior.sum()) - 1) > 1e-6:
        wants = f"{train.space.n_classes} positive shares that sum to 1"
        raise PluginError(f"augmenter {label(joint)}: prior: wants {wants}, found {prior.tolist()}")
    return prior


def _selected(selector: Selector, train: FeatureSet, ctx: Context) -> FeatureSet:
    index = selector.select(_as_accepted(selector, train), ctx)
    if index.dtype != torch.int64 or not bool(((index >= 0) & (index < len(train))).all()):
        raise PluginError(f"augmenter {label(selector)}: wants int64 positions in 0..{len(train) - 1}, found others")
    kept = train.take(index)
    gone = ((kept.counts() == 0) & (train.counts() > 0)).nonzero()[:, 0].tolist()
    if gone:
        raise PluginError(f"augmenter {label(selector)}: keeps no row of classes {gone}; wants at least 1 of each")
    return kept


def _fitted(
    synthesizer: Synthesizer, embedding: Embedding, ctx: Context, key: str, place: Place
) -> tuple[Sample, dict[str, Any]]:
    """The fitted synthesizer, read back from the cache where it has a state, and the facts of its fit."""
    train = _as_accepted(synthesizer, embedding.train)
    val = None if embedding.val is None else _as_accepted(synthesizer, embedding.val)
    space = embedding.train.space

    def read(found: Path) -> tuple[Sample, dict[str, Any]]:
        fresh = replace(ctx, records=[], warnings=[])  # as it is when nothing was fitted before
        with isolated(ctx.seed):
            product = synthesizer.restore(load_file(found / "state.safetensors"), train, fresh)
        return _shaped(product, space), read_json(found / "stage.json")

    def fit() -> tuple[Sample, dict[str, Any]]:
        start = perf_counter()
        with isolated(ctx.seed):
            product = synthesizer.fit(train, val, ctx)
        facts = facts_of(ctx, start)
        if not hasattr(product, "state"):
            return _shaped(product, space), facts
        state = product.state()

        def write(path: Path) -> None:
            save_tensors(state, path / "state.safetensors")
            write_atomically(path / "stage.json", as_bytes(facts))

        return read(place.cache.put("augment", key, write))

    return place.cache.get("augment", key, make=fit, read=read)


def _as_accepted(component: Component, features: FeatureSet) -> FeatureSet:
    if features.space.layout in component.accepts:
        return features
    if "vector" in component.accepts:
        return features.flat()
    raise CannotRun(f"augmenter {label(component)} takes maps, but the features are vectors")


def _shaped(sample: Sample, space: FeatureSpace) -> Sample:
    """The sample function with its rows in the shape of the space, whatever layout it was fitted on."""
    return lambda labels, rng: sample(labels, rng).reshape(-1, *space.shape)


# ---- fidelity ----


def judge(cell: Cell, embedding: Embedding, augmented: Augmented, key: str, place: Place) -> Judged | None:
    """Compare synthetic rows with held-out real ones, for the record alone: nothing is chosen by it.

    Its seed is the extractor's, so all augmenters are held against the same real rows and have the same floors. None
    without a synthesizer.
    """
    synthesis = augmented.train.synthesis
    if synthesis is None:
        return None
    ctx = context(cell, "extractor", place)

    def read(found: Path) -> Judged:
        content = read_json(found / "stage.json")
        return Judged(content["rows"], Points.read(found / "points.npz"), content["facts"])

    def make() -> Judged:
        start = perf_counter()
        with isolated(ctx.seed):
            bench = Bench(synthesis.sample, embedding.train, embedding.test, ctx.seed)
            rows, points = bench.rows(), bench.points()
        for alarm in alarms(rows, embedding.facts["class_names"]):
            ctx.warn(alarm)
        content = as_bytes({"rows": rows, "facts": facts_of(ctx, start)})

        def write(path: Path) -> None:
            write_atomically(path / "points.npz", as_npz(points.arrays()))
            write_atomically(path / "stage.json", content)

        return read(place.cache.put("fidelity", key, write))

    return place.cache.get("fidelity", key, make=make, read=read)


# ---- classify ----


def classify(cell: Cell, embedding: Embedding, train: FeatureSet, place: Place) -> Predictions:
    """Train the classifier and predict the test rows; it never sees a test label."""
    misfit = layout_misfit(cell.classifier, train.space.layout, cell.experiment.adapt)
    if misfit is not None:
        raise CannotRun(misfit)
    train, test = _adapted(cell, train), _adapted(cell, embedding.test)
    val = None if embedding.val is None else _adapted(cell, embedding.val)
    ctx = context(cell, "classifier", place)
    start = perf_counter()
    with isolated(ctx.seed):
        predict = _trained(cell, train, val, ctx)
        blocks = torch.arange(len(test)).split(PREDICTION_BATCH)
        log_scores = torch.cat([predict(test.rows(block)).cpu() for block in blocks])
        _check_scores(log_scores, (len(test), test.space.n_classes), cell.classifier)
        if resemble_probabilities(log_scores):
            ctx.warn("the log-scores look like probabilities, each row sums to 1; return their logarithm")
        first = probed(log_scores)
        if not alike(first, predict(test.rows(torch.arange(len(first)))).cpu()):
            raise PluginError(
                f"classifier {label(cell.classifier)}: the log-scores of a row change with the other rows of its "
                "batch, or by chance; wants batch norm and dropout in evaluation mode"
            )
    return Predictions(log_scores.numpy(), facts_of(ctx, start))


def _trained(cell: Cell, train: FeatureSet, val: FeatureSet | None, ctx: Context) -> Predictor:
    classifier = cell.classifier
    if not isinstance(cell.augmenter, JointTrainer):
        return classifier.fit(train, val, ctx)
    if train.space.layout not in cell.augmenter.accepts:
        accepted, found = " or ".join(cell.augmenter.accepts), train.space.layout
        raise CannotRun(f"augmenter {label(cell.augmenter)} takes {accepted}s, but the features are {found}s")
    if not isinstance(classifier, NeuralClassifier):
        raise CannotRun(f"augmenter {label(cell.augmenter)} trains a network, and {label(classifier)} has none")
    return cell.augmenter.fit_jointly(train, val, classifier.network(train, ctx), classifier, ctx)


def _adapted(cell: Cell, features: FeatureSet) -> FeatureSet:
    if features.space.layout in cell.classifier.accepts:
        return features
    return features.pooled() if cell.experiment.adapt == "pool" else features.flat()


def _check_scores(log_scores: Tensor, shape: tuple[int, int], classifier: Classifier) -> None:
    bad = int((~torch.isfinite(log_scores)).sum())
    if tuple(log_scores.shape) != shape or bad:
        found = f"{tuple(log_scores.shape)}, {bad} of them not finite"
        raise PluginError(f"classifier {label(classifier)}: wants finite log-scores of shape {shape}, found {found}")


def resemble_probabilities(log_scores: Tensor) -> bool:
    """Whether a predictor forgot the logarithm: all in [0, 1] with a sum of 1 in each row. log_scores: (N, K)."""
    return bool(((log_scores >= 0) & (log_scores <= 1)).all() and ((log_scores.sum(1) - 1).abs() < ROUNDING).all())


# ---- score ----


def score_cell(
    cell: Cell, embedding: Embedding, augmented: Augmented, predictions: Predictions, place: Place
) -> dict[str, Any]:
    """Keep the predictions, and score them plain and with each correction."""
    test, facts = embedding.test, embedding.facts
    prior, natural_prior = augmented.prior.numpy(), augmented.train.natural_prior.numpy()
    kept = {"ids": test.ids.numpy(), "labels": test.labels.numpy(), "log_scores": predictions.log_scores}
    write_atomically(place.results / "predictions" / f"{cell.id}.npz", as_npz(kept))
    made = readouts(
        predictions.log_scores.astype(np.float64),
        prior=prior,
        natural_prior=natural_prior,
        corrected=cell.classifier.corrects_prior,
    )
    scores = {
        name: _scored(readout.log_scores, embedding, cell) for name, readout in made.items() if not readout.repeats
    }
    repeats = {name: readout.repeats for name, readout in made.items() if readout.repeats}
    scores |= {name: scores[earlier] for name, earlier in repeats.items()}
    return {
        "scores": scores,
        "repeats": repeats,
        "prior": prior.tolist(),
        "natural_prior": natural_prior.tolist(),
        "test_counts": test.counts().tolist(),
        "data": facts["data"],
    }


def _scored(log_scores: Any, embedding: Embedding, cell: Cell) -> dict[str, float | None]:
    numbers = score(
        log_scores,
        embedding.test.labels.numpy(),
        counts=np.asarray(embedding.facts["counts"]),
        class_names=embedding.facts["class_names"],
        many_over=cell.experiment.many_over,
        few_under=cell.experiment.few_under,
    )
    return {name: None if np.isnan(number) else float(number) for name, number in numbers.items()}


# ---- views ----


def keep_views(cell: Cell, embedding: Embedding, judged: Judged | None, place: Place) -> None:
    """Keep what a report shows of a cell beside its numbers: training images, and real and generated rows as points."""
    views = {} if embedding.examples is None else embedding.examples.arrays()
    if judged is not None:
        views |= judged.points.arrays()
    if views:
        write_atomically(place.results / "views" / f"{cell.id}.npz", as_npz(views))


# ---- rows ----


def _row(
    cell: Cell,
    keys: Keys,
    embedding: Embedding,
    augmented: Augmented,
    judged: Judged | None,
    predictions: Predictions,
    score_seconds: float,
) -> dict[str, Any]:
    stages = {"extractor": embedding.facts, "augmenter": augmented.facts, "classifier": predictions.facts}
    if judged is not None:
        stages["fidelity"] = judged.facts
    train = augmented.train
    return {
        "id": cell.id,
        "key": keys.cell,
        "axes": cell.axes,
        "status": "done",
        "reason": None,
        "class_names": embedding.facts["class_names"],
        "counts": embedding.facts["counts"],
        "warnings": [f"{stage}: {text}" for stage, facts in stages.items() for text in facts["warnings"]],
        "records": {stage: facts["records"] for stage, facts in stages.items()},
        "fidelity": [] if judged is None else judged.rows,
        "costs": {
            "embed_seconds": embedding.facts["seconds"],
            "augment_seconds": augmented.facts["seconds"],
            "fidelity_seconds": 0.0 if judged is None else judged.facts["seconds"],
            "classify_seconds": predictions.facts["seconds"],
            "score_seconds": score_seconds,
            "peak_mib": peak_mib(),
            "synthetic_rows": int((train.targets - train.counts()).sum()),
        },
    }


def ended(cell: Cell, key: str, status: str, reason: str) -> dict[str, Any]:
    """The row of a cell that gave no numbers."""
    return {"id": cell.id, "key": key, "axes": cell.axes, "status": status, "reason": reason}


def _ended(cell: Cell, place: Place, status: str, reason: str) -> dict[str, Any]:
    return ended(cell, keys_of(cell, place.device, place.downloads).cell, status, reason)
