"""The looks at generated rows: figures by their definition, alarms that are right, and when training stops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gan_data import SMALL, features, fitted, headed, rectified, rng, small
from scipy.spatial.distance import cdist
from torch import nn

from benchfw_gan_feature.health import Health, likeness
from benchfw_gan_feature.looks import HeldOut, Patience, balanced_accuracy
from benchfw_gan_feature.losses import Verdict
from benchfw_gan_feature.scaling import measure


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


# -- alarms of generators that fail for real


def test_a_generator_that_is_far_too_fast_collapses_and_says_so(ctx):
    train = headed(rectified([300, 60, 30], (10,)))
    fitted(small("paper", steps=300, z=100, lr=3e-2, head_every=1), train, ctx)
    last = ctx.records[-1]
    assert last["diversity_min"] < 0.3
    assert last["coverage_min"] < 0.1
    assert any("vary less than 0.3 times as much as real rows: collapsed" in warning for warning in ctx.warnings)


def test_a_generator_that_is_faster_than_its_critic_is_named(blobs, ctx):
    fitted(replace(SMALL, steps=1, lr=1e-3), blobs, ctx)
    assert "the generator learns at rate 0.001, faster than its critic's 0.0005" in ctx.warnings[0]
    ctx.warnings.clear()
    fitted(replace(SMALL, steps=1, lr=1e-4), blobs, ctx)
    assert not any("faster" in warning for warning in ctx.warnings)


# -- figures of the critic and the head


def test_the_figures_of_the_critic_have_the_values_of_their_definition():
    real, fake = torch.tensor([2.0, 1.0, -1.0, 3.0]), torch.tensor([-2.0, 0.5, -3.0, 2.5])
    figures = Verdict(torch.tensor(0.25), real, fake).figures("bce")
    above = sum(float(r > f) for r in real for f in fake) / 16
    assert figures == {
        "critic_loss": 0.25,
        "critic_gap": 1.75,
        "critic_above": above,
        "critic_real": 0.75,
        "critic_fake": 0.5,
    }
    assert "critic_real" not in Verdict(torch.tensor(0.25), real, fake).figures("wasserstein")


@pytest.mark.parametrize("preset", ["paper", "hinge", "dfg"])
def test_every_figure_is_logged_with_every_preset(preset, ctx):
    train = headed(rectified([30, 20, 10], (10,)), steps=20)
    fitted(small(preset, steps=5), train, ctx)
    names = {"critic_loss", "critic_gap", "critic_above"}
    names |= {"head_updates", "head_change", "head_batch_norm"} if preset != "hinge" else set()
    names |= {f"{name}_min" for name in ("diversity", "energy", "coverage", "memorised", "consistency")}
    assert names <= set(ctx.records[-1])


# -- held-out rows and patience


def test_the_distance_to_held_out_rows_has_the_value_of_its_definition(ctx):
    train, val = rectified([60, 40], (6,)), rectified([12, 9], (6,), seed=5)
    scaling = measure(train)
    held_out = HeldOut(val, scaling, seed=0, device=ctx.device)
    assert held_out.rows == 100
    fakes = torch.randn(200, 6, generator=rng(7))
    found = held_out.distance(lambda labels, generator: fakes)
    expected = []
    for c in range(2):
        real = scaling.standardise(val.of_class(c)).numpy().astype(float)
        fake = scaling.standardise(fakes[100 * c : 100 * (c + 1)]).numpy().astype(float)
        near, own = cdist(real, real).sum() / (len(real) * (len(real) - 1)), cdist(fake, fake).sum() / 9900
        expected.append(2 * cdist(fake, real).mean() - near - own)
    assert found == pytest.approx(np.mean(expected), abs=1e-4)


def test_classes_without_held_out_rows_are_left_out(ctx):
    val = features(torch.randn(5, 6, generator=rng()), [4, 0, 1])
    asked = []

    def product(labels, generator):
        asked.append(labels)
        return torch.randn(len(labels), 6, generator=generator)

    distance = HeldOut(val, measure(rectified([9, 9, 9], (6,))), seed=0, device=ctx.device).distance(product)
    assert np.isfinite(distance)
    assert asked[0].unique().tolist() == [0, 2]


def test_patience_is_over_after_that_many_looks_without_improvement():
    for sign, figures in ((1, [1.0, 2.0, 2.0, 1.0, 3.0, 3.0, 3.0]), (-1, [3.0, 2.0, 2.0, 3.0, 1.0, 1.0, 1.0])):
        coming = iter(figures)
        patience = Patience("figure", lambda coming=coming: next(coming), sign=sign, looks=2)
        over = []
        for figure in figures:
            assert patience.look() == {"figure": figure}
            over.append(patience.over)
        assert over == [False, False, False, True, False, False, True]


def test_training_stops_when_the_held_out_distance_no_longer_falls_with_the_last_weights(ctx):
    train, val = rectified([60, 40], (6,)), rectified([30, 30], (6,))
    recipe = replace(SMALL, steps=400, watch=5, patience=2)
    stopped = fitted(recipe, train, ctx, val=val).state()
    at = int(ctx.records[-1]["stopped_at"])
    assert at < 400
    looks = [line["val_energy"] for line in ctx.records if "val_energy" in line]
    assert min(looks[:-2]) <= min(looks[-2:])
    again = fitted(replace(recipe, steps=at, patience=0), train, ctx).state()
    assert all(torch.equal(stopped[name], again[name]) for name in again)


def test_held_out_rows_change_nothing_without_patience(blobs, ctx):
    with_val, without = fitted(SMALL, blobs, ctx, val=blobs).state(), fitted(SMALL, blobs, ctx).state()
    assert all(torch.equal(with_val[name], without[name]) for name in without)
    assert not any("val_energy" in line for line in ctx.records)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_there():
    network = nn.Linear(2, 3, bias=False)
    network.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-9.0, -9.0]])
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    val = features(values, [4, 1])
    val = replace(val, space=replace(val.space, n_classes=3))
    assert balanced_accuracy(network, val) == pytest.approx((3 / 4 + 1) / 2)
