"""Channel pruning: after training, features keep the channels that tell the classes apart best, by Fisher's ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchfw import CannotRun
from benchfw.training import EMBEDDING_BATCH, Network

if TYPE_CHECKING:
    from benchfw import Context, ImageSet

ROUNDING = 1e-12  # float32's relative error, squared: spread below this share of a channel's power is no spread


def cut(body: nn.Sequential, head: nn.Sequential, *, channels: int, keep: int | None) -> Network:
    """The network of a body, whose features have so many channels, and a head; pruned to `keep` channels unless None.

    Raises CannotRun when there are fewer channels than `keep`.
    """
    whole = Network(body, head)
    if keep is None:
        return whole
    if keep > channels:
        raise CannotRun(
            f"extractor: channels={keep}, but its features have {channels} at this tap and width; "
            f"set channels to {channels} or less, or to none to keep all"
        )
    return PrunedNetwork(whole, channels=channels, keep=keep)


class PrunedBody(nn.Module):
    """A body and, of its features (B, C, ...), the k channels `index`: (k,) int64, ascending; 0..k-1 until pruned."""

    index: Tensor

    def __init__(self, whole: nn.Module, keep: int):
        super().__init__()
        self.whole = whole
        self.register_buffer("index", torch.arange(keep))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> (B, k) or (B, k, h, w) float32."""
        features: Tensor = self.whole(images)
        return features.index_select(1, self.index)


class PrunedHead(nn.Module):
    """Puts k channels back at `index`, (k,) int64, all others at their `mean`, (C,) float32; then comes the head."""

    index: Tensor
    mean: Tensor

    def __init__(self, whole: nn.Module, keep: int, channels: int):
        super().__init__()
        self.register_buffer("index", torch.arange(keep))
        self.register_buffer("mean", torch.zeros(channels))
        self.whole = whole

    def forward(self, features: Tensor) -> Tensor:
        """(B, k) or (B, k, h, w) -> logits (B, K)."""
        mean = self.mean.to(features.dtype).reshape(-1, *[1] * (features.ndim - 2))  # (C,) or (C, 1, 1)
        everywhere = mean.expand(len(features), -1, *features.shape[2:])  # (B, C, ...)
        logits: Tensor = self.whole(everywhere.index_copy(1, self.index, features))
        return logits


class PrunedNetwork(Network):
    """A network whose features are k of the C channels of the `whole` one, which is what is trained."""

    body: PrunedBody
    head: PrunedHead

    def __init__(self, whole: Network, *, channels: int, keep: int):
        super().__init__(PrunedBody(whole.body, keep), PrunedHead(whole.head, keep, channels))

    @property
    def whole(self) -> Network:
        """The unpruned network, which shares all layers with this one."""
        return Network(self.body.whole, self.head.whole)

    def prune(self, train: ImageSet, ctx: Context) -> None:
        """Keep the channels with the largest Fisher ratios on these images; equal ones go by their number.

        The mean that takes a dropped channel's place is over all images, as the whole network met them.
        """
        counts, sums, squares = class_moments(self.body.whole, train, channels=len(self.head.mean), ctx=ctx)
        ratio = fisher_ratio(counts, sums, squares)
        index = ratio.argsort(descending=True, stable=True)[: len(self.body.index)].sort().values
        self.body.index.copy_(index)
        self.head.index.copy_(index)
        self.head.mean.copy_(sums.sum(0) / counts.sum())


@torch.inference_mode()
def class_moments(body: nn.Module, train: ImageSet, *, channels: int, ctx: Context) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over the images of each class of every channel's spatial mean, in one pass batch by batch.

    A number of a vector is its own spatial mean. Returns images (K,), sums (K, C) and sums of squares (K, C), float64
    on the CPU.
    """
    body.eval()
    counts = train.labels.bincount().double()
    sums = torch.zeros(len(counts), channels, dtype=torch.float64)
    squares = torch.zeros_like(sums)
    for index in torch.arange(len(train)).split(EMBEDDING_BATCH):
        features = body(train.rows(index).to(ctx.device))
        levels = features.reshape(*features.shape[:2], -1).mean(2).cpu().double()  # (B, C)
        sums.index_add_(0, train.labels[index], levels)
        squares.index_add_(0, train.labels[index], levels.square())
    return counts, sums, squares


def fisher_ratio(counts: Tensor, sums: Tensor, squares: Tensor) -> Tensor:
    """The variance between the class means over the mean variance within the classes, for each channel.

    counts: (K,) images; sums, squares: (K, C) of a channel's level; all float64. Returns (C,), at least 0. All classes
    that have images weigh the same: weighted by their shares, a channel that marks a rare class alone, which is what
    imbalance is about, would score next to nothing. A constant channel scores 0.

    Source: Fisher 1936; Duda and Hart 1973, 4.10 and 4.11, for one feature at a time and K classes.
    """
    present = counts > 0
    means = sums[present] / counts[present, None]  # (K, C)
    powers = squares[present] / counts[present, None]
    within = (powers - means.square()).mean(0).clamp(min=0) + ROUNDING * powers.mean(0)
    return means.var(0, correction=0) / within.clamp(min=torch.finfo(within.dtype).tiny)
