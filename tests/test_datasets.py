"""The data sets of benchfw: which there are, and digits and Fashion-MNIST on their real files."""

import errno
import gzip
import hashlib
import os
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from made_files import says
from sklearn.datasets import load_digits

import benchfw_datasets
from benchfw_datasets import Digits, FashionMnist, fashion_mnist

NAMES = tuple(fashion_mnist.SHA256)


def test_all_data_sets_are_registered_once():
    registered = []
    benchfw_datasets.register_datasets(registered.append)
    assert [dataset.name for dataset in registered] == [
        *("digits", "fashion-mnist", "chexpert", "medmnist", "image-folder", "csv", "npz", "features"),
    ]


# digits


def test_digits_are_those_of_scikit_learn_spread_over_0_to_255(ctx):
    data, reference = Digits().load(ctx), load_digits()
    assert data.train.pool.shape == (1797, 1, 8, 8)
    assert data.train.pool.unique().tolist() == [round(level * 255 / 16) for level in range(17)]
    back = (data.train.pool.squeeze(1) / 255 * 16).round()
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
    assert data.train.pool.shape == (60000, 1, 28, 28)
    assert data.train.labels.bincount().tolist() == [6000] * 10
    assert data.test.pool.shape == (10000, 1, 28, 28)
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
