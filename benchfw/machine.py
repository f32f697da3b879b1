"""The machine: versions, device, commit, collected once a run; and the device class that enters the keys."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchfw.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from torch import Tensor

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
RECORDED = ("benchfw", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pydantic", "pluggy", "safetensors")


def device_named(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, else the CPU. Raises UsageError when it is not there.

    MPS is taken by name only: nobody has compared its numbers with the CPU's yet.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    kind = name.partition(":")[0]
    if kind not in there or not there[kind]:
        found = ", ".join(kind for kind, present in there.items() if present)
        raise UsageError(f"--device {name}: not on this machine; found: {found}")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: wants auto, cpu, cuda, cuda:1 or mps") from error


def precision_on(device: torch.device, wanted: str) -> str:
    """The arithmetic of training steps, float32 or bf16: `auto` is bf16 on a CUDA device that has it, else float32."""
    import torch

    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


@contextmanager
def arithmetic(*, deterministic: bool) -> Iterator[None]:
    """While it lasts, float32 means float32, and operations that give other bits each time are refused.

    torch would round the inputs of convolutions on CUDA to TF32, ten bits of mantissa; and what a plugin has set for
    the whole process, when it was imported, must not change the numbers of others. deterministic: whether to refuse.
    """
    import torch

    cudnn = torch.backends.cudnn
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    before, dtype = (cudnn.deterministic, cudnn.benchmark), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(deterministic)
        cudnn.deterministic, cudnn.benchmark = deterministic, False
        with _unrounded(), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        cudnn.deterministic, cudnn.benchmark = before


@contextmanager
def _unrounded() -> Iterator[None]:
    """Let products and convolutions of float32 be rounded to nothing shorter.

    torch has two sets of names for this. Once somebody has used the newer one, the older refuses to tell.
    """
    import torch

    cudnn = torch.backends.cudnn
    parts: list[Any] = [torch.backends.cuda.matmul, getattr(cudnn, "conv", None), getattr(cudnn, "rnn", None)]
    newer = [(part, part.fp32_precision) for part in parts if hasattr(part, "fp32_precision")]  # torch >= 2.9
    older = None
    with suppress(RuntimeError):
        older = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for part, _ in newer:
        part.fp32_precision = "ieee"
    try:
        yield
    finally:
        if older is not None:
            torch.set_float32_matmul_precision(older[0])
            cudnn.allow_tf32 = older[1]
        for part, value in newer:
            part.fp32_precision = value


def prepare_determinism() -> None:
    """Set the variable that CUDA's matrix products want, which they read once, before their first use.

    Raises UsageError when it is too late for this process.
    """
    import torch

    if WORKSPACE in os.environ:
        return
    if torch.cuda.is_initialized():
        raise UsageError(f"--deterministic: CUDA is in use already; set {WORKSPACE}=:4096:8 before Python starts")
    os.environ[WORKSPACE] = ":4096:8"


def fits(count: int, device: torch.device) -> bool:
    """Whether so many bytes take at most half of what is free in the GPU's memory; never where there is no GPU."""
    import torch

    if device.type != "cuda":
        return False
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # held by torch, and free
    return count <= (torch.cuda.mem_get_info(device)[0] + unused) // 2


def resident(values: Tensor, device: torch.device) -> Tensor:
    """The same numbers in the GPU's memory where they fit, else as they are."""
    return values.to(device) if fits(values.nbytes, device) else values


@cache
def device_class(device: torch.device) -> str:
    """The kind of hardware: the CPU's architecture and instruction set, on which results are bit-equal, or the GPU."""
    import torch

    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


@cache
def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device: torch.device, threads: int, plugins: Mapping[str, str]) -> dict[str, Any]:
    """What a reader of the numbers wants to know of the machine; it names no user, host or path.

    plugins: versions of the distributions whose components run.
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_class(device),
        "cores": usable_cores(),
        "threads_per_cell": threads,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in RECORDED} | dict(plugins),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the checkout that benchfw runs from, with `+` when files differ from it; None outside one."""
    home = Path(__file__).parent
    try:
        commit = _git(home, "rev-parse", "--short=12", "HEAD")
        return commit + "+" * bool(_git(home, "status", "--porcelain", "--untracked-files=no", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(home: Path, *words: str) -> str:
    command = ["git", "-C", str(home), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  # fixed words
    return done.stdout.strip()


def reset_peak() -> None:
    """Forget the largest resident size so far, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The largest resident size of this process, MiB: of this cell on Linux, else since the process began."""
    with suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 2**10  # KiB there
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
