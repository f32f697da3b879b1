"""The baselines over real rows, against imbalanced-learn, scikit-learn and geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchfw import CannotRun, FeatureSet, FeatureSpace
from benchfw_oversampling import Eos, Nothing, Random, Smote, neighbours

INTERPOLATORS = [Smote(), Eos(k=60)]


def rng(seed=1):
    return torch.Generator().manual_seed(seed)


def features(values, labels, n_classes):
    ids = torch.arange(len(labels))
    return FeatureSet(FeatureSpace(tuple(values.shape[1:]), n_classes), values, labels, ids)


def gaussian_classes(counts, size, spread=1.0, offset=0.0):
    """Classes of Gaussian rows around different centres, shuffled, so that positions and classes do not coincide."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=rng(7))]
    noise = torch.randn(len(labels), size, generator=rng(8))
    return features(spread * torch.eye(len(counts), size)[labels] + noise + offset, labels, len(counts))


def on_segment(rows, starts, ends):
    """The (M,) distance of each row from the segment between its start and its end, in float64."""
    rows, starts, ends = rows.double(), starts.double(), ends.double()
    direction = ends - starts
    length = direction.square().sum(1).clamp(min=1e-30)
    position = (((rows - starts) * direction).sum(1) / length).clamp(0, 1)
    return (starts + position[:, None] * direction - rows).norm(dim=1)


def segments_of(product, c):
    """All (start, end) pairs of positions that the product may use for a class."""
    first = int(product.per_class[:c].sum())
    mine = range(first, first + int(product.per_class[c]))
    return [(int(product.bases[a]), int(p)) for a in mine for p in product.partners[a, : product.width[a]]]


def test_none_keeps_all_rows_and_gives_the_natural_rows(blobs, ctx):
    assert torch.equal(Nothing().select(blobs, ctx), torch.arange(85))
    assert Nothing().gives == {"natural rows"}


def test_random_repeats_rows_of_the_asked_class(blobs, ctx):
    labels = torch.tensor([2, 0, 1] * 50)
    rows = Random().fit(blobs, None, ctx)(labels, rng())
    same = (rows[:, None] == blobs.values).all(2)  # (M, N)
    assert torch.equal(blobs.labels[same.int().argmax(1)], labels)
    assert same.any(1).all()


def test_random_reaches_every_row_of_a_class(blobs, ctx):
    rows = Random().fit(blobs, None, ctx)(torch.full((500,), 1), rng())
    assert len(rows.unique(dim=0)) == 20


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("block", [7, 2048])
def test_neighbours_are_those_of_scikit_learn(monkeypatch, block, offset):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(neighbours, "BLOCK_ROWS", block)
    train = gaussian_classes([50, 40], size=6, offset=offset)
    everything = torch.arange(len(train))
    found = neighbours.nearest(train, everything, everything, 9)
    exact = train.values.double().numpy()  # float32 rows, distances in float64
    wanted = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(exact).kneighbors(return_distance=False)
    assert np.array_equal(found.numpy(), wanted)


def test_smote_has_the_neighbours_of_imbalanced_learn(ctx):
    from imblearn.over_sampling import SMOTE

    train = gaussian_classes([90, 40, 12], size=6)
    product = Smote(k=4).fit(train, None, ctx)
    reference = SMOTE(k_neighbors=4, random_state=0)
    reference.fit_resample(train.values.numpy(), train.labels.numpy())
    members = (train.labels == 2).nonzero()[:, 0]
    reference.nn_k_.fit(train.values[members].numpy())
    wanted = members[torch.from_numpy(reference.nn_k_.kneighbors(train.values[members].numpy())[1][:, 1:])]
    first = int(product.per_class[:2].sum())
    assert torch.equal(product.bases[first:], members)
    assert torch.equal(product.partners[first:], wanted)


def test_smote_has_the_moments_of_imbalanced_learn(ctx):
    from imblearn.over_sampling import SMOTE

    train = gaussian_classes([4000, 30], size=4)
    wanted = SMOTE(random_state=0).fit_resample(train.values.numpy(), train.labels.numpy())[0][len(train) :]
    rows = Smote().fit(train, None, ctx)(torch.ones(len(wanted), dtype=torch.int64), rng()).numpy()
    error = np.sqrt(2 * wanted.var(0) / len(wanted))  # standard error of a difference of two means
    assert (np.abs(rows.mean(0) - wanted.mean(0)) < 4 * error).all()
    assert np.allclose(np.cov(rows.T), np.cov(wanted.T), atol=0.06)


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_each_row_lies_on_a_segment_of_its_own_class(component, ctx):
    train = gaussian_classes([40, 12, 6], size=5)
    product = component.fit(train, None, ctx)
    labels = torch.tensor([1, 2] * 100)
    rows = product(labels, rng())
    for c in (1, 2):
        pairs = torch.tensor(segments_of(product, c))
        for row in rows[labels == c]:
            distance = on_segment(row.expand(len(pairs), -1), train.values[pairs[:, 0]], train.values[pairs[:, 1]])
            assert distance.min() < 1e-5


@pytest.mark.parametrize(
    ("component", "labels"), [(Smote(), [1, 1, 0, 0, 0]), (Eos(k=1), [1, 0, 0, 0, 0])], ids=["smote", "eos"]
)
def test_positions_on_a_segment_are_uniform(component, labels, ctx):
    train = features(torch.tensor([[0.0], [1.0], [7.0], [8.0], [9.0]]), torch.tensor(labels), 2)
    rows = component.fit(train, None, ctx)(torch.ones(20_000, dtype=torch.int64), rng())
    assert np.allclose(np.quantile(rows.numpy(), [0, 0.1, 0.5, 0.9, 1]), [0, 0.1, 0.5, 0.9, 1], atol=0.02)


def test_smote_segments_stay_within_the_class(ctx):
    train = gaussian_classes([40, 12, 6], size=5)
    product = Smote().fit(train, None, ctx)
    assert all(train.labels[a] == train.labels[b] == 2 and a != b for a, b in segments_of(product, 2))
    assert {a for a, _ in segments_of(product, 2)} == set((train.labels == 2).nonzero()[:, 0].tolist())


def test_smote_treats_a_duplicate_as_a_neighbour(ctx):
    values = torch.tensor([[0.0, 0.0]] * 3 + [[9.0, 9.0]] + [[5.0, 5.0]] * 5)
    train = features(values, torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0]), 2)
    pairs = segments_of(Smote(k=2).fit(train, None, ctx), 1)
    assert {pair for pair in pairs if pair[0] < 3} == {(a, b) for a in range(3) for b in range(3) if a != b}


@pytest.mark.parametrize(("size", "k"), [(1, 1), (2, 1), (5, 4)])
def test_smote_lowers_k_in_a_small_class_and_says_so(size, k, ctx):
    train = gaussian_classes([30, size], size=3)
    product = Smote().fit(train, None, ctx)
    assert product.width[-size:].tolist() == [k] * size
    assert ctx.warnings == ["smote: k=5 is lowered to n_c - 1 in classes [1]; a class of one row repeats it"]
    rows = product(torch.ones(20, dtype=torch.int64), rng())
    if size == 1:
        assert torch.equal(rows, train.of_class(1).expand(20, -1))


@pytest.mark.parametrize("counts", [[30, 6], [4, 4, 4]], ids=["k fits", "no class needs rows"])
def test_smote_warns_of_nothing_when_no_search_wants_more_neighbours(counts, ctx):
    Smote().fit(gaussian_classes(counts, size=3), None, ctx)
    assert ctx.warnings == []


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_progress_is_told_class_by_class(component, blobs, ctx):
    heard = []
    component.fit(blobs, None, replace(ctx, report=lambda done, total: heard.append((done, total))))
    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_a_class_without_deficit_repeats_its_rows(component, ctx):
    train = gaussian_classes([30, 8], size=3)
    rows = component.fit(train, None, ctx)(torch.zeros(20, dtype=torch.int64), rng())
    assert (rows[:, None] == train.of_class(0)).all(2).any(1).all()


def test_eos_starts_at_border_rows_and_ends_at_their_enemies(ctx):
    values = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    train = features(values, torch.tensor([1, 1, 1, 0, 0, 0, 0]), 2)
    product = Eos(k=2).fit(train, None, ctx)
    assert segments_of(product, 1) == [
        (2, 3)
    ]  # 0 and 1 see their own class only; of the neighbours of 2, 3 is the enemy
    rows = product(torch.ones(500, dtype=torch.int64), rng())
    assert 2 <= rows.min() < 2.05
    assert 2.95 < rows.max() <= 3


def test_eos_has_the_enemies_of_scikit_learn(ctx):
    from sklearn.neighbors import NearestNeighbors

    train = gaussian_classes([60, 20, 9], size=4)
    exact = train.values.double().numpy()
    near = NearestNeighbors(n_neighbors=10).fit(exact).kneighbors(return_distance=False)
    labels = train.labels.numpy()
    product = Eos().fit(train, None, ctx)
    for c in (1, 2):
        wanted = [(a, b) for a in np.flatnonzero(labels == c) for b in near[a] if labels[b] != c]
        assert segments_of(product, c) == wanted


def test_eos_repeats_rows_of_a_class_without_enemies_and_says_so(ctx):
    train = gaussian_classes([40, 20], size=3, spread=100.0)
    product = Eos().fit(train, None, ctx)
    assert ctx.warnings == ["eos: no row of classes [1] has an enemy in k=10 neighbours; their rows are repeated"]
    rows = product(torch.ones(20, dtype=torch.int64), rng())
    assert (rows[:, None] == train.of_class(1)).all(2).any(1).all()


def test_eos_asks_for_no_more_neighbours_than_there_are_rows(ctx):
    train = gaussian_classes([4, 2], size=3)
    assert len(segments_of(Eos(k=50).fit(train, None, ctx), 1)) == 2 * 4


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_equal_generators_give_equal_rows(component, blobs, ctx):
    product, labels = component.fit(blobs, None, ctx), torch.tensor([1, 2] * 20)
    assert torch.equal(product(labels, rng(3)), product(labels, rng(3)))
    assert not torch.equal(product(labels, rng(3)), product(labels, rng(4)))


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_a_restored_product_draws_the_same_rows(component, blobs, ctx):
    product, labels = component.fit(blobs, None, ctx), torch.tensor([1, 2] * 20)
    again = component.restore(product.state(), blobs, ctx)
    assert torch.equal(product(labels, rng()), again(labels, rng()))


@pytest.mark.parametrize("component", [Random(), *INTERPOLATORS], ids=lambda c: c.name)
def test_the_training_set_is_left_unchanged(component, blobs, ctx):
    before = blobs.values.clone()
    component.fit(blobs, None, ctx)(torch.tensor([0, 1, 2] * 10), rng()).zero_()
    assert torch.equal(blobs.values, before)


def test_rows_are_float32_also_for_no_labels(blobs, ctx):
    for component in (Random(), *INTERPOLATORS):
        rows = component.fit(blobs, None, ctx)(torch.empty(0, dtype=torch.int64), rng())
        assert rows.dtype == torch.float32
        assert rows.shape == (0, 8)


@pytest.mark.parametrize("component", [Smote(k=5), Eos(k=5)], ids=lambda c: c.name)
def test_a_product_holds_positions_and_no_rows(component, ctx):
    train = gaussian_classes([200, 40, 20], size=50)
    state = component.fit(train, None, ctx).state()
    assert all(tensor.dtype == torch.int64 for tensor in state.values())
    assert sum(tensor.numel() for tensor in state.values()) <= len(train) * (5 + 2) + 3


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_an_empty_class_cannot_run(component, ctx):
    train = features(torch.zeros(3, 2), torch.tensor([0, 0, 2]), 3)
    with pytest.raises(CannotRun, match=f"{component.name}: class 1 has 0 training rows, wants at least 1"):
        component.fit(train, None, ctx)


@pytest.mark.parametrize("component", INTERPOLATORS, ids=lambda c: c.name)
def test_interpolation_accepts_vectors_only(component):
    assert component.accepts == ("vector",)
