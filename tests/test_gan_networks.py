"""The networks of the feature GAN: the report's tables row by row, any size, and each option's closed form."""

from dataclasses import replace

import pytest
import torch
from gan_data import SMALL, features, fitted, rng, small
from torch import nn

from benchfw import FeatureSpace
from benchfw.registry import installed
from benchfw_gan_feature import GanFeature
from benchfw_gan_feature.duel import Duel
from benchfw_gan_feature.layers import BatchNorm, Spectral
from benchfw_gan_feature.lessons import Lessons
from benchfw_gan_feature.networks import Critic, Generator, convolved
from benchfw_gan_feature.scaling import Scaling

PAPER = GanFeature(**GanFeature.presets["paper"])
REPORT = FeatureSpace((512, 10, 10), 6)
K, Z = 6, 100


def count(network):
    return sum(weight.numel() for weight in network.parameters())


def normed(channels):
    return 2 * channels


def players(space, recipe, device="meta"):
    """Generator and critic, without memory for their weights unless asked."""
    with torch.device(device):
        return Generator(space, Scaling.empty(recipe.scaling, space), recipe), Critic(space, recipe)


def through(rows, values):
    """The output shape after each named row, without the batch."""
    shapes = {}
    for name, row in rows.named_children():
        values = row(values)
        shapes[name] = tuple(values.shape[1:])
    return shapes


# -- the report's tables


def test_each_row_of_the_generator_has_the_shape_of_the_table():
    generator, _ = players(REPORT, PAPER)
    assert through(generator.network, torch.zeros(2, Z + K, device="meta")) == {
        "row2": (2048, 1, 1),
        "row3": (2048, 1, 1),
        "row4": (1024, 5, 5),
        "row5": (512, 10, 10),
        "row6": (512, 10, 10),
    }


@pytest.mark.parametrize(("row3", "millions"), [(1, 76.5), (5, 177.2)])
def test_each_row_of_the_generator_has_the_parameters_of_the_table(row3, millions):
    generator, _ = players(REPORT, replace(PAPER, row3=row3))
    expected = {
        "row2": (Z + K + 1) * 2048,
        "row3": row3**2 * 2048 * 2048 + normed(2048),
        "row4": 25 * 2048 * 1024 + normed(1024),
        "row5": 25 * 1024 * 512 + normed(512),
        "row6": 25 * 512 * 512 + 512 + normed(512),
    }
    assert {name: count(row) for name, row in generator.network.named_children()} == expected
    assert round(count(generator) / 1e6, 1) == millions


def test_the_literal_row_3_uses_its_centre_tap_alone():
    layer = nn.ConvTranspose2d(8, 8, 5, padding=2, bias=False)
    inputs = torch.randn(4, 8, 1, 1, generator=rng())
    expected = torch.einsum("bixy,io->boxy", inputs, layer.weight[:, :, 2, 2])
    assert torch.allclose(layer(inputs), expected, atol=1e-6)


def test_the_generator_ends_with_tanh_then_batch_norm():
    generator, _ = players(REPORT, PAPER)
    kinds = [[type(layer).__name__ for layer in row] for row in generator.network]
    hidden = ["ConvTranspose2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == [["Linear", "Unflatten"], hidden, hidden, hidden, ["ConvTranspose2d", "Tanh", "BatchNorm2d"]]


def test_each_row_of_the_discriminator_has_the_shape_of_the_table():
    _, critic = players(REPORT, PAPER)
    assert through(critic.encoder, torch.zeros(2, 512, 10, 10, device="meta")) == {
        "row2": (512, 10, 10),
        "row3": (1024, 5, 5),
        "row4": (2048, 2, 2),
        "row5": (8192,),
        "row6": (1024,),
        "row7": (64,),
    }
    assert critic.score.out_features == 1


def test_each_row_of_the_discriminator_has_the_parameters_of_the_table():
    _, critic = players(REPORT, PAPER)
    assert {name: count(row) for name, row in critic.encoder.named_children()} == {
        "row2": 25 * 512 * 512 + normed(512),
        "row3": 25 * 512 * 1024 + normed(1024),
        "row4": 25 * 1024 * 2048 + normed(2048),
        "row5": 0,
        "row6": 8192 * 1024 + normed(1024),
        "row7": 1024 * 64 + normed(64),
    }
    assert count(critic.score) == 64 + 1
    assert critic.embedding is None


def test_the_classifier_of_the_table_is_the_head_of_the_extractor_paper_cnn():
    with torch.device("meta"):
        head = installed().registered("extractor", "paper-cnn").component().build((3, 160, 160), K).head
    assert through(head, torch.zeros(2, *REPORT.shape, device="meta")) == {
        **dict.fromkeys(("row16", "row17", "row18"), (512, 10, 10)),
        "row19": (512, 5, 5),
        "row20": (12_800,),
        "row21": (4096,),
        "row22": (512,),
        "row23": (K,),
    }
    assert {name: count(row) for name, row in head.named_children()} == {
        **dict.fromkeys(("row16", "row17", "row18"), 9 * 512 * 512 + normed(512)),
        "row19": 0,
        "row20": 0,
        "row21": 12_800 * 4096 + normed(4096),
        "row22": 4096 * 512 + normed(512),
        "row23": 512 * K + K,
    }


@pytest.mark.parametrize(("preset", "norm"), [("paper", "batch"), ("dfg", "none")])
def test_the_slope_is_02_and_only_the_paper_has_batch_norm_in_the_critic_but_not_on_its_score(preset, norm):
    generator, critic = players(REPORT, GanFeature(**GanFeature.presets[preset]))
    layers = [*generator.modules(), *critic.modules()]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert any(isinstance(layer, BatchNorm) for layer in critic.modules()) is (norm == "batch")
    assert isinstance(critic.score, nn.Linear)


def test_one_step_of_the_full_sized_players_runs(ctx):
    values = torch.rand(6, *REPORT.shape, generator=rng())
    duel = Duel(replace(PAPER, batch=2), features(values, [1] * K), ctx)
    before = duel.generator.network.row4[0].weight[0, 0].clone()
    verdict = duel.round()
    assert bool(torch.isfinite(verdict.loss))
    assert not torch.equal(duel.generator.network.row4[0].weight[0, 0], before)


def test_one_lesson_of_the_full_sized_head_runs(ctx):
    head = installed().registered("extractor", "paper-cnn").component().build((3, 160, 160), K).head
    train = features(torch.rand(6, *REPORT.shape, generator=rng()), [1] * K)
    duel = Duel(small("stable", batch=2, width=4, head_every=1, guided=True), train, ctx)
    lessons = Lessons(
        duel,
        head,
        budget=1,
        batch=2,
        lr=1e-7,
        rate="lr",
        betas=(0.9, 0.999),
        loss=nn.functional.cross_entropy,
        frozen=False,
    )
    lessons.step(1)
    assert 0 < lessons.figures()["head_change"] < 1e-4


# -- other sizes


@pytest.mark.parametrize("preset", ["paper", "stable", "hinge", "dfg"])
@pytest.mark.parametrize(
    ("shape", "convolutions"),
    [
        ((7, 3, 5), False),
        ((2048,), False),
        ((128, 4, 4), True),
        ((40, 7, 5), True),
        ((6, 14, 14), True),
        ((3, 1, 400), True),
        ((90, 3, 4), True),
        ((20, 23, 9), True),
    ],
)
def test_one_step_works_at_any_size(preset, shape, convolutions, ctx):
    assert convolved(shape) is convolutions
    train = features(torch.rand(8, *shape, generator=rng()), [5, 3])
    alone = {"head_every": 0, "real_every": 0, "guided": False}
    changes = {"z": 4, "width": 8, "steps": 1, "batch": 4, "critic_steps": 1}
    product = fitted(small(preset, **changes, **alone), train, ctx)
    rows = product(torch.tensor([0, 1, 1]), rng())
    assert rows.shape == (3, *shape)
    assert bool(torch.isfinite(rows).all())


def test_larger_maps_get_more_doublings_of_the_table():
    recipe = replace(PAPER, width=8)
    generator, critic = players(FeatureSpace((16, 40, 22), 3), recipe)
    assert through(generator.network, torch.zeros(2, Z + 3, device="meta")) == {
        "row2": (32, 1, 1),
        "row3": (32, 1, 1),
        "row4": (16, 5, 3),
        "row5": (8, 10, 6),
        "row5_2": (8, 20, 11),
        "row5_3": (8, 40, 22),
        "row6": (16, 40, 22),
    }
    assert through(critic.encoder, torch.zeros(2, 16, 40, 22, device="meta")) == {
        "row2": (8, 40, 22),
        "row3": (16, 20, 11),
        "row3_2": (16, 10, 6),
        "row3_3": (16, 5, 3),
        "row4": (32, 2, 1),
        "row5": (64,),
        "row6": (16,),
        "row7": (1,),
    }


def test_the_width_follows_the_channels_of_large_maps():
    generator, _ = players(FeatureSpace((64, 10, 10), 3), PAPER)
    assert generator.network.row2[0].out_features == 256
    generator, critic = players(FeatureSpace((400,), 3), PAPER)
    assert generator.network[0][0].out_features == critic.encoder[1][0].out_features == 256


def test_the_layers_have_the_widths_of_the_method():
    linear = lambda a, b: a * b + b  # noqa: E731
    generator, critic = players(FeatureSpace((400,), 10), GanFeature())
    assert count(generator) == linear(74, 256) + linear(256, 256) + linear(256, 400)
    assert count(critic) == linear(400, 256) + linear(256, 256) + linear(256, 1) + 10 * 256


# -- options


def test_the_critic_is_conditioned_by_projection():
    critic = Critic(FeatureSpace((5,), 3), replace(SMALL, width=7))
    rows = torch.randn(4, 5, generator=rng())
    code = critic.encoder(rows)
    for c in range(3):
        expected = code @ (critic.score.weight[0] + critic.embedding.weight[c]) + critic.score.bias
        assert torch.allclose(critic(rows, torch.full((4,), c)), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (30, 6, 7)])
def test_a_concatenated_label_is_further_channels_and_no_label_is_none(shape):
    space = FeatureSpace(shape, 3)
    rows, labels = torch.randn(4, *shape, generator=rng()), torch.tensor([0, 1, 2, 1])
    with_label = Critic(space, replace(SMALL, condition="concat"))
    planes = torch.eye(3)[labels].reshape(4, 3, *[1] * (len(shape) - 1)).expand(4, 3, *shape[1:])
    expected = with_label.score(with_label.encoder(torch.cat([rows, planes], 1)))[:, 0]
    assert torch.equal(with_label(rows, labels), expected)
    without = Critic(space, replace(SMALL, condition="none"))
    assert torch.equal(without(rows, labels), without(rows, labels.flip(0)))


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: nn.Linear(6, 9), torch.ones(2, 6)),
        (lambda: nn.Conv2d(3, 8, 3), torch.ones(2, 3, 6, 6)),
        (lambda: nn.Embedding(4, 7), torch.tensor([0, 1, 3])),
    ],
    ids=["linear", "conv", "embedding"],
)
def test_power_iteration_finds_the_largest_singular_value(make, inputs):
    torch.manual_seed(0)
    layer = make()
    bias = getattr(layer, "bias", None)
    norm = Spectral(layer)
    for _ in range(100):
        found = norm(inputs)
    largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
    assert norm.sigma().item() == pytest.approx(float(largest), rel=1e-4)
    plain = layer(inputs) / largest
    if bias is not None:
        plain = plain + bias.reshape(-1, *[1] * (plain.ndim - 2))
    assert torch.allclose(found, plain, atol=1e-4)


def test_the_spectral_norm_iterates_once_a_pass_in_training_only():
    torch.manual_seed(0)
    norm = Spectral(nn.Linear(6, 9))
    start, weight = norm.u.clone(), norm.layer.weight
    norm(torch.randn(2, 6))
    v = nn.functional.normalize(weight.T @ start, dim=0)
    once = nn.functional.normalize(weight @ v, dim=0)
    assert torch.allclose(norm.u, once, atol=1e-6)
    norm.eval()(torch.randn(2, 6))
    assert torch.allclose(norm.u, once, atol=1e-6)


def test_spectral_norm_has_the_gradient_of_torchs(ctx):
    torch.manual_seed(0)
    ours, theirs = Spectral(nn.Linear(6, 9)), nn.Linear(6, 9)
    theirs.load_state_dict({"weight": ours.layer.weight.detach(), "bias": ours.bias.detach()})
    theirs = nn.utils.parametrizations.spectral_norm(theirs, n_power_iterations=50)
    inputs = torch.randn(5, 6)
    for _ in range(100):
        ours(inputs)
    ours(inputs).square().sum().backward()
    theirs(inputs).square().sum().backward()
    assert torch.allclose(ours.layer.weight.grad, theirs.parametrizations.weight.original.grad, atol=1e-3)


def test_each_critic_norm_is_where_it_belongs():
    space, kinds = FeatureSpace((30, 6, 7), 3), {"batch": BatchNorm, "layer": nn.GroupNorm, "spectral": Spectral}
    for norm, kind in kinds.items():
        penalty = 0.0 if norm == "batch" else 10.0
        _, critic = players(space, replace(SMALL, critic_norm=norm, penalty=penalty), "cpu")
        assert sum(isinstance(layer, kind) for layer in critic.encoder.modules()) == 3
        assert isinstance(critic.score, Spectral) is (norm == "spectral")


def test_normal_initial_weights_have_deviation_002_and_biases_0():
    torch.manual_seed(0)
    _, critic = players(FeatureSpace((400,), 3), replace(SMALL, width=300, init="normal"), "cpu")
    weight = critic.encoder[1][0].weight.detach()
    assert float(weight.std()) == pytest.approx(0.02, rel=0.02)
    assert float(weight.mean()) == pytest.approx(0, abs=2e-4)
    assert bool((critic.encoder[1][0].bias == 0).all())
    _, critic = players(FeatureSpace((400,), 3), replace(SMALL, init="normal", critic_norm="spectral"), "cpu")
    biases = [module.bias for module in critic.modules() if isinstance(module, Spectral) and module.bias is not None]
    assert biases
    assert all(bool((bias == 0).all()) for bias in biases)
