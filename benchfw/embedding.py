"""The embed stage: split, train the extractor, and write the features of the three parts; or read them back.

Features that the data set brings are only split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from benchfw.components import Component, Dataset, Extractor, Given, NeuralExtractor, label
from benchfw.context import Context, Report
from benchfw.data import FeatureSet, FeatureSpace, ImageSet
from benchfw.dataset import FeatureDataset, ImageDataset, LabelledDataset, Samples
from benchfw.errors import BenchfwError, DataError, PluginError
from benchfw.keys import contents
from benchfw.machine import fits, resident
from benchfw.place import Place, context, facts_of, save_tensors
from benchfw.seeding import isolated, seed_for
from benchfw.splits import Splits, repeated, split
from benchfw.store import as_bytes, as_npz, read_json, write_atomically
from benchfw.training import EMBEDDING_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchfw.plan import Cell

PARTS = ("train", "val", "test")
OWN_BYTES = 2**30  # training images that get memory of their own beside their pool
EXAMPLES = 4  # training images of a class that a report may show
EXAMPLE_SIDE = 64  # pixels, at most
PROBED = 7  # rows that are computed again, in a batch of their own
ROUNDING = 1e-3  # of a row's largest number: kernels for other batch sizes differ by less, batch statistics by more


@dataclass(frozen=True, eq=False)
class Examples:
    """A few training images of each class to look at. images: (E, C, h, w) uint8, made small. labels: (E,) int64."""

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What a file of them holds, by name."""
        return {"examples": self.images, "example_labels": self.labels}

    @classmethod
    def read(cls, path: Path) -> Examples:
        """From an npz file with those arrays. Raises OSError, KeyError or ValueError when it cannot be read."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["examples"], arrays["example_labels"])


@dataclass(frozen=True, eq=False)
class Embedding:
    """The features of the three parts, the facts of the stage that made them, and examples where there are images."""

    train: FeatureSet
    val: FeatureSet | None
    test: FeatureSet
    facts: dict[str, Any]
    examples: Examples | None = None


def embed(cell: Cell, key: str, place: Place) -> Embedding:
    """The features of one split: as the data set brings them, or from the cache, or made, written and read back."""
    if isinstance(cell.extractor, Given):
        return _given_embedding(cell, place)
    return place.cache.get(
        "embed",
        key,
        make=lambda: _read_embedding(_make_embedding(cell, key, place), cell, place),
        read=lambda found: _read_embedding(found, cell, place),
    )


def _read_embedding(found: Path, cell: Cell, place: Place) -> Embedding:
    facts = read_json(found / "stage.json")
    space = FeatureSpace(tuple(facts["shape"]), len(facts["class_names"]), _head_maker(cell, found, facts))
    parts = {part: _read_part(found, part, space, place.device) for part in facts["parts"]}
    return Embedding(parts["train"], parts.get("val"), parts["test"], facts, Examples.read(found / "examples.npz"))


def _given_embedding(cell: Cell, place: Place) -> Embedding:
    start = perf_counter()
    ctx = context(cell, "extractor", place)
    dataset = _loaded(cell, place, ctx)
    if not isinstance(dataset, FeatureDataset):
        raise PluginError(f"dataset {label(cell.dataset)}: gives features, but loads {type(dataset).__name__}")
    splits = _split(cell, dataset)
    parts = {part: _compact(samples, cell.dataset, place.device) for part, samples in _made(splits).items()}
    facts = _facts(dataset, splits, ctx) | {"shape": list(dataset.train.shape)} | facts_of(ctx, start)
    return Embedding(parts["train"], parts.get("val"), parts["test"], facts)


def _compact(features: FeatureSet, dataset: Dataset, device: torch.device) -> FeatureSet:
    """The same rows on a pool of their own, so that a part holds no row of another, on the device."""
    values = torch.from_numpy(features.numpy()[0])
    for block, ids in zip(values.split(EMBEDDING_BATCH), features.ids.split(EMBEDDING_BATCH), strict=True):
        _check_finite(block, ids, f"dataset {label(dataset)}", "mend or remove them")
    return replace(features, values=resident(values, device), index=None, device=device)


def _made(splits: Splits[Samples]) -> dict[str, Samples]:
    return {part: samples for part in PARTS if (samples := getattr(splits, part)) is not None}


def _facts(dataset: LabelledDataset[Samples], splits: Splits[Samples], ctx: Context) -> dict[str, Any]:
    """What the split says of itself; warns of test samples that are in the training or validation part too."""
    for name, part in (("training", splits.train), ("validation", splits.val)):
        again = 0 if part is None else repeated(splits.test, part)
        if again:
            found = f"{again} of {len(splits.test)} test samples equal a {name} sample to the last number"
            ctx.warn(f"{found}; remove them on one side")
    return {
        "class_names": list(dataset.class_names),
        "counts": splits.train.labels.bincount(minlength=dataset.n_classes).tolist(),
        "data": {"fingerprint": dataset.fingerprint, **asdict(dataset.source)},
        "parts": list(_made(splits)),
    }


def _make_embedding(cell: Cell, key: str, place: Place) -> Path:
    ctx = context(cell, "extractor", place)
    dataset = _loaded(cell, place, ctx)
    if not isinstance(dataset, ImageDataset):
        raise PluginError(f"dataset {label(cell.dataset)}: loads features, but does not say so in `gives`")
    splits = _split(cell, dataset)
    start = perf_counter()
    with isolated(ctx.seed):
        body, state = _extractor(cell.extractor, splits, dataset.n_classes, ctx)
        made = _made(splits)

        def write(path: Path) -> None:
            shapes = {part: _write_part(path, part, samples, body, cell) for part, samples in made.items()}
            if state is not None:
                save_tensors(state, path / "network.safetensors")
            facts = _facts(dataset, splits, ctx) | {
                "image_shape": list(splits.train.image_shape),
                "shape": list(shapes["train"]),
            }
            write_atomically(path / "examples.npz", as_npz(_examples(splits.train).arrays()))
            write_atomically(path / "stage.json", as_bytes(facts | facts_of(ctx, start)))

        return place.cache.put("embed", key, write)


def _examples(train: ImageSet) -> Examples:
    """The first images of each class, their longer side shrunk to 64 pixels where it is longer."""
    classes = train.labels.unique().tolist()
    index = torch.cat([(train.labels == c).nonzero()[:EXAMPLES, 0] for c in classes])
    images = train.rows(index)
    longer = max(images.shape[-2:])
    if longer > EXAMPLE_SIDE:
        size = [max(1, round(side * EXAMPLE_SIDE / longer)) for side in images.shape[-2:]]
        images = nn.functional.interpolate(images.float(), size, mode="area").round().to(torch.uint8)
    return Examples(images.numpy(), train.labels[index].numpy())


def _loaded(cell: Cell, place: Place, ctx: Context) -> ImageDataset | FeatureDataset:
    """The data set; what it said while it loaded is said again to each stage that uses it."""
    found = contents(cell.dataset.files(place.downloads))
    loaded, warnings = _load_once(cell.dataset, found, Lent(ctx.downloads, ctx.device, ctx.report))
    if isinstance(loaded, BenchfwError):
        raise loaded
    ctx.warnings.extend(warnings)
    return loaded


def forget() -> None:
    """Forget the loaded data set, or why none could be loaded: a new run looks again."""
    _load_once.cache_clear()


@dataclass(frozen=True)
class Lent:
    """What a data set is lent while it loads; who listens is not part of what is remembered."""

    downloads: Path
    device: torch.device
    report: Report = field(compare=False)


@lru_cache(maxsize=1)
def _load_once(
    dataset: Dataset, _files: tuple[tuple[str, str], ...], lent: Lent
) -> tuple[ImageDataset | FeatureDataset | BenchfwError, list[str]]:
    """The data set and its warnings, or why it cannot be loaded, so that no other cell here tries in vain."""
    ctx = Context(seed_for(0, "dataset", dataset.name), lent.device, lent.downloads, lent.report)
    try:
        with isolated(ctx.seed):
            return dataset.load(ctx), ctx.warnings
    except BenchfwError as error:
        return error, ctx.warnings


def _split(cell: Cell, dataset: LabelledDataset[Samples]) -> Splits[Samples]:
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
    extractor: Extractor | NeuralExtractor, splits: Splits[ImageSet], n_classes: int, ctx: Context
) -> tuple[Callable[[Tensor], Tensor], dict[str, Tensor] | None]:
    """The function images (B, C, H, W) uint8 -> features, and the trained network's state, or None without one."""
    if isinstance(extractor, Extractor):
        return lambda images: extractor.embed(images.to(ctx.device), ctx), None
    network = extractor.build(splits.train.image_shape, n_classes).to(ctx.device)
    val = None if splits.val is None else _near(splits.val, ctx.device)
    extractor.fit(network, _near(splits.train, ctx.device), val, ctx)
    network.eval()
    return lambda images: network.body(images.to(ctx.device)), network.state_dict()


def _near(images: ImageSet, device: torch.device) -> ImageSet:
    """The same samples with their images and no others: in the GPU's memory where they fit there, else up to 1 GiB.

    Larger sets stay views on the pool, which holds test images too; who reads `rows` never meets one.
    """
    count = len(images) * images.pool[0].numel()
    if count > OWN_BYTES and not fits(count, device):
        return images
    own = replace(images, pool=images.rows(torch.arange(len(images))), index=None)
    return replace(own, pool=resident(own.pool, device))


def _write_part(
    path: Path, part: str, samples: ImageSet, body: Callable[[Tensor], Tensor], cell: Cell
) -> tuple[int, ...]:
    """Write the features of one part as .npy, block by block, with its labels and ids beside; returns their shape."""
    ids = torch.arange(len(samples)) if samples.ids is None else samples.ids
    np.savez(path / f"{part}.npz", labels=samples.labels.numpy(), ids=ids.numpy())
    first = torch.empty(0)  # features of the first images, as they were made among others
    with (path / f"{part}.npy").open("wb") as file:
        for index in torch.arange(len(samples)).split(EMBEDDING_BATCH):
            block = _features(body, samples.rows(index))
            _check_features(block, ids[index], cell.extractor)
            if not len(first):
                first = probed(block).clone()
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(samples), *first.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(block.contiguous().numpy().data)
    if not alike(first, _features(body, samples.rows(torch.arange(len(first))))):
        raise PluginError(
            f"extractor {label(cell.extractor)}: the features of an image change with the other images of its batch, "
            "or by chance; wants batch norm and dropout in evaluation mode"
        )
    return tuple(first.shape[1:])


def probed(rows: Tensor) -> Tensor:
    """The first rows, fewer than all: those that `alike` takes a second look at. rows: (N, ...) -> (B, ...)."""
    return rows[: max(1, min(PROBED, len(rows) // 2))]


def alike(rows: Tensor, again: Tensor) -> bool:
    """Whether the second look at the same rows gave the same numbers, but for rounding. rows, again: (B, ...)."""
    if rows.shape != again.shape:
        return False
    drift, largest = ((values.flatten(1)).abs().amax(1) for values in (rows - again, rows))
    return bool((drift <= ROUNDING * largest.clamp(min=1)).all())


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
    _check_finite(block, ids, f"extractor {label(extractor)}", "lower its lr")


def _check_finite(block: Tensor, ids: Tensor, whose: str, cure: str) -> None:
    bad = ~torch.isfinite(block.flatten(1)).all(dim=1)
    if bool(bad.any()):
        where = f"{int(bad.sum())} of {len(block)} rows (first: sample {int(ids[bad][0])})"
        raise DataError(f"{whose}: features have NaN or infinite values in {where}; {cure}")


def _head_maker(cell: Cell, found: Path, facts: dict[str, Any]) -> Callable[[], nn.Module] | None:
    extractor, state = cell.extractor, found / "network.safetensors"
    if not isinstance(extractor, NeuralExtractor):
        return None
    channels, height, width = facts["image_shape"]

    def head() -> nn.Module:
        network = extractor.build((channels, height, width), len(facts["class_names"]))
        network.load_state_dict(load_file(state), strict=True)
        return network.head

    with safe_open(state, "pt"):  # a damaged file is noticed now, not when a classifier asks for the head
        return head


def _read_part(found: Path, part: str, space: FeatureSpace, device: torch.device) -> FeatureSet:
    values = np.load(found / f"{part}.npy", mmap_mode="c", allow_pickle=False)
    with np.load(found / f"{part}.npz", allow_pickle=False) as samples:
        labels, ids = torch.from_numpy(samples["labels"]), torch.from_numpy(samples["ids"])
    return FeatureSet(space, resident(torch.from_numpy(values), device), labels, ids, device=device)
