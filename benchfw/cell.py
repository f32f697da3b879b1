"""One cell, stage by stage: split, embed, augment, classify, score."""

from __future__ import annotations

import io
import resource
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from benchfw.components import (
    Classifier,
    Component,
    Dataset,
    Extractor,
    NeuralExtractor,
    Selector,
    Synthesizer,
    label,
)
from benchfw.context import Context
from benchfw.data import FeatureSet, FeatureSpace, ImageDataset, ImageSet, Synthesis, target_counts
from benchfw.errors import BenchfwError, CannotRun, DataError, PluginError, StoreError
from benchfw.keys import Keys, contents, fitted_as, keys_of
from benchfw.metrics import readouts, score
from benchfw.plan import Cell, layout_misfit
from benchfw.seeding import isolated, seed_for, stage_seed
from benchfw.splits import Splits, split
from benchfw.store import StageCache, as_bytes, read_json, saving, write_atomically
from benchfw.training import EMBEDDING_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.data import Sample

PREDICTION_BATCH = 4 * EMBEDDING_BATCH
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Place:
    """Where a cell works: stage cache, results (predictions and tracebacks), downloads, device, and who listens.

    listen: called with (stage, done, total) while a long stage works.
    """

    cache: StageCache
    results: Path
    downloads: Path
    device: torch.device
    listen: Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The features of the three parts, and the facts of the stage that made them."""

    train: FeatureSet
    val: FeatureSet | None
    test: FeatureSet
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Augmented:
    """What a classifier trains on, and the facts of the stage that made it."""

    train: FeatureSet
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
    predictions, told = (place.results / part for part in (f"predictions/{cell.id}.npz", f"tracebacks/{cell.id}.txt"))
    for left in (predictions, told):  # of an earlier run of this cell
        left.unlink(missing_ok=True)
    try:
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
        write_atomically(told, traceback.format_exc().encode())
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return _ended(cell, place, "failed", f"{reason} (see tracebacks/{cell.id}.txt)")


def _is_memory(error: BaseException) -> bool:
    """Whether it says that memory is short; the CPU's allocator in torch says so in a RuntimeError."""
    named = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def run_cell(cell: Cell, place: Place) -> dict[str, Any]:
    """Measure one cell; returns its row. Raises what the stages raise."""
    _reset_peak()
    keys = keys_of(cell, place.device, place.downloads)
    embedding = embed(cell, keys.embed, place)
    augmented = augment(cell, embedding, keys.augment, place)
    predictions = classify(cell, embedding, augmented.train, place)
    start = perf_counter()
    scores = score_cell(cell, embedding, augmented.train, predictions, place)
    return _row(cell, keys, embedding, augmented, predictions, perf_counter() - start) | scores


# ---- embed ----


def embed(cell: Cell, key: str, place: Place) -> Embedding:
    """The features of one split; from the cache, or made, written and read back."""
    return place.cache.get(
        "embed",
        key,
        make=lambda: _read_embedding(_make_embedding(cell, key, place), cell, place),
        read=lambda found: _read_embedding(found, cell, place),
    )


def _read_embedding(found: Path, cell: Cell, place: Place) -> Embedding:
    facts = read_json(found / "stage.json")
    space = FeatureSpace(tuple(facts["shape"]), len(facts["class_names"]), _head_maker(cell, found, facts))
    parts = {part: _read_part(found, part, space, place.device) for part in PARTS}
    train, test = parts["train"], parts["test"]
    assert train is not None
    assert test is not None
    return Embedding(train, parts["val"], test, facts)


def _make_embedding(cell: Cell, key: str, place: Place) -> Path:
    dataset = _loaded(cell, place)
    splits = _split(cell, dataset)
    ctx = _context(cell, "extractor", place)
    start = perf_counter()
    with isolated(ctx.seed):
        body, state = _extractor(cell.extractor, splits, dataset.n_classes, ctx)
        made = {part: samples for part in PARTS if (samples := getattr(splits, part)) is not None}

        def write(path: Path) -> None:
            shapes = {part: _write_part(path, part, samples, body, cell) for part, samples in made.items()}
            if state is not None:
                _save_tensors(state, path / "network.safetensors")
            facts = {
                "class_names": list(dataset.class_names),
                "counts": splits.train.labels.bincount(minlength=dataset.n_classes).tolist(),
                "data": {"fingerprint": dataset.fingerprint, **asdict(dataset.source)},
                "image_shape": list(splits.train.image_shape),
                "shape": list(shapes["train"]),
            }
            write_atomically(path / "stage.json", as_bytes(facts | _facts(ctx, start)))

        return place.cache.put("embed", key, write)


def _loaded(cell: Cell, place: Place) -> ImageDataset:
    loaded = _load_once(cell.dataset, contents(cell.dataset.files(place.downloads)), place.downloads, place.device)
    if isinstance(loaded, BenchfwError):
        raise loaded
    return loaded


@lru_cache(maxsize=1)
def _load_once(
    dataset: Dataset, _files: tuple[tuple[str, str], ...], downloads: Path, device: torch.device
) -> ImageDataset | BenchfwError:
    """The data set, or why it cannot be loaded, so that no other cell of this process tries in vain."""
    ctx = Context(seed_for(0, "dataset", dataset.name), device, downloads)
    try:
        with isolated(ctx.seed):
            return dataset.load(ctx)
    except BenchfwError as error:
        return error


def _split(cell: Cell, dataset: ImageDataset) -> Splits:
    experiment = cell.experiment
    return split(
        dataset,
        cell.imbalance,
        test_fraction=experiment.test_fraction,
        val_fraction=experiment.val_fraction,
        seed=experiment.seed,
        axes=cell.seed_axes,
    )


def _extractor(
    extractor: Extractor | NeuralExtractor, splits: Splits, n_classes: int, ctx: Context
) -> tuple[Callable[[Tensor], Tensor], dict[str, Tensor] | None]:
    """The function images (B, C, H, W) uint8 -> features, and the trained network's state, or None without one."""
    if isinstance(extractor, Extractor):
        return lambda images: extractor.embed(images.to(ctx.device), ctx), None
    network = extractor.build(splits.train.image_shape, n_classes).to(ctx.device)
    extractor.fit(network, splits.train, splits.val, ctx)
    network.eval()
    return lambda images: network.body(images.to(ctx.device)), network.state_dict()


def _write_part(
    path: Path, part: str, samples: ImageSet, body: Callable[[Tensor], Tensor], cell: Cell
) -> tuple[int, ...]:
    """Write the features of one part as .npy, block by block, with its labels and ids beside; returns their shape."""
    ids = torch.arange(len(samples)) if samples.ids is None else samples.ids
    np.savez(path / f"{part}.npz", labels=samples.labels.numpy(), ids=ids.numpy())
    shape: tuple[int, ...] = ()
    with (path / f"{part}.npy").open("wb") as file:
        for index in torch.arange(len(samples)).split(EMBEDDING_BATCH):
            block = _features(body, samples.rows(index))
            _check_features(block, ids[index], cell.extractor)
            if not shape:
                shape = tuple(block.shape[1:])
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(samples), *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(block.contiguous().numpy().data)
    return shape


def _features(body: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    try:
        with torch.inference_mode():
            return body(images).cpu()
    except OSError as error:  # a plugin's missing file is not our full disk
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _check_features(block: Tensor, ids: Tensor, extractor: Component) -> None:
    if len(block) != len(ids) or block.dtype != torch.float32:
        found = f"{block.dtype} {tuple(block.shape)}"
        raise PluginError(f"extractor {label(extractor)}: wants float32 features of {len(ids)} images, found {found}")
    bad = ~torch.isfinite(block.flatten(1)).all(dim=1)
    if bool(bad.any()):
        where = f"{int(bad.sum())} of {len(block)} rows (first: sample {int(ids[bad][0])})"
        raise DataError(f"extractor {label(extractor)}: features have NaN or infinite values in {where}; lower its lr")


def _head_maker(cell: Cell, found: Path, facts: dict[str, Any]) -> Callable[[], nn.Module] | None:
    extractor, state = cell.extractor, found / "network.safetensors"
    if not isinstance(extractor, NeuralExtractor) or not state.is_file():
        return None
    channels, height, width = facts["image_shape"]

    def head() -> nn.Module:
        network = extractor.build((channels, height, width), len(facts["class_names"]))
        network.load_state_dict(load_file(state), strict=True)
        return network.head

    with safe_open(state, "pt"):  # a damaged file is noticed now, not when a classifier asks for the head
        return head


def _read_part(found: Path, part: str, space: FeatureSpace, device: torch.device) -> FeatureSet | None:
    if not (found / f"{part}.npy").is_file():
        return None
    values = np.load(found / f"{part}.npy", mmap_mode="c", allow_pickle=False)
    with np.load(found / f"{part}.npz", allow_pickle=False) as samples:
        labels, ids = torch.from_numpy(samples["labels"]), torch.from_numpy(samples["ids"])
    return FeatureSet(space, torch.from_numpy(values), labels, ids, device=device)


# ---- augment ----


def augment(cell: Cell, embedding: Embedding, key: str, place: Place) -> Augmented:
    """The training set after the augmenter: rows chosen, or a synthesis beside them."""
    ctx = _context(cell, "augmenter", place)
    start = perf_counter()
    match cell.augmenter:
        case Selector() as selector:
            with isolated(ctx.seed):
                train = _selected(selector, embedding.train, ctx)
            return Augmented(train, _facts(ctx, start))
        case Synthesizer() as synthesizer:
            sample, facts = _fitted(fitted_as(synthesizer), embedding, ctx, key, place)
            targets = target_counts(embedding.train.counts(), synthesizer.fill)
            draws = stage_seed(cell.experiment.seed, "draws", cell.seed_axes)
            return Augmented(replace(embedding.train, synthesis=Synthesis(sample, targets, draws)), facts)


def _selected(selector: Selector, train: FeatureSet, ctx: Context) -> FeatureSet:
    index = selector.select(train, ctx)
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
        facts = _facts(ctx, start)
        if not hasattr(product, "state"):
            return _shaped(product, space), facts
        state = product.state()

        def write(path: Path) -> None:
            _save_tensors(state, path / "state.safetensors")
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


# ---- classify ----


def classify(cell: Cell, embedding: Embedding, train: FeatureSet, place: Place) -> Predictions:
    """Train the classifier and predict the test rows; it never sees a test label."""
    misfit = layout_misfit(cell.classifier, train.space.layout, cell.experiment.adapt)
    if misfit is not None:
        raise CannotRun(misfit)
    train, test = _adapted(cell, train), _adapted(cell, embedding.test)
    val = None if embedding.val is None else _adapted(cell, embedding.val)
    ctx = _context(cell, "classifier", place)
    start = perf_counter()
    with isolated(ctx.seed):
        predict = cell.classifier.fit(train, val, ctx)
        blocks = torch.arange(len(test)).split(PREDICTION_BATCH)
        log_scores = torch.cat([predict(test.rows(block)).cpu() for block in blocks])
    _check_scores(log_scores, (len(test), test.space.n_classes), cell.classifier)
    return Predictions(log_scores.numpy(), _facts(ctx, start))


def _adapted(cell: Cell, features: FeatureSet) -> FeatureSet:
    if features.space.layout in cell.classifier.accepts:
        return features
    return features.pooled() if cell.experiment.adapt == "pool" else features.flat()


def _check_scores(log_scores: Tensor, shape: tuple[int, int], classifier: Classifier) -> None:
    bad = int((~torch.isfinite(log_scores)).sum())
    if tuple(log_scores.shape) != shape or bad:
        found = f"{tuple(log_scores.shape)}, {bad} of them not finite"
        raise PluginError(f"classifier {label(classifier)}: wants finite log-scores of shape {shape}, found {found}")


# ---- score ----


def score_cell(
    cell: Cell, embedding: Embedding, train: FeatureSet, predictions: Predictions, place: Place
) -> dict[str, Any]:
    """Keep the predictions, and score them plain and with each correction."""
    test, facts = embedding.test, embedding.facts
    buffer = io.BytesIO()
    ids, labels, log_scores = test.ids.numpy(), test.labels.numpy(), predictions.log_scores
    np.savez_compressed(buffer, ids=ids, labels=labels, log_scores=log_scores)
    write_atomically(place.results / "predictions" / f"{cell.id}.npz", buffer.getvalue())
    made = readouts(
        predictions.log_scores.astype(np.float64),
        prior=train.prior.numpy(),
        natural_prior=train.natural_prior.numpy(),
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
        "prior": train.prior.tolist(),
        "natural_prior": train.natural_prior.tolist(),
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


# ---- rows ----


def _row(
    cell: Cell, keys: Keys, embedding: Embedding, augmented: Augmented, predictions: Predictions, score_seconds: float
) -> dict[str, Any]:
    stages = {"extractor": embedding.facts, "augmenter": augmented.facts, "classifier": predictions.facts}
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
        "costs": {
            "embed_seconds": embedding.facts["seconds"],
            "augment_seconds": augmented.facts["seconds"],
            "classify_seconds": predictions.facts["seconds"],
            "score_seconds": score_seconds,
            "peak_mib": _peak_mib(),
            "synthetic_rows": int((train.targets - train.counts()).sum()),
        },
    }


def ended(cell: Cell, key: str, status: str, reason: str) -> dict[str, Any]:
    """The row of a cell that gave no numbers."""
    return {"id": cell.id, "key": key, "axes": cell.axes, "status": status, "reason": reason}


def _ended(cell: Cell, place: Place, status: str, reason: str) -> dict[str, Any]:
    return ended(cell, keys_of(cell, place.device, place.downloads).cell, status, reason)


def _facts(ctx: Context, start: float) -> dict[str, Any]:
    """What a stage says of itself, as it is stored with its result."""
    records = [{name: value if isfinite(value) else None for name, value in line.items()} for line in ctx.records]
    return {"seconds": perf_counter() - start, "records": records, "warnings": ctx.warnings}


def _context(cell: Cell, stage: str, place: Place) -> Context:
    seed = stage_seed(cell.experiment.seed, stage, cell.seed_axes)
    return Context(seed, place.device, place.downloads, lambda done, total: place.listen(stage, done, total))


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path.write_bytes(save(plain))  # `save_file` hides from us that the disk is full


def _reset_peak() -> None:
    """Forget the largest resident size so far, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    """The largest resident size of this process, MiB: of this cell on Linux, else since the process began."""
    with suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 2**10  # KiB there
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
