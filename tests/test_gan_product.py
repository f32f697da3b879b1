"""What may happen to a trained generator's rows: stretched from the class mean, or mixed with a class Gaussian."""

from dataclasses import replace

import pytest
import torch
from gan_data import SMALL, features, fitted, rectified, rng

from benchfw.registry import installed
from benchfw_gan_feature.gaussian import sketched

LABELS = torch.arange(3).repeat(400)


@pytest.fixture(scope="module")
def train():
    return rectified([300, 60, 30], (6,))


def means(train):
    return torch.stack([train.of_class(c).mean(0) for c in range(train.space.n_classes)])


def test_spread_stretches_rows_from_their_class_mean_and_not_below_the_floor(train, ctx):
    plain, wide = (fitted(replace(SMALL, spread=spread), train, ctx) for spread in (1.0, 2.0))
    centre, rows = means(train)[LABELS], plain(LABELS, rng())
    wanted = torch.maximum(centre + 2 * (rows - centre), train.values.amin(0))
    torch.testing.assert_close(wide(LABELS, rng()), wanted)


def test_the_gaussian_takes_its_share_of_the_rows_and_leaves_the_others(train, ctx):
    plain, mixed = (fitted(replace(SMALL, gaussian=share), train, ctx) for share in (0.0, 0.25))
    same = (plain(LABELS, rng()) == mixed(LABELS, rng())).all(1)
    assert 0.7 < float(same.float().mean()) < 0.8
    assert bool((mixed(LABELS, rng()) >= train.values.amin(0)).all())


def test_a_share_of_all_is_the_shrunk_class_gaussian(ctx):
    train = features(torch.randn(600, 5, generator=rng()) @ torch.randn(5, 5, generator=rng(2)), [400, 200])
    share = fitted(replace(SMALL, gaussian=1.0, floor=False), train, ctx)
    ours = installed().get("augmenter", "class-gaussian")(floor=False).fit(train, None, ctx)
    labels = torch.ones(40_000, dtype=torch.int64)
    found, wanted = (made(labels, rng(3)) for made in (share, ours))
    assert bool((found < train.values.amin(0)).any())  # as asked: nothing is cut off
    assert torch.allclose(found.mean(0), wanted.mean(0), atol=0.1)
    assert float((found.T.cov() - wanted.T.cov()).norm() / wanted.T.cov().norm()) < 0.15


@pytest.mark.parametrize("change", [{"spread": 2.0}, {"gaussian": 1.0}])
def test_rows_are_cut_off_at_the_floor_only_where_the_recipe_says_so(change, train, ctx):
    for floor in (True, False):
        rows = fitted(replace(SMALL, floor=floor, **change), train, ctx)(LABELS, rng())
        assert bool((rows < train.values.amin(0)).any()) is not floor


def test_alarms_are_about_the_rows_that_are_delivered(train, ctx):
    alone, mixed, wide = (replace(ctx, records=[], warnings=[]) for _ in range(3))
    fitted(replace(SMALL, steps=3), train, alone)
    assert any("collapsed" in warning for warning in alone.warnings)
    fitted(replace(SMALL, steps=3, gaussian=1.0), train, mixed)
    assert not any("collapsed" in warning for warning in mixed.warnings)
    fitted(replace(SMALL, spread=20.0), train, wide)
    assert any("lie farther" in w and w.endswith("lower lr or a spread nearer 1") for w in wide.warnings)


def test_the_sketched_covariance_is_that_of_the_formula():
    train = features(torch.randn(300, 4, generator=rng()) * torch.tensor([1.0, 2.0, 3.0, 4.0]), [250, 50])
    centred = [train.of_class(c) - train.of_class(c).mean(0) for c in range(2)]
    pooled = sum(rows.T @ rows for rows in centred) / 298
    factors = torch.stack([sketched(train, means(train), rng(s)).factors for s in range(20)])  # (20, K, R, D)
    for c, rows in enumerate(centred):
        wanted = (rows.T @ rows + 4 * pooled) / (len(rows) - 1 + 4)
        found = torch.einsum("srd,sre->de", factors[:, c], factors[:, c]) / 20
        assert float((found - wanted).norm() / wanted.norm()) < 0.05


def test_both_come_back_from_the_stored_state(train, ctx):
    recipe = replace(SMALL, spread=1.5, gaussian=0.5)
    product = fitted(recipe, train, ctx)
    again = recipe.restore({name: values.clone() for name, values in product.state().items()}, train, ctx)
    assert torch.equal(product(LABELS, rng()), again(LABELS, rng()))


def test_neither_changes_what_the_generator_learns(train, ctx):
    plain, both = (fitted(recipe, train, ctx) for recipe in (SMALL, replace(SMALL, spread=2.0, gaussian=0.5)))
    for mine, others in zip(plain.generator.parameters(), both.generator.parameters(), strict=True):
        assert torch.equal(mine, others)


def test_the_last_look_is_at_the_rows_that_are_delivered(train, ctx):
    fitted(SMALL, train, ctx)
    plain = ctx.records[-1]["diversity_median"]
    ctx.records.clear()
    fitted(replace(SMALL, spread=3.0), train, ctx)
    before, after = ctx.records[-2:]
    assert before["diversity_median"] == plain
    assert after["diversity_median"] > 1.5 * plain
    assert (after["spread"], after["gaussian"]) == (3.0, 0.0)
