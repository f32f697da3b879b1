"""A small real run with its baseline, and edits of its files, for the tests of the gate."""

import json
import shutil

import numpy as np

from benchfw.metrics import readouts, score

SMALL = ("-d", "digits", "-e", "pixels", "-a", "none", "-a", "random", "--no-reference", "-c", "linear@steps=100")
LABELS = "digits, step:10, pixels, {augmenter}, linear@steps=100, {correction}"
METRICS = ("balanced_accuracy", "minority_recall", "ece", "nll")


def words(repetitions, *more):
    """The words of the run: two augmenters on digits."""
    return ("run", *SMALL, "-i", "step:10", "--repetitions", repetitions, "--in-process", *more)


def update(directory="out", reason="first", metrics=METRICS, baseline="baseline.json", more=()):
    """The words that write a baseline."""
    gated = [word for metric in metrics for word in ("--metric", metric)]
    return ("check", directory, "--baseline", baseline, "--update", "--reason", reason, *gated, *more)


def edit(path, change):
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def cells(out, augmenter=None):
    """The files of the cells, by repetition."""
    found = [(json.loads(path.read_text())["axes"], path) for path in (out / "cells").iterdir()]
    chosen = [(axes, path) for axes, path in found if augmenter in (None, axes["augmenter"])]
    return [path for _, path in sorted(chosen, key=lambda item: (item[0]["augmenter"], item[0]["repetition"]))]


def move(out, metric, by, augmenter="none", correction="none"):
    """Add to a metric of one line: in each repetition a little more than in the one before, as chance has it."""
    for repetition, path in enumerate(cells(out, augmenter)):

        def change(row, by=by * (1 + 0.02 * repetition)):
            row["scores"][correction][metric] += by

        edit(path, change)


def end(out, status, reason, augmenter="random", repetitions=None):
    """Let cells end otherwise."""
    for path in cells(out, augmenter)[slice(repetitions)]:
        row = json.loads(path.read_text())
        kept = {name: row[name] for name in ("id", "key", "axes")}
        path.write_text(json.dumps(kept | {"status": status, "reason": reason}))


def forget(out, path):
    """Delete a cell, its file and its entry in the manifest."""
    name = path.stem
    path.unlink()
    edit(
        out / "manifest.json",
        lambda manifest: manifest.update(cells=[cell for cell in manifest["cells"] if cell["id"] != name]),
    )


def miss(out, share, classes=range(10), augmenter="none", seed=0):
    """Let a line miss a share of the test items of some classes that it hit, in predictions and scores alike."""
    rng = np.random.default_rng(seed)
    for path in cells(out, augmenter):
        row = json.loads(path.read_text())
        kept = dict(np.load(out / "predictions" / f"{path.stem}.npz"))
        hit = kept["log_scores"].argmax(axis=1) == kept["labels"]
        missed = hit & np.isin(kept["labels"], list(classes)) & (rng.random(len(hit)) < share)
        kept["log_scores"][missed] = np.roll(kept["log_scores"][missed], 1, axis=1)
        np.savez(out / "predictions" / f"{path.stem}.npz", **kept)
        read = readouts(
            kept["log_scores"].astype(float),
            prior=np.array(row["prior"]),
            natural_prior=np.array(row["natural_prior"]),
            corrected=False,
        )
        for name, readout in read.items():
            row["scores"][name] = score(
                readout.log_scores, kept["labels"], counts=row["counts"], class_names=row["class_names"]
            )
        path.write_text(json.dumps(row).replace("NaN", "null"))


def copied(source, target):
    """A copy of a run that may be edited."""
    shutil.copytree(source, target)
    return target
