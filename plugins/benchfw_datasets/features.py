"""Features that somebody computed before, from one npz file, and the last layer that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchfw import DataError, FeatureDataset, FeatureSet, FeatureSpace, Source
from benchfw_datasets import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from benchfw import Context

PARTS = ("train", "val", "test")
WHOLE = ("class_names", "fc_weight", "fc_bias")
WANTED = "train_features and train_labels (and the same for val and test)"


def load(path: Path, ctx: Context) -> FeatureDataset:
    """The data set in a file. Raises DataError where it is missing, damaged or not as `Features` says."""
    try:
        arrays = archive.read(path, _chosen, wanted=WANTED, ctx=ctx)
        return _dataset(arrays, Source(origin=path.name))
    except DataError as error:
        raise DataError(f"features: {path}: {error}") from error.__cause__


def _chosen(found: Sequence[str]) -> list[str]:
    pairs = [(f"{part}_features", f"{part}_labels") for part in PARTS]
    pairs = [pair for pair in pairs if pair == pairs[0] or set(pair) & set(found)]
    keys = [key for pair in pairs for key in pair]
    missing = [key for key in keys if key not in found]
    if missing:
        raise DataError(
            f"lacks {', '.join(missing)}; found {', '.join(found) or 'nothing'}; wants {WANTED}; rename its arrays"
        )
    return keys + [key for key in (*(f"{part}_groups" for part in PARTS), *WHOLE) if key in found]


def _dataset(arrays: archive.Arrays, source: Source) -> FeatureDataset:
    parts = [part for part in PARTS if f"{part}_features" in arrays]
    values = {part: _values(f"{part}_features", arrays.pop(f"{part}_features")) for part in parts}
    labels = {part: _labels(part, arrays, len(values[part])) for part in parts}
    classes, class_names = archive.classes_of(labels["train"], arrays.get("class_names"))
    numbers = {part: archive.numbered(f"{part}_labels", labels[part], classes) for part in parts}
    archive.check_all_present("train_labels", numbers["train"], class_names)
    shape = tuple(values["train"].shape[1:])
    space = FeatureSpace(shape, len(class_names), _head(arrays, shape, len(class_names)))
    groups = _groups(arrays, {part: len(values[part]) for part in parts})
    sets = {}
    for part in parts:
        _check_shape(part, tuple(values[part].shape[1:]), shape)
        sets[part] = FeatureSet(space, values[part], numbers[part], groups=groups.get(part))
    return FeatureDataset(sets["train"], class_names, val=sets.get("val"), test=sets.get("test"), source=source)


def _values(key: str, values: np.ndarray) -> Tensor:
    """(N, D) or (N, C, H, W) floats -> the same as float32, all finite."""
    if values.ndim not in (2, 4) or not values.size:
        raise DataError(f"{key} has shape {values.shape}; wants (N, D) or (N, C, H, W), none of them 0")
    if values.dtype.kind != "f":
        raise DataError(f"{key} is {values.dtype}; wants floats; convert it, e.g. with {key}.astype('float32')")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is reported as that
        rows = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    finite = torch.cat([block.isfinite().flatten(1).all(dim=1) for block in rows.split(4096)])  # (N,)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise DataError(
            f"{key} has NaN or values beyond float32 in {int((~finite).sum())} of {len(rows)} rows (first: {first}); "
            "remove them, or compute them again"
        )
    return rows


def _labels(part: str, arrays: archive.Arrays, size: int) -> archive.Labels:
    key = f"{part}_labels"
    return archive.labels_of(key, arrays[key], size)


def _check_shape(part: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise DataError(f"{part}_features has rows of shape {found}; wants {wanted} like train_features")


def _groups(arrays: archive.Arrays, sizes: dict[str, int]) -> dict[str, Tensor]:
    """The groups of the parts that have them, numbered over all parts together."""
    found = {part: arrays[f"{part}_groups"] for part in sizes if f"{part}_groups" in arrays}
    for part, values in found.items():
        archive.groups_of(f"{part}_groups", values, sizes[part])
    if not found:
        return {}
    number = np.unique(np.concatenate(list(found.values())), return_inverse=True)[1]
    counts = [sizes[part] for part in found]
    return dict(zip(found, torch.from_numpy(number).long().split(counts), strict=True))


def _head(arrays: archive.Arrays, shape: tuple[int, ...], n_classes: int) -> Callable[[], nn.Module] | None:
    """What makes the layer above the features anew, or None where the file has none."""
    if "fc_weight" not in arrays:
        return None
    weight = _layer("fc_weight", arrays["fc_weight"])
    bias = _layer("fc_bias", arrays["fc_bias"]) if "fc_bias" in arrays else None
    widths = {int(np.prod(shape)): nn.Flatten} | ({shape[0]: _pooled} if len(shape) == 3 else {})
    if weight.ndim != 2 or len(weight) != n_classes or weight.shape[1] not in widths:
        wanted = " or ".join(f"({n_classes}, {width})" for width in widths)
        raise DataError(f"fc_weight has shape {tuple(weight.shape)}; wants {wanted}: a row for each class")
    if bias is not None and bias.shape != (n_classes,):
        raise DataError(f"fc_bias has shape {tuple(bias.shape)}; wants ({n_classes},), one for each class")
    below = widths[weight.shape[1]]

    def head() -> nn.Module:
        layer = nn.utils.skip_init(nn.Linear, weight.shape[1], n_classes, bias=bias is not None)
        layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
        return layer if len(shape) == 1 else nn.Sequential(below(), layer)

    return head


def _pooled() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _layer(key: str, values: np.ndarray) -> Tensor:
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(f"{key} is {values.dtype}, or not finite; wants finite floats")
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
