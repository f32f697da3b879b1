"""The networks, built from shapes alone: the reference CNN row by row, and LeNet-5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from benchfw_paper_cnn.pruning import cut

if TYPE_CHECKING:
    from benchfw.training import Network

POOL = 0
BODY = {
    2: 64,
    3: 64,
    4: POOL,
    5: 128,
    6: 128,
    7: POOL,
    8: 128,
    9: 128,
    10: 256,
    11: POOL,
    12: 256,
    13: 256,
    14: 512,
    15: POOL,
}
HEAD = {16: 512, 17: 512, 18: 512, 19: POOL}
HIDDEN = {21: 4096, 22: 512}
"""The reference table: output channels of each convolution row, units of each hidden row."""

SMALLEST_MAP = 4  # of the body; its last pools are left out for images that would fall below


def paper_cnn(
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: float,
    slope: float,
    tap: int,
    keep: int | None,
    average_pool: bool,
    bn_logits: bool,
) -> Network:
    """Build the rows of the table as modules `row1` .. `row23`; those up to `tap` are the body.

    image_shape: (C, H, W). A pool that is left out has no module, so the numbers of the rows stay those of the table.
    keep: so many channels of row `tap` are the features, all if None. average_pool: row 19 is one.
    """
    channels, *size = image_shape
    rows: dict[int, nn.Module] = {1: Scaled()}
    outputs = {}
    for row, units in (BODY | HEAD).items():
        if units != POOL:
            wide = _scaled(units, width)
            rows[row] = _conv(channels, wide, slope)
            channels = wide
        elif min(size) // 2 >= (1 if row in HEAD else SMALLEST_MAP):
            rows[row] = nn.AvgPool2d(2) if average_pool and row in HEAD else nn.MaxPool2d(2)
            size = [side // 2 for side in size]
        outputs[row] = channels
    rows[20] = nn.Flatten()
    outputs[20] = features = channels * size[0] * size[1]
    for row, units in HIDDEN.items():
        outputs[row] = wide = _scaled(units, width)
        rows[row] = _dense(features, wide, slope)
        features = wide
    rows[23] = _logits(features, n_classes, bn_logits)
    return cut(_sequence(rows, 1, tap), _sequence(rows, tap + 1, 23), channels=outputs[tap], keep=keep)


def _scaled(units: int, width: float) -> int:
    return max(1, round(units * width))


def _conv(inputs: int, outputs: int, slope: float) -> nn.Sequential:
    # no bias before batch norm, which subtracts it again
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(slope))


def _dense(inputs: int, outputs: int, slope: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(slope))


def _logits(inputs: int, n_classes: int, batch_norm: bool) -> nn.Module:
    if batch_norm:
        return nn.Sequential(nn.Linear(inputs, n_classes, bias=False), nn.BatchNorm1d(n_classes))
    return nn.Linear(inputs, n_classes)


def _sequence(rows: dict[int, nn.Module], first: int, last: int) -> nn.Sequential:
    part = nn.Sequential()
    for row, module in rows.items():
        if first <= row <= last:
            part.add_module(f"row{row}", module)
    return part


def lenet5(
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    hidden: tuple[int, int],
    width: float,
    tap: str,
    keep: int | None,
) -> Network:
    """LeNet-5: (B, C, H, W) uint8 -> logits (B, K); sizes below are for images up to 32x32 and width 1.

    keep: so many channels of the tap are the features, all if None.
    """
    channels, rows, columns = image_shape
    first, second, third, fourth = (_scaled(units, width) for units in (6, 16, *hidden))
    features = second * _lenet_side(rows) * _lenet_side(columns)
    layers: list[nn.Module] = [
        Padded(rows, columns),
        Scaled(),
        nn.Conv2d(channels, first, 5),  # 6x28x28
        nn.ReLU(),
        nn.MaxPool2d(2),  # 6x14x14
        nn.Conv2d(first, second, 5),  # 16x10x10
        nn.ReLU(),
        nn.MaxPool2d(2),  # 16x5x5
        nn.Flatten(),  # 400
        nn.Linear(features, third),
        nn.ReLU(),
        nn.Linear(third, fourth),
        nn.ReLU(),
        nn.Linear(fourth, n_classes),
    ]
    size, tapped = {"pool1": (5, first), "pool2-map": (8, second), "pool2": (9, features)}[tap]
    return cut(nn.Sequential(*layers[:size]), nn.Sequential(*layers[size:]), channels=tapped, keep=keep)


def _lenet_side(side: int) -> int:
    return ((max(side, 32) - 4) // 2 - 4) // 2


class Scaled(nn.Module):
    """Pixels 0..255 to [-1, 1]: uint8 -> float32 of the same shape."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> float32."""
        return images.float() / 127.5 - 1


class Padded(nn.Module):
    """Black borders on all sides, up to 32x32; the right and lower border gets the odd line."""

    def __init__(self, height: int, width: int):
        super().__init__()
        top, left = max(0, 32 - height), max(0, 32 - width)
        self.border = (left // 2, left - left // 2, top // 2, top - top // 2)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, C, max(H, 32), max(W, 32)) uint8."""
        return F.pad(images, self.border)
