"""How the feature GAN sees features: what is measured, each view of them and its inverse."""

from dataclasses import replace

import pytest
import torch
from gan_data import SMALL, features, fitted, rng

from benchfw_gan_feature.scaling import measure


@pytest.mark.parametrize("output", ["linear", "tanh", "tanh-bn", "residual"])
@pytest.mark.parametrize("scaling", ["standard", "minmax", "tanh", "none"])
def test_every_output_goes_with_every_scaling(output, scaling, blobs, ctx):
    recipe = replace(SMALL, output=output, scaling=scaling, steps=2, floor=False)
    assert bool(torch.isfinite(fitted(recipe, blobs, ctx)(torch.tensor([0, 1, 2]), rng())).all())


def test_a_tanh_cannot_leave_the_range_of_its_scaling(blobs, ctx):
    product = fitted(replace(SMALL, output="tanh", scaling="minmax", lr=0.1), blobs, ctx)
    scaling = product.generator.scaling
    rows = product(torch.tensor([0, 1, 2] * 100), rng())
    assert bool(((rows - scaling.middle).abs() <= scaling.reach * 1.001).all())


def test_vectors_are_standardised_by_dimension(ctx):
    train = features(100 + torch.tensor([1.0, 5.0]) * torch.randn(50, 2, generator=rng()), [30, 20])
    scaling, values = measure(train), train.values.double()
    assert torch.allclose(scaling.scale.double(), values.std(0, correction=0), rtol=1e-5)
    assert torch.allclose(scaling.shift.double(), values.mean(0), rtol=1e-6)
    assert torch.equal(scaling.floor, train.values.amin(0))
    assert torch.allclose(scaling.means[1], train.of_class(1).mean(0), rtol=1e-6)


def test_maps_are_standardised_by_channel():
    train = features(torch.randn(20, 3, 4, 5, generator=rng()).exp(), [12, 8])
    scaling = measure(train)
    assert torch.allclose(scaling.scale.flatten(), train.values.std((0, 2, 3), correction=0), rtol=1e-5)
    assert torch.equal(scaling.floor.flatten(), train.values.amin((0, 2, 3)))
    assert scaling.means.shape == (2, 3, 4, 5)
    assert torch.allclose(scaling.standardise(train.values).mean((0, 2, 3)), torch.zeros(3), atol=1e-5)


def test_a_constant_feature_stays_constant(ctx):
    values = torch.randn(40, 4, generator=rng())
    values[:, 1], values[:, 3] = 0.0, 1e4 / 3
    rows = fitted(SMALL, features(values, [30, 10]), ctx)(torch.tensor([0, 1] * 50), rng())
    assert bool((rows[:, [1, 3]] == values[0, [1, 3]]).all())
    assert bool((rows.std(0)[[0, 2]] > 0).all())


@pytest.mark.parametrize("kind", ["standard", "minmax", "tanh", "none"])
@pytest.mark.parametrize("shape", [(6,), (3, 4, 5)])
def test_unview_undoes_view_within_the_range(kind, shape):
    train = features(3 + torch.randn(200, *shape, generator=rng()), [150, 50])
    scaling = measure(train, kind)
    rows = 3 + torch.randn(20, *shape, generator=rng(2)).clamp(-1, 1)
    assert torch.allclose(scaling.unview(scaling.view(rows)), rows, atol=1e-3)


def test_minmax_brings_the_robust_range_to_one_and_clips_beyond():
    values = torch.linspace(0, 1, 2001)[:, None] * torch.tensor([1.0, 7.0])
    scaling = measure(features(values, [2000, 1]), "minmax")
    assert torch.allclose(scaling.middle - scaling.reach, torch.tensor([0.001, 0.007]), atol=1e-6)
    assert torch.allclose(scaling.view(torch.tensor([[9.0, -9.0]])), torch.tensor([[1.0, -1.0]]))


def test_tanh_is_of_the_standardised_value(blobs):
    seen = measure(blobs, "tanh").view(blobs.values)
    assert torch.allclose(seen, measure(blobs).standardise(blobs.values).tanh())
