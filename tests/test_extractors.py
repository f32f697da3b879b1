"""The networks have the shapes, the sizes and the cut that their tables state."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from benchfw import ImageSet
from benchfw.components import label
from benchfw.seeding import isolated
from benchfw_paper_cnn import LeNet5, PaperCNN
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


@pytest.fixture(scope="module")
def paper():
    return built(PaperCNN(), (3, 160, 160), classes=6)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    pixels = torch.from_numpy(data.images * 15).to(torch.uint8)[:, None]  # 0..16 to 0..240
    return ImageSet(pixels, torch.from_numpy(data.target).long())


def test_paper_cnn_has_the_output_of_every_row_of_the_table(paper):
    assert outputs(paper, images(1, 3, 160)) == [(f"row{row}", shape) for row, shape in BODY_OUTPUTS + HEAD_OUTPUTS]


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
        (LeNet5(), (1, 28, 28)),
        (LeNet5(head="120-84"), (3, 40, 36)),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else label(value),
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


def test_tiny_paper_cnn_learns_the_digits(digits, ctx):
    tiny = replace(PaperCNN(**PaperCNN.presets["tiny"]), steps=60)  # a part of its steps is enough here
    train, held_out = digits.take(torch.arange(0, 1400)), digits.take(torch.arange(1400, 1797))
    with isolated(0):
        network = tiny.build(digits.image_shape, 10)
        tiny.fit(network, train, None, ctx)
    with torch.no_grad():
        correct = network(held_out.rows(torch.arange(397))).argmax(1) == held_out.labels
    assert correct.double().mean() > 0.8


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


def test_lenet5_has_the_parameters_of_the_published_body():
    body = built(LeNet5(), (1, 28, 28)).body
    assert sum(p.numel() for p in body.parameters()) == (25 + 1) * 6 + (25 * 6 + 1) * 16


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
