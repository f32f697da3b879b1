"""What critic and generator minimise, and how often the critic is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchfw_gan_feature.layers import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class Verdict:
    """The critic's scores of one batch, (B,) each, and the loss that they gave it, a scalar."""

    loss: Tensor
    real: Tensor
    fake: Tensor

    @property
    def gap(self) -> Tensor:
        """E[score(real)] - E[score(fake)], a scalar."""
        return (self.real - self.fake).mean()

    def figures(self, kind: str) -> dict[str, float]:
        """Loss, gap, and how often the critic is right.

        critic_above: share of pairs in which the real row has the higher score; .5 is a critic that cannot tell.
        critic_real, critic_fake: share of real rows scored above 0, and of generated ones below; where 0 is its border.
        """
        above = (self.real[:, None] > self.fake).float().mean()
        figures = {"critic_loss": self.loss, "critic_gap": self.gap, "critic_above": above}
        if kind != "wasserstein":
            figures |= {"critic_real": (self.real > 0).float().mean(), "critic_fake": (self.fake < 0).float().mean()}
        return {name: float(figure) for name, figure in figures.items()}


def judged(
    kind: str,
    critic: Callable[[Tensor, Tensor], Tensor],
    real: tuple[Tensor, Tensor],
    fake: tuple[Tensor, Tensor],
    *,
    together: bool,
) -> Verdict:
    """Score a batch of real and one of generated rows.

    real, fake: rows (B, *shape) as the critic sees them, and labels (B,). together: in one pass, which is faster, but
    mixes the two where the critic has batch norm.
    """
    if together:
        rows, labels = (torch.cat(both) for both in zip(real, fake, strict=True))
        of_real, of_fake = critic(rows, labels).float().chunk(2)
    else:
        of_real, of_fake = critic(*real).float(), critic(*fake).float()
    return Verdict(critic_loss(kind, of_real, of_fake), of_real, of_fake)


def critic_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises, from its scores (B,) each, as a scalar; hinge and bce are sums over both halves.

    Sources: Arjovsky et al. 2017 (Wasserstein); Lim and Ye 2017 (hinge); Goodfellow et al. 2014 (bce, on logits).
    """
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "bce":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return -(real - fake).mean()


def generator_loss(kind: str, scores: Tensor) -> Tensor:
    """What the generator minimises, from the scores (B,) of its rows: non-saturating for bce, else minus the mean."""
    return F.softplus(-scores.float()).mean() if kind == "bce" else -scores.float().mean()


def slope_penalty(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Mean of (|gradient of the score| - 1)^2 at a random point between each real row and its generated one.

    real, fake: (B, *shape), row i of both of class labels[i]. Source: Gulrajani et al. 2017 (WGAN-GP), equation 3.
    """
    position = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng, device=real.device)
    between = torch.lerp(fake, real, position).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)  # (B, *shape)
    lengths: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    return (lengths - 1).square().mean()


def couples_rows(network: nn.Module) -> bool:
    """Whether a row's output depends on the other rows of its batch: with batch norm."""
    return any(isinstance(module, BatchNorm) for module in network.modules())
