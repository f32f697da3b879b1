"""The table of fidelity: one line for each class of each augmenter, whatever the number of classifiers."""

from statistics import fmean, stdev

import pytest
import torch

from benchfw import FeatureSet, FeatureSpace
from benchfw.fidelity import alarms, fidelity
from benchfw.measures import MEASURES
from benchfw.tables import fidelity as table
from benchfw.tables import to_csv

NAMES = ["cat", "dog"]


def features(counts, seed):
    labels = torch.repeat_interleave(torch.tensor(counts))
    noise = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    return FeatureSet(FeatureSpace((3,), 2), noise + 2 * labels[:, None], labels)


def judged(repetition, minority=40):
    train, test = features((90, minority), 10 * repetition), features((60, 60), 10 * repetition + 1)
    return fidelity(train.draw, train, test, seed=repetition)


def row(augmenter, classifier, repetition, looked):
    axes = {"dataset": "toy", "imbalance": "step:2", "extractor": "given", "augmenter": augmenter}
    return {
        "axes": axes | {"classifier": classifier, "repetition": repetition},
        "status": "done",
        "class_names": NAMES,
        "fidelity": looked,
    }


def test_classifiers_share_a_line_and_repetitions_are_averaged():
    looks = [judged(0), judged(1)]
    rows = [row("random", c, r, look) for c in ("head", "linear") for r, look in enumerate(looks)]
    frame = table([*rows, row("none", "head", 0, []), {"axes": rows[0]["axes"], "status": "failed"}])
    assert frame["augmenter"].tolist() == ["random"] * 3
    assert frame["class"].tolist() == ["cat", "dog", "(all)"]
    assert frame["n"].tolist() == [2, 2, 2]
    dog = frame.iloc[1]
    for measure in MEASURES.values():
        values = [look[1][measure.name] for look in looks]
        assert dog[f"{measure.name}_mean"] == pytest.approx(fmean(values))
        assert dog[f"{measure.name}_sd"] == pytest.approx(stdev(values))
        assert dog[f"{measure.name}_floor"] == pytest.approx(fmean(look[1][measure.floor] for look in looks))
    assert (dog["n_train"], dog["n_compared"], dog["d"]) == (40, 40, 3)


def test_a_measure_and_its_floor_are_over_the_same_repetitions():
    looks = [judged(0), judged(1), judged(2)]
    looks[1][1]["frechet"] = None
    looks[2][1]["energy_floor"] = None
    dog = table([row("random", "head", r, look) for r, look in enumerate(looks)]).iloc[1]
    assert (dog["frechet_n"], dog["energy_n"], dog["diversity_n"]) == (2, 2, 3)
    assert dog["frechet_floor"] == pytest.approx(fmean(looks[r][1]["frechet_floor"] for r in (0, 2)))
    assert dog["energy_mean"] == pytest.approx(fmean(looks[r][1]["energy"] for r in (0, 1)))


def test_the_largest_class_has_empty_cells_and_no_zero():
    frame = table([row("random", "head", 0, judged(0))])
    assert frame.iloc[0][["frechet_mean", "frechet_sd", "frechet_floor"]].isna().all()
    header, cat, *_ = (line.split(",") for line in to_csv(frame).splitlines())
    assert cat[header.index("frechet_mean")] == ""


def test_without_synthesizers_it_is_empty():
    assert len(table([row("none", "head", 0, [])])) == 0


def test_a_class_with_a_handful_of_rows_raises_no_alarm():
    rows = judged(0, minority=6)
    rows[1]["energy"], rows[1]["energy_floor"] = 5.0, 0.0
    assert alarms(rows, NAMES) == []
    assert alarms([rows[0], rows[1] | {"n": 20}], NAMES) != []
