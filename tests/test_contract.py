"""Every component that comes with benchfw keeps the contract; the small budgets are for the sake of time."""

from pathlib import Path

import numpy as np
from chexpert_tree import write_tree
from made_files import picture, pixels, saved

from benchfw.components import Given
from benchfw.registry import KINDS, installed
from benchfw.testing import Subject, parametrize_components
from benchfw_classic import Logistic
from benchfw_datasets import CheXpert, Csv, Digits, FashionMnist, Features, ImageFolder, MedMnist, Npz, fashion_mnist
from benchfw_gan_feature import GanFeature, GanFeatureJoint
from benchfw_generative import ClassGaussian, Noise
from benchfw_neural import Head, Linear
from benchfw_oversampling import Eos, Nothing, Random, Smote
from benchfw_paper_cnn import LeNet5, PaperCNN
from benchfw_pixels import Pixels

FEW = {"steps": 3, "z": 8, "width": 16}
PAPER = {**GanFeature.presets["paper"], **FEW}


def npz(folder: Path):
    return Npz(saved(folder / "made.npz", X=pixels(30, 6, 6), y=np.arange(30) % 3))


def npz_of_parts(folder: Path):
    arrays = {f"{part}_images": pixels(12, 6, 6, seed=n) for n, part in enumerate(("train", "val", "test"))}
    return Npz(
        saved(folder / "made.npz", **arrays, **{name.replace("images", "labels"): np.arange(12) % 3 for name in arrays})
    )


def image_folder_of_parts(folder: Path):
    for seed, part in enumerate(("train", "val", "test")):
        for n, image in enumerate(pixels(12, 6, 6, seed=seed)):
            picture(folder / "images" / part / "abc"[n % 3] / f"{n}.png", image)
    return ImageFolder(str(folder / "images"))


def csv_of_parts(folder: Path):
    lines = ["path, label, split"]
    for n, image in enumerate(pixels(36, 6, 6)):
        picture(folder / f"{n}.png", image)
        lines.append(f"{n}.png,{'abc'[n % 3]},{('train', 'val', 'test')[n // 12]}")
    (folder / "list.csv").write_text("\n".join(lines))
    return Csv(str(folder / "list.csv"))


def features(folder: Path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 4)).astype(np.float32)
    head = {"fc_weight": np.ones((3, 4), np.float32), "fc_bias": np.zeros(3, np.float32)}
    return Features(saved(folder / "made.npz", train_features=rows, train_labels=np.arange(30) % 3, **head))


def image_folder(folder: Path):
    for n, image in enumerate(pixels(24, 6, 6)):
        picture(folder / "images" / "abc"[n % 3] / f"{n}.png", image)
    return ImageFolder(str(folder / "images"))


def csv(folder: Path):
    lines = ["path,label,group"]
    for n, image in enumerate(pixels(24, 6, 6)):
        picture(folder / f"{n}.png", image)
        lines.append(f"{n}.png,{'abc'[n % 3]},{n // 2}")
    (folder / "list.csv").write_text("\n".join(lines))
    return Csv(str(folder / "list.csv"))


def chexpert(folder: Path):
    tree = write_tree(folder, patients=90)
    return CheXpert(str(tree), size=8, val=2, test=2, caps=None)


COMPONENTS = [
    *(Digits, npz, npz_of_parts, features, image_folder, image_folder_of_parts, csv, csv_of_parts, chexpert),
    *(Pixels, Pixels(flat=False)),
    *(PaperCNN(width=0.125, steps=3), PaperCNN(width=0.125, steps=3, tap=21, channels=2, bn_logits=True)),
    *(LeNet5(width=0.5, steps=3), LeNet5(width=0.5, steps=3, tap="pool1", channels=2)),
    *(Nothing, Random, Smote, Eos, ClassGaussian, ClassGaussian(floor=False), Noise),
    *(GanFeature(**FEW), GanFeature(**FEW, gaussian=0.5, spread=2.0), GanFeature(**PAPER)),
    *(GanFeatureJoint(z=8, width=16), GanFeatureJoint(**{**GanFeatureJoint.presets["paper"], "z": 8, "width": 16})),
    *(Logistic, Linear(steps=5), Linear(steps=5, loss="balanced-softmax")),
    *(Head(steps=5), Head(steps=0), Head(batch_norm="refresh", steps=5)),
]
if folder := fashion_mnist.locate(None, Path("nowhere")):  # 70,000 images, where they are installed
    COMPONENTS.append(FashionMnist(str(folder)))
ELSEWHERE = {
    FashionMnist: "its files have published hashes, so it is checked where they are installed",
    MedMnist: "its files have published hashes; tests/test_medmnist.py makes some under other hashes",
    Given: "the word for no extractor: it embeds nothing",
}


@parametrize_components(COMPONENTS)
def test_contract(component, check):
    check(component)


def test_no_installed_component_is_missing():
    ours = {installed().get(kind, name) for kind in KINDS for name in installed().names(kind)}
    assert {Subject(item).type for item in COMPONENTS} | set(ELSEWHERE) == ours
