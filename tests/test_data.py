"""Sets of images and features check what they are given, and share one pool when parts are taken."""

from dataclasses import replace

import pytest
import torch

from benchfw import FeatureSet, FeatureSpace, ImageDataset, ImageSet
from benchfw.data import Synthesis, target_counts
from benchfw.errors import DataError, PluginError

LABELS = torch.tensor([2, 0, 1, 0, 2, 0])


def features(shape=(4,), labels=LABELS, n_classes=3, **changed):
    """Row i holds i in each of its numbers, plus its place in the row / 100."""
    space = FeatureSpace(shape, n_classes)
    place = torch.arange(space.size).reshape(shape) / 100
    values = torch.arange(len(labels)).float().reshape(-1, *[1] * len(shape)) + place
    return FeatureSet(space, values, labels, torch.arange(len(labels)), **changed)


def images(labels=LABELS, shape=(1, 2, 2), **changed):
    pool = torch.arange(len(labels)).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, *shape).contiguous()
    return ImageSet(pool, labels, **changed)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def first_numbers(rows):
    """The row numbers that `features` wrote."""
    return rows.flatten(1)[:, 0].long().tolist()


def negative(labels, rng):
    """Synthetic rows of four numbers that say their class: -1, -2, -3."""
    return -(labels + 1.0)[:, None].expand(-1, 4)


# ---- features ----


def test_rows_are_those_asked_for_in_that_order():
    assert first_numbers(features().rows(torch.tensor([4, 0, 4]))) == [4, 0, 4]


def test_take_shares_the_pool_and_keeps_rows_labels_and_ids_together():
    whole = features()
    part = whole.take(torch.tensor([5, 2, 0])).take(torch.tensor([2, 0]))
    assert part.values.data_ptr() == whole.values.data_ptr()
    assert part.values.shape == whole.values.shape
    assert first_numbers(part.rows(torch.arange(2))) == part.ids.tolist() == [0, 5]
    assert part.labels.tolist() == [2, 0]
    assert len(part) == 2


def test_counts_are_of_the_part_and_name_absent_classes():
    assert features().counts().tolist() == [3, 1, 2]
    assert features().take(torch.tensor([0, 4])).counts().tolist() == [0, 0, 2]


def test_rows_of_a_class_come_in_the_order_of_the_set():
    assert first_numbers(features().of_class(0)) == [1, 3, 5]
    assert first_numbers(features().take(torch.tensor([5, 4, 3, 0])).of_class(0)) == [5, 3]
    assert features().take(torch.tensor([0])).of_class(1).shape == (0, 4)


def test_nth_row_of_a_label_is_the_floor_of_position_times_count():
    labels = torch.tensor([0, 0, 0, 2, 2, 1])
    position = torch.tensor([0.0, 0.34, 0.999999999, 0.49, 0.5, 0.7], dtype=torch.float64)
    assert features().nth(labels, position).tolist() == [1, 3, 5, 0, 4, 2]


def test_position_that_rounds_to_one_is_still_in_the_class():
    assert features().nth(torch.tensor([0]), torch.tensor([1.0])).tolist() == [5]


def test_nth_row_of_an_absent_class_is_an_error_that_names_it():
    with pytest.raises(DataError, match=r"^features: class 1 has no training row to draw from; wants at least 1$"):
        features().take(torch.tensor([0, 1])).nth(torch.tensor([0, 1]), torch.tensor([0.5, 0.5]))


def test_draw_gives_real_rows_of_the_labels_each_about_as_often():
    labels = torch.tensor([0, 2] * 1500)
    drawn = torch.tensor(first_numbers(features().draw(labels, generator())))
    assert torch.equal(LABELS[drawn], labels)
    times = drawn.bincount(minlength=6).tolist()
    assert times[2] == 0
    assert [times[i] for i in (1, 3, 5)] == pytest.approx([500] * 3, abs=90)  # five deviations
    assert [times[i] for i in (0, 4)] == pytest.approx([750] * 2, abs=100)


def test_same_generator_draws_the_same_rows():
    labels = torch.tensor([0] * 50)
    assert torch.equal(features().draw(labels, generator(3)), features().draw(labels, generator(3)))
    assert not torch.equal(features().draw(labels, generator(3)), features().draw(labels, generator(4)))


def test_scale_is_the_root_of_the_mean_variance_over_the_taken_rows():
    part = features((2, 1, 2)).take(torch.tensor([0, 2, 4]))
    assert part.scale() == pytest.approx(part.numpy()[0].reshape(3, -1).var(axis=0).mean() ** 0.5)
    assert part.scale() == pytest.approx((8 / 3) ** 0.5)


def test_without_synthesis_targets_are_the_counts_and_the_prior_is_natural():
    found = features()
    assert found.targets.tolist() == [3, 1, 2]
    assert found.prior.tolist() == found.natural_prior.tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])


def test_synthesis_moves_targets_and_prior_but_not_counts():
    found = features(synthesis=Synthesis(negative, torch.tensor([3, 3, 3]), seed=0))
    assert found.targets.tolist() == [3, 3, 3]
    assert found.prior.tolist() == pytest.approx([1 / 3] * 3)
    assert found.natural_prior.tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])
    assert len(found) == 6


@pytest.mark.parametrize(
    ("fill", "targets"), [(0.0, [100, 40, 5]), (1.0, [100, 100, 100]), (0.2, [100, 52, 24]), (0.5, [100, 70, 53])]
)
def test_target_counts_fill_their_share_of_the_deficit(fill, targets):
    assert target_counts(torch.tensor([100, 40, 5]), fill).tolist() == targets


def test_finite_set_is_the_real_rows_then_the_missing_ones_of_each_class():
    values, labels = features(synthesis=Synthesis(negative, torch.tensor([3, 3, 4]), seed=0)).numpy()
    assert values[:, 0].tolist() == [0, 1, 2, 3, 4, 5, -2, -2, -3, -3]
    assert labels.tolist() == [*LABELS.tolist(), 1, 1, 2, 2]


def test_finite_set_is_the_same_each_time_and_differs_with_the_seed():
    def noise(labels, rng):
        return torch.randn(len(labels), 4, generator=rng)

    first, again, other = (
        features(synthesis=Synthesis(noise, torch.tensor([3, 3, 3]), seed)).numpy()[0] for seed in (7, 7, 8)
    )
    assert (first == again).all()
    assert (first[6:] != other[6:]).all()


def test_finite_set_asks_for_many_synthetic_rows_in_blocks():
    asked = []

    def numbered(labels, rng):
        asked.append(len(labels))
        return torch.rand(len(labels), 4, generator=rng) - labels[:, None] - 2

    values, labels = features(synthesis=Synthesis(numbered, torch.tensor([3, 3, 10_002]), seed=0)).numpy()
    assert asked == [4096, 4096, 1810]  # 2 of class 1, 10,000 of class 2
    assert len(values) == len(labels) == 6 + 2 + 10_000
    assert ((values[6:, 0] + 2 + labels[6:] >= 0) & (values[6:, 0] + 2 + labels[6:] < 1)).all()  # each of its label
    assert len(set(values[8:, 0].tolist())) > 9_900  # one generator: no block repeats another


def test_finite_set_without_a_deficit_asks_for_no_synthetic_row():
    def refuse(labels, rng):
        raise AssertionError

    assert len(features(synthesis=Synthesis(refuse, torch.tensor([3, 1, 2]), seed=0)).numpy()[1]) == 6


def test_flat_keeps_every_number_and_copies_none():
    maps = features((2, 3, 2), synthesis=Synthesis(lambda labels, rng: torch.ones(len(labels), 2, 3, 2), LABELS, 0))
    flat = maps.flat()
    assert flat.space.shape == (12,)
    assert flat.space.new_head() is None
    assert flat.values.data_ptr() == maps.values.data_ptr()
    assert torch.equal(flat.rows(torch.arange(6)).reshape(-1, 2, 3, 2), maps.rows(torch.arange(6)))
    assert flat.synthesis.sample(LABELS, generator()).shape == (6, 12)


def test_flat_of_a_part_is_of_that_part():
    assert first_numbers(features((2, 1, 2)).take(torch.tensor([4, 1])).flat().rows(torch.arange(2))) == [4, 1]


def test_pooled_is_the_mean_of_each_channel_for_real_and_synthetic_rows():
    maps = features((2, 3, 2), synthesis=Synthesis(lambda labels, rng: torch.ones(len(labels), 2, 3, 2), LABELS, 0))
    pooled = maps.pooled()
    assert pooled.space.shape == (2,)
    assert torch.allclose(pooled.rows(torch.arange(6)), maps.rows(torch.arange(6)).mean((2, 3)))
    assert pooled.synthesis.sample(LABELS, generator()).tolist() == [[1, 1]] * 6


def test_vectors_are_flat_and_pooled_already():
    vectors = features()
    assert vectors.flat() is vectors
    assert vectors.pooled() is vectors


def test_head_of_a_space_is_a_fresh_copy_each_time():
    space = FeatureSpace((4,), 3, head=lambda: torch.nn.Linear(4, 3))
    assert space.new_head() is not space.new_head()
    assert FeatureSpace((4,), 3).new_head() is None


@pytest.mark.parametrize(("shape", "layout", "size"), [((4,), "vector", 4), ((2, 3, 5), "map", 30)])
def test_space_knows_its_layout_and_size(shape, layout, size):
    assert (FeatureSpace(shape, 3).layout, FeatureSpace(shape, 3).size) == (layout, size)


@pytest.mark.parametrize("shape", [(), (2, 3), (1, 2, 3, 4), (0,), (2, 0, 3)])
def test_space_of_another_shape_is_refused(shape):
    with pytest.raises(PluginError) as caught:
        FeatureSpace(shape, 3)
    assert str(caught.value) == f"feature shape: wants (D,) or (C, H, W), found {shape}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": FeatureSpace((2, 2, 1), 3)}, "feature values have shape (6, 4), but the space is (2, 2, 1)"),
        ({"values": torch.zeros(6, 4).double()}, "feature values: wants float32, found torch.float64"),
        ({"labels": LABELS[:5]}, "features: labels: wants int64 (6,), found torch.int64 (5,)"),
        ({"labels": LABELS[:, None]}, "features: labels: wants int64 (6,), found torch.int64 (6, 1)"),
        ({"labels": LABELS.float()}, "features: labels: wants int64 (6,), found torch.float32 (6,)"),
        ({"ids": torch.arange(7)}, "features: ids: wants int64 (6,), found torch.int64 (7,)"),
        ({"index": torch.arange(2)}, "features: labels: wants int64 (2,), found torch.int64 (6,)"),
    ],
)
def test_features_that_do_not_belong_together_are_the_plugins_error(change, message):
    with pytest.raises(PluginError) as caught:
        replace(features(), **change)
    assert str(caught.value) == message


@pytest.mark.parametrize(("label", "found"), [(3, "0..3"), (-1, "-1..2")])
def test_features_with_a_label_outside_the_classes_are_refused(label, found):
    labels = LABELS.clone()
    labels[1] = label
    with pytest.raises(DataError) as caught:
        features(labels=labels)
    assert str(caught.value) == f"features: wants labels in 0..2, found {found}"


# ---- images ----


def test_images_taken_twice_share_the_pool_and_keep_all_columns_together():
    whole = images(groups=LABELS + 10, ids=torch.arange(6) + 100)
    part = whole.take(torch.tensor([5, 2, 0])).take(torch.tensor([2, 0]))
    assert part.pool.data_ptr() == whole.pool.data_ptr()
    assert part.rows(torch.arange(2))[:, 0, 0, 0].tolist() == [0, 5]
    assert (part.labels.tolist(), part.groups.tolist(), part.ids.tolist()) == ([2, 0], [12, 10], [100, 105])
    assert (len(part), part.image_shape) == (2, (1, 2, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": torch.zeros(6, 1, 2, 2)}, "images: wants uint8 (N, C, H, W), found torch.float32 (6, 1, 2, 2)"),
        ({"pool": torch.zeros(6, 2, 2).byte()}, "images: wants uint8 (N, C, H, W), found torch.uint8 (6, 2, 2)"),
        ({"labels": LABELS[1:]}, "labels: wants int64 (6,), found torch.int64 (5,)"),
        ({"labels": LABELS.int()}, "labels: wants int64 (6,), found torch.int32 (6,)"),
        ({"groups": LABELS[:, None]}, "groups: wants int64 (6,), found torch.int64 (6, 1)"),
        ({"ids": LABELS.float()}, "ids: wants int64 (6,), found torch.float32 (6,)"),
    ],
)
def test_images_that_do_not_belong_together_are_refused(change, message):
    with pytest.raises(DataError) as caught:
        replace(images(), **change)
    assert str(caught.value) == message


def test_data_set_numbers_its_samples_through_all_parts():
    made = ImageDataset(images(), ("a", "b", "c"), val=images(torch.tensor([0, 1])), test=images(torch.tensor([2])))
    assert made.train.ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert made.val.ids.tolist() == [6, 7]
    assert made.test.ids.tolist() == [8]
    assert made.n_classes == 3


@pytest.mark.parametrize(
    ("parts", "names", "message"),
    [
        ({}, ("a", "b"), "train: wants labels in 0..1, found 0..2"),
        ({"test": images(torch.tensor([7]))}, ("a", "b", "c"), "test: wants labels in 0..2, found 7..7"),
        (
            {"val": images(shape=(3, 2, 2))},
            ("a", "b", "c"),
            "val: wants images of shape (1, 2, 2) like train, found (3, 2, 2)",
        ),
        ({}, ("a", "b", "a"), "class_names: wants 3 different names, found ['a', 'b', 'a']"),
    ],
)
def test_data_set_whose_parts_disagree_is_refused(parts, names, message):
    with pytest.raises(DataError) as caught:
        ImageDataset(images(), names, **parts)
    assert str(caught.value) == message


def test_fingerprint_is_of_the_decoded_data_however_it_lies_in_memory():
    once = ImageDataset(images(), ("a", "b", "c"))
    order = torch.tensor([3, 5, 0, 1, 2, 4])
    shuffled = ImageSet(images().pool[order.argsort()], LABELS[order.argsort()]).take(order)
    transposed = ImageSet(images().pool.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1), LABELS)
    assert torch.equal(shuffled.labels, LABELS)
    for other in (images(), shuffled, transposed):
        assert ImageDataset(other, ("x", "y", "z")).fingerprint == once.fingerprint


def test_fingerprint_changes_with_pixel_label_order_and_part():
    changed_pixel = images().pool.clone()
    changed_pixel[3, 0, 1, 1] += 1
    others = [
        ImageDataset(images(), ("a", "b", "c")),
        ImageDataset(ImageSet(changed_pixel, LABELS), ("a", "b", "c")),
        ImageDataset(replace(images(), labels=LABELS.flip(0)), ("a", "b", "c")),
        ImageDataset(images().take(torch.arange(6).flip(0)), ("a", "b", "c")),
        ImageDataset(images().take(torch.arange(5)), ("a", "b", "c")),
        ImageDataset(images().take(torch.arange(5)), ("a", "b", "c"), test=images().take(torch.tensor([5]))),
        ImageDataset(images().take(torch.arange(5)), ("a", "b", "c"), val=images().take(torch.tensor([5]))),
        ImageDataset(images(shape=(1, 4, 1)), ("a", "b", "c")),
    ]
    assert len({made.fingerprint for made in others}) == len(others)
