"""The synthesizer gan-feature: what it learns, what it keeps, and what each preset asks for."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from gan_data import SMALL, features, fitted, headed, rectified, rng, small

from benchfw import CannotRun, Context, DataError, UsageError
from benchfw.components import label
from benchfw.registry import installed
from benchfw.seeding import isolated
from benchfw_gan_feature import GanFeature, GanFeatureJoint
from benchfw_gan_feature.lessons import updates

ALONE = {"head_every": 0, "real_every": 0, "guided": False}  # no head is tuned beside
PRESETS = ("paper", "stable", "hinge", "dfg")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Three rectified classes of 300, 60 and 30 rows and a generator trained on them; records and warnings beside."""
    ctx = Context(seed=0, device=torch.device("cpu"), downloads=tmp_path_factory.mktemp("downloads"))
    train = rectified([300, 60, 30], (10,))
    with isolated(0):
        product = replace(SMALL, width=64, steps=400, lr=1e-3, critic_lr=1e-3).fit(train, None, ctx)
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
    fake = fitted(replace(SMALL, width=64, steps=600, lr=1e-3, critic_lr=1e-3), train, ctx)(
        torch.ones(500, dtype=torch.int64), rng()
    )
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


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(10,), (2, 3, 5), (40, 7, 5)])
def test_the_stored_state_gives_back_equal_bytes(preset, shape, ctx):
    train = features(torch.rand(30, *shape, generator=rng()), [20, 6, 4])
    recipe = small(preset, steps=2, width=8, **ALONE)
    product = fitted(recipe, train, ctx)
    restored = recipe.restore({name: values.clone() for name, values in product.state().items()}, train, ctx)
    labels = torch.tensor([0, 1, 2] * 200)
    assert torch.equal(product(labels, rng()), restored(labels, rng()))
    assert product(labels, rng()).dtype == torch.float32


# -- presets


@pytest.mark.parametrize("component", [GanFeature, GanFeatureJoint])
def test_each_preset_spells_out_every_parameter(component):
    assert set(component.presets) == {*PRESETS, *({"mixed", "wide"} if component is GanFeature else ())}
    beside = {"fill", "watch"} & {field.name for field in fields(component)}
    for settings in component.presets.values():
        assert set(settings) == {field.name for field in fields(component)} - beside


@pytest.mark.parametrize("component", [GanFeature, GanFeatureJoint])
def test_the_preset_stable_is_the_default_and_the_others_have_their_names(component):
    for preset, settings in component.presets.items():
        assert label(component(**settings)) == component.name + ("" if preset == "stable" else f"@{preset}")
    assert label(GanFeature(**GanFeature.presets["stable"], fill=0.2)) == "gan-feature@fill=0.2"


def test_the_settings_of_the_report_and_of_dfg_are_theirs():
    paper, dfg, hinge = (GanFeature(**GanFeature.presets[preset]) for preset in ("paper", "dfg", "hinge"))
    assert (paper.lr, paper.critic_lr, paper.head_lr, paper.batch) == (1e-3, 1e-4, 1e-7, 40)
    assert (paper.head_every, paper.real_every, paper.guided, paper.average) == (2, 5, True, 0)
    assert (paper.beta1, paper.beta2, paper.head_beta1, paper.head_beta2) == (0.5, 0.999, 0.9, 0.999)
    assert (paper.loss, paper.init, paper.labels, paper.z, paper.slope) == ("bce", "normal", "deficit", 100, 0.2)
    assert (dfg.lr, dfg.critic_lr, dfg.head_lr, dfg.penalty, dfg.critic_steps) == (1e-4, 1e-4, 1e-4, 10, 5)
    assert (dfg.beta1, dfg.beta2, dfg.head_beta1, dfg.head_beta2) == (0.5, 0.9, 0.5, 0.9)
    assert (dfg.condition, dfg.output, dfg.guided) == ("none", "tanh-bn", True)
    assert (hinge.loss, hinge.critic_norm, hinge.condition, hinge.penalty) == ("hinge", "spectral", "projection", 0)


def test_a_head_is_needed_only_where_one_is_tuned(ctx, blobs):
    assert GanFeature().needs == frozenset()
    assert small("paper").needs == small("dfg").needs == {"head"}
    assert GanFeatureJoint().needs == {"network"}
    cure = "head_every=2 wants an extractor with a head; set head_every=0, real_every=0, guided=false"
    with pytest.raises(CannotRun, match=f"gan-feature: {cure}"):
        small("paper", steps=1).fit(blobs, None, ctx)


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"critic_norm": "batch"}, "set penalty=0 or another critic_norm"),
        ({"matched": False}, "set matched=true or condition=none"),
        ({"head_every": 0, "real_every": 0}, "leave the classifier untrained; set one"),
        ({"labels": "deficit", "real_every": 0}, "set labels=uniform or real_every"),
        ({"patience": 3, "watch": 0}, "set watch above 0 or patience=0"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused_with_the_cure(wrong, cure):
    with pytest.raises(UsageError, match=cure):
        GanFeatureJoint(**wrong)


@pytest.mark.parametrize(("beside", "found"), [({"guided": True}, "guided=true"), ({"real_every": 5}, "real_every=5")])
def test_parameters_of_a_head_that_none_tunes_are_refused(beside, found):
    with pytest.raises(UsageError, match=f"gan-feature: {found} is for a head .* set head_every above 0, or"):
        GanFeature(**beside)
    assert GanFeature(head_every=2, **beside)


def test_both_components_are_installed_under_their_names():
    for component in (GanFeature, GanFeatureJoint):
        assert installed().registered("augmenter", component.name).component is component


def test_hinge_learns_the_spread_of_each_class_too(ctx):
    train = rectified([300, 60, 30], (10,))
    product = fitted(small("hinge", width=64, steps=400, lr=1e-3, critic_lr=1e-3), train, ctx)
    for c in range(3):
        real, fake = train.of_class(c), product(torch.full((1000,), c), rng())
        assert float((fake.mean(0) - real.mean(0)).norm()) < 0.4 * float(real.std(0).norm())
        assert 0.6 < float(fake.std(0).norm() / real.std(0).norm()) < 1.4
    assert ctx.warnings == []


@pytest.mark.parametrize("preset", ["paper", "dfg"])
def test_the_head_that_is_tuned_beside_does_not_change_the_extractors(preset, ctx):
    train = headed(rectified([60, 30, 20], (10,)), steps=20)
    before = [weight.clone() for weight in train.space.new_head().parameters()]
    fitted(small(preset, steps=20, head_lr=1e-2), train, ctx)
    assert all(map(torch.equal, train.space.new_head().parameters(), before))
    assert ctx.records[-1]["head_change"] > 0.01


def test_the_head_gets_its_lessons_by_the_schedule():
    for steps in range(1, 41):
        lessons = [step for step in range(1, steps + 1) for every in (2, 5) if step % every == 0]
        assert updates(steps, small("paper")) == len(lessons)


# -- randomness


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


@pytest.mark.parametrize(("steps", "watch", "noticed"), [(20, 100, 20), (200, 0, 50), (200, 30, 30)])
def test_a_training_that_diverges_is_noticed_soon_and_names_the_cure(steps, watch, noticed, blobs, ctx):
    with pytest.raises(DataError, match=rf"critic's loss is .* at step {noticed}; lower lr=1e\+30 or critic_lr=0.0005"):
        fitted(replace(SMALL, steps=steps, watch=watch, lr=1e30), blobs, ctx)
