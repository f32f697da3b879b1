"""What the GAN knows of the training features before it trains: their centre, spread, floor and class means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import DataError

if TYPE_CHECKING:
    from benchfw import FeatureSet, FeatureSpace

CONSTANT = 1e-6  # a spread below this share of the root mean square is rounding
TAIL = 1e-3  # share of the values on each side that `minmax` cuts off
SORTED = 2**24  # numbers that are sorted for it, at most
NEARLY_ONE = 1 - 1e-6  # a tanh at the rim of its range has no finite inverse


class Scaling(nn.Module):
    """The scale of training features, one entry for each dimension of vectors and for each channel of maps.

    shift, scale: mean and standard deviation, 0 where the feature is constant; floor: smallest value; middle, reach:
    what `view` brings to 0 and 1; all float32 (D,) or (C, 1, 1). means: (K, *shape) float32, each class's mean row. All
    are buffers, so that a generator's state is complete.
    """

    shift: Tensor
    scale: Tensor
    floor: Tensor
    middle: Tensor
    reach: Tensor
    means: Tensor

    def __init__(self, kind: str, **values: Tensor):
        super().__init__()
        self.kind = kind
        for name, value in values.items():
            self.register_buffer(name, value)

    @classmethod
    def empty(cls, kind: str, space: FeatureSpace) -> Scaling:
        """One without values, to load a state into."""
        entry = space.shape[:1] if space.layout == "vector" else (space.shape[0], 1, 1)
        values = {name: torch.empty(entry) for name in ("shift", "scale", "floor", "middle", "reach")}
        return cls(kind, **values, means=torch.empty(space.n_classes, *space.shape))

    def standardise(self, rows: Tensor) -> Tensor:
        """Rows (B, *shape) with mean 0 and deviation 1 in each entry; 0 where the feature is constant."""
        return _centred(rows, self.shift, self.scale)

    def view(self, rows: Tensor) -> Tensor:
        """Rows (B, *shape) as the critic sees them."""
        if self.kind == "none":
            return rows
        seen = _centred(rows, self.middle, self.reach)
        if self.kind == "minmax":
            return seen.clamp(-1, 1)
        return seen.tanh() if self.kind == "tanh" else seen

    def unview(self, seen: Tensor) -> Tensor:
        """Rows (B, *shape) that look like this to the critic: the inverse of `view`."""
        if self.kind == "tanh":
            seen = seen.clamp(-NEARLY_ONE, NEARLY_ONE).atanh()
        return self.middle + self.reach * seen

    def around(self, labels: Tensor, residual: Tensor) -> Tensor:
        """Class means (B, *shape) plus a residual in standard deviations. labels: (B,) int64."""
        return self.means[labels] + self.scale * residual


def _centred(rows: Tensor, middle: Tensor, reach: Tensor) -> Tensor:
    return (rows - middle) * torch.where(reach > 0, 1 / reach, 0.0)


def measure(train: FeatureSet, kind: str = "standard") -> Scaling:
    """Measure a training set in one pass, in float64 on the CPU.

    kind: what `view` does; standard, tanh (of the standardised value), minmax (0.1 % and 99.9 % quantile to -1 and 1,
    clipped), none. Raises DataError when a value is not finite or a class has no row.
    """
    shape, classes = train.space.shape, train.space.n_classes
    counts = train.counts()
    if not bool(counts.all()):
        raise DataError(f"gan-feature: class {int(counts.argmin())} has no training row; wants at least 1 of each")
    sums = torch.zeros(classes, *shape, dtype=torch.float64)
    squares = torch.zeros(shape, dtype=torch.float64)
    floor = torch.full(shape, torch.inf, dtype=torch.float64)
    for c in range(classes):
        for block in train.blocks((train.labels == c).nonzero()[:, 0]):
            rows = block.cpu().double()  # (B, *shape)
            sums[c] += rows.sum(0)
            squares += rows.square().sum(0)
            floor = torch.minimum(floor, rows.amin(0))
    if not bool(torch.isfinite(squares).all()):
        raise DataError("gan-feature: found NaN or infinite training features, wants finite ones; check the extractor")
    shift, power = _per_entry(sums.sum(0) / len(train)), _per_entry(squares / len(train))
    variance = power - shift.square()
    scale = torch.where(variance > CONSTANT**2 * power, variance.clamp(min=0).sqrt(), 0.0)
    middle, reach = _range(train, kind, shift, scale)
    values = {
        "shift": shift,
        "scale": scale,
        "floor": floor if floor.ndim == 1 else floor.amin((1, 2), keepdim=True),
        "middle": middle,
        "reach": reach,
        "means": sums / counts.reshape(-1, *[1] * len(shape)),
    }
    return Scaling(kind, **{name: value.float().to(train.device) for name, value in values.items()})


def _per_entry(values: Tensor) -> Tensor:
    """(D,) as it is; (C, H, W) averaged over the map, (C, 1, 1)."""
    return values if values.ndim == 1 else values.mean((1, 2), keepdim=True)


def _range(train: FeatureSet, kind: str, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Middle and reach, each (D,) or (C, 1, 1)."""
    if kind == "none":
        return torch.zeros_like(shift), torch.ones_like(scale)
    if kind != "minmax":
        return shift, scale
    count = min(len(train), max(2, SORTED // train.space.size))
    spaced = torch.linspace(0, len(train) - 1, count).long()
    values = train.rows(spaced).cpu().double().flatten(2) if shift.ndim > 1 else train.rows(spaced).cpu().double()
    ranked = values.transpose(0, 1).reshape(len(shift), -1).sort(1).values  # (C or D, R)
    last = ranked.shape[1] - 1
    low, high = ranked[:, round(TAIL * last)], ranked[:, last - round(TAIL * last)]
    return ((low + high) / 2).reshape(shift.shape), ((high - low) / 2).reshape(shift.shape)
