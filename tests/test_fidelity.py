"""Good generators stand at their floors, bad ones are found out, and small classes give None instead of errors."""

import json
import math

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from benchfw import FeatureSet, FeatureSpace
from benchfw.errors import PluginError
from benchfw.fidelity import alarms, fidelity
from benchfw.lens import Units, compact, discriminant, principal_axes, second_moment
from benchfw.measures import MEASURES

CLASSES = ("cat", "dog", "eel")
SIZE = 12
CENTRES = 2.5 * torch.eye(3, SIZE)


def features(counts, seed, *, space=None, centres=CENTRES):
    """Gaussian blobs around the centres."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    rows = centres[labels] + torch.randn(len(labels), *centres.shape[1:], generator=torch.Generator().manual_seed(seed))
    return FeatureSet(space or FeatureSpace(tuple(centres.shape[1:]), len(counts)), rows, labels)


def fresh(labels, rng):
    return CENTRES[labels] + torch.empty(len(labels), SIZE).normal_(generator=rng)


@pytest.fixture(scope="module")
def train():
    return features((300, 150, 80), seed=0)


@pytest.fixture(scope="module")
def test():
    return features((200, 200, 200), seed=1)


@pytest.fixture(scope="module")
def perfect(train, test):
    return fidelity(fresh, train, test, seed=0)


def measured(sample, train, test, seed=0):
    """The numbers of "all"."""
    return fidelity(sample, train, test, seed=seed)[-1]


def test_a_perfect_generator_stands_at_the_floors_and_the_ideals(perfect):
    slack = {"frechet": 0.25, "density": 0.15, "memorisation": 0.1, "c2st_p": 1}
    for measure in MEASURES.values():
        found, allowed = perfect[-1][measure.name], slack.get(measure.name, 0.1)
        assert found == pytest.approx(perfect[-1][measure.floor], abs=allowed), measure.name
        if measure.ideal is not None and measure.name != "frechet":
            assert found == pytest.approx(measure.ideal, abs=allowed), measure.name
    assert alarms(perfect, CLASSES) == []


def test_each_class_has_its_counts_and_the_largest_no_measures(perfect):
    counts = [{name: row[name] for name in ("class", "n_train", "n_test", "n_fake", "n", "d")} for row in perfect]
    assert counts == [
        {"class": 0, "n_train": 300, "n_test": 200, "n_fake": 0, "n": 0, "d": SIZE},
        {"class": 1, "n_train": 150, "n_test": 200, "n_fake": 200, "n": 150, "d": SIZE},
        {"class": 2, "n_train": 80, "n_test": 200, "n_fake": 200, "n": 80, "d": SIZE},
        {"class": "all", "n_train": 230, "n_test": 400, "n_fake": 400, "n": 230, "d": SIZE},
    ]
    names = [name for measure in MEASURES.values() for name in (measure.name, measure.floor)]
    assert all(list(row)[6:] == names for row in perfect)
    assert {perfect[0][name] for name in names} == {None}


def test_the_largest_class_is_never_asked_for(train, test):
    asked = []
    fidelity(lambda labels, rng: asked.append(labels) or fresh(labels, rng), train, test, seed=0)
    assert torch.cat(asked).unique().tolist() == [1, 2]


def test_all_is_the_mean_of_the_classes_and_one_test_over_their_rows(perfect):
    *_, dog, eel, whole = perfect
    assert whole["frechet"] == pytest.approx((dog["frechet"] + eel["frechet"]) / 2)
    assert whole["coverage_floor"] == pytest.approx((dog["coverage_floor"] + eel["coverage_floor"]) / 2)
    hits, scored = round(dog["c2st"] * 150 + eel["c2st"] * 80), 230
    chance = sum(math.comb(scored, i) for i in range(hits, scored + 1)) / 2**scored
    assert whole["c2st_p"] == pytest.approx(chance)


def test_a_generator_that_returns_test_rows_is_a_leak(train, test):
    rows = fidelity(test.draw, train, test, seed=0)
    assert [row["leakage"] for row in rows[1:]] == [1, 1, 1]
    assert rows[-1]["leakage_floor"] == 0
    assert alarms(rows, CLASSES) == [
        "generated rows of dog, eel repeat held-out rows far more often than training rows do: a leak"
    ]


def test_a_generator_that_returns_training_rows_memorises_and_does_not_leak(train, test):
    found = measured(train.draw, train, test)
    assert found["memorised"] == 1
    assert found["memorisation"] == 0
    assert found["nearer_train"] == 1
    assert found["leakage"] == 0


def test_training_rows_that_repeat_test_rows_raise_the_floor_and_no_alarm(train, test):
    values = train.values.clone()
    values[300:375] = test.values[200:275]  # half of the dogs
    spoilt = FeatureSet(train.space, values, train.labels)
    rows = fidelity(spoilt.draw, spoilt, test, seed=0)
    assert rows[1]["leakage_floor"] == 0.5
    assert rows[1]["leakage"] == pytest.approx(0.5, abs=0.12)
    assert alarms(rows, CLASSES) == []


def test_floors_come_from_rows_that_are_disjoint_from_what_they_meet(perfect):
    assert perfect[-1]["memorisation_floor"] == pytest.approx(1, abs=0.2)
    assert perfect[-1]["nearer_train_floor"] == pytest.approx(0.5, abs=0.2)
    assert perfect[-1]["memorised_floor"] == 0
    assert perfect[-1]["energy_floor"] == pytest.approx(0, abs=0.02)
    assert perfect[-1]["diversity_floor"] == pytest.approx(1, abs=0.03)


def test_interpolation_sits_between_copies_and_fresh_rows(train, test):
    def smote(labels, rng):
        part = torch.rand(len(labels), 1, generator=rng)
        return torch.lerp(train.draw(labels, rng), train.draw(labels, rng), part)

    found = measured(smote, train, test)
    assert found["memorisation"] < 0.85 * found["memorisation_floor"]
    assert found["diversity"] < 0.9
    assert found["precision"] > found["precision_floor"] + 0.05


def test_a_collapsed_generator_has_no_diversity(train, test):
    rows = fidelity(lambda labels, rng: CENTRES[labels].clone(), train, test, seed=0)
    assert rows[-1]["diversity"] == pytest.approx(0, abs=1e-6)
    assert rows[-1]["recall"] == 0
    assert rows[-1]["consistency"] == 1
    assert any("dog, eel vary less than 0.3 times" in line for line in alarms(rows, CLASSES))


def test_coverage_alone_is_fooled_where_half_of_the_rows_are_noise(train, test):
    def half(labels, rng):
        return train.draw(labels, rng) + 9 * (torch.arange(len(labels)) % 2)[:, None]

    found = measured(half, train, test)
    assert found["coverage"] > found["coverage_floor"] - 0.25
    assert found["precision"] < found["precision_floor"] - 0.35


def test_noise_raises_an_alarm(train, test):
    rows = fidelity(lambda labels, rng: torch.empty(len(labels), SIZE).normal_(generator=rng) * 3, train, test, seed=0)
    assert any("noise" in line for line in alarms(rows, CLASSES))


def test_rows_that_lie_elsewhere_raise_an_alarm(train, test):
    rows = fidelity(lambda labels, rng: fresh(labels, rng) + 2, train, test, seed=0)
    assert rows[-1]["c2st"] > 0.95
    assert rows[-1]["coverage"] < 0.2
    assert any("relative energy distance" in line for line in alarms(rows, CLASSES))


def test_shuffled_labels_bring_consistency_to_chance(train, test):
    def shuffled(labels, rng):
        return fresh(torch.randint(3, (len(labels),), generator=rng), rng)

    found = measured(shuffled, train, test)
    assert found["consistency"] == pytest.approx(1 / 3, abs=0.07)
    assert found["consistency_floor"] > 0.85


class Head(nn.Module):
    """Bayes' classifier of the blobs under the prior of counts (3000, 20, 12)."""

    def forward(self, rows):
        assert not self.training
        return rows @ CENTRES.T + torch.tensor([3000, 20, 12]).log()


def test_the_oracle_is_the_head_corrected_for_its_prior(test):
    train = features((3000, 20, 12), seed=0, space=FeatureSpace((SIZE,), 3, head=Head))
    found = measured(fresh, train, test)
    assert found["consistency"] == pytest.approx(0.93, abs=0.04)  # 0.6 with the prior in it
    assert found["consistency_floor"] == pytest.approx(0.93, abs=0.04)


def test_without_a_head_the_oracle_is_the_linear_discriminant_with_equal_priors():
    train, fresh_rows = features((900, 80, 60), seed=0, centres=LINE), features((500, 500, 500), seed=1, centres=LINE)
    units = Units.of(train.values)
    found = discriminant(units(train.values), train.labels, units)(fresh_rows.values)
    reference = LinearDiscriminantAnalysis(priors=[1 / 3] * 3).fit(train.values, train.labels)
    assert (found.numpy() == reference.predict(fresh_rows.values)).mean() > 0.98
    assert (found == fresh_rows.labels).float().mean() > 0.85


LINE = torch.tensor([0.0, 3.0, 6.0])[:, None] * torch.eye(1, SIZE)  # the discriminant's offsets count here


@pytest.mark.parametrize("head", [None, Head])
def test_no_row_is_given_a_class_without_training_rows(head, test):
    train = features((300, 0, 80), seed=0, space=FeatureSpace((SIZE,), 3, head=head))
    row = fidelity(fresh, train, test, seed=0)[2]
    assert row["consistency"] > 0.6
    assert row["consistency_floor"] > 0.6


def test_the_axes_are_the_directions_of_most_variance():
    rows = torch.randn(500, 100, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 9, 100)
    axes = principal_axes(second_moment(rows))
    assert axes.shape == (100, 64)
    assert torch.allclose(axes.T @ axes, torch.eye(64, dtype=torch.float64), atol=1e-9)
    kept = (rows.double() @ axes).square().sum()
    assert float(kept) == pytest.approx(float(torch.linalg.svdvals(rows.double())[:64].square().sum()))


def test_the_frechet_floor_of_short_samples_has_no_bias_against_fresh_rows():
    """Training rows that chose the axes would vary more along them than any fresh rows: a floor too high."""
    centres = torch.zeros(2, 200)
    train, test = (features((101, 100), seed=seed, centres=centres) for seed in (0, 1))
    found = measured(lambda labels, rng: torch.empty(len(labels), 200).normal_(generator=rng), train, test)
    assert found["frechet"] == pytest.approx(found["frechet_floor"], rel=0.1)


def test_test_rows_choose_no_unit_and_no_axis(train, test):
    other = FeatureSet(test.space, test.values * 50 + 9, test.labels)
    here, there = measured(fresh, train, test), measured(fresh, train, other)
    assert here["memorisation"] == there["memorisation"]
    assert here["frechet"] != there["frechet"]


def test_units_of_the_features_change_nothing(train, test):
    scale = torch.logspace(-3, 3, SIZE)
    scaled = [FeatureSet(part.space, part.values * scale, part.labels) for part in (train, test)]
    plain, found = measured(fresh, train, test), measured(lambda y, rng: fresh(y, rng) * scale, *scaled)
    for name in MEASURES:
        assert found[name] == pytest.approx(plain[name], rel=1e-3), name


@pytest.mark.parametrize(
    ("shape", "size"),
    [((512, 10, 10), 512), ((4, 3, 3), 36), ((3, 40, 30), 3 * 18 * 18), ((400,), 400), ((3000,), 2048)],
)
def test_rows_are_compared_as_vectors_of_bounded_size_and_known_mean(shape, size):
    rows = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    found = compact(rows)
    assert found.shape == (2, size)
    assert torch.allclose(found.mean(1), rows.flatten(1).mean(1), atol=0.01)
    if size == rows[0].numel():
        assert torch.equal(found, rows.flatten(1))


def test_a_large_map_is_compared_by_its_channel_means():
    """Whatever keeps the means of 600 channels is not seen."""
    train, test = (features((13, 12), seed=seed, centres=torch.zeros(2, 600, 2, 2)) for seed in (0, 1))
    assert measured(lambda labels, rng: train.draw(labels, rng).flip(-1), train, test)["memorised"] == 1
    assert measured(lambda labels, rng: -train.draw(labels, rng), train, test)["memorised"] == 0


@pytest.mark.parametrize("n_train", [0, 1, 2, 5, 6])
@pytest.mark.parametrize("n_test", [0, 1, 6])
def test_small_classes_give_none_and_no_error(n_train, n_test):
    train, test = features((30, n_train, 12), seed=0), features((20, n_test, 12), seed=1)
    row = fidelity(train.draw, train, test, seed=0)[1]
    assert (row["n_fake"] > 0) == (n_train > 0)
    assert (row["coverage"] is not None) == (n_train > 5 and n_test > 5)
    assert (row["memorised"] is not None) == (n_train > 1)
    assert (row["leakage"] is not None) == (n_train > 0 and n_test > 1)
    assert (row["consistency_floor"] is not None) == (n_train > 0 and n_test > 0)


def test_numbers_that_never_vary_do_no_harm(train, test):
    flat = [torch.cat([part.values, torch.full((len(part), 2), 0.3)], dim=1) for part in (train, test)]
    parts = [
        FeatureSet(FeatureSpace((SIZE + 2,), 3), rows, part.labels)
        for rows, part in zip(flat, (train, test), strict=True)
    ]
    found = measured(lambda y, rng: torch.cat([fresh(y, rng), torch.full((len(y), 2), 0.3)], 1), *parts)
    plain = measured(fresh, train, test)
    for name in ("energy", "coverage", "diversity", "memorisation", "consistency"):
        assert found[name] == pytest.approx(plain[name], rel=1e-3), name


def test_a_seed_decides_every_byte_and_nothing_global_moves(train, test):
    before = torch.get_rng_state()
    first, again, other = (json.dumps(fidelity(train.draw, train, test, seed=seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert torch.equal(before, torch.get_rng_state())


def test_floors_do_not_depend_on_the_generator(train, test, perfect):
    others = fidelity(train.draw, train, test, seed=0)
    for row, other in zip(perfect, others, strict=True):
        assert all(row[measure.floor] == other[measure.floor] for measure in MEASURES.values())


def test_no_alarm_blames_a_generator_for_training_rows_that_differ_from_test_rows():
    """As behind an extractor that knows its training images by heart."""
    train, test = features((300, 150, 80), seed=0), features((200, 200, 200), seed=1)
    tight = FeatureSet(train.space, CENTRES[train.labels] + 0.1 * (train.values - CENTRES[train.labels]), train.labels)
    rows = fidelity(tight.draw, tight, test, seed=0)
    assert rows[-1]["diversity_floor"] < 0.3
    assert rows[-1]["energy_floor"] > 0.3
    assert alarms(rows, CLASSES) == []
    wide = fidelity(lambda labels, rng: fresh(labels, rng), tight, test, seed=0)
    assert alarms(wide, CLASSES) == []


def test_rows_that_are_not_finite_are_refused(train, test):
    with pytest.raises(PluginError, match="NaN or infinite"):
        fidelity(lambda labels, rng: fresh(labels, rng) / 0, train, test, seed=0)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_every_measure_says_what_it_is(measure):
    assert MEASURES[measure.name] is measure
    assert measure.help
    assert measure.source
    assert measure.range.split(",")[0] in {"share", "ratio", "probability", "squared distance"}
