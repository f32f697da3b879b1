"""The training of the feature GAN: losses in closed form, who moves in which step, the schedule, the arithmetic."""

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F
from gan_data import SMALL, fitted, headed, rectified, rng, small
from torch import nn

from benchfw import Context, DataError
from benchfw.seeding import isolated
from benchfw_gan_feature import GanFeatureJoint
from benchfw_gan_feature.duel import Duel, law_of
from benchfw_gan_feature.lessons import Lessons, steps_for, updates
from benchfw_gan_feature.losses import critic_loss, generator_loss, judged, slope_penalty
from benchfw_gan_feature.rounds import beside, play


class Plane(nn.Module):
    """A critic whose gradient is known: <weight, x>."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, rows, labels):
        return rows.flatten(1) @ self.weight


def moves(network, move):
    """Whether a call changes the parameters of a network."""
    before = [weight.detach().clone() for weight in network.parameters()]
    move()
    return any(not torch.equal(p, q) for p, q in zip(before, network.parameters(), strict=True))


# -- the default, written out a second time


def test_stable_is_the_loop_that_its_page_describes(ctx):
    """Wasserstein with penalty, projection, class mean plus residual; draws and initial weights in this order."""
    train = rectified([40, 20, 10], (10,))
    recipe = replace(SMALL, steps=3, critic_steps=2)
    ours = fitted(recipe, train, ctx, seed=4)
    with isolated(4):
        linear = [nn.Linear(8 + 3, 32), nn.Linear(32, 32), nn.Linear(32, 10)]
        phi = [nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 1), nn.Embedding(3, 32)]
    draws, lrelu = rng(4), lambda x: F.leaky_relu(x, 0.2)
    mean, sd, floor = train.values.mean(0), train.values.std(0, correction=0), train.values.amin(0)
    means = torch.stack([train.of_class(c).mean(0) for c in range(3)])

    def generate(weights, noise, y):
        hidden = torch.cat([noise, F.one_hot(y, 3)], 1)
        for layer in weights[:2]:
            hidden = lrelu(layer(hidden))
        return (means[y] + sd * weights[2](hidden)).maximum(floor)

    def score(rows, y):
        code = lrelu(phi[1](lrelu(phi[0](rows))))
        return phi[2](code)[:, 0] + (phi[3](y) * code).sum(1)

    def draw(count):
        return torch.randint(3, (count,), generator=draws), torch.randn(count, 8, generator=draws)

    weights = {"g": nn.ModuleList(linear), "c": nn.ModuleList(phi)}
    optimisers = {name: torch.optim.Adam(w.parameters(), 5e-4, betas=(0.5, 0.9)) for name, w in weights.items()}
    average = deepcopy(linear)
    for _ in range(3):
        y, noise = draw(64)
        real = (train.draw(y, draws) - mean) / sd
        fake = (generate(linear, noise, y).detach() - mean) / sd
        for at in (slice(0, 32), slice(32, 64)):
            r, f = real[at], fake[at]
            between = (f + torch.rand(32, 1, generator=draws) * (r - f)).requires_grad_()
            (slope,) = torch.autograd.grad(score(between, y[at]).sum(), between, create_graph=True)
            loss = score(f, y[at]).mean() - score(r, y[at]).mean() + 10 * (slope.norm(dim=1) - 1).square().mean()
            optimisers["c"].zero_grad()
            loss.backward()
            optimisers["c"].step()
        y, noise = draw(32)
        optimisers["g"].zero_grad()
        (-score((generate(linear, noise, y) - mean) / sd, y).mean()).backward()
        optimisers["g"].step()
        for kept, new in zip(nn.ModuleList(average).parameters(), nn.ModuleList(linear).parameters(), strict=True):
            kept.data = 0.99 * kept.data + 0.01 * new.data
    labels = torch.tensor([0, 1, 2] * 30)
    expected = generate(average, torch.randn(90, 8, generator=rng(9)), labels)
    assert torch.allclose(ours(labels, rng(9)), expected, atol=1e-4)


# -- losses


def test_each_loss_has_its_closed_form():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    log_loss = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    assert critic_loss("wasserstein", real, fake).item() == pytest.approx((-3 + 0.25) / 2 - (2 + 0.5) / 2)
    assert critic_loss("hinge", real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)
    assert critic_loss("bce", real, fake).item() == pytest.approx(log_loss.item())
    assert generator_loss("wasserstein", fake).item() == generator_loss("hinge", fake).item() == pytest.approx(1.375)
    assert generator_loss("bce", fake).item() == pytest.approx(-fake.sigmoid().log().mean().item())


@pytest.mark.parametrize("shape", [(6,), (2, 3, 1)])
def test_the_penalty_of_a_linear_critic_is_its_closed_form(shape):
    real, fake = torch.randn(2, 9, *shape, generator=rng())
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
    labels = torch.zeros(9, dtype=torch.int64)
    penalty = slope_penalty(Plane(weight), real, fake, labels, rng())
    assert torch.allclose(penalty, (weight.norm() - 1) ** 2, atol=1e-4)
    verdict = judged("wasserstein", Plane(weight), (real, labels), (fake, labels), together=True)
    assert torch.allclose(verdict.gap, (real - fake).flatten(1).mean(0) @ weight, atol=1e-5)


def test_the_penalty_trains_the_critic_towards_slope_one():
    plane = Plane(torch.tensor([2.0, 0.0]))
    same = torch.zeros(4, 2)
    slope_penalty(plane, same, same, torch.zeros(4, dtype=torch.int64), rng()).backward()
    assert torch.allclose(plane.weight.grad, torch.tensor([2.0, 0.0]))  # d/dw (w - 1)^2 at 2


# -- the players


@pytest.mark.parametrize("preset", ["paper", "stable", "hinge", "dfg"])
def test_each_player_trains_alone(preset, blobs, ctx):
    duel = Duel(small(preset), blobs, ctx)
    assert not moves(duel.generator, duel.train_critic)
    assert not moves(duel.critic, duel.train_generator)
    assert moves(duel.critic, duel.train_critic)
    assert moves(duel.generator, duel.train_generator)
    assert all(weight.requires_grad for weight in duel.critic.parameters())


def test_the_critics_weights_get_no_gradient_in_the_generators_step(blobs, ctx):
    duel = Duel(SMALL, blobs, ctx)
    duel.train_generator()
    assert all(weight.grad is None for weight in duel.critic.parameters())
    assert all(weight.grad is not None for weight in duel.generator.parameters())


def test_each_player_has_its_own_rate_and_their_betas(blobs, ctx):
    duel = Duel(replace(SMALL, lr=1e-3, critic_lr=1e-5, beta1=0.1, beta2=0.8), blobs, ctx)
    rates = [optimiser.param_groups[0] for optimiser in (duel.generator_optimiser, duel.critic_optimiser)]
    assert [(group["lr"], group["betas"]) for group in rates] == [(1e-3, (0.1, 0.8)), (1e-5, (0.1, 0.8))]


@pytest.mark.parametrize(("preset", "passes"), [("paper", [32, 32]), ("hinge", [64]), ("stable", [64, 32])])
def test_real_and_generated_rows_share_a_pass_unless_batch_norm_couples_them(preset, passes, blobs, ctx):
    duel = Duel(small(preset, critic_steps=1), blobs, ctx)
    seen = []
    duel.critic.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    duel.train_critic()
    assert seen == passes  # the penalty of `stable` takes a pass of its own


def test_small_classes_are_met_as_often_as_large_ones(blobs, ctx):
    labels, noise = Duel(SMALL, blobs, ctx).draw(30_000)
    assert labels.bincount().tolist() == pytest.approx([10_000] * 3, rel=0.05)
    assert noise.shape == (30_000, 8)


def test_labels_may_follow_the_deficit(blobs, ctx):
    labels, _ = Duel(replace(SMALL, labels="deficit"), blobs, ctx).draw(9_500)  # counts are 60, 20, 5
    assert labels.bincount(minlength=3).tolist() == pytest.approx([0, 4_000, 5_500], rel=0.05)


def test_without_a_deficit_its_law_is_uniform():
    assert law_of("deficit", torch.tensor([7, 7])).tolist() == [0.5, 0.5]


def test_real_rows_are_of_the_generated_classes_or_as_they_come(blobs, ctx):
    wanted = torch.tensor([2] * 4_250)
    rows, labels = Duel(SMALL, blobs, ctx).real_rows(wanted)
    assert labels.tolist() == wanted.tolist()
    duel = Duel(replace(SMALL, matched=False, condition="none"), blobs, ctx)
    rows, labels = duel.real_rows(wanted)
    assert labels.bincount().tolist() == pytest.approx([3_000, 1_000, 250], rel=0.2)
    assert torch.allclose(rows[labels == 2].mean(0), duel.scaling.standardise(blobs.of_class(2)).mean(0), atol=0.3)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_product_follows_weights_and_statistics_of_batch_norm(average, blobs, ctx):
    duel = Duel(small("paper", average=average), blobs, ctx)
    start = [weight.clone() for weight in duel.product.generator.parameters()]
    duel.round()
    duel.settle()
    for kept, new, old in zip(duel.product.generator.parameters(), duel.generator.parameters(), start, strict=True):
        assert torch.allclose(kept, average * old + (1 - average) * new, atol=1e-6)
    statistics = zip(duel.product.generator.buffers(), duel.generator.buffers(), strict=True)
    assert all(torch.equal(kept, new) for kept, new in statistics)
    assert not duel.product.generator.training


def test_without_an_average_the_last_weights_make_the_rows(blobs, ctx):
    duel = Duel(small("paper"), blobs, ctx)
    play(duel, 3)
    assert all(map(torch.equal, duel.product.generator.parameters(), duel.generator.parameters()))


# -- lessons


@pytest.fixture
def taught(ctx):
    """A duel by the report's schedule, and lessons of a head with batch norm beside it."""
    train = headed(rectified([60, 30, 20], (10,)), steps=20)
    recipe = small("paper", head_lr=1e-3)
    duel = Duel(recipe, train, ctx)
    return duel, beside(recipe, duel)


def test_generated_rows_are_learned_every_second_step_and_real_ones_every_fifth(taught):
    _, lessons = taught
    heard = []
    lessons.on_generated = lambda: heard.append("generated")
    lessons.on_real = lambda: heard.append("real")
    lessons.left = 8
    for step in range(1, 13):
        lessons.step(step)
    steps = ["generated", "generated", "real", "generated", "generated", "generated", "real", "generated"]
    assert heard == steps  # at 2, 4, 5, 6, 8, 10, 10, 12


@pytest.mark.parametrize("guided", [True, False])
def test_the_cross_entropy_on_generated_rows_trains_the_generator_where_it_is_guided(guided, taught):
    duel, lessons = taught
    duel.recipe = replace(duel.recipe, guided=guided)
    assert moves(duel.generator, lambda: lessons.step(2)) is guided
    assert not moves(duel.generator, lambda: lessons.step(5))
    assert not moves(duel.critic, lambda: lessons.step(10))


def test_every_lesson_trains_the_classifier(taught):
    _, lessons = taught
    assert not moves(lessons.network, lambda: lessons.step(1))
    assert moves(lessons.network, lambda: lessons.step(2))
    assert moves(lessons.network, lambda: lessons.step(5))


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_of_the_classifier_is_frozen_or_not_and_that_is_logged(frozen, taught):
    _, lessons = taught
    lessons.frozen = frozen
    statistics = lessons.network[2].running_mean
    before = statistics.clone()
    lessons.step(2)
    assert torch.equal(statistics, before) is frozen
    assert lessons.figures()["head_batch_norm"] == (0.0 if frozen else 1.0)


def test_a_head_beside_that_diverges_is_noticed_and_its_rate_is_named(ctx):
    train = headed(rectified([60, 30, 20], (10,)), steps=20)
    with pytest.raises(DataError, match=r"^gan-feature: the classifier's loss is .* lower head_lr=1e\+30$"):
        fitted(replace(SMALL, head_every=2, head_lr=1e30), train, ctx)


def test_the_change_of_the_head_is_relative_to_its_weights(taught):
    _, lessons = taught
    assert lessons.figures()["head_change"] == 0
    with torch.no_grad():
        for weight in lessons.network.parameters():
            weight *= 1.5
    assert lessons.figures()["head_change"] == pytest.approx(0.5)


def test_the_weight_of_the_cross_entropy_scales_the_generators_gradient(taught, ctx):
    duel, lessons = taught
    gradients = []
    for weight in (1.0, 0.25):
        duel.recipe = replace(duel.recipe, fake_weight=weight)
        duel.rng.manual_seed(0)
        duel.generator_optimiser.step = lambda: gradients.append(
            [weight.grad.clone() for weight in duel.generator.network[:1].parameters()]
        )
        lessons.optimiser.step = lambda: None
        lessons.on_generated()
    whole, quarter = gradients
    assert all(torch.allclose(q, 0.25 * w, atol=1e-7) for w, q in zip(whole, quarter, strict=True))


@pytest.mark.parametrize(("head_every", "real_every"), [(2, 5), (1, 5), (3, 0), (0, 4), (7, 7)])
def test_the_gan_takes_the_fewest_steps_that_give_the_classifier_its_budget(head_every, real_every):
    recipe = small("stable", GanFeatureJoint, head_every=head_every, real_every=real_every)
    for budget in range(1, 60):
        steps = steps_for(budget, recipe)
        assert updates(steps, recipe) >= budget
        assert updates(steps - 1, recipe) < budget


# -- arithmetic


@dataclass(frozen=True, eq=False)
class Listening(Context):
    """A context that counts how often its arithmetic is asked for."""

    asked: list = field(default_factory=list)

    @contextmanager
    def _told(self):
        self.asked.append(1)
        with torch.autocast("cpu", torch.bfloat16):
            yield

    def autocast(self):
        return self._told()


@pytest.mark.parametrize(("preset", "lowered"), [("paper", True), ("hinge", True), ("stable", False), ("dfg", False)])
def test_low_precision_is_used_only_where_no_gradient_penalty_is(preset, lowered, blobs, ctx):
    listening = Listening(0, ctx.device, ctx.downloads)
    verdict = Duel(small(preset), blobs, listening).round()
    assert bool(listening.asked) is lowered
    assert verdict.loss.dtype == torch.float32
    assert bool(torch.isfinite(verdict.loss))
    recipe = small(preset, steps=2, head_every=0, real_every=0, guided=False)
    assert recipe.fit(blobs, None, listening)(torch.tensor([0, 1]), rng()).dtype == torch.float32


def test_the_classifier_may_learn_in_low_precision_beside_a_penalty(ctx):
    train = headed(rectified([60, 30, 20], (10,)), steps=20)
    listening = Listening(0, ctx.device, ctx.downloads)
    recipe = small("dfg", steps=2)
    duel = Duel(recipe, train, listening)
    lessons = beside(recipe, duel)
    assert isinstance(lessons, Lessons)
    lessons.step(1)
    assert len(listening.asked) == 1
