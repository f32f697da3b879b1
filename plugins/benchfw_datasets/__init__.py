"""Data sets: digits, Fashion-MNIST, CheXpert, MedMNIST, and one's own images or features in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from benchfw import Dataset, hookimpl, param
from benchfw_datasets.own_files import Csv, Features, ImageFolder, Npz, expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchfw import Context, ImageDataset
    from benchfw_datasets.chexpert import Choice

REPORT_CLASSES = "Atelectasis,Cardiomegaly,Consolidation,Edema,Pleural Effusion,No Finding"
REPORT_CAPS = "5400,5400,2700,9500,13500,3000"

Flag = Literal[
    "pathmnist",
    "chestmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
]


@hookimpl
def register_datasets(register: Callable[[type], None]) -> None:
    """Register digits, fashion-mnist, chexpert, medmnist, image-folder, csv, npz and features."""
    for dataset in (Digits, FashionMnist, CheXpert, MedMnist, ImageFolder, Csv, Npz, Features):
        register(dataset)


@dataclass(frozen=True)
class Digits(Dataset):
    """scikit-learn's 1,797 handwritten digits, 8x8 gray, 10 classes; needs no download.

    The 17 gray levels 0..16 become round(level * 255 / 16), so they stay apart and fill 0..255. There is no test split;
    the harness makes one. Meant for smoke tests and regression tests: nobody publishes imbalance tables on it.
    """

    name = "digits"
    licence = "CC BY 4.0"
    source = "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), test part, as in scikit-learn"
    libraries = ("scikit-learn",)

    def load(self, ctx: Context) -> ImageDataset:
        """Train (1797, 1, 8, 8) uint8; no validation or test part."""
        from benchfw_datasets import digits

        return digits.load(self.licence, self.source)


@dataclass(frozen=True)
class FashionMnist(Dataset):
    """Fashion-MNIST: 70,000 articles of clothing, 28x28 gray, 10 balanced classes, with its own test split.

    Looked for in `path`, in `fashion-mnist` of the download directory, and where Debian's dataset-fashion-mnist puts
    it; if nowhere, downloaded. A given `path` is the only place that is looked at. The decompressed bytes must have the
    published SHA-256, so every machine has the same data wherever they came from.
    """

    name = "fashion-mnist"
    licence = "MIT"
    source = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; github.com/zalandoresearch/fashion-mnist"
    path: str | None = param(None, "directory with the four idx files, .gz or not; none: look around, then download")
    classes: int = param(10, "how many classes to take, the first of the ten", ge=2, le=10)

    def load(self, ctx: Context) -> ImageDataset:
        """Train (60000, 1, 28, 28) and test (10000, 1, 28, 28) uint8, or what the classes have of them.

        Raises DataError when files lack or are wrong.
        """
        from benchfw_datasets import fashion_mnist

        folder = fashion_mnist.locate(expanded(self.path), ctx.downloads)
        if folder is None:
            folder = fashion_mnist.fetch(ctx.downloads, ctx)
        whole = fashion_mnist.read(folder, ctx, licence=self.licence, origin=self.source)
        return fashion_mnist.of_first_classes(whole, self.classes)

    def files(self, downloads: Path) -> Sequence[Path]:
        """None: the hashes that `load` insists on decide the data, wherever and however compressed the files are."""
        return ()


@dataclass(frozen=True)
class CheXpert(Dataset):
    """CheXpert's chest X-rays with one finding each, no patient in two parts; the files are to be got from Stanford.

    An image is used if exactly one of the classes is positive; a blank is negative, `uncertain` says what -1 is. Test
    and validation part have equal classes and patients of their own, training the report's counts from the others; a
    class with too few images makes parts smaller, with a warning. Whole images are resized to a square (bilinear, over
    all pixels that shrink into one) and kept in the download directory, 25 KB each. The report has no test part, so
    one is added; preset `report` has its 39,500 and 2,400 images alone if the harness holds out no validation part
    (`--set val_fraction=0`). The tree's valid.csv is not read: its 234 images are too few for six classes. `split_seed`
    alone decides the parts, so repetitions share them.
    """

    name = "chexpert"
    licence = "Stanford University Dataset Research Use Agreement"
    source = "Irvin et al. 2019, CheXpert, AAAI, arXiv:1901.07031; class counts of the reference method"
    libraries = ("pandas", "pillow")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"report": {"val": 0}}
    root: str | None = param(None, "the folder that holds train.csv, or the one above it; required")
    classes: str = param(REPORT_CLASSES, "columns of train.csv, separated by commas; their order is that of the labels")
    uncertain: Literal["zeros", "ones", "ignore"] = param("zeros", "read -1 as 0 or as 1, or drop images that have one")
    views: Literal["frontal", "all"] = param("frontal", "frontal views only, or lateral ones too")
    caps: str | None = param(REPORT_CAPS, "most training images, one count or one for each class; none: all")
    val: int = param(400, "validation images of each class; 0: no part of its own", ge=0)
    test: int = param(400, "test images of each class; 0: the harness makes the part", ge=0)
    split_seed: int = param(0, "decides which patients and images are in which part", ge=0)
    size: int = param(160, "resize to size x size", ge=1)
    channels: Literal[1, 3] = param(3, "3: the gray values three times, stored once")
    broken: Literal["fail", "skip"] = param("fail", "what to do about images that are missing or cannot be decoded")

    @property
    def gives(self) -> frozenset[str]:
        """A validation part, where it has one."""
        return frozenset({"validation"} if self.val else ())

    def load(self, ctx: Context) -> ImageDataset:
        """Parts of (N, channels, size, size) uint8. Raises UsageError for parameters, DataError for files."""
        from benchfw import Source
        from benchfw_datasets import chexpert

        return chexpert.load(
            chexpert.tree_at(expanded(self.root)),
            self._choice(),
            size=self.size,
            channels=self.channels,
            skip_broken=self.broken == "skip",
            source=Source(self.licence, self.source),
            ctx=ctx,
        )

    def files(self, downloads: Path) -> Sequence[Path]:
        """train.csv, and an inventory of the images in use by size and time of change, since they are gigabytes."""
        from benchfw_datasets import chexpert

        tree = chexpert.tree_at(expanded(self.root))
        return chexpert.files(tree, self._choice(), size=self.size, downloads=downloads)

    def _choice(self) -> Choice:
        from benchfw_datasets import chexpert

        sizes = {"val": self.val, "test": self.test}
        return chexpert.choice(self.classes, self.uncertain, self.views, self.caps, **sizes, seed=self.split_seed)


@dataclass(frozen=True)
class MedMnist(Dataset):
    """MedMNIST's 2D sets with one label for each image, with their own three parts; nothing is downloaded.

    The file, e.g. pneumoniamnist.npz or pneumoniamnist_64.npz, is looked for in `path`, if given, else in `medmnist` of
    the download directory and in ~/.medmnist. It must have the published MD5. chestmnist has 14 labels for each image
    and is refused.
    """

    name = "medmnist"
    licence = "CC BY 4.0"
    source = "Yang et al. 2023, MedMNIST v2, Scientific Data 10:41; zenodo.org/records/10519652"
    flag: Flag = param("pneumoniamnist", "which of the sets")
    size: Literal[28, 64, 128, 224] = param(28, "which of the published sizes")
    path: str | None = param(None, "the file or its directory; none: look around")

    @property
    def gives(self) -> frozenset[str]:
        """A validation part."""
        return frozenset({"validation"})

    def load(self, ctx: Context) -> ImageDataset:
        """Read it whole, (N, 1 or 3, size, size) uint8. Raises UsageError for chestmnist, DataError for files."""
        from benchfw_datasets import medmnist

        return medmnist.load(self.flag, self.size, expanded(self.path), ctx)

    def files(self, downloads: Path) -> Sequence[Path]:
        """None: the MD5 that `load` insists on decides the data, wherever the file is."""
        return ()
