"""Splits are disjoint, stratified, keep groups whole, and depend on what the seeds' table says."""

import pytest
import torch

from benchfw import ImageDataset, ImageSet
from benchfw.errors import CannotRun, DataError
from benchfw.imbalance import Imbalance
from benchfw.splits import hold_out, split

AXES = {"dataset": "toy", "imbalance": "exp", "repetition": 0}


def samples(counts, groups=None):
    """Samples in class order, with images that hold their number."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    images = torch.arange(len(labels), dtype=torch.int64).to(torch.uint8).reshape(-1, 1, 1, 1)
    return ImageSet(images, labels, None if groups is None else torch.tensor(groups))


def dataset(counts, groups=None, **parts):
    return ImageDataset(samples(counts, groups), tuple(f"class {c}" for c in range(len(counts))), **parts)


def parts_of(data, imbalance="natural", test=0.2, val=0.1, seed=0, **axes):
    """The ids of train, validation and test."""
    text = Imbalance.parse(imbalance)
    axes = AXES | {"imbalance": text.kind} | axes
    made = split(data, text, test_fraction=test, val_fraction=val, seed=seed, axes=axes)
    return [set() if part is None else set(part.ids.tolist()) for part in (made.train, made.val, made.test)]


def class_counts(data, ids):
    return data.train.labels[sorted(ids)].bincount(minlength=data.n_classes).tolist()


def test_parts_are_disjoint_and_complete():
    train, val, test = parts_of(dataset([50, 30, 20]))
    assert sorted([*train, *val, *test]) == list(range(100))


def test_parts_are_stratified():
    data = dataset([50, 30, 20])
    train, val, test = parts_of(data)
    assert class_counts(data, test) == [10, 6, 4]
    assert class_counts(data, val) == [4, 2, 2]  # of the 40, 24 and 16 that are left
    assert class_counts(data, train) == [36, 22, 14]


@pytest.mark.parametrize("imbalance", ["exp:4", "exp:2", "step:4:permuted", "counts:20,10,2"])
def test_test_part_does_not_depend_on_the_imbalance(imbalance):
    data = dataset([50, 30, 20])
    assert parts_of(data, imbalance)[2] == parts_of(data)[2]


@pytest.mark.parametrize("change", [{"dataset": "other"}, {"repetition": 1}, {"seed": 1}])
def test_test_part_changes_with_data_set_repetition_and_seed(change):
    data = dataset([50, 30, 20])
    assert parts_of(data, **change)[2] != parts_of(data)[2]


def test_test_part_does_not_depend_on_other_axes():
    data = dataset([50, 30, 20])
    assert parts_of(data, extractor="a", augmenter="b", classifier="c") == parts_of(data)


def test_imbalance_and_validation_change_with_the_repetition_though_the_test_part_is_given():
    data = dataset([50, 30, 20], test=samples([5, 5, 5]))
    first, second = (parts_of(data, "exp:4", repetition=repetition) for repetition in (0, 1))
    assert first[2] == second[2] == set(range(100, 115))
    assert first[0] | first[1] != second[0] | second[1]
    assert first[1] != second[1]


def test_imbalance_works_on_what_the_test_part_leaves():
    data = dataset([50, 50, 50])
    train, _, test = parts_of(data, "exp:10", val=0)
    assert class_counts(data, train) == [40, 12, 4]
    assert class_counts(data, test) == [10, 10, 10]


def test_validation_is_out_of_the_imbalanced_set():
    data = dataset([50, 50, 50])
    train, val, _ = parts_of(data, "exp:4", val=0.25)
    assert class_counts(data, train | val) == [40, 20, 10]
    assert class_counts(data, val) == [10, 5, 2]
    whole = parts_of(data, "exp:4", val=0)[0]
    assert train | val == whole


def test_val_fraction_of_zero_is_no_validation():
    data = dataset([50, 30, 20])
    axes = AXES | {"imbalance": "natural"}
    made = split(data, Imbalance.parse("natural"), test_fraction=0.2, val_fraction=0, seed=0, axes=axes)
    assert made.val is None
    assert len(made.train) + len(made.test) == 100


@pytest.mark.parametrize("val_fraction", [0, 0.3])
def test_own_parts_of_a_data_set_are_kept(val_fraction):
    data = dataset([9, 6], val=samples([2, 2]), test=samples([1, 3]))
    train, val, test = parts_of(data, val=val_fraction)
    assert train == set(range(15))
    assert val == set(range(15, 19))
    assert test == set(range(19, 23))


def test_own_parts_stay_whole_under_an_imbalance():
    data = dataset([20, 20], val=samples([2, 2]), test=samples([1, 3]))
    train, val, test = parts_of(data, "counts:20,5")
    assert class_counts(data, train) == [20, 5]
    assert (len(val), len(test)) == (4, 4)


def test_pixels_and_labels_follow_their_ids():
    data = dataset([50, 30, 20])
    made = split(data, Imbalance.parse("exp:4"), test_fraction=0.2, val_fraction=0.1, seed=0, axes=AXES)
    for part in (made.train, made.val, made.test):
        assert part.rows(torch.arange(len(part))).flatten().tolist() == part.ids.tolist()
        assert torch.equal(part.labels, data.train.labels[part.ids])


def test_class_of_one_sample_cannot_have_a_test_part():
    with pytest.raises(DataError) as caught:
        parts_of(dataset([50, 1]))
    found = "class 1 has 1 sample, of which 0 would be held out"
    assert str(caught.value) == f"test split: {found}; wants at least 1 on both sides: add samples, or drop the class"


def test_class_of_one_sample_stays_in_training_and_gives_none_to_validation():
    data = dataset([50, 1], test=samples([2, 2]))
    train, val, _ = parts_of(data)
    assert class_counts(data, train) == [45, 1]
    assert class_counts(data, val) == [5, 0]


def test_class_of_two_samples_gives_one_to_each_side():
    data = dataset([50, 2])
    train, _, test = parts_of(data, val=0)
    assert class_counts(data, test) == [10, 1]
    assert class_counts(data, train) == [40, 1]


@pytest.mark.parametrize("groups", [None, [0, 1]])
def test_nothing_to_hold_out_is_said(groups):
    with pytest.raises(DataError, match=r"^validation split: none of 2 samples can be held out; add samples"):
        hold_out(samples([1, 1], groups), 0.5, seed=0, part="validation")


def test_class_without_training_sample_is_named():
    data = ImageDataset(samples([5, 0, 5]), ("cat", "dog", "eel"), test=samples([1, 1, 1]))
    with pytest.raises(DataError, match=r"^class 1 \('dog'\) has no training sample; wants at least 1 of each class$"):
        parts_of(data)


def test_imbalance_that_empties_a_class_cannot_run():
    with pytest.raises(CannotRun, match=r"leaves class 1 with 0 of its 8"):
        parts_of(dataset([10, 10]), "exp:100")


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.3, 0.4, 0.5, 0.7])
def test_held_out_share_is_the_fraction_with_groups_as_without(fraction):
    rest, held = hold_out(samples([200, 100], [n // 2 for n in range(300)]), fraction, seed=0, part="test")
    assert held.labels.bincount().tolist() == pytest.approx([200 * fraction, 100 * fraction], abs=2)
    assert len(rest) + len(held) == 300


def test_a_group_in_two_of_the_data_sets_own_parts_is_refused():
    test = samples([2, 2], [3, 9, 4, 8])
    leaking = dataset([6, 6], [0, 1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 7], test=test)
    with pytest.raises(DataError, match=r"^splits: 2 groups are in two of train, val and test; wants each in one part"):
        parts_of(leaking)
    apart = dataset([6, 6], list(range(20, 32)), test=test)
    assert parts_of(apart)[2] == {12, 13, 14, 15}


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_two_sides(seed):
    rng = torch.Generator().manual_seed(seed)
    groups = torch.randint(40, (200,), generator=rng).tolist()  # each group has samples of several classes
    data = dataset([120, 60, 20], groups)
    train, val, test = parts_of(data, seed=seed)
    found = [{groups[i] for i in part} for part in (train, val, test)]
    assert sum(map(len, found)) == len(set(groups))
    assert sorted([*train, *val, *test]) == list(range(200))
    assert all(n > 0 for part in (train, val, test) for n in class_counts(data, part))


def test_groups_of_unequal_size_come_close_to_the_fraction():
    sizes = [60, *[10] * 10, *[1] * 40]  # one group is three times as large as the part
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    _, held = hold_out(samples([200], groups), 0.1, seed=0, part="test")
    assert len(held) == pytest.approx(20, abs=1)


def test_small_classes_in_groups_give_one_group_without_a_warning():
    _, held = hold_out(samples([60, 3, 2], list(range(65))), 0.1, seed=0, part="validation")
    assert held.labels.bincount(minlength=3).tolist() == [6, 1, 1]


def test_class_in_a_single_group_stays_on_the_side_of_training():
    rest, held = hold_out(samples([20, 4], [*range(20), 99, 99, 99, 99]), 0.25, seed=0, part="validation")
    assert held.labels.tolist() == [0] * 5
    assert rest.labels.bincount().tolist() == [15, 4]


def test_class_in_a_single_group_cannot_have_a_test_part():
    with pytest.raises(DataError, match=r"^test split: class 1 has 4 samples, of which 0 would be held out"):
        hold_out(samples([20, 4], [*range(20), 99, 99, 99, 99]), 0.25, seed=0, part="test")


@pytest.mark.parametrize("groups", [None, [n // 2 for n in range(60)]])
def test_each_sample_is_held_out_about_as_often(groups):
    times = torch.zeros(60)
    for seed in range(200):
        _, held = hold_out(samples([40, 20], groups).take(torch.arange(60)), 0.2, seed=seed, part="test")
        times[held.pool.flatten()[held.index].long()] += 1
    assert times.mean() == pytest.approx(40, abs=0.5)
    assert (times - 40).abs().max() < 24  # a binomial deviation is 5.7
