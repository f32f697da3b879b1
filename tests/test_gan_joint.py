"""gan-feature-joint: the classifier's budget, its prior, its settings, and the whole protocol on digits."""

from dataclasses import replace

import pytest
import torch
from gan_data import SMALL, features, fitted, headed, rectified, rng, small

from benchfw import CannotRun, DataError, training
from benchfw.registry import installed
from benchfw.seeding import isolated
from benchfw_gan_feature import GanFeatureJoint
from benchfw_gan_feature.lessons import Lessons

PRESETS = ("paper", "stable", "hinge", "dfg")


def head(**parameters):
    """The classifier `head`, as the harness finds it."""
    return installed().registered("classifier", "head").component(**({"batch": 16, "steps": 20} | parameters))


def jointly(recipe, train, ctx, classifier=None, val=None):
    """The classifier's network and the predictor that a joint training of it gives."""
    classifier = classifier or head()
    with isolated(ctx.seed):
        network = classifier.network(train, ctx)
        return network, recipe.fit_jointly(train, val, network, classifier, ctx)


@pytest.fixture(scope="module")
def train():
    return headed(rectified([200, 60, 30], (10,)))


@pytest.mark.parametrize("preset", PRESETS)
def test_it_trains_the_network_that_it_is_given_and_predicts_with_it(preset, train, ctx):
    network, predict = jointly(small(preset, GanFeatureJoint), train, ctx, head(lr=1e-3))
    untouched = train.space.new_head()
    assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), untouched.parameters(), strict=True))
    rows = train.rows(torch.arange(50))
    assert torch.allclose(predict(rows), network.eval()(rows).log_softmax(1), atol=1e-6)
    assert ctx.records[-1]["head_change"] > 0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_the_network_gets_exactly_the_steps_of_the_classifier(preset, steps, train, ctx, monkeypatch):
    updates, learn = [], Lessons.learn
    monkeypatch.setattr(Lessons, "learn", lambda self, error: (updates.append(1), learn(self, error)))
    jointly(small(preset, GanFeatureJoint), train, ctx, head(steps=steps))
    assert len(updates) == steps


def test_the_steps_of_the_gan_follow_from_those_of_the_classifier(train, ctx):
    jointly(small("paper", GanFeatureJoint), train, ctx, head(steps=21))
    assert ctx.records[-1]["step"] == 30  # 30 // 2 + 30 // 5


def test_at_the_papers_rate_the_head_hardly_moves_and_its_batch_norm_is_said(train, ctx):
    jointly(small("paper", GanFeatureJoint), train, ctx, head(lr=1e-7, batch=40, batch_norm="train"))
    assert 0 < ctx.records[-1]["head_change"] < 1e-4
    assert ctx.records[-1]["head_batch_norm"] == 1


def test_its_warnings_carry_its_own_name(train, ctx):
    jointly(small("paper", GanFeatureJoint), train, ctx)
    assert len(ctx.warnings) > 1
    assert all(warning.startswith("gan-feature-joint: ") for warning in ctx.warnings)


def test_its_real_rows_are_those_that_other_augmenters_meet(train, ctx):
    recipe = small("stable", GanFeatureJoint, head_every=0, real_every=1)
    classifier = head(lr=1e-3, batch_norm="train", loss="balanced-softmax")
    network, _ = jointly(recipe, train, ctx, classifier)
    with isolated(0):
        alone = classifier.network(train, ctx)
    classifier.fit_network(alone, train, ctx)
    states = network.state_dict(), alone.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_batch_norm_is_the_classifiers(batch_norm, train, ctx):
    network, _ = jointly(small("stable", GanFeatureJoint), train, ctx, head(batch_norm=batch_norm))
    kept = torch.equal(network[2].running_mean, train.space.new_head()[2].running_mean)
    assert kept is (batch_norm == "frozen")


@pytest.mark.parametrize(("parameters", "found"), [({"batch_norm": "refresh"}, "refresh"), ({"steps": 0}, "steps=0")])
def test_a_classifier_that_trains_no_weight_is_refused(parameters, found, train, ctx):
    with pytest.raises(CannotRun, match=found):
        jointly(GanFeatureJoint(), train, ctx, head(**parameters))


def test_the_prior_is_the_mixture_that_the_schedule_gives(train):
    natural, deficit = torch.tensor([200, 60, 30]) / 290, torch.tensor([0, 140, 170]) / 310
    uniform = torch.ones(3) / 3
    for preset, law, share in (("paper", deficit, 5 / 7), ("stable", uniform, 5 / 7), ("dfg", uniform, 5 / 6)):
        found = small(preset, GanFeatureJoint).prior(train)
        assert found.dtype == torch.float64
        assert torch.allclose(found.float(), share * law + (1 - share) * natural)
    assert torch.equal(small("paper", GanFeatureJoint, head_every=0).prior(train), train.natural_prior)


def test_the_prior_is_what_the_network_meets(train, ctx, monkeypatch):
    met = []

    def listening(name, prior):
        return lambda logits, labels: (met.append(labels), training.cross_entropy(logits, labels))[1]

    monkeypatch.setattr(training, "loss_named", listening)
    recipe = small("paper", GanFeatureJoint, watch=0, patience=0, width=8)
    jointly(recipe, train, ctx, head(steps=280, batch=64))
    share = torch.cat(met).bincount() / len(torch.cat(met))
    assert torch.allclose(share, recipe.prior(train).float(), atol=0.02)


def test_it_stops_when_the_validation_no_longer_gets_better_with_the_last_weights(train, ctx):
    val = rectified([30, 30, 30], (10,))
    recipe = small("paper", GanFeatureJoint, watch=5, patience=2)
    network, _ = jointly(recipe, train, ctx, head(steps=400, lr=1e-7), val)
    at = int(ctx.records[-1]["stopped_at"])
    assert at < 500
    assert ctx.records[-2]["head_updates"] == at // 2 + at // 5
    assert any("of 400 updates; set patience=0 for all" in warning for warning in ctx.warnings)
    assert "val_balanced_accuracy" in ctx.records[-2]
    budget = at // 2 + at // 5
    full = replace(ctx, records=[], warnings=[])
    again, _ = jointly(replace(recipe, patience=0), train, full, head(steps=budget, lr=1e-7))
    assert all(map(torch.equal, network.parameters(), again.parameters()))
    assert full.records[-1]["head_updates"] == budget
    assert not any("patience" in warning for warning in full.warnings)


def test_a_classifier_that_diverges_is_named_with_its_rate(train, ctx):
    said = r"^gan-feature-joint: the classifier's loss is .* lower the classifier's lr=1e\+30"
    with pytest.raises(DataError, match=said):
        jointly(small("stable", GanFeatureJoint), train, ctx, head(lr=1e30, steps=60))


def test_when_both_diverge_both_rates_are_named(train, ctx):
    said = (
        r"the critic's loss is .* and the classifier's loss is .* lower lr=0\.001 or .* or the classifier's lr=1e\+30"
    )
    with pytest.raises(DataError, match=said):
        jointly(small("paper", GanFeatureJoint), train, ctx, head(lr=1e30, steps=40))


def test_players_and_classifier_are_laid_out_for_the_device_by_the_harness(train, ctx, monkeypatch):
    """On CUDA that is channels last; here it can only be seen that each of them passes through it."""
    laid, on_device = [], training.on_device
    monkeypatch.setattr(training, "on_device", lambda network, ctx: (laid.append(network), on_device(network, ctx))[1])
    network, _ = jointly(small("stable", GanFeatureJoint), train, ctx)
    assert [type(each).__name__ for each in laid] == ["Generator", "Critic", type(network).__name__]
    assert laid[2] is network
    product = fitted(SMALL, train, ctx)
    laid.clear()
    SMALL.restore(product.state(), train, ctx)
    assert [type(each).__name__ for each in laid] == ["Generator"]


def test_held_out_rows_change_nothing_without_patience(train, ctx):
    recipe = small("paper", GanFeatureJoint, patience=0)
    first, _ = jointly(recipe, train, ctx)
    second, _ = jointly(recipe, train, replace(ctx, records=[]), val=train)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_maps_and_their_heads_train_jointly(ctx):
    train = headed(features(torch.rand(40, 40, 7, 5, generator=rng()), [25, 15]), steps=5)
    recipe = small("paper", GanFeatureJoint, width=8)
    _, predict = jointly(recipe, train, ctx, head(steps=3))
    assert predict(train.rows(torch.arange(4))).shape == (4, 2)


def test_the_reports_protocol_runs_whole_beside_its_control(here):
    """On digits: `head@paper` on real rows only, and together with the report's GAN."""
    axes = ("-d", "digits", "-e", "paper-cnn@tiny,steps=20", "-c", "head@paper,steps=7", "--repetitions", "1")
    augmenters = ("-a", "none", "-a", "gan-feature-joint@paper", "-a", "gan-feature@paper,steps=2")
    ended = here("run", *axes, *augmenters, "--no-reference", "--in-process", "--out", "run")
    assert ended.code == 0, ended.err
    assert "gan-feature-joint@paper" in ended.out
