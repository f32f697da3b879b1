"""Layers with their norm and activation, the sizes of a map on the way up and down, and initial weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

DEVIATION = 0.02  # of initial weights: Radford et al. 2016 (DCGAN), section 3
BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Style:
    """How the hidden layers of a network are normalised and activated: layer, then norm, then LeakyReLU."""

    norm: str
    slope: float

    def linear(self, inputs: int, outputs: int) -> nn.Sequential:
        """(B, inputs) -> (B, outputs)."""
        return self._dressed(nn.Linear(inputs, outputs, bias=self._bias), nn.BatchNorm1d, outputs)

    def conv(self, inputs: int, outputs: int, kernel: int, **where: int | tuple[int, int]) -> nn.Sequential:
        """(B, inputs, H, W) -> (B, outputs, H', W'). where: stride, padding."""
        layer = nn.Conv2d(inputs, outputs, kernel, bias=self._bias, **where)  # type: ignore[arg-type]
        return self._dressed(layer, nn.BatchNorm2d, outputs)

    def deconv(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], **where: int | tuple[int, int]
    ) -> nn.Sequential:
        """(B, inputs, H, W) -> (B, outputs, H', W'). where: stride, padding, output_padding."""
        layer = nn.ConvTranspose2d(inputs, outputs, kernel, bias=self._bias, **where)  # type: ignore[arg-type]
        return self._dressed(layer, nn.BatchNorm2d, outputs)

    def last(self, layer: nn.Linear | nn.Embedding) -> nn.Module:
        """A layer that nothing follows: of all norms only the spectral one touches it."""
        return Spectral(layer) if self.norm == "spectral" else layer

    @property
    def _bias(self) -> bool:
        return self.norm != "batch"  # which subtracts it again

    def _dressed(self, layer: nn.Module, batch_norm: type[nn.Module], outputs: int) -> nn.Sequential:
        activation = nn.LeakyReLU(self.slope)
        if self.norm == "spectral":
            return nn.Sequential(Spectral(layer), activation)
        if self.norm == "batch":
            return nn.Sequential(layer, batch_norm(outputs), activation)
        if self.norm == "layer":
            return nn.Sequential(layer, nn.GroupNorm(1, outputs), activation)
        return nn.Sequential(layer, activation)


class Spectral(nn.Module):
    """A linear layer whose weight, as a matrix, is divided by its largest singular value.

    One step of power iteration in each forward pass of training keeps the estimate; the layer's output is divided, not
    its weight, which is the same and cheaper. Source: Miyato et al. 2018 (spectral normalisation), algorithm 1.
    """

    u: Tensor

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.bias: nn.Parameter | None = None
        if isinstance(getattr(layer, "bias", None), nn.Parameter):
            self.bias, layer.bias = layer.bias, None  # type: ignore[assignment]
        self.register_buffer("u", normalize(torch.randn(self.matrix().shape[0]), dim=0))

    def matrix(self) -> Tensor:
        """The weight as a matrix: (outputs, the rest)."""
        weight = self.layer.weight
        assert isinstance(weight, Tensor)
        return weight.flatten(1)

    def sigma(self) -> Tensor:
        """The estimate of the largest singular value, a scalar with a gradient to the weight."""
        matrix = self.matrix()
        v = normalize(matrix.detach().T @ self.u, dim=0)
        image = matrix @ v
        u = normalize(image.detach(), dim=0)
        if self.training:
            self.u = u
        return u @ image

    def forward(self, inputs: Tensor) -> Tensor:
        """What the layer gives with its normalised weight, plus the bias."""
        with torch.autocast(inputs.device.type, enabled=False):
            sigma = self.sigma()
        outputs: Tensor = self.layer(inputs) / sigma
        if self.bias is None:
            return outputs
        return outputs + self.bias.reshape(-1, *[1] * (outputs.ndim - 2))


def ending(output: str, shape: tuple[int, ...]) -> list[nn.Module]:
    """What follows the generator's last layer, (B, *shape) -> (B, *shape): nothing, tanh, or tanh and batch norm."""
    if output not in ("tanh", "tanh-bn"):
        return []
    norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
    return [nn.Tanh(), norm(shape[0])] if output == "tanh-bn" else [nn.Tanh()]


def pyramid(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """Map sizes from small to (height, width), each half of the next, rounded up; the first has no side > smallest.

    Convolutions of kernel 3, stride 2, padding 1 and of kernel 5, stride 2, padding 2 make the same steps.
    """
    sizes = [(height, width)]
    while max(sizes[0]) > smallest:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Draw all weights of layers from N(0, 0.02) and set their biases to 0; norms stay as they are, at 1 and 0."""
    for module in network.modules():
        if isinstance(module, Spectral) and module.bias is not None:
            module.bias.zero_()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            module.weight.normal_(0, DEVIATION)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()  # type: ignore[operator,union-attr]
