"""What the harness lends to one stage of one cell: a seed, a generator, a device, a place to write, and ears."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Report = Callable[[float, float], None]


def _silent(done: float, total: float) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Context:
    """Lent to a plugin for one call. It must not keep it.

    seed: in [0, 2**63), of this stage; the same in each run of the same cell. device: where tensors go. report:
    called with (done, total) while the stage works. downloads: the directory where data sets keep what they fetched.
    precision: "float32" or "bf16", of the arithmetic inside `autocast`.
    """

    seed: int
    device: torch.device
    downloads: Path
    report: Report = _silent
    precision: str = "float32"
    records: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def rng(self) -> torch.Generator:
        """The stage's own generator, on the device, seeded with `seed`."""
        import torch

        return torch.Generator(self.device).manual_seed(self.seed)

    def autocast(self) -> AbstractContextManager[object]:
        """Where matrix products may be rounded to bfloat16: around the forward pass of a training step.

        It does nothing with precision float32. Weights, losses and gradients of weights stay float32. It has no place
        around features, predictions, or a gradient penalty: those are part of the answer.
        """
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def progress(self, done: float, total: float) -> None:
        """Say how far a long stage is, in any unit; cheap enough for every step."""
        self.report(done, total)

    def log(self, **numbers: float) -> None:
        """Keep a line of numbers, e.g. `ctx.log(step=100, loss=0.3)`; they are stored with the stage's result."""
        self.records.append({name: float(number) for name, number in numbers.items()})

    def warn(self, message: str) -> None:
        """Say in the result's row, and to the user, that something about this fit looks wrong."""
        self.warnings.append(message)
