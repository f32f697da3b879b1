"""The reference extractor of 23 rows, and LeNet-5, each cut into a body that gives features and a head on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchfw import NeuralExtractor, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.data import Layout
    from benchfw.training import Network

FLATTEN = 20  # the row of the table from which on features are vectors


@hookimpl
def register_extractors(register: Callable[[type], None]) -> None:
    """Register `paper-cnn` and `lenet5`."""
    register(PaperCNN)
    register(LeNet5)


@dataclass(frozen=True)
class PaperCNN(NeuralExtractor):
    """The reference CNN of 23 rows; features are row 15, 512 maps of 10x10 for images of 160x160.

    Ten 3x3 convolutions with four max pools make the features; three more, a pool and three fully connected layers make
    the head. Every convolution and hidden layer is followed by batch norm, then LeakyReLU. It is trained with Adam from
    torch's default initialisation, and its pixels are scaled to [-1, 1] inside the body.

    The source leaves open the order of batch norm and activation, the slope, the initialisation and the optimiser, and
    it states batch norm on the logits too, which is `bn_logits` here. Below 64x64 the last pools of the body are left
    out until its map is at least 4x4, so images of 28x28 keep two and those of 8x8 one.
    """

    name = "paper-cnn"
    source = (
        "feature-space GAN for imbalanced chest X-rays (2020 capstone report on CheXpert), step 1, feature extractor"
    )
    presets = {"tiny": {"width": 0.125, "steps": 300, "lr": 3e-3, "batch": 64}}

    batch: int = param(40, "images in a step", ge=2)
    lr: float = param(1e-4, "Adam's learning rate", gt=0)
    width: float = param(1.0, "factor on all channels and hidden units, which are rounded, at least 1", gt=0)
    slope: float = param(0.2, "LeakyReLU's slope below zero", ge=0, lt=1)
    tap: int = param(15, "the row of the table whose output is the feature; from 20 on it is a vector", ge=2, le=22)
    bn_logits: bool = param(False, "batch norm on the logits, as the table states")

    @property
    def layout(self) -> Layout:
        """Vectors from row 20, which flattens; maps before it."""
        return "vector" if self.tap >= FLATTEN else "map"

    def build(self, image_shape: tuple[int, int, int], n_classes: int) -> Network:
        """Body: rows 1 to `tap`; head: the others, whose last gives K logits."""
        from benchfw_paper_cnn.networks import paper_cnn

        return paper_cnn(
            image_shape, n_classes, width=self.width, slope=self.slope, tap=self.tap, bn_logits=self.bn_logits
        )


@dataclass(frozen=True)
class LeNet5(NeuralExtractor):
    """LeNet-5 with ReLU and max pools; features are the 400 numbers after the second pool.

    Two 5x5 convolutions (6 and 16 channels), each with ReLU and a max pool, make the features; the head has two hidden
    layers with ReLU, 1024 and 128 wide as in the published Fashion-MNIST experiment on 40:1 imbalance, or 120 and 84 as
    in the original. Images smaller than 32x32 are padded with black on all sides to 32x32, then scaled to [-1, 1].

    The original has average pools, tanh and sparse connections. Larger images are taken as they are: the vector is then
    longer than 400, since the convolutions slide over more places.
    """

    name = "lenet5"
    source = "LeCun et al. 1998; settings of the DFG repository (Suh, Lukowicz, Lee), Fashion-MNIST"
    layout = "vector"
    presets = {"classical": {"head": "120-84"}}

    steps: int | None = param(3000, "optimiser steps; none: as many as the epochs have", ge=0)
    head: Literal["1024-128", "120-84"] = param("1024-128", "hidden units of the head; 120-84 is the classical LeNet-5")

    def build(self, image_shape: tuple[int, int, int], n_classes: int) -> Network:
        """Body: pixels to the vector after the second pool; head: fully connected layers to K logits."""
        from benchfw_paper_cnn.networks import lenet5

        first, second = map(int, self.head.split("-"))
        return lenet5(image_shape, n_classes, hidden=(first, second))
