"""Tiny features for the tests of the feature GAN, and a recipe that is quick."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from benchfw import FeatureSet, FeatureSpace
from benchfw.seeding import isolated
from benchfw_gan_feature import GanFeature

SMALL = GanFeature(z=8, width=32, steps=20, batch=32)


def rng(seed=1):
    return torch.Generator().manual_seed(seed)


def features(values, counts, head=None):
    """Rows in the order of their classes, which have these counts."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    space = FeatureSpace(tuple(values.shape[1:]), len(counts), head)
    return FeatureSet(space, values, labels, torch.arange(len(labels)))


def rectified(counts, shape, seed=0):
    """Features as after a ReLU: correlated, many exact zeros, each class with its own mean."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    size = int(np.prod(shape))
    mixing = torch.randn(size, size, generator=rng(seed)) / size**0.5
    means = 1.5 * torch.randn(len(counts), size, generator=rng(seed + 1))
    values = means[labels] + torch.randn(len(labels), size, generator=rng(seed + 2)) @ mixing
    return features(values.clamp(min=0).reshape(-1, *shape), counts)


def fitted(recipe, train, ctx, seed=0, val=None):
    with isolated(seed):
        return recipe.fit(train, val, replace(ctx, seed=seed))


def small(preset, recipe=GanFeature, **changes):
    """A preset's recipe with networks and batches of a size for tests."""
    return recipe(**(dict(recipe.presets[preset]) | {"z": 8, "width": 32, "batch": 32} | changes))


def headed(train, steps=200):
    """The same rows in a space with a head that was trained on them: batch norm, two layers."""
    size, classes = train.space.size, train.space.n_classes
    with isolated(0):
        layers = nn.Linear(size, 16), nn.BatchNorm1d(16), nn.LeakyReLU(0.2), nn.Linear(16, classes)
        network = nn.Sequential(nn.Flatten(), *layers)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(steps):
            rows = torch.randint(len(train), (64,))
            loss = nn.functional.cross_entropy(network(train.rows(rows)), train.labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return replace(train, space=replace(train.space, head=lambda: deepcopy(network)))
