"""The plane of the report: it is Fisher's, the same for all augmenters, and shows rows of every kind."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from benchfw import FeatureSet, FeatureSpace
from benchfw.fidelity import Bench
from benchfw.plane import SHOWN, Points, plane


def rows(*sizes, seed=0, dimensions=6):
    """Gaussian classes whose means are random, 2 standard deviations from the origin on average."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.tensor(sizes))
    means = torch.randn(len(sizes), dimensions, generator=torch.Generator().manual_seed(7)) * 2
    return means[labels] + torch.randn(len(labels), dimensions, generator=rng), labels


def features(*sizes, seed=0):
    values, labels = rows(*sizes, seed=seed)
    return FeatureSet(FeatureSpace((6,), n_classes=len(sizes)), values, labels)


def test_the_plane_is_fishers():
    values, labels = rows(3000, 3000, 3000, 3000)
    found = values.double() @ plane(values, labels).double()
    wanted = LinearDiscriminantAnalysis(n_components=2).fit_transform(values.numpy(), labels.numpy())
    for axis in range(2):
        assert abs(np.corrcoef(found[:, axis], wanted[:, axis])[0, 1]) == pytest.approx(1, abs=1e-3)


def test_the_spread_within_the_classes_is_one_unit():
    values, labels = rows(4000, 4000, 4000)
    places = values @ plane(values, labels)
    within = torch.stack([places[labels == c].std(0) for c in range(3)]).square().mean(0).sqrt()
    torch.testing.assert_close(within, torch.ones(2), atol=0.02, rtol=0)


def test_a_large_class_weighs_no_more_than_a_small_one():
    small, large = rows(200, 200, 200), rows(200, 20000, 200)
    a, b = plane(*small), plane(*large)
    cosines = torch.nn.functional.cosine_similarity(a, b, dim=0).abs()
    assert bool((cosines > 0.95).all())


def test_with_two_classes_the_second_axis_is_uncorrelated_with_the_first():
    values, labels = rows(3000, 3000)
    places = values @ plane(values, labels)
    residuals = torch.cat([places[labels == c] - places[labels == c].mean(0) for c in range(2)])
    assert abs(float(torch.corrcoef(residuals.T)[0, 1])) < 0.01
    assert float(residuals[:, 1].std()) == pytest.approx(1, abs=0.02)


def test_a_class_without_rows_is_passed_over():
    values, labels = rows(50, 0, 40, 30)
    assert plane(values, labels).shape == (6, 2)


def test_all_augmenters_are_shown_on_one_plane():
    train, test = features(100, 30, 20), features(50, 50, 50, seed=1)
    first, second = (Bench(part.draw, train, test, 0).points() for part in (train, test))
    real = first.kinds < Points.KINDS.index("generated")
    assert np.array_equal(first.places[real], second.places[real])
    assert not np.array_equal(first.places, second.places)


def test_points_are_few_and_of_every_kind_and_the_largest_class_gets_none_generated():
    points = Bench(features(100, 30, 20).draw, features(100, 30, 20), features(50, 70, 50, seed=1), 0).points()
    found = {(c, k): int(((points.labels == c) & (points.kinds == k)).sum()) for c in range(3) for k in range(3)}
    assert found[0, 0] == SHOWN
    assert found[1, 0] == 30
    assert found[1, 1] == SHOWN
    assert found[0, 2] == 0
    assert found[1, 2] == found[2, 2] == SHOWN


def test_points_are_read_back_as_they_were_stored(tmp_path):
    points = Bench(features(40, 30).draw, features(40, 30), features(20, 20, seed=1), 0).points()
    np.savez(tmp_path / "points.npz", **points.arrays())
    again = Points.read(tmp_path / "points.npz")
    assert np.array_equal(points.places, again.places)
    assert np.array_equal(points.kinds, again.kinds)
