"""The networks have the shapes, the sizes and the cut that their tables state."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.feature_selection import f_classif
from torch import nn
from torch.nn import functional as F

from benchfw import CannotRun, ImageSet
from benchfw.components import Component, label
from benchfw.seeding import isolated
from benchfw.training import Network, image_batches
from benchfw_paper_cnn import LeNet5, PaperCNN
from benchfw_paper_cnn.pruning import PrunedHead, class_moments, fisher_ratio
from benchfw_pixels import Pixels

CONV_64, CONV_128, CONV_256, CONV_512 = (
    [(2, (64, 160, 160)), (3, (64, 160, 160)), (4, (64, 80, 80))],
    [(5, (128, 80, 80)), (6, (128, 80, 80)), (7, (128, 40, 40)), (8, (128, 40, 40)), (9, (128, 40, 40))],
    [(10, (256, 40, 40)), (11, (256, 20, 20)), (12, (256, 20, 20)), (13, (256, 20, 20))],
    [(14, (512, 20, 20)), (15, (512, 10, 10))],
)
BODY_OUTPUTS = [(1, (3, 160, 160)), *CONV_64, *CONV_128, *CONV_256, *CONV_512]
HEAD_OUTPUTS = [(row, (512, 10, 10)) for row in (16, 17, 18)]
HEAD_OUTPUTS += [(19, (512, 5, 5)), (20, (12800,)), (21, (4096,)), (22, (512,)), (23, (6,))]
PARAMETERS = {  # 3x3 weights and two batch norm numbers for each channel; rows without any are 0
    2: 3 * 64 * 9 + 2 * 64,
    3: 64 * 64 * 9 + 2 * 64,
    5: 64 * 128 * 9 + 2 * 128,
    6: 128 * 128 * 9 + 2 * 128,
    8: 128 * 128 * 9 + 2 * 128,
    9: 128 * 128 * 9 + 2 * 128,
    10: 128 * 256 * 9 + 2 * 256,
    12: 256 * 256 * 9 + 2 * 256,
    13: 256 * 256 * 9 + 2 * 256,
    14: 256 * 512 * 9 + 2 * 512,
    16: 512 * 512 * 9 + 2 * 512,
    17: 512 * 512 * 9 + 2 * 512,
    18: 512 * 512 * 9 + 2 * 512,
    21: 12800 * 4096 + 2 * 4096,
    22: 4096 * 512 + 2 * 512,
    23: 512 * 6 + 6,
}


def named(value):
    return label(value) if isinstance(value, Component) else str(value)


def images(n, channels, side):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, side, side), generator=rng, dtype=torch.uint8)


def built(component, shape, classes=10):
    with isolated(0):
        return component.build(shape, classes).eval()


def outputs(network, batch):
    """(module name, output shape without the batch) of each direct child, in the order in which they ran."""
    seen = []
    for part in (network.body, network.head):
        for name, child in part.named_children():
            child.register_forward_hook(lambda _, __, out, name=name: seen.append((name, tuple(out.shape[1:]))))
    with torch.no_grad():
        network(batch)
    return seen


def kinds(module, kind):
    return [child for child in module.modules() if isinstance(child, kind)]


def fitted(component, train, ctx):
    network = built(component, train.image_shape)
    component.fit(network, train, None, ctx)
    return network


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def accuracy(network, samples):
    with torch.no_grad():
        return (network(samples.rows(torch.arange(len(samples)))).argmax(1) == samples.labels).double().mean()


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):  # shapes without numbers
        return PaperCNN().build((3, 160, 160), 6).eval()


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    pixels = torch.from_numpy(data.images * 15).to(torch.uint8)[:, None]  # 0..16 to 0..240
    return ImageSet(pixels, torch.from_numpy(data.target).long())


def test_paper_cnn_has_the_output_of_every_row_of_the_table(paper):
    batch = torch.empty(1, 3, 160, 160, dtype=torch.uint8, device="meta")
    assert outputs(paper, batch) == [(f"row{row}", shape) for row, shape in BODY_OUTPUTS + HEAD_OUTPUTS]


def test_paper_cnn_has_the_parameters_of_every_row_of_the_table(paper):
    rows = [*paper.body.named_children(), *paper.head.named_children()]
    assert [name for name, _ in rows] == [f"row{row}" for row in range(1, 24)]
    found = {int(name[3:]): sum(p.numel() for p in module.parameters()) for name, module in rows}
    assert found == {row: PARAMETERS.get(row, 0) for row in range(1, 24)}


def test_paper_cnn_has_batch_norm_then_leaky_relu_in_every_row_but_the_last(paper):
    rows = dict([*paper.body.named_children(), *paper.head.named_children()])
    for row in PARAMETERS.keys() - {23}:
        _, norm, activation = rows[f"row{row}"]
        assert isinstance(norm, nn.BatchNorm1d if row > 20 else nn.BatchNorm2d)
        assert activation.negative_slope == 0.2
    assert isinstance(rows["row23"], nn.Linear)
    assert {type(rows[f"row{row}"]) for row in (4, 7, 11, 15, 19)} == {nn.MaxPool2d}


def test_the_defaults_of_paper_cnn_are_the_papers_settings():
    component = PaperCNN()
    assert (component.lr, component.batch, component.epochs, component.steps) == (1e-4, 40, 50, None)
    assert (component.width, component.slope, component.tap, component.bn_logits) == (1, 0.2, 15, False)


@pytest.mark.parametrize(
    ("component", "shape"),
    [
        (PaperCNN(width=0.125), (3, 160, 160)),
        (PaperCNN(width=0.0625, bn_logits=True), (1, 28, 28)),
        (PaperCNN(width=0.0625, tap=22), (1, 8, 8)),
        (PaperCNN(width=0.0625, pool="avg"), (1, 28, 28)),
        (LeNet5(), (1, 28, 28)),
        (LeNet5(head="120-84"), (3, 40, 36)),
        (LeNet5(tap="pool1"), (3, 31, 33)),
        (LeNet5(tap="pool2-map", width=0.5), (1, 28, 28)),
    ],
    ids=named,
)
def test_head_of_body_is_the_network_to_the_last_digit(component, shape):
    network = built(component, shape)
    batch = torch.randint(0, 256, (4, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        logits = network(batch)
        assert torch.equal(network.head(network.body(batch)), logits)
    assert logits.shape == (4, 10)
    assert len(logits.unique(dim=0)) == 4


@pytest.mark.parametrize(
    ("side", "body_pools", "map_side"), [(3, 0, 3), (8, 1, 4), (28, 2, 7), (32, 3, 4), (64, 4, 4), (160, 4, 10)]
)
def test_paper_cnn_keeps_as_many_body_pools_as_leave_a_map_of_4x4(side, body_pools, map_side):
    network = built(PaperCNN(width=0.02), (1, side, side))
    features = network.body(images(2, 1, side))
    assert features.shape == (2, 10, map_side, map_side)
    assert [name for name, m in network.body.named_children() if isinstance(m, nn.MaxPool2d)] == [
        f"row{row}" for row in (4, 7, 11, 15)[:body_pools]
    ]
    assert len(kinds(network.head, nn.MaxPool2d)) == 1


def test_paper_cnn_drops_the_heads_pool_on_a_map_of_1x1():
    network = built(PaperCNN(width=0.02), (1, 1, 5))
    assert not kinds(network, nn.MaxPool2d)
    assert network(torch.zeros(2, 1, 1, 5, dtype=torch.uint8)).shape == (2, 10)


def test_width_scales_channels_and_hidden_units_and_never_below_1():
    network = built(PaperCNN(width=0.0625), (1, 8, 8))
    assert [m.out_channels for m in kinds(network, nn.Conv2d)] == [4, 4, 8, 8, 8, 8, 16, 16, 16, 32, 32, 32, 32]
    assert [m.out_features for m in kinds(network, nn.Linear)] == [256, 32, 10]
    thinnest = built(PaperCNN(width=1e-4), (1, 8, 8))
    assert {m.out_channels for m in kinds(thinnest, nn.Conv2d)} == {1}


@pytest.mark.parametrize(("tap", "shape"), [(7, (8, 7, 7)), (18, (32, 7, 7)), (20, (288,)), (22, (32,))])
def test_tap_chooses_the_row_that_gives_the_features(tap, shape):
    component = PaperCNN(width=0.0625, tap=tap)
    assert built(component, (1, 28, 28)).body(images(2, 1, 28)).shape == (2, *shape)
    assert component.layout == ("vector" if len(shape) == 1 else "map")


def test_bn_logits_puts_batch_norm_on_the_logits():
    network = built(PaperCNN(width=0.02, bn_logits=True), (1, 8, 8)).train()
    logits = network(images(64, 1, 8))
    torch.testing.assert_close(logits.mean(0), torch.zeros(10), atol=1e-5, rtol=0)


def test_bodies_scale_pixels_to_minus_1_and_1():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 1, 28, 2).repeat(1, 1, 1, 14)
    for component, scaling in ((PaperCNN(width=0.02), "row1"), (LeNet5(), "1")):
        scaled = built(component, (1, 28, 28)).body.get_submodule(scaling)(ends)
        assert scaled.unique().tolist() == [-1, 1]


def test_pool_chooses_the_kind_of_row_19_alone():
    largest, average = (built(PaperCNN(width=0.02, pool=pool), (1, 28, 28)) for pool in ("max", "avg"))
    assert [type(network.head.row19) for network in (largest, average)] == [nn.MaxPool2d, nn.AvgPool2d]
    assert len(kinds(average.body, nn.MaxPool2d)) == 2
    assert torch.equal(weights(largest), weights(average))


def test_paper_cnn_takes_a_step_of_the_papers_rate_at_its_full_size(ctx):
    component = PaperCNN(steps=1, batch=2)
    network = built(component, (3, 160, 160), classes=6)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    component.fit(network, ImageSet(images(2, 3, 160), torch.tensor([0, 5])), None, ctx)
    moved = [float((a - b).detach().abs().max()) for a, b in zip(network.parameters(), before, strict=True)]
    assert moved == pytest.approx([1e-4] * len(moved), rel=0.02)  # Adam's first step: the rate, whatever the slope


def test_extractors_are_trained_with_adams_usual_betas(digits, ctx):
    component = PaperCNN(width=0.05, steps=6, batch=8)
    network, expected = (built(component, (1, 8, 8)).train() for _ in range(2))
    adam = torch.optim.Adam(expected.parameters(), lr=1e-4, betas=(0.9, 0.999))
    for values, labels in image_batches(digits, steps=6, batch=8, ctx=ctx):
        adam.zero_grad()
        F.cross_entropy(expected(values), labels).backward()
        adam.step()
    component.fit(network, digits, None, ctx)
    torch.testing.assert_close(weights(network), weights(expected), atol=1e-6, rtol=0)


def test_tiny_paper_cnn_learns_the_digits_and_still_knows_them_when_pruned(digits, ctx):
    tiny = replace(PaperCNN(**PaperCNN.presets["tiny"]), steps=60, channels=32)  # a part of its steps is enough here
    train, held_out = digits.take(torch.arange(0, 1400)), digits.take(torch.arange(1400, 1797))
    network = fitted(tiny, train, ctx)
    assert accuracy(network.whole, held_out) > 0.8
    assert accuracy(network, held_out) > 0.6  # by half of its 64 channels


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 32, 32), (3, 31, 17)])
def test_lenet5_gives_400_features_for_images_up_to_32x32(shape):
    network = built(LeNet5(), shape)
    batch = torch.zeros(2, *shape, dtype=torch.uint8)
    assert network.body(batch).shape == (2, 400)
    assert [(m.in_features, m.out_features) for m in kinds(network, nn.Linear)] == [(400, 1024), (1024, 128), (128, 10)]


def test_lenet5_pads_28x28_by_two_black_pixels_on_every_side():
    padded = built(LeNet5(), (1, 28, 28)).body[0](torch.full((1, 1, 28, 28), 255, dtype=torch.uint8))
    expected = torch.zeros(32, 32, dtype=torch.uint8)
    expected[2:30, 2:30] = 255
    assert torch.equal(padded[0, 0], expected)


@pytest.mark.parametrize(("side", "size"), [(40, 16 * 7 * 7), (64, 16 * 13 * 13)])
def test_lenet5_gives_a_longer_vector_for_larger_images(side, size):
    network = built(LeNet5(), (3, side, side))
    assert network.body(images(2, 3, side)).shape == (2, size)
    assert network(images(2, 3, side)).shape == (2, 10)


def test_lenet5_classical_head_is_400_120_84():
    classical = LeNet5(**LeNet5.presets["classical"])
    assert label(classical) == "lenet5@classical"
    linears = kinds(built(classical, (1, 28, 28), classes=7), nn.Linear)
    assert [(m.in_features, m.out_features) for m in linears] == [(400, 120), (120, 84), (84, 7)]


@pytest.mark.parametrize(
    ("tap", "shape", "layout"),
    [("pool1", (6, 14, 14), "map"), ("pool2-map", (16, 5, 5), "map"), ("pool2", (400,), "vector")],
)
def test_lenet5_cuts_one_network_at_the_tap(tap, shape, layout):
    component, batch = LeNet5(tap=tap), images(3, 1, 28)
    network = built(component, (1, 28, 28))
    assert network.body(batch).shape == (3, *shape)
    assert component.layout == layout
    assert torch.equal(network(batch), built(LeNet5(), (1, 28, 28))(batch))


def test_lenet5_starts_with_its_layers_in_their_order_from_torchs_initialisation():
    network = built(LeNet5(), (1, 28, 28))
    with isolated(0):
        expected = [nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 1024), nn.Linear(1024, 128)]
        expected.append(nn.Linear(128, 10))
    names = ("body.2", "body.5", "head.0", "head.2", "head.4")
    assert list(network.state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    assert torch.equal(weights(network), torch.cat([weights(layer) for layer in expected]))


def test_width_scales_lenet5():
    network = built(LeNet5(width=0.5), (1, 28, 28))
    assert [m.out_channels for m in kinds(network, nn.Conv2d)] == [3, 8]
    assert [(m.in_features, m.out_features) for m in kinds(network, nn.Linear)] == [(200, 512), (512, 64), (64, 10)]


def test_lenet5_has_the_parameters_of_the_published_body():
    body = built(LeNet5(), (1, 28, 28)).body
    assert sum(p.numel() for p in body.parameters()) == (25 + 1) * 6 + (25 * 6 + 1) * 16


PRUNED = [
    (PaperCNN(width=0.0625, steps=2, channels=5), (5, 4, 4), 32),
    (PaperCNN(width=0.0625, steps=2, tap=4, channels=3), (3, 4, 4), 4),
    (PaperCNN(width=0.0625, steps=2, tap=20, channels=9), (9,), 128),
    (PaperCNN(width=0.0625, steps=2, tap=22, channels=32), (32,), 32),
    (LeNet5(steps=2, channels=100), (100,), 400),
    (LeNet5(steps=2, tap="pool2-map", channels=4, width=0.5), (4, 5, 5), 8),
    (LeNet5(steps=2, tap="pool1", channels=2), (2, 14, 14), 6),
]
all_pruned = pytest.mark.parametrize(("component", "shape", "channels"), PRUNED, ids=named)


@all_pruned
def test_pruned_features_are_the_channels_with_the_largest_fisher_ratios(component, shape, channels, digits, ctx):
    network, batch = fitted(component, digits, ctx), digits.rows(torch.arange(50))
    with torch.no_grad():
        everything, features = network.whole.body(batch), network.body(batch)
    ratio = fisher_ratio(*class_moments(network.whole.body, digits, channels=channels, ctx=ctx))
    kept = network.body.index
    assert features.shape[1:] == shape
    assert torch.equal(features, everything[:, kept])
    assert kept.tolist() == sorted(kept.tolist())
    dropped = [channel for channel in range(channels) if channel not in kept]
    assert not dropped or ratio[kept].min() >= ratio[dropped].max()


@all_pruned
def test_the_pruned_head_meets_dropped_channels_at_their_training_means(component, shape, channels, digits, ctx):
    network = fitted(component, digits, ctx)
    with torch.no_grad():
        everything = network.whole.body(digits.rows(torch.arange(len(digits))))  # (N, C, ...)
        mean = everything.transpose(0, 1).flatten(1).mean(1)  # (C,)
        torch.testing.assert_close(network.head.mean, mean)
        features = everything[:20].clone()
        for channel in set(range(channels)) - set(network.body.index.tolist()):
            features[:, channel] = network.head.mean[channel]
        assert torch.equal(network(digits.rows(torch.arange(20))), network.whole.head(features))


@all_pruned
def test_pruning_to_all_channels_changes_no_digit(component, shape, channels, digits, ctx):
    batch = digits.rows(torch.arange(20))
    plain = fitted(replace(component, channels=None), digits, ctx)
    pruned = fitted(replace(component, channels=channels), digits, ctx)
    with torch.no_grad():
        assert torch.equal(pruned.body(batch), plain.body(batch))
        assert torch.equal(pruned.head(pruned.body(batch)), plain(batch))


@all_pruned
def test_pruning_follows_the_training_and_does_not_change_it(component, shape, channels, digits, ctx):
    plain = fitted(replace(component, channels=None), digits, ctx)
    assert type(plain) is Network
    assert torch.equal(weights(fitted(component, digits, ctx)), weights(plain))


@all_pruned
def test_a_pruned_network_comes_back_from_its_state(component, shape, channels, digits, ctx):
    network, batch = fitted(component, digits, ctx), digits.rows(torch.arange(20))
    again = built(component, digits.image_shape)
    again.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(again(batch), network(batch))
    assert torch.equal(again.body.index, network.body.index)


def test_validation_images_have_no_say_in_pruning(digits, ctx):
    component = LeNet5(steps=2, channels=20)
    train, val = digits.take(torch.arange(0, 500)), digits.take(torch.arange(500, 1797))
    network = built(component, digits.image_shape)
    component.fit(network, train, val, ctx)
    alone = fitted(component, train, ctx).state_dict()
    assert all(torch.equal(values, alone[name]) for name, values in network.state_dict().items())


def test_fisher_ratio_is_that_of_the_analysis_of_variance_for_equal_classes():
    data = load_digits(n_class=3)
    chosen = torch.cat([torch.from_numpy(data.target == c).nonzero()[:150, 0] for c in range(3)])
    values, labels = torch.from_numpy(data.data)[chosen], torch.from_numpy(data.target)[chosen].long()
    varying = values.std(0) > 0
    statistic, _ = f_classif(values[:, varying], labels)
    ratio = fisher_ratio(*moments(values, labels))
    torch.testing.assert_close(ratio[varying], torch.from_numpy(statistic) * (3 - 1) / (450 - 3))
    assert 0 < int((~varying).sum()) == int((ratio == 0).sum())


def test_fisher_ratio_does_not_depend_on_the_sizes_of_the_classes():
    values, labels = torch.randn(90, 7, dtype=torch.float64), torch.arange(90) % 3
    more = [values, *[values[labels == 1]] * 9]
    imbalanced = moments(torch.cat(more), torch.cat([labels, torch.ones(270, dtype=torch.int64)]))
    torch.testing.assert_close(fisher_ratio(*imbalanced), fisher_ratio(*moments(values, labels)))


def test_fisher_ratio_leaves_out_classes_without_images():
    values, labels = torch.randn(90, 7, dtype=torch.float64), torch.arange(90) % 3
    torch.testing.assert_close(fisher_ratio(*moments(values, 2 * labels)), fisher_ratio(*moments(values, labels)))


def test_fisher_ratio_does_not_take_rounding_for_a_difference():
    values = torch.full((60, 2), 0.3, dtype=torch.float64)
    labels = torch.arange(60) % 2
    values[:, 0] += 1e-8 * labels  # what float32 does to a constant
    values[:, 1] += labels
    rounding, difference = fisher_ratio(*moments(values, labels))
    assert rounding < 0.01
    assert difference > 1e6


def moments(values, labels):
    """Images, sums and sums of squares of each class."""
    member = F.one_hot(labels).double().T  # (K, N)
    return member.sum(1), member @ values, member @ values.square()


@pytest.mark.parametrize(
    ("component", "channels"),
    [(PaperCNN(width=0.0625, channels=33), 32), (LeNet5(channels=401), 400), (LeNet5(tap="pool1", channels=7), 6)],
    ids=named,
)
def test_more_channels_than_there_are_cannot_be_kept(component, channels):
    message = f"channels={channels + 1}, but its features have {channels} at this tap and width; set channels to "
    with pytest.raises(CannotRun, match=message):
        component.build((1, 28, 28), 10)


def test_a_generator_learns_through_a_pruned_head(digits, ctx):
    network = fitted(LeNet5(steps=2, tap="pool2-map", channels=4), digits, ctx)
    features = network.body(digits.rows(torch.arange(8))).detach().requires_grad_()
    network.head(features).logsumexp(1).sum().backward()
    assert bool((features.grad.abs().amax((0, 2, 3)) > 0).all())


def test_a_pruned_head_takes_features_of_half_precision():
    head = PrunedHead(nn.Identity(), keep=2, channels=3)
    restored = head(torch.ones(4, 2, 5, 5, dtype=torch.bfloat16))
    assert restored.dtype == torch.bfloat16
    assert restored.sum((0, 2, 3)).tolist() == [100, 100, 0]


def test_pruning_measures_with_the_running_statistics_and_keeps_them(digits, ctx):
    network = fitted(PaperCNN(width=0.0625, steps=2, channels=5), digits, ctx)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    network.train().prune(digits, ctx)
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_pixels_are_the_image_between_0_and_1(ctx):
    batch = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    features = Pixels().embed(batch, ctx)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, torch.tensor([[0, 0.2, 1]]))


def test_pixels_are_vectors_or_maps_of_the_same_numbers(ctx):
    batch = torch.arange(24, dtype=torch.uint8).view(1, 2, 3, 4)
    vector, image = Pixels(), Pixels(flat=False)
    assert (vector.layout, image.layout) == ("vector", "map")
    assert image.embed(batch, ctx).shape == batch.shape
    torch.testing.assert_close(image.embed(batch, ctx).flatten(1), vector.embed(batch, ctx))


@pytest.mark.parametrize(
    ("component", "warnings"),
    [
        (
            LeNet5(steps=1, epochs=2.0),
            ["lenet5@steps=1,epochs=2.0: epochs=2 is not used, since steps=1; give steps=none too"],
        ),
        (LeNet5(steps=1), []),
        (LeNet5(steps=None, epochs=1.0), []),
    ],
)
def test_epochs_that_are_not_used_are_said(component, warnings, ctx):
    train = ImageSet(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    component.fit(built(component, (1, 8, 8), classes=2), train, None, ctx)
    assert ctx.warnings == warnings
