"""What a component shares with the rest of its process: settings of torch, the environment, global generators."""

from __future__ import annotations

import os
import random
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DENORMAL = torch.tensor(1e-40)  # a denormal float32
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "numpy's errors": (np.geterr, lambda before: np.seterr(**before)),
    "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "torch's flush of denormal numbers": (lambda: not float(DENORMAL + 0), torch.set_flush_denormal),
    "torch's sharing of tensors": (
        torch.multiprocessing.get_sharing_strategy,
        torch.multiprocessing.set_sharing_strategy,
    ),
    "torch.backends.mkldnn.enabled": (
        lambda: torch.backends.mkldnn.enabled,
        lambda before: setattr(torch.backends.mkldnn, "enabled", before),
    ),
}
CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")
MATMUL = ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")


def settings() -> dict[str, Any]:
    """The settings of this process by name, as they are now."""
    cudnn = {f"torch.backends.cudnn.{name}": getattr(torch.backends.cudnn, name) for name in CUDNN}
    cudnn |= {f"torch.backends.cuda.matmul.{name}": getattr(torch.backends.cuda.matmul, name) for name in MATMUL}
    found: dict[str, Any] = {name: get() for name, (get, _) in SETTINGS.items()}
    variables = {f"the environment's {name}": value for name, value in os.environ.items()}
    return found | cudnn | variables | {"the working directory": os.getcwd()}  # noqa: PTH109  # text, as chdir has it


@contextmanager
def restored() -> Iterator[list[str]]:
    """Put back every setting that is changed inside; the list names them: `torch's threads from 1 to 3`."""
    changed: list[str] = []
    before, variables = settings(), dict(os.environ)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings("ignore", module=".*")  # no plugin writes this one, so what it adds stands beside it
        filters = list(warnings.filters)
        try:
            yield changed
        finally:
            changed += [] if list(warnings.filters) == filters else ["the filters of warnings"]
            changed += _differences(before, settings())
            _restore(before, variables)


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name} from {before.get(name)} to {after.get(name)}" for name in names if before.get(name) != after.get(name)
    ]


def _restore(before: dict[str, Any], variables: dict[str, str]) -> None:
    for name, (get, put) in SETTINGS.items():
        if get() != before[name]:
            put(before[name])
    for name in CUDNN:
        setattr(torch.backends.cudnn, name, before[f"torch.backends.cudnn.{name}"])
    for name in MATMUL:
        setattr(torch.backends.cuda.matmul, name, before[f"torch.backends.cuda.matmul.{name}"])
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)
    with suppress(OSError):
        if Path.cwd() != Path(before["the working directory"]):
            os.chdir(before["the working directory"])


def generators() -> dict[str, str]:
    """The states of the global generators, as text that can be compared."""
    numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002  # plugins' libraries use it
    states = {
        "random": repr(random.getstate()),
        "numpy": repr((numpy["key"].tolist(), numpy["pos"])),
        "torch": repr(torch.get_rng_state().numpy().tobytes()),
    }
    if torch.cuda.is_available():
        states["torch on CUDA"] = repr(torch.cuda.get_rng_state().numpy().tobytes())
    return states
