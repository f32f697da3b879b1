"""The batch stream with common random numbers, the one plain training loop, and the network with body and head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchfw.errors import CannotRun, DataError
from benchfw.seeding import seed_for

if TYPE_CHECKING:
    from benchfw.context import Context
    from benchfw.data import FeatureSet, ImageSet, Predictor

Batch = tuple[Tensor, Tensor]
LossFunction = Callable[[Tensor, Tensor], Tensor]
Net = TypeVar("Net", bound=nn.Module)

EMBEDDING_BATCH = 256  # one size everywhere: kernels round differently for other batch sizes
DRAW_BYTES = 2**26  # synthetic rows drawn ahead of the steps that use them, at most
DRAW_STEPS = 32
CURVE_POINTS = 20


class Network(nn.Module):
    """An extractor's network, cut in two: `head(body(images))` is its output.

    body: (B, C, H, W) uint8 images -> features (B, *shape) float32; it does its own scaling. head: features -> logits
    (B, K).
    """

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> logits (B, K)."""
        logits: Tensor = self.head(self.body(images))
        return logits


def stream(train: FeatureSet, *, steps: int, batch: int, seed: int) -> Iterator[Batch]:
    """Batches of real and synthetic rows with common random numbers.

    For step t and position b three uniforms u, v, w come from `seed` alone: the label is the inverse CDF of the set's
    prior at u, its real row is number floor(v * n_c), and w < n_c / t_c decides for the real row. So all augmenters
    with the same targets meet the same labels and, where a row is real, the same row in the same place.

    Yields `steps` pairs: rows (B, *shape) float32 and labels (B,) int64, on the set's device.
    """
    uniforms = torch.Generator().manual_seed(seed_for(seed, "stream"))
    draws = None if train.synthesis is None else torch.Generator(train.device).manual_seed(train.synthesis.seed)
    cdf = train.prior.cumsum(0)
    share_real = train.counts().double() / train.targets
    ahead = max(1, min(DRAW_STEPS, DRAW_BYTES // (4 * batch * train.space.size)))
    for first in range(0, steps, ahead):
        block = min(ahead, steps - first)
        u, v, w = torch.stack([_uniforms(batch, uniforms) for _ in range(block)]).transpose(0, 1).flatten(1)  # (S * B,)
        labels = torch.searchsorted(cdf, u, right=True).clamp_(max=len(cdf) - 1)
        real = w < share_real[labels]
        rows = torch.empty(len(labels), *train.space.shape, device=train.device)
        rows[real.to(rows.device)] = train.rows(train.nth(labels[real], v[real]))
        if train.synthesis is not None and draws is not None and not bool(real.all()):
            rows[~real.to(rows.device)] = train.synthesis.rows(labels[~real], draws, train)
        yield from zip(rows.split(batch), labels.to(rows.device).split(batch), strict=True)


def _uniforms(batch: int, rng: torch.Generator) -> Tensor:
    return torch.rand(3, batch, generator=rng, dtype=torch.float64)


def image_batches(train: ImageSet, *, steps: int, batch: int, ctx: Context) -> Iterator[Batch]:
    """Batches of images from shuffled epochs, each image once an epoch; batches run on over the end of an epoch.

    Yields `steps` pairs: images (B, C, H, W) uint8 and labels (B,) int64, on the context's device.
    """
    rng = torch.Generator().manual_seed(seed_for(ctx.seed, "image batches"))
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(len(train), generator=rng)])
        index, order = order[:batch], order[batch:]
        yield train.rows(index).to(ctx.device), train.labels[index].to(ctx.device)


def fit(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    steps: int,
    lr: float,
    loss: LossFunction,
    ctx: Context,
    frozen_batch_norm: bool = False,
) -> None:
    """Train a network in place with Adam, one step a batch; the last step's weights stay.

    loss: logits (B, K), labels (B,) -> scalar. frozen_batch_norm: batch norm uses and keeps its running statistics.
    The loss is logged at 20 steps of the way. Raises DataError when it is no longer finite.
    """
    on_device(network, ctx).train()
    if frozen_batch_norm:
        for module in batch_norms(network):
            module.eval()
    optimiser = torch.optim.Adam(network.parameters(), lr=lr, fused=ctx.device.type in ("cpu", "cuda"))
    every = max(1, steps // CURVE_POINTS)
    for step, (values, labels) in enumerate(batches, start=1):
        optimiser.zero_grad(set_to_none=True)
        with ctx.autocast():
            error = loss(network(values), labels)
        error.backward()
        optimiser.step()
        if step % every == 0 or step == steps:
            if not bool(torch.isfinite(error)):
                raise DataError(f"training: the loss is {error.item()} at step {step} of {steps}; lower lr={lr:g}")
            ctx.log(step=step, loss=error.item())
        ctx.progress(step, steps)
    network.eval()


def refresh(network: nn.Module, batches: Iterable[Batch], *, steps: int, ctx: Context) -> None:
    """Let batch norm see the batches and update its running statistics; no weight changes.

    Raises CannotRun for a network without batch norm.
    """
    if not batch_norms(network):
        raise CannotRun("batch_norm=refresh: the network has no batch norm, so there is nothing to refresh")
    on_device(network, ctx).train()
    with torch.no_grad():
        for step, (values, _) in enumerate(batches, start=1):
            network(values)
            ctx.progress(step, steps)
    network.eval()


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The batch norm layers of a network."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def on_device(network: Net, ctx: Context) -> Net:
    """The network on the context's device; on CUDA with channels last, which its convolutions in bf16 want."""
    network.to(ctx.device)
    return network.to(memory_format=torch.channels_last) if ctx.device.type == "cuda" else network


def predictor(network: nn.Module) -> Predictor:
    """The function rows (M, *shape) -> log-scores (M, K) of a trained network, in evaluation mode."""
    network.eval()

    def predict(rows: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([F.log_softmax(network(block), dim=1) for block in rows.split(EMBEDDING_BATCH)])

    return predict


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy. logits: (B, K); labels: (B,) int64."""
    return F.cross_entropy(logits, labels)


def balanced_softmax(prior: Tensor) -> LossFunction:
    """Cross-entropy of logits + log prior; the logits then carry no prior. prior: (K,), sums to 1.

    Source: Ren et al. 2020 (Balanced Meta-Softmax), equation 4; Menon et al. 2021's logit-adjusted loss at tau = 1.
    """
    shift = prior.log().float()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits + shift.to(logits.device), labels)

    return loss


def loss_named(name: str, prior: Tensor) -> LossFunction:
    """The loss function of a `loss` parameter, for a classifier that meets this prior (K,)."""
    return balanced_softmax(prior) if name == "balanced-softmax" else cross_entropy
