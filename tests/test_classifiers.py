"""The classifiers against closed forms and scikit-learn, and what they say of data that does not fit them."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from benchfw import CannotRun, Context, FeatureSet, FeatureSpace
from benchfw.components import Loss, label, parameters
from benchfw.data import Synthesis, target_counts
from benchfw.errors import UsageError
from benchfw.seeding import isolated
from benchfw.settings import read
from benchfw_classic import Logistic
from benchfw_neural import Head, Linear

FLOOR = np.log(np.finfo(np.float32).tiny)


def trained_head(size=8, classes=3):
    """A head with batch norm whose running statistics are not the ones it starts with."""
    with isolated(1):
        head = nn.Sequential(
            nn.Flatten(), nn.Linear(size, 16), nn.BatchNorm1d(16), nn.LeakyReLU(), nn.Linear(16, classes)
        )
        head.train()(torch.randn(256, size))
    return head


def with_head(train):
    state = trained_head(train.space.size, train.space.n_classes).state_dict()

    def head():
        fresh = trained_head(train.space.size, train.space.n_classes)
        fresh.load_state_dict(state)
        return fresh

    return replace(train, space=replace(train.space, head=head))


def balanced(train):
    """The set with a synthesis that fills every class by drawing real rows again."""
    return replace(train, synthesis=Synthesis(train.draw, target_counts(train.counts(), 1.0), seed=3))


def fitted(component, train, ctx, seed=0):
    with isolated(seed):
        return component.fit(train, None, ctx)


def everything(train):
    return train.rows(torch.arange(len(train)))


def test_the_unchanged_head_scores_as_the_extractors_head(blobs, ctx):
    train = with_head(blobs)
    scores = fitted(Head(**Head.presets["unchanged"]), train, ctx)(everything(train))
    with torch.no_grad():
        expected = trained_head().eval()(everything(train)).log_softmax(1)
    assert torch.equal(scores, expected)


def test_the_unchanged_head_needs_natural_rows_and_corrects_nothing():
    unchanged = Head(**Head.presets["unchanged"])
    assert unchanged.needs == {"head", "natural rows"}
    assert Head().needs == {"head"}
    assert Linear().needs == frozenset()
    assert Head(loss="balanced-softmax").corrects_prior
    assert not replace(unchanged, loss="balanced-softmax").corrects_prior


def test_head_trains_from_the_warm_start_and_leaves_the_trained_head_alone(blobs, ctx):
    train = with_head(blobs)
    start = train.space.new_head().eval()(everything(train)).argmax(1)
    predict = fitted(Head(steps=300, lr=1e-3), train, ctx)
    assert (predict(everything(train)).argmax(1) == train.labels).double().mean() > 0.9
    assert torch.equal(train.space.new_head().eval()(everything(train)).argmax(1), start)
    near = fitted(Head(steps=1, lr=1e-6), train, ctx)(everything(train))
    assert torch.equal(near.argmax(1), start)


@pytest.mark.parametrize(("batch_norm", "kept"), [("frozen", True), ("train", False)])
def test_head_keeps_batch_norms_running_statistics_unless_told(blobs, ctx, batch_norm, kept):
    heads = []
    train = with_head(blobs)
    space = replace(train.space, head=lambda: heads.append(train.space.new_head()) or heads[-1])
    before = train.space.new_head().state_dict()["2.running_mean"]
    fitted(Head(steps=20, batch_norm=batch_norm), replace(train, space=space), ctx)
    assert torch.equal(heads[0].state_dict()["2.running_mean"], before) == kept


def test_head_without_a_trained_head_cannot_run(blobs, ctx):
    with pytest.raises(CannotRun, match="no trained head"):
        fitted(Head(), blobs, ctx)


@pytest.mark.parametrize("component", [Head(steps=50, lr=1e-3), Linear(steps=50)], ids=label)
def test_the_same_seed_gives_the_same_scores_and_another_does_not(component, blobs, tmp_path):
    train = with_head(blobs)
    a, b, c = (
        fitted(component, train, Context(seed, torch.device("cpu"), tmp_path), seed=seed)(everything(train))
        for seed in (4, 4, 5)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("component", [Head(steps=60, lr=1e-3), Linear(steps=60)], ids=label)
def test_balanced_softmax_is_cross_entropy_of_a_network_that_already_holds_the_log_prior(component, blobs, ctx):
    train = with_head(blobs)
    log_prior = train.prior.log().float()

    class HoldsPrior(type(component)):
        def build(self, space):
            network = super().build(space)
            last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
            with torch.no_grad():
                last.bias += log_prior
            return network

    rows = everything(train)
    adjusted = fitted(replace(component, loss="balanced-softmax"), train, ctx)(rows)
    held = fitted(HoldsPrior(**parameters(component)), train, ctx)(rows)
    torch.testing.assert_close(adjusted, (held - log_prior).log_softmax(1), atol=1e-4, rtol=1e-4)
    assert (adjusted - fitted(component, train, ctx)(rows)).abs().max() > 0.1


@pytest.mark.parametrize("component", [Head(steps=40), Linear(steps=40)], ids=label)
def test_on_a_balanced_stream_the_balanced_softmax_is_plain_cross_entropy(component, blobs, ctx):
    train = balanced(with_head(blobs))
    plain, adjusted = (fitted(replace(component, loss=loss), train, ctx)(everything(train)) for loss in get_args(Loss))
    torch.testing.assert_close(plain, adjusted, atol=1e-5, rtol=1e-5)


def test_linear_does_not_mind_the_scale_and_the_offset_of_the_features(blobs, ctx):
    stretch, shift = torch.logspace(-2, 3, 8), torch.linspace(-5, 5, 8)
    moved = replace(blobs, values=blobs.values * stretch + shift)
    scores, moved_scores = fitted(Linear(), blobs, ctx)(blobs.values), fitted(Linear(), moved, ctx)(moved.values)
    torch.testing.assert_close(scores, moved_scores, atol=1e-2, rtol=1e-2)
    assert (scores.argmax(1) == blobs.labels).double().mean() > 0.9


def test_linear_takes_at_least_one_step():
    with pytest.raises(UsageError, match=r"classifier\.linear\.steps: wants int >= 1, found 0"):
        read(Linear, "steps", 0, "classifier.linear")
    assert read(Head, "steps", 0, "classifier.head") == 0


def test_linear_leaves_a_constant_feature_out(blobs, ctx):
    values = torch.cat([blobs.values, torch.full((85, 1), 0.1)], dim=1)
    train = replace(blobs, space=FeatureSpace((9,), 3), values=values)
    network = Linear().build(train.space)
    network.measure(train)
    torch.testing.assert_close(network.mean, values.mean(0))
    torch.testing.assert_close(network.deviation[:8], blobs.values.std(0, correction=0))
    assert network.deviation[8] == 1


def test_linear_flattens_maps(blobs, ctx):
    maps = replace(blobs, space=FeatureSpace((2, 2, 2), 3), values=blobs.values.view(-1, 2, 2, 2))
    scores = fitted(Linear(steps=50), maps, ctx)(maps.values)
    assert torch.equal(scores, fitted(Linear(steps=50), blobs, ctx)(blobs.values))


def test_linear_converges_to_unpenalised_logistic_regression(ctx):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    values = torch.eye(3)[labels] + torch.randn(300, 3, generator=rng)  # the classes overlap: a finite optimum
    train = FeatureSet(FeatureSpace((3,), 3), values, labels, ids=torch.arange(300))
    scores = fitted(Linear(steps=2500, batch=256, lr=3e-3), train, ctx)(values)
    reference = LogisticRegression(C=1e6, max_iter=1000).fit(values.numpy(), labels.numpy())
    expected = torch.from_numpy(reference.predict_proba(values.numpy())).float()
    torch.testing.assert_close(scores.exp(), expected, atol=0.06, rtol=0)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_logistic_equals_scikit_learn_on_standardised_rows(blobs, ctx, classes, strength):
    some = blobs.take((blobs.labels < classes).nonzero()[:, 0])
    train = replace(some, space=FeatureSpace((8,), classes))
    values, labels = train.numpy()
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(values, labels)
    scores = fitted(Logistic(C=strength), train, ctx)(blobs.values)
    np.testing.assert_allclose(scores, reference.predict_log_proba(blobs.values.numpy()), atol=2e-3)
    assert ctx.warnings == []


def test_logistic_fits_the_synthetic_rows_too(blobs, ctx):
    train = balanced(blobs)
    values, labels = train.numpy()
    assert np.bincount(labels).tolist() == [60, 60, 60]
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=85 / 180, max_iter=1000)).fit(values, labels)
    scores = fitted(Logistic(), train, ctx)(blobs.values)
    np.testing.assert_allclose(scores, reference.predict_log_proba(blobs.values.numpy()), atol=2e-3)


def test_logistic_is_penalised_by_its_real_rows_alone(blobs, ctx):
    def again(labels, rng):
        return torch.cat([blobs.of_class(c) for c in labels.unique().tolist()])

    twice = replace(blobs, synthesis=Synthesis(again, 2 * blobs.counts(), seed=0))
    component = Logistic(C=0.01)
    scores, of_twice = (fitted(component, train, ctx)(blobs.values) for train in (blobs, twice))
    assert len(twice.numpy()[1]) == 2 * len(blobs)
    torch.testing.assert_close(of_twice, scores, atol=1e-4, rtol=1e-4)


def test_logistic_gives_a_finite_floor_to_a_class_without_training_rows(blobs, ctx):
    relabelled = torch.tensor([0, 2, 3])[blobs.labels]
    train = replace(blobs, space=FeatureSpace((8,), 5), labels=relabelled)
    scores = fitted(Logistic(), train, ctx)(blobs.values)
    assert scores.shape == (85, 5)
    torch.testing.assert_close(scores[:, [1, 4]], torch.full((85, 2), float(FLOOR)))
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(85))
    torch.testing.assert_close(scores[:, [0, 2, 3]], fitted(Logistic(), blobs, ctx)(blobs.values))


def test_logistic_scores_stay_above_the_floor_however_far_a_row_is(blobs, ctx):
    scores = fitted(Logistic(C=100.0), blobs, ctx)(1e6 * blobs.values)
    assert scores.isfinite().all()
    assert scores.min().item() == pytest.approx(FLOOR)


def test_logistic_says_in_the_row_that_it_did_not_converge(blobs, ctx):
    fitted(Logistic(max_iter=2), blobs, ctx)
    (warning,) = ctx.warnings
    assert warning.startswith("logistic: lbfgs failed to converge")
    assert "max_iter=2" in warning
    assert "\n" not in warning


def test_logistic_on_a_single_class_cannot_run(blobs, ctx):
    with pytest.raises(CannotRun, match="wants training rows of 2 classes, found 1"):
        fitted(Logistic(), blobs.take(torch.arange(60)), ctx)


def test_logistic_takes_vectors_only():
    assert tuple(Logistic().accepts) == ("vector",)
    assert Logistic.libraries == ("scikit-learn", "scipy")
