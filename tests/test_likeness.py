"""The formulas of fidelity agree with closed forms, scipy, and plain loops over the papers' definitions."""

import numpy as np
import pytest
import torch
from scipy import linalg, stats

from benchfw import likeness


def normal(rows, size, seed, dtype=torch.float64):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distances(fake, real):
    return torch.cdist(real, real), torch.cdist(fake, fake), torch.cdist(real, fake)


def covariance(seed, size=6):
    root = normal(size, size, seed)
    return root @ root.T


def test_frechet_of_one_dimensional_gaussians_is_the_closed_form():
    one = torch.ones(1, dtype=torch.float64)
    found = likeness.frechet(2 * one, 9 * one[None], -one, 4 * one[None])
    assert found == pytest.approx((2 + 1) ** 2 + (3 - 2) ** 2)


def test_frechet_agrees_with_the_matrix_root_of_scipy():
    mean_a, mean_b = normal(2, 6, 0)
    a, b = covariance(1), covariance(2)
    root = linalg.sqrtm((a @ b).numpy()).real
    wanted = float(((mean_a - mean_b) ** 2).sum() + (a + b).trace()) - 2 * np.trace(root)
    assert likeness.frechet(mean_a, a, mean_b, b) == pytest.approx(wanted, rel=1e-9)


def test_frechet_of_many_rows_is_that_of_their_gaussians():
    sd = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    found = likeness.frechet_of_rows(normal(20000, 3, 0) * sd + 1, normal(20000, 3, 1))
    assert found == pytest.approx(3 + 0 + 1 + 0.25, rel=0.03)


def test_shrinking_keeps_variances_and_fades_with_more_rows():
    cov = covariance(3)
    few, many = likeness.shrunk(cov, 2), likeness.shrunk(cov, 10**9)
    off = ~torch.eye(6, dtype=torch.bool)
    assert torch.equal(few.diagonal(), cov.diagonal())
    assert torch.allclose(few[off], cov[off] * 2 / 8)
    assert torch.allclose(many, cov)


def ball_radius(points, i, k):
    return sorted(float((points[i] - points[j]).norm()) for j in range(len(points)) if j != i)[k - 1]


def inside(point, points, i, k):
    return float((point - points[i]).norm()) < ball_radius(points, i, k)


@pytest.mark.parametrize(("generated", "k"), [(25, 5), (14, 3)])
def test_neighbourhoods_equal_loops_over_the_definitions(generated, k):
    fake, real = 1.3 * normal(generated, 3, 0) + 0.8, normal(20, 3, 1)
    found = likeness.neighbourhoods(*distances(fake, real), k=k)
    in_real = np.array([[inside(g, real, i, k) for g in fake] for i in range(len(real))])  # (N, M)
    in_fake = np.array([[inside(r, fake, j, k) for j in range(len(fake))] for r in real])
    assert found["precision"] == pytest.approx(np.mean([any(in_real[:, j]) for j in range(len(fake))]))
    assert found["recall"] == pytest.approx(np.mean([any(row) for row in in_fake]))
    assert found["density"] == pytest.approx(in_real.sum() / (k * len(fake)))
    assert found["coverage"] == pytest.approx(np.mean([any(row) for row in in_real]))
    assert len({round(value, 6) for value in found.values()}) == 4


@pytest.mark.parametrize("size", [8, 30])
def test_equal_distributions_have_density_1_and_the_coverage_of_lemma_2(size):
    k, draws = 5, 400
    found = [
        likeness.neighbourhoods(*distances(normal(size, 2, 2 * i), normal(size, 2, 2 * i + 1))) for i in range(draws)
    ]
    down = np.arange(1, k + 1)
    wanted = {"coverage": 1 - np.prod((size - down) / (2 * size - down)), "density": 1.0}
    for name, value in wanted.items():
        values = np.array([row[name] for row in found])
        assert values.mean() == pytest.approx(value, abs=3.5 * values.std() / np.sqrt(draws)), name
        assert values.std() / np.sqrt(draws) < 0.03


def test_energy_in_one_dimension_is_that_of_scipy_made_unbiased():
    fake, real = 1.5 * normal(30, 1, 0) + 1, normal(40, 1, 1)
    found = likeness.pairs(*distances(fake, real))
    varied, typical = torch.pdist(fake).mean(), torch.pdist(real).mean()
    biased = found["energy"] * typical + varied / len(fake) + typical / len(real)
    assert float(biased) == pytest.approx(stats.energy_distance(fake[:, 0], real[:, 0]) ** 2)
    assert found["diversity"] == pytest.approx(float(varied / typical))


def test_energy_of_equal_distributions_is_0_on_average():
    found = [likeness.pairs(*distances(normal(20, 4, 2 * i), normal(20, 4, 2 * i + 1)))["energy"] for i in range(200)]
    assert np.mean(found) == pytest.approx(0, abs=3.5 * np.std(found) / np.sqrt(200))
    assert min(found) < 0


def test_pairs_are_undefined_where_real_rows_are_all_the_same():
    found = likeness.pairs(*distances(normal(10, 4, 0), torch.ones(10, 4, dtype=torch.float64)))
    assert found == {"energy": None, "diversity": None}


def test_the_two_sample_test_is_at_chance_for_equal_distributions():
    tests = [likeness.two_sample_test(normal(100, 20, 2 * i), normal(100, 20, 2 * i + 1)) for i in range(60)]
    hits = round(sum(test["c2st"] for test in tests) * 100)
    assert stats.binomtest(hits, 6000).pvalue > 0.001
    assert 0 < sum(test["c2st_p"] < 0.2 for test in tests) < 25  # 12 in the mean


def test_the_two_sample_test_sees_a_shift_and_a_spread():
    shifted = likeness.two_sample_test(normal(100, 20, 0) + 3, normal(100, 20, 1))
    wider = likeness.two_sample_test(2 * normal(200, 20, 0), normal(200, 20, 1))
    assert shifted["c2st"] == 1
    assert shifted["c2st_p"] == pytest.approx(0.5**100)
    assert wider["c2st"] > 0.9


def test_the_two_sample_test_scores_rows_that_it_has_not_seen():
    found = likeness.two_sample_test(normal(40, 400, 0), normal(40, 400, 1))  # 40 rows, 400 numbers: fits anything
    assert 0.2 < found["c2st"] < 0.8


def test_the_two_sample_test_survives_numbers_that_wake_in_the_second_half():
    fake, real = normal(41, 5, 0) + 3, normal(41, 5, 1)
    fake[:20, 0] = real[:20, 0] = 0.7
    assert likeness.two_sample_test(fake, real)["c2st"] > 0.95


@pytest.mark.parametrize(("hits", "scored"), [(0, 10), (7, 10), (510, 1000)])
def test_chance_is_the_one_sided_binomial_test(hits, scored):
    assert likeness.chance(hits, scored) == pytest.approx(stats.binomtest(hits, scored, alternative="greater").pvalue)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_memory_is_the_ratio_to_the_training_rows_own_nearest_distance():
    found = likeness.memory(column(0.2, 5.0, 1.01), column(0, 1, 3))  # 0.2 / 1, 2 / 2, 0.01 / 1
    assert found == {"memorisation": pytest.approx(0.2), "memorised": pytest.approx(1 / 3)}


def test_copies_of_training_rows_are_memorised_even_among_duplicates():
    train = normal(30, 50, 0).repeat(2, 1)
    assert likeness.memory(train[:20].clone(), train) == {"memorisation": 0, "memorised": 1}


def test_interpolated_rows_are_remembered_better_than_fresh_ones():
    train = normal(60, 10, 0)
    neighbour = train[torch.cdist(train, train).topk(2, largest=False).indices[:, 1]]
    part = torch.rand(60, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    smote, fresh = likeness.memory(torch.lerp(train, neighbour, part), train), likeness.memory(normal(60, 10, 2), train)
    assert smote["memorisation"] < 0.35 < 0.8 < fresh["memorisation"] < 1.3
    assert 0 < smote["memorised"] < 1
    assert fresh["memorised"] == 0


def test_nearer_counts_ties_half():
    train, held = column(0, 10, 20, 30, 40, 50), column(4, 14, 24, 34, 44, 54)
    assert likeness.nearer(column(1, 12, 33, 2), train, held) == (1 + 0.5 + 0 + 0.5) / 4
    assert likeness.nearer(column(1), train[:5], held[:5]) is None


@pytest.mark.parametrize(("off", "wanted"), [(0, 1), (0.9e-3, 1), (1.1e-3, 0)])
def test_leakage_reaches_to_a_thousandth_of_the_usual_neighbour_distance(off, wanted):
    held = column(0, 2, 4, 6, 8)  # 2 from each to the next
    assert likeness.leakage(held + 2 * off, held, looked_at=5) == wanted


def test_what_has_too_few_rows_is_none():
    one = normal(1, 3, 0)
    assert likeness.memory(one, one) == {"memorisation": None, "memorised": None}
    assert likeness.leakage(one, one, 5) is None
    assert set(likeness.compared(normal(5, 3, 0), normal(5, 3, 1), torch.eye(3)).values()) == {None}
    assert None not in likeness.compared(normal(6, 3, 0), normal(6, 3, 1), torch.eye(3, dtype=torch.float64)).values()


def test_copies_leak_even_where_each_held_out_row_stands_twice():
    held = normal(10, 4, 0).repeat(2, 1)
    assert likeness.leakage(held[:5].clone(), held, looked_at=20) == 1
    assert likeness.leakage(held[:5] + 1e-6, held, looked_at=20) == 0
