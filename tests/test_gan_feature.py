"""The feature GAN: shapes, its loss in closed form, what it learns, and the alarm when it fails."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from benchfw import DataError, FeatureSet, FeatureSpace
from benchfw.components import label
from benchfw.seeding import isolated
from benchfw_gan_feature import GanFeature
from benchfw_gan_feature.health import Health, likeness
from benchfw_gan_feature.networks import Critic, Generator, convolved
from benchfw_gan_feature.scaling import measure
from benchfw_gan_feature.wasserstein import Duel, critic_loss

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


def fitted(recipe, train, ctx, seed=0):
    with isolated(seed):
        return recipe.fit(train, None, replace(ctx, seed=seed))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Three rectified classes of 300, 60 and 30 rows and a generator trained on them; records and warnings beside."""
    from benchfw import Context

    ctx = Context(seed=0, device=torch.device("cpu"), downloads=tmp_path_factory.mktemp("downloads"))
    train = rectified([300, 60, 30], (10,))
    with isolated(0):
        product = replace(SMALL, width=64, steps=400, lr=1e-3).fit(train, None, ctx)
    return train, product, ctx


def test_it_learns_mean_and_spread_of_each_class(learned):
    train, product, _ = learned
    for c in range(3):
        real, fake = train.of_class(c), product(torch.full((1000,), c), rng())
        assert float((fake.mean(0) - real.mean(0)).norm()) < 0.3 * float(real.std(0).norm())
        assert 0.7 < float(fake.std(0).norm() / real.std(0).norm()) < 1.3


def test_it_learns_the_shape_of_a_distribution_that_no_gaussian_has(ctx):
    side = torch.randn(400, 1, generator=rng()).sign()
    train = features(torch.cat([side, -side], 1) + torch.randn(400, 2, generator=rng(2)) / 10, [300, 100])
    fake = fitted(replace(SMALL, width=64, steps=600, lr=1e-3), train, ctx)(torch.ones(500, dtype=torch.int64), rng())
    assert float((fake[:, 0].abs() < 0.5).float().mean()) < 0.2  # of a Gaussian with these moments: 38 %


def test_a_generator_that_learned_has_good_figures_and_no_warning(learned):
    _, _, ctx = learned
    last = ctx.records[-1]
    assert ctx.warnings == []
    assert 0.6 < last["diversity_min"] <= last["diversity_max"] < 1.3
    assert last["energy_max"] < 0.15
    assert last["coverage_min"] > 0.5
    assert last["memorised_max"] < 0.2


def test_the_figures_are_logged_on_the_way_and_at_the_end(learned):
    assert [line["step"] for line in learned[2].records] == [100, 200, 300, 400]


def test_no_generated_value_is_below_the_training_features(learned):
    train, product, _ = learned
    rows = product(torch.arange(3).repeat(300), rng())
    assert bool((rows >= train.values.amin(0)).all())
    assert bool((rows == 0).any())  # reached exactly, so that sparse features stay sparse


def test_the_rows_follow_labels_and_generator_alone(learned):
    _, product, _ = learned
    labels = torch.tensor([0, 2, 1, 1] * 150)
    assert torch.equal(product(labels, rng(3)), product(labels, rng(3)))
    assert not torch.equal(product(labels, rng(3)), product(labels, rng(4)))


@pytest.mark.parametrize("shape", [(10,), (2, 3, 5), (40, 7, 5)])
def test_the_stored_state_gives_back_equal_bytes(shape, ctx):
    train = features(torch.rand(30, *shape, generator=rng()), [20, 6, 4])
    recipe = replace(SMALL, steps=2)
    product = fitted(recipe, train, ctx)
    restored = recipe.restore({name: values.clone() for name, values in product.state().items()}, train, ctx)
    labels = torch.tensor([0, 1, 2] * 200)
    assert torch.equal(product(labels, rng()), restored(labels, rng()))
    assert product(labels, rng()).dtype == torch.float32


def test_the_preset_stable_spells_out_the_defaults():
    stable = GanFeature.presets["stable"]
    assert set(stable) == {field.name for field in fields(GanFeature)} - {"fill", "watch"}
    assert label(GanFeature(**stable)) == "gan-feature"
    assert label(GanFeature(**stable, fill=0.2)) == "gan-feature@fill=0.2"


def test_the_same_seed_gives_the_same_generator(blobs, ctx):
    first, second, other = (fitted(SMALL, blobs, ctx, seed).state() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_watching_does_not_change_the_generator(blobs, ctx):
    watched = fitted(replace(SMALL, watch=3), blobs, ctx).state()
    unwatched = fitted(replace(SMALL, watch=0), blobs, ctx).state()
    assert all(torch.equal(watched[name], unwatched[name]) for name in watched)


def test_progress_is_told_at_each_step(blobs, ctx):
    heard = []
    SMALL.fit(blobs, None, replace(ctx, report=lambda done, total: heard.append((done, total))))
    assert heard == [(step, 20) for step in range(1, 21)]


# -- networks


@pytest.mark.parametrize(
    ("shape", "convolutions"),
    [
        ((7, 3, 5), False),
        ((16, 5, 5), False),
        ((2048,), False),
        ((6, 14, 14), True),
        ((40, 7, 5), True),
        ((3, 1, 400), True),
        ((512, 10, 10), True),
    ],
)
def test_one_training_step_works_at_any_size(shape, convolutions, ctx):
    assert convolved(shape) is convolutions
    train = features(torch.rand(8, *shape, generator=rng()), [5, 3])
    product = fitted(GanFeature(z=4, width=6, steps=1, critic_steps=1, batch=4), train, ctx)
    rows = product(torch.tensor([0, 1, 1]), rng())
    assert rows.shape == (3, *shape)
    assert bool(torch.isfinite(rows).all())


def test_the_layers_have_the_widths_of_the_method():
    train = features(torch.rand(4, 400, generator=rng()), [3, 1])
    space = FeatureSpace((400,), 10)
    linear = lambda a, b: a * b + b  # noqa: E731
    generator = Generator(space, measure(train), z=64, width=256)
    critic = Critic(space, width=256)
    count = lambda network: sum(p.numel() for p in network.parameters())  # noqa: E731
    assert count(generator) == linear(74, 256) + linear(256, 256) + linear(256, 400)
    assert count(critic) == linear(400, 256) + linear(256, 256) + linear(256, 1) + 10 * 256


def test_the_critic_is_conditioned_by_projection():
    critic = Critic(FeatureSpace((5,), 3), width=7)
    rows = torch.randn(4, 5, generator=rng())
    code = critic.encoder(rows)
    for c in range(3):
        expected = code @ (critic.score.weight[0] + critic.embedding.weight[c]) + critic.score.bias
        assert torch.allclose(critic(rows, torch.full((4,), c)), expected, atol=1e-6)


# -- loss and steps


class Plane(nn.Module):
    """A critic whose gradient is known: <weight, x>."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, rows, labels):
        return rows.flatten(1) @ self.weight


@pytest.mark.parametrize("shape", [(6,), (2, 3, 1)])
def test_the_loss_of_a_linear_critic_is_its_closed_form(shape):
    real, fake = torch.randn(2, 9, *shape, generator=rng())
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
    labels = torch.zeros(9, dtype=torch.int64)
    loss, gap = critic_loss(Plane(weight), real, fake, labels, penalty=10.0, rng=rng())
    expected_gap = (real - fake).flatten(1).mean(0) @ weight
    assert torch.allclose(gap, expected_gap, atol=1e-5)
    assert torch.allclose(loss, 10 * (weight.norm() - 1) ** 2 - expected_gap, atol=1e-4)


def test_the_penalty_trains_the_critic_towards_slope_one():
    plane = Plane(torch.tensor([2.0, 0.0]))
    same = torch.zeros(4, 2)
    critic_loss(plane, same, same, torch.zeros(4, dtype=torch.int64), penalty=10.0, rng=rng())[0].backward()
    assert torch.allclose(plane.weight.grad, torch.tensor([20.0, 0.0]))  # d/dw 10 (w - 1)^2 at 2


def test_each_player_trains_alone(blobs, ctx):
    duel = Duel(SMALL, blobs, ctx)

    def moved(network, move):
        before = [p.detach().clone() for p in network.parameters()]
        move()
        return any(not torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True))

    assert not moved(duel.generator, duel.train_critic)
    assert not moved(duel.critic, duel.train_generator)
    assert moved(duel.critic, duel.train_critic)
    assert moved(duel.generator, duel.train_generator)


def test_small_classes_are_met_as_often_as_large_ones(blobs, ctx):
    labels, noise = Duel(SMALL, blobs, ctx).draw(30_000)
    assert labels.bincount().tolist() == pytest.approx([10_000] * 3, rel=0.05)
    assert noise.shape == (30_000, 8)


# -- scaling


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


# -- tiny classes and wrong data


@pytest.mark.parametrize("counts", [[40, 2, 1], [5, 1], [1, 1]])
def test_classes_of_one_or_two_rows_work(counts, ctx):
    train = features(torch.randn(sum(counts), 6, generator=rng()), counts)
    rows = fitted(SMALL, train, ctx)(torch.arange(len(counts)).repeat(10), rng())
    assert bool(torch.isfinite(rows).all())
    assert all(np.isfinite(list(line.values())).all() for line in ctx.records)


def test_features_that_are_not_finite_are_refused(ctx):
    values = torch.zeros(6, 3)
    values[4, 1] = torch.nan
    with pytest.raises(DataError, match="gan-feature: found NaN or infinite training features"):
        SMALL.fit(features(values, [4, 2]), None, ctx)


def test_a_class_without_rows_is_refused(ctx):
    with pytest.raises(DataError, match="class 1 has no training row"):
        SMALL.fit(features(torch.randn(6, 3, generator=rng()), [4, 0, 2]), None, ctx)


@pytest.mark.parametrize(("steps", "watch", "noticed"), [(20, 100, 20), (200, 0, 50), (200, 30, 50)])
def test_a_training_that_diverges_is_noticed_soon_and_names_the_cure(steps, watch, noticed, blobs, ctx):
    with pytest.raises(DataError, match=rf"critic's loss is .* at step {noticed}; lower lr=1e\+30"):
        fitted(replace(SMALL, steps=steps, watch=watch, lr=1e30), blobs, ctx)


# -- health


def test_likeness_has_the_values_of_its_definition():
    real, fake = np.random.default_rng(0).normal(size=(12, 4)), np.random.default_rng(1).normal(0.5, 0.6, (15, 4))
    near, own, across = cdist(real, real), cdist(fake, fake), cdist(fake, real)
    typical, varied = near.sum() / (12 * 11), own.sum() / (15 * 14)
    ranked = np.sort(near, axis=1)  # column 0 is the row itself
    found = likeness(torch.tensor(real), torch.tensor(fake))
    assert found["diversity"] == pytest.approx(varied / typical)
    assert found["energy"] == pytest.approx((2 * across.mean() - typical - varied) / typical)
    assert found["coverage"] == pytest.approx((across.min(0) < ranked[:, 5]).mean())
    assert found["memorised"] == pytest.approx((across.min(1) < 0.1 * ranked[across.argmin(1), 1]).mean())


def test_copies_of_real_rows_are_memorised_and_cover():
    real = torch.randn(50, 6, generator=rng())
    found = likeness(real, real + 1e-3)
    assert found["memorised"] == 1
    assert found["coverage"] == 1
    assert found["diversity"] == pytest.approx(1, abs=1e-3)


def test_a_collapsed_generator_gives_a_warning_that_names_the_classes(ctx):
    fitted(replace(SMALL, steps=3, lr=1e-6), rectified([60, 40, 20], (10,)), ctx)
    assert ctx.warnings[0].startswith("gan-feature: generated rows of class 1, 2 vary less than 0.3 times")


def test_rows_far_from_the_real_ones_and_noise_give_warnings(ctx):
    train = rectified([60, 40, 20], (10,))
    health = Health(train, measure(train), ctx)
    health.look(
        lambda labels, generator: 20 * torch.randn(len(labels), 10, generator=generator),
        step=1,
        critic_loss=0.0,
        critic_gap=0.0,
    )
    health.alarm()
    assert len(ctx.warnings) == 2
    assert "class 1, 2 lie farther than 0.3" in ctx.warnings[0]
    assert "the nearest class mean gives less than half" in ctx.warnings[1]


def test_no_alarm_is_given_for_a_class_that_needs_no_row(ctx):
    fitted(replace(SMALL, steps=1), rectified([30, 30, 30], (10,)), ctx)
    assert ctx.warnings == []


def test_needed_classes_that_cannot_be_judged_are_named_once(ctx):
    fitted(SMALL, features(torch.randn(43, 6, generator=rng()), [40, 2, 1]), ctx)
    judged = (
        "gan-feature: generated rows of class 1, 2 cannot be judged: fewer than 3 real rows, or all of them the same"
    )
    assert [warning for warning in ctx.warnings if "class 1" in warning] == [judged]


def test_health_draws_other_numbers_than_the_training(blobs, ctx):
    health = Health(blobs, measure(blobs), ctx)
    assert health.rng.initial_seed() != ctx.rng.initial_seed()
    assert health.rng.initial_seed() == Health(blobs, measure(blobs), ctx).rng.initial_seed()
    assert health.rng.initial_seed() != Health(blobs, measure(blobs), replace(ctx, seed=1)).rng.initial_seed()


def test_the_extractors_head_judges_consistency_where_there_is_one(ctx):
    values = 5 * torch.eye(2)[torch.tensor([0] * 30 + [1] * 10)] + torch.randn(40, 2, generator=rng()) / 5

    def swapped():
        head = nn.Linear(2, 2, bias=False)
        head.weight.data = 10 * torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        return head

    for head, consistency in ((None, 1.0), (swapped, 0.0)):
        train = features(values, [30, 10], head)
        Health(train, measure(train), ctx).look(train.draw, step=1, critic_loss=0.0, critic_gap=0.0)
        assert ctx.records[-1]["consistency_median"] == consistency
