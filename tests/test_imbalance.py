"""Imbalances keep the samples that the literature's formulas name, and say so where they cannot."""

from itertools import pairwise

import pytest
import torch

from benchfw.errors import CannotRun, UsageError
from benchfw.imbalance import Imbalance

CIFAR_10, FASHION_MNIST = [5000] * 10, [6000] * 10
TEXTS = (
    "natural",
    "exp:100",
    "exp:33.333333333333336",
    "exp:1234567",
    "step:20",
    "step:2.5:permuted",
    "counts:4000,2000,1000",
    "counts:6000x2,150x8:permuted",
)


def targets(text, available):
    return Imbalance.parse(text).targets(available)


def kept(text, labels, seed=0):
    """The indices that stay, as a set."""
    imbalance = Imbalance.parse(text)
    return set(imbalance.keep(labels, int(labels.max()) + 1, torch.Generator().manual_seed(seed)).tolist())


@pytest.mark.parametrize(
    ("text", "available", "published"),
    [
        ("exp:100", CIFAR_10, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        ("exp:50", CIFAR_10, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]),
        ("exp:10", CIFAR_10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        ("exp:100", FASHION_MNIST, [6000, 3596, 2156, 1292, 774, 464, 278, 166, 100, 60]),
        ("exp:50", FASHION_MNIST, [6000, 3884, 2515, 1628, 1054, 682, 442, 286, 185, 120]),
        ("exp:10", FASHION_MNIST, [6000, 4645, 3596, 2784, 2156, 1669, 1292, 1000, 774, 600]),
        ("step:100", FASHION_MNIST, [6000] * 5 + [60] * 5),
        ("counts:6000x2,150x8", FASHION_MNIST, [6000] * 2 + [150] * 8),
        (
            "counts:4000,2000,1000,750,500,350,200,100,60,40",
            FASHION_MNIST,
            [4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40],
        ),
    ],
)
def test_counts_are_those_that_the_literature_publishes(text, available, published):
    assert targets(text, available) == published


@pytest.mark.parametrize("kind", ["exp", "step"])
def test_smallest_class_is_not_one_short_where_the_ratio_divides_the_largest(kind):
    # 49 * (1 / 49) is 0.9999999999999999, and 98, 103, 107, ... are like it
    smallest = {r: [targets(f"{kind}:{r}", [n * r] * 4)[-1] for n in (1, 100)] for r in range(2, 260)}
    assert {r: found for r, found in smallest.items() if found != [1, 100]} == {}


def test_step_gives_the_odd_class_to_the_minority():
    assert targets("step:10", [100] * 5) == [100, 100, 10, 10, 10]


@pytest.mark.parametrize("text", ["exp:10", "step:10"])
def test_ratio_is_exact_on_unequal_classes(text):
    found = targets(text, [5000, 3000, 900, 20])
    assert found[0] / found[-1] == 10
    assert found == targets(text, [found[0]] * 4)
    assert found[-1] == 20  # as much as the scarce class allows


def test_ratio_of_one_keeps_as_many_of_each_class_as_the_smallest_has():
    assert targets("exp:1", [50, 8, 20]) == targets("step:1", [50, 8, 20]) == [8, 8, 8]


def test_natural_set_stays_as_it_is():
    labels = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    assert targets("natural", [2, 2, 3]) == [2, 2, 3]
    assert kept("natural", labels) == set(range(7))


def test_kept_indices_are_ascending_and_have_the_target_counts():
    labels = torch.arange(40) % 4
    index = Imbalance.parse("counts:10,7,3,1").keep(labels, 4, torch.Generator().manual_seed(0))
    assert index.diff().min() > 0
    assert labels[index].bincount().tolist() == [10, 7, 3, 1]


def test_same_generator_keeps_the_same_samples_and_another_one_others():
    labels = torch.arange(400) % 4
    assert kept("exp:10", labels, seed=1) == kept("exp:10", labels, seed=1)
    assert kept("exp:10", labels, seed=1) != kept("exp:10", labels, seed=2)


def test_which_samples_stay_is_uniform_in_the_class():
    labels = torch.zeros(10, dtype=torch.int64)
    rng = torch.Generator().manual_seed(0)
    imbalance = Imbalance.parse("counts:5")
    times = torch.cat([imbalance.keep(labels, 1, rng) for _ in range(400)]).bincount(minlength=10)
    assert times.sum() == 2000
    assert (times - 200).abs().max() < 50  # a binomial deviation is 10


@pytest.mark.parametrize("suffix", ["", ":permuted"])
def test_set_of_a_larger_ratio_is_a_part_of_the_smaller_ones(suffix):
    labels = torch.arange(1000) % 5
    sets = [kept(f"exp:{ratio}{suffix}", labels, seed=3) for ratio in (1, 2, 10, 50)]
    assert all(larger > smaller for larger, smaller in pairwise(sets))


def test_permuted_gives_the_counts_to_other_classes_in_each_repetition():
    labels = torch.arange(400) % 4
    orders = set()
    for seed in range(20):
        index = Imbalance.parse("counts:100,40,10,1:permuted").keep(labels, 4, torch.Generator().manual_seed(seed))
        counts = labels[index].bincount(minlength=4).tolist()
        assert sorted(counts) == [1, 10, 40, 100]
        orders.add(tuple(counts))
    assert len(orders) > 8  # of 24


def test_order_says_which_class_stands_at_which_position():
    assert Imbalance.parse("counts:9,5,1").targets([9, 9, 9], order=[2, 0, 1]) == [5, 1, 9]
    assert Imbalance.parse("step:3").targets([9, 9, 9], order=[2, 0, 1]) == [3, 3, 9]


def test_class_left_empty_is_said_with_the_cure():
    with pytest.raises(CannotRun, match=r"^imbalance exp:100 leaves class 2 with 0 of its 60 .*; choose a smaller"):
        targets("exp:100", [60, 60, 60])


def test_asking_for_more_than_there_is_is_said_with_both_numbers():
    with pytest.raises(CannotRun, match=r"^imbalance counts:5,9 asks 9 samples of class 1, which has 8; ask for fewer"):
        targets("counts:5,9", [8, 8])


def test_counts_of_another_number_of_classes_are_refused():
    with pytest.raises(CannotRun, match=r"names 10 counts, but the data has 3 classes"):
        targets("counts:6x10", [6, 6, 6])


@pytest.mark.parametrize("text", TEXTS)
def test_text_reads_back_as_the_same_imbalance(text):
    imbalance = Imbalance.parse(text)
    assert str(imbalance) == text
    assert Imbalance.parse(str(imbalance)) == imbalance


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" exp:1e2 ", "exp:100"),
        ("step:020.0", "step:20"),
        ("counts:5,5,5,2x1", "counts:5x3,2"),
        ("counts: 7 , 3 ", "counts:7,3"),
    ],
)
def test_other_spellings_have_one_canonical_text(text, canonical):
    assert str(Imbalance.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("", "balanced", "exp", "exp:", "exp:ten", "exp:0.5", "exp:-3", "exp:nan", "exp:inf", "exp:10:20", "10"),
        *("step:5:permute", "natural:1", "natural:permuted", "permuted", "exp:permuted"),
        *("counts", "counts:", "counts:5,,3", "counts:5,0", "counts:5x", "counts:x5", "counts:5x0,3", "counts:5x-1,3"),
        *("counts:1.5", "counts:1_000", "counts:-5,3", "counts:5x2x2"),
    ],
)
def test_text_outside_the_grammar_is_refused_with_the_grammar(text):
    with pytest.raises(UsageError) as caught:
        Imbalance.parse(text)
    assert str(caught.value).startswith(f"imbalance {text!r} cannot be read; wants natural, exp:R, step:R or counts:")
