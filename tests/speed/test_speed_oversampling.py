"""The time of SMOTE, fit and all its rows, beside imbalanced-learn's on the same data and one thread.

The ratio of the two rows of the `smote` group is the result; nothing is asserted about time.
"""

import pytest
import torch
from threadpoolctl import threadpool_limits

from benchfw import FeatureSet, FeatureSpace
from benchfw_oversampling import Eos, Smote

COUNTS = torch.tensor([6000] * 2 + [150] * 8)


@pytest.fixture(scope="module")
def lenet_sized():
    """Random rows of the reference problem's size: 13,200 rows of 400 numbers, 2 x 6,000 + 8 x 150."""
    labels = torch.repeat_interleave(COUNTS)
    values = torch.rand(len(labels), 400, generator=torch.Generator().manual_seed(0))
    return FeatureSet(FeatureSpace((400,), len(COUNTS)), values, labels, torch.arange(len(labels)))


def balanced(component, train, ctx):
    """The finite set as imbalanced-learn returns it: real rows, then the missing ones."""
    sample = component.fit(train, None, ctx)
    missing = torch.repeat_interleave(COUNTS.max() - COUNTS)
    return torch.cat([train.values, sample(missing, torch.Generator().manual_seed(0))])


@pytest.mark.benchmark(group="smote")
def test_smote_of_benchfw(benchmark, lenet_sized, ctx):
    rows = benchmark(balanced, Smote(), lenet_sized, ctx)
    assert rows.shape == (60_000, 400)


@pytest.mark.benchmark(group="smote")
def test_smote_of_imbalanced_learn(benchmark, lenet_sized):
    from imblearn.over_sampling import SMOTE

    with threadpool_limits(1):
        rows, _ = benchmark(SMOTE().fit_resample, lenet_sized.values.numpy(), lenet_sized.labels.numpy())
    assert rows.shape == (60_000, 400)


@pytest.mark.benchmark(group="eos")
def test_eos_of_benchfw(benchmark, lenet_sized, ctx):
    assert balanced(Eos(), lenet_sized, ctx).shape == (60_000, 400)
    benchmark(Eos().fit, lenet_sized, None, ctx)


@pytest.mark.benchmark(group="eos")
def test_neighbours_of_scikit_learn(benchmark, lenet_sized):
    from sklearn.neighbors import NearestNeighbors

    values = lenet_sized.values.numpy()
    with threadpool_limits(1):
        near = NearestNeighbors(n_neighbors=11, algorithm="brute").fit(values)
        benchmark(near.kneighbors, values[12_000:], return_distance=False)
