"""A small synthetic tree in CheXpert's layout, with generated images and the label table that a test wants."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion", "No Finding")
FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
FOLDER = "CheXpert-v1.0-small"


def row(patient, labels, *, study=1, view="frontal", part="train", folder=FOLDER):
    """One line of the table. labels: what is not blank, e.g. {"Edema": 1.0, "Fracture": -1.0}."""
    frontal = view.startswith("frontal")
    image = f"{folder}/{part}/patient{patient:05}/study{study}/view1_{view}.jpg"
    about = {"Path": image, "Sex": "Female", "Age": 68, "Frontal/Lateral": "Frontal" if frontal else "Lateral"}
    return about | {"AP/PA": "AP" if frontal else ""} | labels


def write_tree(root, *, patients=60, seed=0, folder=FOLDER, rows=None, side=24):
    """Write train.csv, valid.csv and one JPEG for each line; returns the folder that holds them.

    Each of the patients has 1 to 4 studies, three in four with one finding of the six, its own class more often than
    others; class c's images are brighter where c is larger. rows: the lines of train.csv, where a test wants its own.
    side: the shorter side of the images in pixels; the longer one is a quarter more.
    """
    rng = np.random.default_rng(seed)
    tree = Path(root) / folder
    tables = {"train": rows or _rows(rng, patients, folder), "valid": [row(64541, {"Edema": 1.0}, part="valid")]}
    for part, lines in tables.items():
        tree.mkdir(parents=True, exist_ok=True)
        with (tree / f"{part}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(lines)
        for line in lines:
            _write_image(rng, tree.parent / folder / line["Path"].partition("/")[2], line, side)
    return tree


def _rows(rng, patients, folder):
    return [
        row(patient, _labels(rng, CLASSES[patient % len(CLASSES)]), study=study, folder=folder)
        for patient in range(1, patients + 1)
        for study in range(1, rng.integers(1, 5) + 1)
    ]


def _labels(rng, usual):
    kind = rng.random()
    own = usual if kind < 0.6 else str(rng.choice(CLASSES))
    labels = {own: 1.0, "Support Devices": 1.0} if kind < 0.9 else {own: 1.0, "Edema": 1.0, "Cardiomegaly": 1.0}
    return labels | ({"Pneumonia": -1.0} if kind < 0.3 else {})


def _write_image(rng, path, line, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [c for c, name in enumerate(CLASSES) if line.get(name) == 1.0]
    values = rng.integers(0, 60, (side, side * 5 // 4)) + 30 * (found[0] if found else 0)
    Image.fromarray(values.astype(np.uint8)).save(path, quality=90)
