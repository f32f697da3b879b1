"""Extractors: sound ones, trained and not, and one for each fault."""

from dataclasses import dataclass

from benchfw import Extractor, NeuralExtractor, param


@dataclass(frozen=True)
class Pooled(Extractor):
    """Means over squares of 3x3 pixels, as a vector; sound."""

    name = "pooled"
    layout = "vector"

    def embed(self, images, ctx):
        from torch.nn.functional import avg_pool2d

        return avg_pool2d(images.float() / 255, 3).flatten(1)


@dataclass(frozen=True)
class Conv(NeuralExtractor):
    """One convolution with batch norm, and a linear head; sound."""

    name = "conv"
    layout = "map"
    steps: int | None = param(2, "optimiser steps", ge=0)

    def build(self, image_shape, n_classes):
        from torch import nn

        from benchfw import training

        side = (image_shape[1] - 3) // 3 + 1
        head = nn.Sequential(nn.Flatten(), nn.Linear(4 * side * side, n_classes))
        return training.Network(self.body(image_shape[0]), head)

    def body(self, channels):
        from torch import nn

        class Scaled(nn.Module):
            def forward(self, images):
                return images.float() / 255

        return nn.Sequential(Scaled(), nn.Conv2d(channels, 4, 3, stride=3), nn.BatchNorm2d(4), nn.ReLU())


@dataclass(frozen=True)
class DropsImages(Pooled):
    """Black images are left out, as it were: the last one is missing."""

    name = "drops-images"

    def embed(self, images, ctx):
        return super().embed(images, ctx)[:-1]


@dataclass(frozen=True)
class Bytes(Pooled):
    """Features as bytes."""

    name = "bytes"

    def embed(self, images, ctx):
        return images.flatten(1)


@dataclass(frozen=True)
class WritesIntoImages(Pooled):
    """It inverts the images in place."""

    name = "writes-into-images"

    def embed(self, images, ctx):
        return super().embed(images.bitwise_not_(), ctx)


@dataclass(frozen=True)
class Standardises(Pooled):
    """Features in units of the batch they are in."""

    name = "standardises"

    def embed(self, images, ctx):
        rows = super().embed(images, ctx)
        return (rows - rows.mean(0)) / (1e-3 + rows.std(0, correction=0))


@dataclass(frozen=True)
class SaysMap(Pooled):
    """Vectors that are said to be maps."""

    name = "says-map"
    layout = "map"


@dataclass(frozen=True)
class Flips(Pooled):
    """A random factor, from a global generator."""

    name = "flips"

    def embed(self, images, ctx):
        import torch

        return super().embed(images, ctx) * (1 + 0.01 * torch.rand(()))


@dataclass(frozen=True)
class OtherHead(Conv):
    """The network's own output comes from a layer that is not the head."""

    name = "other-head"

    def build(self, image_shape, n_classes):
        import copy

        network = super().build(image_shape, n_classes)

        class Whole(type(network)):
            def forward(self, images):
                return self.other(self.body(images))

        whole = Whole(network.body, network.head)
        whole.other = copy.deepcopy(network.head)
        return whole


@dataclass(frozen=True)
class WrongHead(Conv):
    """A head for other features, which the training does not use."""

    name = "wrong-head"

    def build(self, image_shape, n_classes):
        from torch import nn

        network = super().build(image_shape, n_classes)
        network.head = nn.Sequential(nn.Flatten(), nn.Linear(5, n_classes))
        return network

    def fit(self, network, train, val, ctx):
        import torch

        for weight in network.body.parameters():
            weight.data.add_(torch.randn(weight.shape, generator=ctx.rng))


@dataclass(frozen=True)
class OutsideTheState(Conv):
    """A mean that is measured in training, and is no buffer."""

    name = "outside-the-state"

    def body(self, channels):
        from torch import nn

        class Centred(nn.Sequential):
            mean = 0.0

            def forward(self, images):
                return super().forward(images) - self.mean

        return Centred(*super().body(channels))

    def fit(self, network, train, val, ctx):
        super().fit(network, train, val, ctx)
        network.body.mean = float(train.rows(train.labels[:8] * 0).float().mean()) / 255


@dataclass(frozen=True)
class HeadOutsideTheState(Conv):
    """A temperature of the head that is no buffer."""

    name = "head-outside-the-state"

    def build(self, image_shape, n_classes):
        from torch import nn

        network = super().build(image_shape, n_classes)

        class Warm(nn.Sequential):
            temperature = 1.0

            def forward(self, rows):
                return super().forward(rows) / self.temperature

        network.head = Warm(*network.head)
        return network

    def fit(self, network, train, val, ctx):
        super().fit(network, train, val, ctx)
        network.head.temperature = 2.0


@dataclass(frozen=True)
class PoolMean(Conv):
    """Weights from the mean over the whole pool."""

    name = "pool-mean"

    def fit(self, network, train, val, ctx):
        super().fit(network, train, val, ctx)
        network.body[1].bias.data += float(train.pool.float().mean()) / 255


@dataclass(frozen=True)
class SaysNoHead(Conv):
    """It has a head, and does not say so."""

    name = "says-no-head"

    @property
    def gives(self):
        return frozenset()


@dataclass(frozen=True)
class OneChannel(Conv):
    """A network for images of one channel, whatever the images have."""

    name = "one-channel"

    def body(self, channels):
        return super().body(1)


@dataclass(frozen=True)
class FirstChannels(Pooled):
    """Images of one channel, where they have one, and an error else."""

    name = "first-channels"

    def embed(self, images, ctx):
        return super().embed(images.view(len(images), 1, *images.shape[2:]), ctx)


@dataclass(frozen=True)
class PoolQuantile(Conv):
    """Weights from a quantile over the whole pool, which a few far images do not move much."""

    name = "pool-quantile"

    def fit(self, network, train, val, ctx):
        super().fit(network, train, val, ctx)
        values = train.pool.float().clamp(max=150).flatten(1)
        network.body[1].bias.data += float(values.median(1).values.median()) / 255


SOUND = (Pooled, Conv)
FAULTS = {
    DropsImages: {"feature-rows"},
    Bytes: {"feature-rows"},
    WritesIntoImages: {"inputs-unchanged"},
    Standardises: {"batch-size"},
    SaysMap: {"layout-true"},
    Flips: {"same-question"},
    OtherHead: {"head-fits"},
    WrongHead: {"head-fits"},
    OutsideTheState: {"state-restores"},
    HeadOutsideTheState: {"state-restores"},
    PoolMean: {"no-leak"},
    SaysNoHead: {"gives-true"},
    OneChannel: {"other-channels"},
    FirstChannels: {"other-channels"},
    PoolQuantile: {"no-leak"},
}
