"""The first-party data sets, on real files: what they read, and what they say when they cannot."""

import errno
import gzip
import hashlib
import os
import re
import socket
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import benchfw_datasets
from benchfw import Context, DataError, UsageError
from benchfw_datasets import Digits, FashionMnist, ImageFolder, Npz, fashion_mnist

NAMES = tuple(fashion_mnist.SHA256)


@contextmanager
def says(message, error=DataError):
    """The block raises the error with exactly this one line."""
    with pytest.raises(error) as caught:
        yield
    assert str(caught.value) == message


def pixels(n, *shape, seed=0):
    """n random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def picture(path, array, **options):
    """Write one image file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes, three and two gray PNGs of 6x5."""
    root = tmp_path / "root"
    for n, name in enumerate(("cat/a", "cat/b", "cat/c", "dog/a", "dog/b")):
        picture(root / f"{name}.png", pixels(1, 5, 6, seed=n)[0])
    return root


def test_all_data_sets_are_registered_once():
    registered = []
    benchfw_datasets.register_datasets(registered.append)
    assert [dataset.name for dataset in registered] == ["digits", "fashion-mnist", "image-folder", "npz"]


# digits


def test_digits_are_those_of_scikit_learn_spread_over_0_to_255(ctx):
    data, reference = Digits().load(ctx), load_digits()
    assert data.train.images.shape == (1797, 1, 8, 8)
    assert data.train.images.unique().tolist() == [round(level * 255 / 16) for level in range(17)]
    back = (data.train.images.squeeze(1) / 255 * 16).round()
    assert np.array_equal(back.numpy(), reference.images)
    assert np.array_equal(data.train.labels.numpy(), reference.target)


def test_digits_leave_the_test_split_to_the_harness(ctx):
    data = Digits().load(ctx)
    assert (data.val, data.test, data.source.licence) == (None, None, "CC BY 4.0")


# fashion-mnist


@pytest.fixture(scope="session")
def real_fashion(tmp_path_factory):
    """The directory of the real files on this machine; the test is skipped where there are none."""
    place = fashion_mnist.locate(None, tmp_path_factory.mktemp("empty"))
    if place is None:
        pytest.skip(f"Fashion-MNIST is not installed ({fashion_mnist.PACKAGE})")
    return place


def test_fashion_mnist_has_its_published_sizes_and_classes(ctx, real_fashion):
    data = FashionMnist(path=str(real_fashion)).load(ctx)
    assert data.train.images.shape == (60000, 1, 28, 28)
    assert data.train.labels.bincount().tolist() == [6000] * 10
    assert data.test.images.shape == (10000, 1, 28, 28)
    assert data.test.labels.bincount().tolist() == [1000] * 10
    assert [data.class_names[c] for c in data.test.labels[:3]] == ["Ankle boot", "Pullover", "Trouser"]
    assert data.source.licence == "MIT"


def test_fashion_mnist_reads_decompressed_files_too(ctx, tmp_path, real_fashion):
    for name in NAMES:
        (tmp_path / name).write_bytes(gzip.decompress((real_fashion / f"{name}.gz").read_bytes()))
    here, there = (FashionMnist(path=str(place)).load(ctx) for place in (tmp_path, real_fashion))
    assert here.fingerprint == there.fingerprint


def test_fashion_mnist_in_the_download_directory_comes_before_the_systems(tmp_path):
    system, own = tmp_path / "system", tmp_path / "fashion-mnist"
    for place in (system, own):
        place.mkdir()
        for name in NAMES:
            (place / f"{name}.gz").touch()
    assert fashion_mnist.locate(None, tmp_path, system) == own
    (own / f"{NAMES[0]}.gz").unlink()
    assert fashion_mnist.locate(None, tmp_path, system) == system
    (system / f"{NAMES[3]}.gz").unlink()
    assert fashion_mnist.locate(None, tmp_path, system) is None


def test_fashion_mnist_with_a_path_that_lacks_files_fails_at_once(ctx, tmp_path):
    for name in NAMES[:2]:
        (tmp_path / f"{name}.gz").touch()
    with says(
        f"fashion-mnist: {tmp_path} lacks t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (.gz or not); copy them there "
        "from Debian's package dataset-fashion-mnist, or leave the choice of the place to benchfw with "
        "--set dataset.fashion-mnist.path=none"
    ):
        FashionMnist(path=str(tmp_path)).load(ctx)


def test_fashion_mnist_with_a_path_that_does_not_exist_names_the_files_it_wants(ctx):
    with says(
        "fashion-mnist: /nowhere is no directory; wants one with train-images-idx3-ubyte.gz, "
        "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz; "
        "correct --set dataset.fashion-mnist.path=DIR"
    ):
        FashionMnist(path="/nowhere").load(ctx)


def test_fashion_mnist_refuses_a_file_with_another_hash(ctx, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()[:16]
    with says(
        f"fashion-mnist: {tmp_path}/train-images-idx3-ubyte has SHA-256 {found}... when decompressed, wants "
        "c59f468a2f672dc8...; replace it by the one of Debian's package dataset-fashion-mnist"
    ):
        FashionMnist(path=str(tmp_path)).load(ctx)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b"images" * 99)[:-20], "Compressed file ended before the end-of-stream marker was reached"),
        (b"<html>", r"Not a gzipped file (b'<h')"),
        (gzip.compress(b"")[:10] + b"\xff" * 20, "Error -3 while decompressing data: invalid block type"),
    ],
)
def test_fashion_mnist_says_that_a_gz_file_is_damaged(ctx, tmp_path, data, reason):
    for name in NAMES:
        (tmp_path / f"{name}.gz").write_bytes(data)
    with says(
        f"fashion-mnist: {tmp_path}/train-images-idx3-ubyte.gz cannot be read ({reason}); "
        "replace it by the one of Debian's package dataset-fashion-mnist"
    ):
        FashionMnist(path=str(tmp_path)).load(ctx)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server on this machine that serves the folder `site`; gives its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "site").mkdir()
    handler = partial(QuietHandler, directory=tmp_path / "site")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def md5s(site, *names):
    return [(name, hashlib.md5((site / name).read_bytes()).hexdigest()) for name in names]


def test_a_download_goes_to_the_next_mirror_and_leaves_only_whole_files(ctx, tmp_path, mirror, capfd):
    (tmp_path / "site" / "a.gz").write_bytes(b"first")
    (tmp_path / "site" / "b.gz").write_bytes(b"second")
    wanted = md5s(tmp_path / "site", "a.gz", "b.gz")
    fashion_mnist.fetch_from([mirror + "not-here/", mirror], wanted, folder=tmp_path / "got", ctx=ctx)
    assert {file.name: file.read_bytes() for file in (tmp_path / "got").iterdir()} == {
        "a.gz": b"first",
        "b.gz": b"second",
    }
    assert capfd.readouterr() == ("", "")


def test_a_download_with_a_wrong_hash_leaves_nothing_behind(ctx, tmp_path, mirror):
    (tmp_path / "site" / "a.gz").write_bytes(b"first")
    (tmp_path / "site" / "b.gz").write_bytes(b"a login page")
    wanted = [*md5s(tmp_path / "site", "a.gz"), ("b.gz", "0" * 32)]
    with pytest.raises(RuntimeError):
        fashion_mnist.fetch_from([mirror], wanted, folder=tmp_path / "got", ctx=ctx)
    assert list((tmp_path / "got").iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_fashion_mnist_offline_says_which_files_to_put_where(ctx, tmp_path, monkeypatch):
    from torchvision.datasets import FashionMNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])  # a port where nobody listens
    with says(
        f"fashion-mnist: found neither in {tmp_path}/fashion-mnist nor in /usr/share/datasets/fashion-mnist, and the "
        f"download failed (<urlopen error {refused}>); install Debian's package "
        "dataset-fashion-mnist, or put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
        f"t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz into {tmp_path}/fashion-mnist or any directory named "
        "with --set dataset.fashion-mnist.path=DIR"
    ):
        fashion_mnist.fetch(tmp_path, ctx)


def test_fashion_mnist_has_one_cache_key_wherever_its_files_are(tmp_path):
    assert FashionMnist().files(tmp_path) == ()


# npz


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (1, 6, 5)])
def test_npz_reads_gray_images_in_each_layout(ctx, tmp_path, shape):
    images = pixels(4, 6, 5)
    data = Npz(path=saved(tmp_path / "a.npz", X=images.reshape(4, *shape), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(data.train.images.numpy(), images[:, None])


def test_npz_puts_the_channels_of_color_images_first(ctx, tmp_path):
    images = pixels(4, 6, 5, 3)
    last = Npz(path=saved(tmp_path / "a.npz", X=images, y=[0, 1, 0, 1])).load(ctx)
    first = Npz(path=saved(tmp_path / "b.npz", X=images.transpose(0, 3, 1, 2), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(last.train.images.numpy(), images.transpose(0, 3, 1, 2))
    assert last.fingerprint == first.fingerprint


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_npz_scales_floats_back_to_the_bytes_they_came_from(ctx, tmp_path, dtype):
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    data = Npz(path=saved(tmp_path / "a.npz", X=(levels / 255).astype(dtype), y=[0, 1, 0, 1])).load(ctx)
    assert np.array_equal(data.train.images.squeeze(1).numpy(), levels)


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        ([0, 1, 2, 0], [0, 1, 2, 0], ("0", "1", "2")),
        ([[7], [-3], [40], [7]], [1, 0, 2, 1], ("-3", "7", "40")),
        (np.array([3, 1, 3, 1], dtype=">u2"), [1, 0, 1, 0], ("1", "3")),
        (["zebra", "ant", "ant", "bee"], [2, 0, 0, 1], ("ant", "bee", "zebra")),
        (np.array(["zebra", "ant", "ant", "bée"]).astype("U5"), [2, 0, 0, 1], ("ant", "bée", "zebra")),
        (np.array([b"no", b"yes", b"no", b"no"]), [0, 1, 0, 0], ("no", "yes")),
        ([True, False, True, True], [1, 0, 1, 1], ("False", "True")),
    ],
)
def test_npz_maps_labels_to_class_numbers_in_sorted_order(ctx, tmp_path, labels, numbers, names):
    data = Npz(path=saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=labels)).load(ctx)
    assert data.train.labels.tolist() == numbers
    assert data.class_names == names


@pytest.mark.parametrize("labels", [[2, 0, 0, 1], ["low", "high", "high", "mid"]])
def test_npz_takes_the_order_of_the_classes_from_class_names(ctx, tmp_path, labels):
    file = saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=labels, class_names=np.array([b"high", b"mid", b"low"]))
    data = Npz(path=file).load(ctx)
    assert data.train.labels.tolist() == [2, 0, 0, 1]
    assert data.class_names == ("high", "mid", "low")


@pytest.mark.parametrize("groups", [["p9", "p1", "p9", "p2"], [900, 1, 900, 2]])
def test_npz_keeps_groups_together(ctx, tmp_path, groups):
    data = Npz(path=saved(tmp_path / "a.npz", X=pixels(4, 6, 5), y=[0, 1, 0, 1], groups=groups)).load(ctx)
    assert data.train.groups.tolist() == [2, 0, 2, 1]


def test_npz_reads_the_three_parts_of_a_medmnist_file(ctx, tmp_path):
    arrays = {}
    for part, n in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = pixels(n, 28, 28, seed=n)
        arrays[f"{part}_labels"] = np.arange(n, dtype=np.uint8)[:, None] % 2
    data = Npz(path=saved(tmp_path / "a.npz", **arrays)).load(ctx)
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 2, 3]
    assert np.array_equal(data.test.images.squeeze(1).numpy(), arrays["test_images"])
    assert data.val.labels.tolist() == [0, 1]


def test_npz_needs_no_validation_or_test_part(ctx, tmp_path):
    file = saved(tmp_path / "a.npz", train_images=pixels(2, 6, 5), train_labels=[[0], [1]])
    data = Npz(path=file).load(ctx)
    assert (data.val, data.test) == (None, None)


def test_npz_reports_progress_array_by_array(tmp_path):
    seen = []
    ctx = Context(0, torch.device("cpu"), tmp_path, report=lambda done, total: seen.append((done, total)))
    Npz(path=saved(tmp_path / "a.npz", X=pixels(2, 6, 5), y=[0, 1])).load(ctx)
    assert seen == [(1, 2), (2, 2)]


def test_npz_expands_the_home_directory(ctx, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path / "a.npz", X=pixels(2, 6, 5), y=[0, 1])
    assert len(Npz(path="~/a.npz").load(ctx).train) == 2
    assert Npz(path="~/a.npz").files(tmp_path) == (tmp_path / "a.npz",)


GOOD = {"X": pixels(4, 6, 5), "y": np.array([0, 1, 0, 1])}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": None, "images": pixels(4, 6, 5)},
            (
                "lacks X; found y, images; wants X and y, or train_images and train_labels (and the same for val and "
                "test); rename its arrays"
            ),
        ),
        (
            {"train_images": pixels(4, 6, 5), "train_labels": [0, 1, 0, 1], "val_images": pixels(1, 6, 5)},
            (
                "lacks val_labels; found X, y, train_images, train_labels, val_images; wants X and y, or train_images "
                "and train_labels (and the same for val and test); rename its arrays"
            ),
        ),
        (
            {"X": pixels(4, 30)},
            "X has shape (4, 30); wants (N, H, W), (N, H, W, C) or (N, C, H, W), none of them 0",
        ),
        (
            {"X": pixels(0, 6, 5)},
            "X has shape (0, 6, 5); wants (N, H, W), (N, H, W, C) or (N, C, H, W), none of them 0",
        ),
        (
            {"X": pixels(4, 3, 5, 3)},
            "X has shape (4, 3, 5, 3): axis 1 or axis 3 may be the channels; save gray images as (N, H, W)",
        ),
        (
            {"X": pixels(4, 6, 5).astype(int)},
            "X is int64; wants uint8, or floats in [0, 1]; convert it, e.g. with X.astype('uint8')",
        ),
        (
            {"X": np.linspace(-1, 254.5, 120).reshape(4, 6, 5)},
            "X has floats from -1 to 254.5; wants them in [0, 1], or uint8; rescale it first",
        ),
        (
            {"X": np.full((4, 6, 5), np.nan)},
            "X has floats from nan to nan; wants them in [0, 1], or uint8; rescale it first",
        ),
        (
            {"y": np.eye(4)[:, :3]},
            (
                "y has shape (4, 3): 3 labels for each image; wants one, (N,) or (N, 1); reduce them first: "
                "y.argmax(1) if one-hot, else e.g. keep the images with exactly one finding"
            ),
        ),
        ({"y": [0, 1, 0]}, "y has shape (3,); wants one label for each of the 4 images"),
        ({"y": [0.0, 1, 0, 1]}, "y is float64; wants integers or strings; convert it, e.g. with y.astype(int)"),
        ({"y": [5, 5, 5, 5]}, "y has the classes ['5']; wants at least 2 classes"),
        (
            {"y": np.array(["a", 1, None, 2], dtype=object)},
            (
                "y is an array of Python objects, which could run code when read; save it as numbers or strings, "
                "e.g. y.astype(str)"
            ),
        ),
        (
            {"class_names": ["a", "b", "c"]},
            "y has no image of class 2 ('c'); add some, or take it out of class_names",
        ),
        ({"class_names": ["a"]}, "y has the label 1, which is not one of the 1 classes (0)"),
        (
            {"y": ["a", "b", "a", "x"], "class_names": ["a", "b"]},
            "y has the label 'x', which is not one of the 2 classes ('a', 'b')",
        ),
        ({"class_names": [4, 5]}, "class_names is int64 of shape (2,); wants K strings, shape (K,)"),
        ({"class_names": ["a", "a"]}, "class_names: wants 2 different names, found ['a', 'a']"),
        (
            {"groups": [[1], [2], [1], [2]]},
            "groups has shape (4, 1); wants one group for each of the 4 images, shape (4,)",
        ),
    ],
)
def test_npz_says_in_one_line_what_is_wrong_with_an_array(ctx, tmp_path, arrays, message):
    content = {key: value for key, value in (GOOD | arrays).items() if value is not None}
    file = saved(tmp_path / "a.npz", **content)
    with says(f"npz: {file}: {message}"):
        Npz(path=file).load(ctx)


def test_npz_refuses_test_labels_and_shapes_that_training_lacks(ctx, tmp_path):
    train = {"train_images": pixels(2, 6, 5), "train_labels": [0, 1]}
    file = saved(tmp_path / "a.npz", **train, test_images=pixels(2, 6, 5), test_labels=[0, 2])
    with says(f"npz: {file}: test_labels has the label 2, which is not one of the 2 classes (0, 1)"):
        Npz(path=file).load(ctx)
    file = saved(tmp_path / "b.npz", **train, test_images=pixels(2, 6, 6), test_labels=[0, 1])
    with says(f"npz: {file}: test: wants images of shape (1, 6, 5) like train, found (1, 6, 6)"):
        Npz(path=file).load(ctx)


def test_npz_without_a_path_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.npz.path=FILE or npz@path=FILE"
    for call in (lambda: Npz().load(ctx), lambda: Npz().files(tmp_path)):
        with says(f"dataset.npz.path: wants a path, found none; {cure}", UsageError):
            call()


@pytest.mark.parametrize("path", ["/nowhere/a.npz", "~nobody-of-this-name/a.npz"])
def test_npz_says_that_there_is_no_such_file(ctx, tmp_path, path):
    with says(f"npz: {path}: no such file; correct --set dataset.npz.path=FILE"):
        Npz(path=path).load(ctx)
    with says(f"npz: {path}: no such file; correct --set dataset.npz.path=FILE"):
        Npz(path=path).files(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 200, -30], ids=["empty", "one byte", "cut early", "cut late"])
def test_npz_says_that_a_file_is_cut_short(ctx, tmp_path, kept):
    file = tmp_path / "a.npz"
    saved(file, **GOOD)
    file.write_bytes(file.read_bytes()[:kept])
    with says(f"npz: {file}: is not an npz file, or is cut short; write it with numpy.savez, or copy it again"):
        Npz(path=str(file)).load(ctx)


def test_npz_says_that_an_array_inside_is_damaged(ctx, tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, **GOOD)
    data = bytearray(file.read_bytes())
    data[100:140] = bytes(40)
    file.write_bytes(data)
    with pytest.raises(DataError, match=re.escape(f"npz: {file}: X is damaged (") + ".*; copy or write the file again"):
        Npz(path=str(file)).load(ctx)


def test_npz_says_that_other_kinds_of_file_are_not_what_it_reads(ctx, tmp_path):
    np.save(tmp_path / "a.npy", GOOD["X"])
    with says(
        f"npz: {tmp_path}/a.npy: is a single npy array, wants an npz file with X and y; write it with numpy.savez"
    ):
        Npz(path=str(tmp_path / "a.npy")).load(ctx)
    with says(f"npz: {tmp_path}: cannot be read (Is a directory); wants an npz file"):
        Npz(path=str(tmp_path)).load(ctx)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("X", "text")
        archive.writestr("y", "text")
    with says(f"npz: {tmp_path}/a.zip: X is not a numpy array; write the file with numpy.savez"):
        Npz(path=str(tmp_path / "a.zip")).load(ctx)


# image-folder


def test_image_folder_reads_classes_and_files_in_sorted_order(ctx, folder):
    data = ImageFolder(path=str(folder)).load(ctx)
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert np.array_equal(
        data.train.images.numpy(), np.stack([pixels(1, 5, 6, seed=n) for n in range(5)])[:, 0][:, None]
    )


def test_image_folder_passes_over_hidden_files_and_what_is_no_image(ctx, folder):
    before = ImageFolder(path=str(folder)).load(ctx).fingerprint
    (folder / "README.md").write_text("not a class")
    (folder / "cat" / "notes.txt").write_text("not an image")
    (folder / "cat" / "._a.png").write_text("what some systems leave behind")
    picture(folder / ".trash" / "a.png", pixels(1, 5, 6)[0])
    picture(folder / "dog" / ".thumbnails" / "a.png", pixels(1, 5, 6)[0])
    assert ImageFolder(path=str(folder)).load(ctx).fingerprint == before
    assert [file.name for file in ImageFolder(path=str(folder)).files(folder)] == [f"{n}.png" for n in "abcab"]


def test_image_folder_reads_the_parts_train_val_and_test(ctx, tmp_path):
    for n, name in enumerate(("train/cat/1", "train/dog/1", "train/dog/2", "val/dog/1", "test/cat/1", "test/dog/1")):
        picture(tmp_path / f"{name}.png", pixels(1, 5, 6, seed=n)[0])
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert [part.labels.tolist() for part in (data.train, data.val, data.test)] == [[0, 1, 1], [1], [0, 1]]
    assert np.array_equal(data.val.images.numpy()[0, 0], pixels(1, 5, 6, seed=3)[0])


@pytest.mark.parametrize("suffix", ["bmp", "PNG", "tif", "tiff", "webp", "pgm", "gif"])
def test_image_folder_reads_lossless_formats_exactly(ctx, tmp_path, suffix):
    images = pixels(2, 5, 6)
    options = {"lossless": True} if suffix == "webp" else {}
    for image, name in zip(images, "ab", strict=True):
        picture(tmp_path / name / f"1.{suffix}", image, **options)
    data = ImageFolder(path=str(tmp_path), color="gray").load(ctx)
    assert np.array_equal(data.train.images.squeeze(1).numpy(), images)


def test_image_folder_reads_jpegs_as_pillow_does(ctx, tmp_path):
    files = [picture(tmp_path / name / "1.jpg", pixels(1, 16, 16, 3)[0]) for name in "ab"]
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert np.array_equal(data.train.images[1].permute(1, 2, 0).numpy(), np.array(Image.open(files[1])))


def test_image_folder_is_gray_by_itself_only_if_every_image_is(ctx, folder):
    assert ImageFolder(path=str(folder)).load(ctx).train.image_shape == (1, 5, 6)
    assert ImageFolder(path=str(folder), color="rgb").load(ctx).train.image_shape == (3, 5, 6)
    picture(folder / "dog" / "color.png", pixels(1, 5, 6, 3)[0])
    mixed = ImageFolder(path=str(folder)).load(ctx)
    assert mixed.train.image_shape == (3, 5, 6)
    assert np.array_equal(mixed.train.images[0].numpy(), np.repeat(pixels(1, 5, 6, seed=0), 3, axis=0))
    assert ImageFolder(path=str(folder), color="gray").load(ctx).train.image_shape == (1, 5, 6)


def test_image_folder_drops_transparency(ctx, tmp_path):
    image = pixels(1, 5, 6, 4)[0]
    palette = Image.fromarray(pixels(1, 5, 6)[0] // 64).convert("P")
    palette.putpalette([200, 10, 20] * 256)
    for name in "ab":
        picture(tmp_path / name / "1.png", image)
    palette.save(tmp_path / "b" / "2.png", transparency=bytes([0, 128, 255, 255]))
    data = ImageFolder(path=str(tmp_path)).load(ctx)
    assert np.array_equal(data.train.images[0].permute(1, 2, 0).numpy(), image[..., :3])
    assert data.train.images[2].flatten(1).unique(dim=1).tolist() == [[200], [10], [20]]


def test_image_folder_resizes_images_of_any_size_as_pillow_does(ctx, folder):
    other = picture(folder / "dog" / "wide.png", pixels(1, 9, 30)[0])
    data = ImageFolder(path=str(folder), size=4).load(ctx)
    assert data.train.images.shape == (6, 1, 4, 4)
    wanted = np.array(Image.open(other).resize((4, 4), Image.Resampling.BILINEAR))
    assert np.array_equal(data.train.images[5, 0].numpy(), wanted)


def test_image_folder_reports_progress_image_by_image(folder):
    seen = []
    ctx = Context(0, torch.device("cpu"), folder, report=lambda done, total: seen.append((done, total)))
    ImageFolder(path=str(folder)).load(ctx)
    assert seen == [(n, 5) for n in range(1, 6)]


def test_image_folder_names_the_first_two_images_that_differ_in_size(ctx, folder):
    picture(folder / "dog" / "aa.png", pixels(1, 9, 30)[0])
    with says(
        f"image-folder: {folder}: cat/a.png is 6x5, but dog/aa.png is 30x9; wants one size; "
        "resize them with --set dataset.image-folder.size=64"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_counts_the_images_that_cannot_be_read(ctx, folder):
    file = folder / "cat" / "b.png"
    file.write_bytes(file.read_bytes()[:60])
    for name in ("a.png", "b.png", "c.jpg", "d.gif"):
        (folder / "dog" / name).write_text("no image")
    names = "cat/b.png, dog/a.png, dog/b.png, ..."
    with says(
        f"image-folder: {folder}: 5 of 7 images cannot be read: {names} (image file is truncated); "
        "replace or remove them"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_says_so_when_no_image_at_all_can_be_read(ctx, folder):
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    with says(
        f"image-folder: {folder}: 5 of 5 images cannot be read: cat/a.png, cat/b.png, cat/c.png, ... "
        "(no image that Pillow knows); replace or remove them"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_refuses_images_of_more_than_8_bits(ctx, folder):
    picture(folder / "cat" / "x.png", pixels(1, 5, 6)[0].astype(np.uint16) * 200)
    with says(
        f"image-folder: {folder}: 1 of 6 images have more than 8 bits a channel: cat/x.png; wants 8 bits; "
        "convert them first, since which gray values matter is yours to choose"
    ):
        ImageFolder(path=str(folder)).load(ctx)


def test_image_folder_without_a_path_says_how_to_give_one(ctx, tmp_path):
    cure = "give it with --set dataset.image-folder.path=DIR or image-folder@path=DIR"
    with says(f"dataset.image-folder.path: wants a path, found none; {cure}", UsageError):
        ImageFolder().load(ctx)
    with says(f"dataset.image-folder.path: wants a path, found none; {cure}", UsageError):
        ImageFolder().files(tmp_path)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "no such directory; wants <class>/*.png below it; correct --set dataset.image-folder.path=DIR"),
        ((), "found no class folder; wants at least 2, as in <class>/*.png or train/<class>/*.png"),
        (
            ("cat/1.png",),
            "found one class folder ('cat'); wants at least 2, as in <class>/*.png or train/<class>/*.png",
        ),
        (
            ("cat/1.png", "dog/notes.txt"),
            (
                "class 'dog' has no image; wants files that end in .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, "
                ".tiff, .webp; add some, or remove it"
            ),
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "valid/cat/1.png"),
            (
                "found the folders train, valid; wants either classes, none of them called train, val or test, or "
                "train with val or test and nothing else; rename or move the others"
            ),
        ),
        (
            ("val/cat/1.png", "test/dog/1.png"),
            (
                "found the folders test, val; wants either classes, none of them called train, val or test, or train "
                "with val or test and nothing else; rename or move the others"
            ),
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/cow/1.png"),
            "test has the class 'cow', which train lacks; rename the folder or move it away",
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/dog/notes.txt"),
            "test has no image in any class folder; add some, or remove the folder",
        ),
    ],
)
def test_image_folder_says_in_one_line_what_is_wrong_with_the_folders(ctx, tmp_path, made, message):
    root = tmp_path / "root"
    if made is not None:
        root.mkdir()
    for name in made or ():
        if name.endswith(".png"):
            picture(root / name, pixels(1, 5, 6)[0])
        else:
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text("not an image")
    with says(f"image-folder: {root}: {message}"):
        ImageFolder(path=str(root)).load(ctx)
