"""The time of SMOTE and EOS beside named references on the same data and one thread.

The ratio of the two rows of a group is the result; nothing is asserted about time.
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


def missing_rows(train, ctx, at_once):
    """Fit SMOTE and draw all rows that balance the classes, some at once; returns how many."""
    sample, rng = Smote().fit(train, None, ctx), torch.Generator().manual_seed(0)
    missing = torch.repeat_interleave(COUNTS.max() - COUNTS)
    return sum(len(sample(labels, rng)) for labels in missing.split(at_once))


@pytest.mark.benchmark(group="smote")
@pytest.mark.parametrize("at_once", [46_800, 2048], ids=["as a finite set", "as the stream asks"])
def test_smote_of_benchfw(benchmark, lenet_sized, ctx, at_once):
    assert benchmark(missing_rows, lenet_sized, ctx, at_once) == 46_800


@pytest.mark.benchmark(group="smote")
def test_smote_of_imbalanced_learn(benchmark, lenet_sized):
    """It returns the real rows as well, 0.28 of what it adds."""
    from imblearn.over_sampling import SMOTE

    with threadpool_limits(1):
        rows, _ = benchmark(SMOTE().fit_resample, lenet_sized.values.numpy(), lenet_sized.labels.numpy())
    assert rows.shape == (60_000, 400)


@pytest.mark.benchmark(group="eos")
def test_eos_of_benchfw(benchmark, lenet_sized, ctx):
    segments = benchmark(Eos().fit, lenet_sized, None, ctx)
    assert segments.partners.shape[1] == 10


@pytest.mark.benchmark(group="eos")
def test_neighbours_of_scikit_learn(benchmark, lenet_sized):
    from sklearn.neighbors import NearestNeighbors

    values = lenet_sized.values.numpy()
    with threadpool_limits(1):
        near = NearestNeighbors(n_neighbors=11, algorithm="brute").fit(values)
        found = benchmark(near.kneighbors, values[12_000:], return_distance=False)
    assert found.shape == (1200, 11)
