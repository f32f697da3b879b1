"""Seeds: which axes each stage depends on, a seed for each, and isolation of the global generators.

An axis enters by its component's name without parameters, so variants of one component are paired; `benchfw.store`'s
keys hold the parameters.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AXES_OF_STAGE: dict[str, tuple[str, ...]] = {
    "test-split": ("dataset", "repetition"),
    "imbalance": ("dataset", "imbalance", "repetition"),
    "validation": ("dataset", "imbalance", "repetition"),
    "extractor": ("dataset", "imbalance", "repetition", "extractor"),
    "augmenter": ("dataset", "imbalance", "repetition", "extractor", "augmenter"),
    "draws": ("dataset", "imbalance", "repetition", "extractor", "augmenter", "classifier"),
    "classifier": ("dataset", "imbalance", "repetition", "extractor", "classifier"),
}
"""The whole pairing of the benchmark: two cells share the randomness of a stage when they agree on its axes."""

TRAINING = ("extractor", "augmenter", "draws", "classifier")
"""The stages that train: other seeds for these alone show how much of a number is chance in training."""


def seed_for(base: int, *axes: object) -> int:
    """A seed in [0, 2**63) from the run's base seed and the axes (text or numbers), by SHA-256 of their JSON list."""
    digest = hashlib.sha256(json.dumps([base, *axes]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stage_seed(base: int, stage: str, axes: Mapping[str, object]) -> int:
    """The seed of one stage, from those axes of the cell on which it depends.

    axes: at least the axes that `AXES_OF_STAGE[stage]` names, by component name without parameters.
    """
    return seed_for(base, stage, *(axes[axis] for axis in AXES_OF_STAGE[stage]))


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch, and put back what was there on the way out.

    Layer initialisation and dropout need the global generator; everything else uses a generator handed in.
    """
    import random

    import numpy as np
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # plugins' libraries use it
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
