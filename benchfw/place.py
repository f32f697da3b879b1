"""Where a stage works, what it is lent, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

from safetensors.torch import save

from benchfw.context import Context
from benchfw.machine import precision_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import Tensor

    from benchfw.plan import Cell
    from benchfw.store import StageCache


@dataclass(frozen=True)
class Place:
    """Where a cell works: stage cache, results (predictions and tracebacks), downloads, device, and who listens.

    listen: called with (stage, done, total) while a long stage works.
    """

    cache: StageCache
    results: Path
    downloads: Path
    device: torch.device
    listen: Callable[[str, float, float], None]


def context(cell: Cell, stage: str, place: Place) -> Context:
    """What the harness lends to one stage of a cell, with the stage's seed."""
    seed = cell.seed_of(stage)
    precision = precision_on(place.device, cell.experiment.precision)
    return Context(seed, place.device, place.downloads, lambda done, total: place.listen(stage, done, total), precision)


def facts_of(ctx: Context, start: float) -> dict[str, Any]:
    """What a stage says of itself, as it is stored with its result."""
    records = [{name: value if isfinite(value) else None for name, value in line.items()} for line in ctx.records]
    return {"seconds": perf_counter() - start, "records": records, "warnings": ctx.warnings}


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors. Raises OSError when it cannot."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path.write_bytes(save(plain))  # `save_file` hides from us that the disk is full
