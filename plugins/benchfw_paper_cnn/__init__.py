"""The reference extractor of 23 rows, and LeNet-5, each cut into a body that gives features and a head on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchfw import Context, ImageSet, NeuralExtractor, hookimpl, param

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
class Narrowable(NeuralExtractor):
    """What both networks share: features of fewer dimensions, by narrower layers or by pruned channels.

    A pruned network is trained whole, as it is without pruning. Then its body keeps the channels of the features with
    the largest Fisher ratios on the training images, and its head puts their training means in the others' places.
    """

    width: float = param(1.0, "factor on all channels and hidden units, which are rounded, at least 1", gt=0)
    channels: int | None = param(
        None, "keep this many channels of the features, those that tell the classes apart best; none: all", ge=1
    )

    def fit(self, network: Network, train: ImageSet, val: ImageSet | None, ctx: Context) -> None:
        """Train the network in place, then prune it where `channels` asks for it."""
        from benchfw_paper_cnn.pruning import PrunedNetwork

        if not isinstance(network, PrunedNetwork):
            super().fit(network, train, val, ctx)
            return
        super().fit(network.whole, train, val, ctx)
        network.prune(train, ctx)


@dataclass(frozen=True)
class PaperCNN(Narrowable):
    """The reference CNN of 23 rows; features are row 15, 512 maps of 10x10 for images of 160x160.

    Rows 1 to 15, ten 3x3 convolutions with four max pools, are the body, the source's feature extractor; rows 16 to 23,
    three more, a pool and three fully connected layers, are the head, its classifier. Both are trained here together,
    which is its step 1; the classifier `head` goes on with rows 16 to 23 alone, which is its step 2. Every convolution
    and hidden layer is followed by batch norm, then LeakyReLU. It is trained with Adam from torch's default
    initialisation, and its pixels are scaled to [-1, 1] inside the body.

    The source leaves open the order of batch norm and activation, the slope, the initialisation and the optimiser, and
    it states batch norm on the logits too, which is `bn_logits` here. Row 19 is a max pool in its step 1 and an average
    pool in its step 2; here one network has one pool in both, so that the head starts as the very network that was
    trained: the other pool put under trained weights cost 22 to 29 points of accuracy on Fashion-MNIST. Below 64x64 the
    last pools of the body are left out until its map is at least 4x4, so images of 28x28 keep two and those of 8x8 one.

    Features of fewer dimensions, the source's outlook, are `width`, `tap` and `channels`. A pruned network is trained
    whole; then the channels with the largest ratio of variance between to variance within classes, which weigh equally,
    stay, and the head meets the others at their training means. On Fashion-MNIST half of the channels cost the
    untouched head 2 to 20 points, while a fresh linear classifier lost 1 point from a quarter of them to an eighth.
    """

    name = "paper-cnn"
    source = (
        "feature-space GAN for imbalanced chest X-rays (2020 capstone report on CheXpert), step 1, feature extractor; "
        "pruning: Fisher 1936"
    )
    presets = {
        "tiny": {"width": 0.125, "steps": 300, "lr": 3e-3, "batch": 64},
        "small": {"width": 0.125, "steps": 2000, "lr": 3e-3, "batch": 40},  # a minute for 28x28 on one core
    }

    batch: int = param(40, "images in a step", ge=2)
    lr: float = param(1e-4, "Adam's learning rate", gt=0)
    slope: float = param(0.2, "LeakyReLU's slope below zero", ge=0, lt=1)
    tap: int = param(15, "the row of the table whose output is the feature; from 20 on it is a vector", ge=2, le=22)
    pool: Literal["max", "avg"] = param("max", "row 19: max as in the source's step 1, avg as in its step 2")
    bn_logits: bool = param(False, "batch norm on the logits, as the table states")

    @property
    def layout(self) -> Layout:
        """Vectors from row 20, which flattens; maps before it."""
        return "vector" if self.tap >= FLATTEN else "map"

    def build(self, image_shape: tuple[int, int, int], n_classes: int) -> Network:
        """Body: rows 1 to `tap`; head: the others, to K logits. Raises CannotRun for more channels than there are."""
        from benchfw_paper_cnn.networks import paper_cnn

        return paper_cnn(
            image_shape,
            n_classes,
            width=self.width,
            slope=self.slope,
            tap=self.tap,
            keep=self.channels,
            average_pool=self.pool == "avg",
            bn_logits=self.bn_logits,
        )


@dataclass(frozen=True)
class LeNet5(Narrowable):
    """LeNet-5 with ReLU and max pools; features are the 400 numbers after the second pool.

    Two 5x5 convolutions (6 and 16 channels), each with ReLU and a max pool, make the features; the head has two hidden
    layers with ReLU, 1024 and 128 wide as in the published Fashion-MNIST experiment on 40:1 imbalance, or 120 and 84 as
    in the original. Images smaller than 32x32 are padded with black on all sides to 32x32, then scaled to [-1, 1].
    The features may also be the maps of either pool, and be pruned to the channels (numbers, for a vector) with the
    largest ratio of variance between to variance within classes; the head meets the others at their training means.

    The original has average pools, tanh and sparse connections. Larger images are taken as they are: the vector is then
    longer than 400, since the convolutions slide over more places.
    """

    name = "lenet5"
    source = (
        "LeCun et al. 1998; settings of the DFG repository (Suh, Lukowicz, Lee), Fashion-MNIST; pruning: Fisher 1936"
    )
    presets = {"classical": {"head": "120-84"}}

    steps: int | None = param(3000, "optimiser steps; none: as many as the epochs have", ge=0)
    head: Literal["1024-128", "120-84"] = param("1024-128", "hidden units of the head; 120-84 is the classical LeNet-5")
    tap: Literal["pool1", "pool2-map", "pool2"] = param(
        "pool2", "the feature: pool1 maps 6x14x14, pool2-map maps 16x5x5, pool2 those as a vector"
    )

    @property
    def layout(self) -> Layout:
        """A vector after the second pool, which flattens; else maps."""
        return "vector" if self.tap == "pool2" else "map"

    def build(self, image_shape: tuple[int, int, int], n_classes: int) -> Network:
        """Body: pixels to the tap; head: the rest, to K logits. Raises CannotRun for more channels than there are."""
        from benchfw_paper_cnn.networks import lenet5

        first, second = map(int, self.head.split("-"))
        return lenet5(
            image_shape, n_classes, hidden=(first, second), width=self.width, tap=self.tap, keep=self.channels
        )
