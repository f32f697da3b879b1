"""The class-wise Gaussian, against closed forms."""

import pytest
import torch

from benchfw import CannotRun, FeatureSet, FeatureSpace, data
from benchfw_generative import ClassGaussian, gaussian


def rng(seed=1):
    return torch.Generator().manual_seed(seed)


def features(values, labels, n_classes):
    return FeatureSet(FeatureSpace((values.shape[1],), n_classes), values, labels, torch.arange(len(labels)))


def correlated(counts, size, seed=0):
    """Classes with different means and covariances."""
    parts = []
    for c, n in enumerate(counts):
        mixing = torch.randn(size, size, generator=rng(seed + c)) / size**0.5
        parts.append(torch.randn(n, size, generator=rng(seed + 50 + c)) @ mixing + 4 * torch.eye(len(counts), size)[c])
    return features(torch.cat(parts), torch.repeat_interleave(torch.tensor(counts)), len(counts))


def shrunk(train, c):
    """The covariance that class c should get, from its definition, in float64."""
    size = train.space.size
    rows = [train.of_class(k).double() for k in range(train.space.n_classes)]
    centred = [r - r.mean(0) for r in rows]
    pooled = sum(r.T @ r for r in centred) / sum(len(r) - 1 for r in rows)
    v = len(rows[c]) - 1
    own = centred[c].T @ centred[c] / max(v, 1)
    weight = v / (v + size)
    return weight * own + (1 - weight) * pooled


def covariance(product, c):
    own, pooled = product.own.split(product.ranks.tolist())[c].double(), product.pooled.double()
    return own.T @ own + float(product.share[c]) * pooled.T @ pooled


@pytest.mark.parametrize("counts", [[200, 30, 5], [40, 1, 1]])
def test_the_covariance_is_the_shrunk_one(counts, ctx):
    train = correlated(counts, size=6)
    product = ClassGaussian().fit(train, None, ctx)
    for c in range(3):
        assert torch.allclose(covariance(product, c), shrunk(train, c), atol=1e-6)
        assert torch.allclose(product.means[c], train.of_class(c).mean(0), atol=1e-6)


def test_with_many_rows_a_class_has_its_own_covariance(ctx):
    train = correlated([20_000, 10_000], size=4)
    product = ClassGaussian().fit(train, None, ctx)
    assert torch.allclose(covariance(product, 1), train.of_class(1).double().T.cov(), atol=5e-3)
    assert not torch.allclose(covariance(product, 1), covariance(product, 0), atol=5e-2)


def test_a_class_of_one_row_has_the_pooled_covariance(ctx):
    train = correlated([50, 1], size=4)
    product = ClassGaussian().fit(train, None, ctx)
    assert torch.allclose(covariance(product, 1), train.of_class(0).double().T.cov(), atol=1e-6)


def test_drawn_rows_have_the_fitted_moments(ctx):
    train = correlated([300, 40], size=5)
    product = ClassGaussian(floor=False).fit(train, None, ctx)
    labels = torch.arange(2).repeat(50_000)
    rows = product(labels, rng())
    for c in (0, 1):
        mine = rows[labels == c].double()
        assert torch.allclose(mine.mean(0), train.of_class(c).double().mean(0), atol=0.03)
        assert torch.allclose(mine.T.cov(), shrunk(train, c), atol=0.06)


def test_rows_stay_above_the_least_training_value_of_each_feature(ctx):
    train = correlated([300, 40], size=5)
    train = features(train.values.relu(), train.labels, 2)
    labels = torch.ones(2000, dtype=torch.int64)
    assert ClassGaussian().fit(train, None, ctx)(labels, rng()).min() == 0
    assert ClassGaussian(floor=False).fit(train, None, ctx)(labels, rng()).min() < -0.1


def test_dead_features_and_fewer_rows_than_features_are_fine(ctx):
    train = correlated([12, 3], size=30)
    values = train.values.clone()
    values[:, 4] = 0
    values[:, 5] = values[:, 6]
    product = ClassGaussian(floor=False).fit(features(values, train.labels, 2), None, ctx)
    rows = product(torch.ones(500, dtype=torch.int64), rng())
    assert torch.isfinite(rows).all()
    assert (rows[:, 4] == 0).all()
    assert torch.allclose(rows[:, 5], rows[:, 6], atol=1e-3)


def test_features_of_very_different_scale_keep_their_correlations(ctx):
    train = correlated([80, 20], size=4)
    scale = torch.tensor([1e-6, 1.0, 1e3, 1e6])
    plain = ClassGaussian().fit(train, None, ctx)
    scaled = ClassGaussian().fit(features(train.values * scale, train.labels, 2), None, ctx)
    for c in (0, 1):
        assert torch.allclose(
            covariance(scaled, c) / scale / scale[:, None], covariance(plain, c), rtol=1e-3, atol=1e-5
        )


def test_classes_of_one_row_each_are_repeated_and_said(ctx):
    train = features(torch.randn(2, 3, generator=rng()), torch.tensor([0, 1]), 2)
    product = ClassGaussian().fit(train, None, ctx)
    assert torch.equal(product(torch.tensor([1, 0]), rng()), train.values[[1, 0]])
    assert ctx.warnings == ["class-gaussian: each class has one row, so the covariance is 0 and rows are repeated"]


def test_a_class_keeps_no_more_rows_than_it_needs(ctx):
    product = ClassGaussian().fit(correlated([30, 5, 1], size=6), None, ctx)
    assert product.ranks.tolist() == [6, 5, 1]
    assert product.own.shape == (12, 6)
    assert product.pooled.shape == (6, 6)


def test_long_vectors_with_few_rows_have_the_exact_covariance(ctx, monkeypatch):
    monkeypatch.setattr(gaussian, "EXACT_SIZE", 11)
    monkeypatch.setattr(gaussian, "cholesky", None)  # a D x D matrix would be too large
    train = correlated([40, 10], size=12)
    product = ClassGaussian().fit(train, None, ctx)
    for c in (0, 1):
        assert torch.allclose(covariance(product, c), shrunk(train, c), atol=1e-6)


def test_the_sketch_of_long_vectors_is_unbiased(monkeypatch):
    monkeypatch.setattr(gaussian, "EXACT_SIZE", 11)
    monkeypatch.setattr(gaussian, "SKETCH_RANK", 30)
    train = correlated([40, 10], size=12)
    products = [gaussian.fitted(train, rng(seed), with_floor=True) for seed in range(200)]
    assert products[0].ranks.tolist() == [30, 10]
    for c in (0, 1):
        wanted, found = shrunk(train, c), torch.stack([covariance(product, c) for product in products]).mean(0)
        error = (4 / (30 * 200)) ** 0.5 * wanted.diagonal().max()  # 4, not 2: the pool is a sketch of a sketch
        assert (found - wanted).abs().max() < 4.5 * error


def test_long_vectors_make_no_square_matrix(ctx):
    size = gaussian.EXACT_SIZE + 1
    train = features(torch.randn(30, size, generator=rng()), torch.tensor([0] * 25 + [1] * 5), 2)
    product = ClassGaussian().fit(train, None, ctx)
    assert product.own.shape == product.pooled.shape == (30, size)
    rows = product(torch.ones(200, dtype=torch.int64), rng())
    found = (rows - train.of_class(1).mean(0)).square().mean()
    v, pooled = 4, torch.cat([train.of_class(c) - train.of_class(c).mean(0) for c in (0, 1)]).square().sum() / 28 / size
    own = (train.of_class(1) - train.of_class(1).mean(0)).square().sum() / v / size
    assert found.item() == pytest.approx((v * own + size * pooled).item() / (v + size), rel=0.1)


def test_fitting_in_blocks_changes_nothing(ctx, monkeypatch):
    train = correlated([60, 20], size=6)
    whole = ClassGaussian().fit(train, None, ctx)
    monkeypatch.setattr(data, "BLOCK_BYTES", 4 * 6 * 7)  # 7 rows
    blocks = ClassGaussian().fit(train, None, ctx)
    for name, value in whole.state().items():
        assert torch.allclose(value, blocks.state()[name], atol=1e-5), name


def test_a_restored_product_draws_the_same_rows(blobs, ctx):
    component = ClassGaussian()
    product, labels = component.fit(blobs, None, ctx), torch.tensor([1, 2] * 20)
    again = component.restore(product.state(), blobs, ctx)
    assert torch.equal(product(labels, rng()), again(labels, rng()))
    assert not torch.equal(product(labels, rng()), product(labels, rng(2)))


def test_the_training_set_is_left_unchanged(blobs, ctx):
    before = blobs.values.clone()
    ClassGaussian().fit(blobs, None, ctx)(torch.tensor([0, 1, 2]), rng()).zero_()
    assert torch.equal(blobs.values, before)


def test_an_empty_class_cannot_run(ctx):
    train = features(torch.zeros(3, 2), torch.tensor([0, 0, 2]), 3)
    with pytest.raises(CannotRun, match="class-gaussian: class 1 has 0 training rows, wants at least 1"):
        ClassGaussian().fit(train, None, ctx)
