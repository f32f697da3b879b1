"""MedMNIST's 2D files: the official list with its hashes, where a file is looked for, and what its classes are called.

Facts as in the package medmnist 3.0.2, medmnist/info.py (Yang et al. 2023, MedMNIST v2; Zenodo record 10519652).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchfw import DataError, ImageDataset, Source, UsageError
from benchfw_datasets import npz
from benchfw_datasets.own_files import expanded

if TYPE_CHECKING:
    from pathlib import Path

    from benchfw import Context

NAME = "medmnist"
RECORD = "https://zenodo.org/records/10519652"
ORIGIN = "Yang et al. 2023, MedMNIST v2, Scientific Data 10:41; Zenodo record 10519652"
SIZES = (28, 64, 128, 224)
MULTI_LABEL = "chestmnist"

DERMA = (
    "actinic keratoses and intraepithelial carcinoma",
    "basal cell carcinoma",
    "benign keratosis-like lesions",
    "dermatofibroma",
    "melanoma",
    "melanocytic nevi",
    "vascular lesions",
)
PATH = (
    "adipose",
    "background",
    "debris",
    "lymphocytes",
    "mucus",
    "smooth muscle",
    "normal colon mucosa",
    "cancer-associated stroma",
    "colorectal adenocarcinoma epithelium",
)
BLOOD = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "immature granulocytes",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)
TISSUE = (
    "Collecting Duct, Connecting Tubule",
    "Distal Convoluted Tubule",
    "Glomerular endothelial cells",
    "Interstitial endothelial cells",
    "Leukocytes",
    "Podocytes",
    "Proximal Tubule Segments",
    "Thick Ascending Limb",
)
ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


@dataclass(frozen=True)
class Files:
    """One member's files: the names of its classes, and the MD5 of its file in each of SIZES."""

    class_names: tuple[str, ...]
    md5s: tuple[str, ...]
    licence: str = "CC BY 4.0"


OFFICIAL = {
    "pathmnist": Files(
        PATH,
        (
            "a8b06965200029087d5bd730944a56c1",
            "55aa9c1e0525abe5a6b9d8343a507616",
            "ac42d08fb904d92c244187169d1fd1d9",
            "2c51a510bcdc9cf8ddb2af93af1eadec",
        ),
    ),
    "dermamnist": Files(
        DERMA,
        (
            "0744692d530f8e62ec473284d019b0c7",
            "b70a2f5635c6199aeaa28c31d7202e1f",
            "2defd784463fa5243564e855ed717de1",
            "8974907d8e169bef5f5b96bc506ae45d",
        ),
        licence="CC BY-NC 4.0",
    ),
    "octmnist": Files(
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        (
            "c68d92d5b585d8d81f7112f81e2d0842",
            "e229e9440236b774d9f0dfef9d07bdaf",
            "0a97e76651ace45c5d943ee3f65b63ae",
            "abc493b6d529d5de7569faaef2773ba3",
        ),
    ),
    "pneumoniamnist": Files(
        ("normal", "pneumonia"),
        (
            "28209eda62fecd6e6a2d98b1501bb15f",
            "8f4eceb4ccffa70c672198ea285246c6",
            "05b46931834c231683c68f40c47b2971",
            "d6a3c71de1b945ea11211b03746c1fe1",
        ),
    ),
    "retinamnist": Files(
        ("0", "1", "2", "3", "4"),
        (
            "bd4c0672f1bba3e3a89f0e4e876791e4",
            "afda852cc34dcda56f86ad2b2457dbcc",
            "e48e916a24454daf90583d4e6efb1a18",
            "eae7e3b6f3fcbda4ae613ebdcbe35348",
        ),
    ),
    "breastmnist": Files(
        ("malignant", "normal, benign"),
        (
            "750601b1f35ba3300ea97c75c52ff8f6",
            "742edef2a1fd1524b2efff4bd7ba9364",
            "363e4b3f8d712e9b5de15470a2aaadf1",
            "b56378a6eefa9fed602bb16d192d4c8b",
        ),
    ),
    "bloodmnist": Files(
        BLOOD,
        (
            "7053d0359d879ad8a5505303e11de1dc",
            "2b94928a2ae4916078ca51e05b6b800b",
            "adace1e0ed228fccda1f39692059dd4c",
            "b718ff6835fcbdb22ba9eacccd7b2601",
        ),
    ),
    "tissuemnist": Files(
        TISSUE,
        (
            "ebe78ee8b05294063de985d821c1c34b",
            "123ece2eba09d0aa5d698fda57103344",
            "61b955355d7425a89687b06cca3ce0c2",
            "b077128c4a949f0a4eb01517f9037b9c",
        ),
    ),
    "organamnist": Files(
        ORGANS,
        (
            "68e3f8846a6bd62f0c9bf841c0d9eacc",
            "2dcccc29b88e6da5a01161ef20cda288",
            "eeae80d0a227a8d099027e1b3cfd3b60",
            "50747347e05c87dd3aaf92c49f9f3170",
        ),
    ),
    "organcmnist": Files(
        ORGANS,
        (
            "b9ceb9546e10131b32923c5bbeaea2b1",
            "3ce34a8724ea6f548e6db4744d03b6a9",
            "773c1f009daa3fe5d9a2a201b2a7ed94",
            "050f5e875dc056f6768abf94ec9995d1",
        ),
    ),
    "organsmnist": Files(
        ORGANS,
        (
            "9ab87b696fb54e2a387ebe992d6ed5f1",
            "53a6d115339d874c25e309a994ff46d3",
            "ded0c5fa01a95dc4978b956f613e9b8e",
            "b354719e553fbbb2513d5533f52a4cb1",
        ),
    ),
}
"""All 2D members with one label for each image."""


def load(flag: str, size: int, path: Path | None, ctx: Context) -> ImageDataset:
    """A member's own three parts, (N, 1 or 3, S, S) uint8. Raises UsageError for chestmnist, DataError for files."""
    member = official(flag)
    file = locate(file_name(flag, size), path, ctx.downloads)
    _check_md5(file, member.md5s[SIZES.index(size)])
    source = Source(member.licence, ORIGIN, public=True)
    return replace(npz.load(file, ctx, name=NAME), class_names=member.class_names, source=source)


def official(flag: str) -> Files:
    """The entry of a member. Raises UsageError for the one with many labels for each image."""
    if flag == MULTI_LABEL:
        raise UsageError(
            f"dataset.{NAME}.flag: {flag} has 14 labels for each image, wants one; reduce them yourself, e.g. to the "
            "images with exactly one finding, and give the result to npz"
        )
    return OFFICIAL[flag]


def file_name(flag: str, size: int) -> str:
    """The official name of a file: without the size where it is 28."""
    return f"{flag}.npz" if size == 28 else f"{flag}_{size}.npz"


def locate(name: str, path: Path | None, downloads: Path) -> Path:
    """The file in the place that is given, or in the first of the two usual ones that has it. Raises DataError."""
    usual = (downloads / NAME, expanded("~/.medmnist"))
    places = usual if path is None else (path,)
    for place in places:
        file = place if place.is_file() else place / name
        if file.is_file():
            return file
    looked = " nor in ".join(map(str, places))
    cure = f"put it into {usual[0]}" if path is None else f"correct --set dataset.{NAME}.path=DIR"
    raise DataError(
        f"{NAME}: {name} is {'neither ' if path is None else 'not '}in {looked}, and nothing is downloaded here; "
        f"get it from {RECORD}/files/{name} and {cure}"
    )


def _check_md5(file: Path, wanted: str) -> None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{NAME}: {file} cannot be read ({error.strerror or error}); correct its rights") from error
    if found != wanted:
        raise DataError(f"{NAME}: {file} has MD5 {found}, wants {wanted}; get it again from {RECORD}/files/{file.name}")
