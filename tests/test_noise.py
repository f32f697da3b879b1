"""The control `noise`: rows that know nothing of their label."""

import pytest
import torch

from benchfw import FeatureSet, FeatureSpace
from benchfw.registry import installed

torch.set_num_threads(1)


def train(shape=(6,)):
    rng = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 3000 + [1] * 30)
    values = torch.randn(len(labels), *shape, generator=rng).abs() * 2 + labels.reshape(-1, *[1] * len(shape)) * 5
    return FeatureSet(FeatureSpace(shape, 2), values, labels)


def fitted(features, ctx):
    return installed().get("augmenter", "noise")().fit(features, None, ctx)


@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
def test_rows_have_the_moments_of_all_training_rows_whatever_their_label(shape, ctx):
    features = train(shape)
    product = fitted(features, ctx)
    assert torch.allclose(product.mean, features.values.mean(0), atol=1e-4)
    assert torch.allclose(product.deviation, features.values.std(0, correction=0), atol=1e-4)
    made = [product(torch.full((2000,), c), torch.Generator().manual_seed(1)) for c in (0, 1)]
    assert torch.equal(*made)
    assert bool((made[0] >= features.values.amin(0)).all())


def test_the_stored_state_gives_the_same_rows(ctx):
    features = train()
    product = fitted(features, ctx)
    again = installed().get("augmenter", "noise")().restore(product.state(), features, ctx)
    labels = torch.tensor([0, 1, 1])
    assert torch.equal(*(made(labels, torch.Generator().manual_seed(2)) for made in (product, again)))
