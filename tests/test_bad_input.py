"""What a user gets wrong is said in one line, without a traceback, and as early as it can be known."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import FAST, content, ended, rows, until

ONE = ("run", *FAST, "--repetitions", 1, "--out", "out")
SYNTHESIZERS = ("smote", "eos", "class-gaussian", "gan-feature@steps=2")

WRONG = {
    "an unknown experiment": (("run", "quik"), "no experiment named 'quik'; did you mean 'quick'?"),
    "an unknown data set": (("run", "-d", "digist"), "no dataset named 'digist'; did you mean 'digits'?"),
    "an unknown extractor": (("run", "-e", "pixel"), "no extractor named 'pixel'; did you mean 'pixels'?"),
    "an unknown augmenter": (("run", "-a", "smoot"), "no augmenter named 'smoot'; did you mean 'smote'?"),
    "an unknown classifier": (("run", "-c", "hed"), "no classifier named 'hed'; did you mean 'head'?"),
    "a role in place of a kind": (("show", "JointTrainer", "x"), "'JointTrainer'; a JointTrainer is an augmenter"),
    "an unknown kind": (("list", "augmentors"), "no kind named 'augmentors'; did you mean 'augmenter'?"),
    "an unknown imbalance": (("run", "-i", "stepp:20"), "imbalance 'stepp:20' cannot be read; wants natural, exp:R"),
    "an unknown setting": (("run", "--set", "repetitons=3"), "no setting 'repetitons'; did you mean 'repetitions'?"),
    "an unknown metric": (("run", "--set", "metric=mcq"), "no metric named 'mcq'; did you mean 'mcc'?"),
    "an unknown preset": (("run", "-e", "paper-cnn@tinny"), "no preset 'tinny'; did you mean 'tiny'?"),
    "an unknown parameter": (
        ("run", "-a", "smote@kk=3"),
        "augmenter.smote: no parameter 'kk'; did you mean 'k'?",
    ),
    "a parameter of what is not there": (
        ("run", "-a", "none", "--set", "augmenter.smote.k=3"),
        "set augmenter.smote.k: no such component in this experiment; ",
    ),
    "a parameter out of bounds": (
        ("run", "--set", "augmenter.smote.k=0"),
        "augmenter.smote.k: wants int >= 1, found '0'",
    ),
    "a parameter of another type": (("run", "-a", "smote@k=three"), "wants int >= 1, found 'three'"),
    "a setting out of bounds": (
        ("run", "--set", "val_fraction=1"),
        "val_fraction: wants float >= 0 and < 1, found '1'",
    ),
    "no repetition": (("run", "--repetitions", 0), "repetitions: wants int >= 1 and <= 1000, found 0"),
    "the same component twice": (("run", "-a", "smote", "-a", "smote@k=5"), "is on the axis twice (as 'smote')"),
    "an unknown device": (("run", "--device", "gpu"), "--device gpu: not on this machine; found:"),
    "a device without a number": (("run", "--device", "cpu:x"), "--device cpu:x: wants auto, cpu, cuda, cuda:1 or mps"),
    "more counts than classes": (
        ("run", "-i", "counts:1x99999999999"),
        "wants at most 100000 counts, found 99999999999",
    ),
    "a missing experiment file": (("run", "absent.toml"), "experiment absent.toml: No such file or directory"),
    "a directory without a run": (("table", "."), "holds no run (no manifest.json)"),
}


def test_an_experiment_file_that_is_no_text_is_refused_in_one_line(here, home):
    (home.path / "binary.toml").write_bytes(b'name = "\xff\xfe"')
    done = here("run", "binary.toml")
    assert (done.code, done.err) == (2, "benchfw: experiment binary.toml: is no text in UTF-8; wants a TOML file\n")


def test_a_wrong_request_is_one_line_and_exit_code_2(home):
    done = home.run(*ONE, "-a", "smoot")
    assert done.code == 2
    said = "benchfw: no augmenter named 'smoot'; did you mean 'smote'? (known: class-gaussian, eos, "
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert not (home.path / "out").exists()


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_in_one_line(here, words, said):
    done = here(*words)
    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("benchfw: ")
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(here):
    done = here("run", "--device", "cuda")
    assert done.code == 2
    assert done.err.startswith("benchfw: --device cuda: not on this machine; found: ")
    assert done.err.count("\n") == 1


def test_no_worker_is_refused_with_the_bound(here):
    done = here("run", "--jobs", 0)
    assert done.code == 2
    assert "'--jobs'" in done.err
    assert "1" in done.err
    assert "Traceback" not in done.err


# ---- data ----


def save(path, counts, **more):
    """An npz file of gray images of 8x8, whose classes differ in brightness, with so many samples of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(0).integers(0, 60, (len(labels), 8, 8)) + 60 * labels[:, None, None]
    np.savez(path, train_images=images.astype(np.uint8), train_labels=labels, **more)


def test_a_class_of_one_sample_cannot_be_split(here, home):
    save(home.path / "one.npz", (20, 20, 1))
    done = here(*ONE, "-d", "npz@path=one.npz", "--in-process")
    assert done.code == 1
    assert "1 cell failed: test split: class 2" in done.err
    assert "wants at least 1 on both sides" in done.err
    assert "Traceback" not in done.err


def test_every_synthesizer_copes_with_a_class_of_one_sample(here, home):
    test = {"test_images": np.zeros((6, 8, 8), np.uint8), "test_labels": np.arange(6) % 3}
    save(home.path / "one.npz", (20, 20, 1), **test)
    asked = [word for name in SYNTHESIZERS for word in ("-a", name)]
    done = here(*ONE, "-d", "npz@path=one.npz", *asked, "--set", "val_fraction=0", "--in-process")
    assert done.code == 0
    assert "Traceback" not in done.err
    cells = [row for row in rows(home.path / "out") if row["axes"]["dataset"] != "digits"]
    assert {row["axes"]["augmenter"] for row in cells} == {"none", *SYNTHESIZERS}
    for row in cells:
        assert row["status"] == "done" or (row["status"] == "skipped" and row["reason"])
        assert row["status"] == "skipped" or row["counts"] == [20, 20, 1]


def test_a_class_that_the_imbalance_empties_skips_the_cells_with_the_reason(here, home):
    done = here(*ONE, "-i", "exp:1000", "-a", "random", "--in-process")
    assert done.code == 3
    said = (
        "2 cells skipped: imbalance exp:1000 leaves class 7 with 0 of its 125 training samples; choose a smaller ratio"
    )
    assert said in done.err
    assert [row["status"] for row in rows(home.path / "out")] == ["skipped", "skipped"]
    assert (home.path / "out" / "table.csv").read_text().count("skipped: imbalance exp:1000") == 2


def test_features_that_are_not_finite_fail_their_cells(home):
    home.install_probe()
    done = home.run(*ONE, "-e", "not-finite", "--in-process")
    assert done.code == 1
    assert "1 cell failed: extractor not-finite: features have NaN or infinite values in 1 of 256 rows" in done.err
    assert sorted(row["status"] for row in rows(home.path / "out")) == ["done", "failed"]


def test_a_training_that_diverges_fails_its_cells(here, home):
    diverging = ("-e", "lenet5@steps=20,lr=1e30", "--in-process")
    done = here(*ONE, *diverging)
    assert done.code == 1
    assert "1 cell failed: training: the loss is" in done.err
    assert "lower lr=1e+30" in done.err
    assert sorted(row["status"] for row in rows(home.path / "out")) == ["done", "failed"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("npz", "dataset.npz.path: wants a path, found none; give it with --set dataset.npz.path=FILE"),
        ("npz@path=absent.npz", "npz: absent.npz: no such file; correct --set dataset.npz.path=FILE"),
        ("image-folder@path=empty", "image-folder: empty: "),
        ("fashion-mnist@path=empty", "fashion-mnist: empty lacks train-images-idx3-ubyte, "),
    ],
)
def test_data_that_is_not_there_is_named_with_the_cure(here, home, data, said):
    (home.path / "empty").mkdir()
    done = here("run", *FAST[2:], "-d", data, "--in-process", "--out", "out")
    assert done.code in (1, 2)  # 2 where it is known before any work
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (home.path / "out" / "tracebacks").exists()


# ---- directories ----


def test_a_run_of_another_experiment_is_refused_and_not_touched(here, home):
    assert here(*ONE, "--in-process").code == 0
    before = content(home.path / "out")
    done = here(*ONE, "--seed", 1)
    assert done.code == 2
    said = "benchfw: out holds the run of another experiment (seed 0 there, 1 here); choose another --out\n"
    assert done.err == said
    assert content(home.path / "out") == before


def test_a_directory_of_something_else_is_refused_and_not_touched(here, home):
    (home.path / "out").mkdir()
    (home.path / "out" / "thesis.txt").write_text("three years")
    done = here(*ONE)
    assert done.code == 2
    assert done.err == "benchfw: out is not empty and holds no run of benchfw; choose another --out\n"
    assert content(home.path / "out") == {"thesis.txt": b"three years"}


def test_the_second_process_in_a_directory_is_refused_and_the_first_finishes(home):
    home.install_probe()
    first = home.start(*ONE, "-c", "waits", "--jobs", 1)
    until(home.waiting)
    second = home.run(*ONE, "-c", "waits")
    assert second.code == 2
    said = "benchfw: out: another benchfw process works in it; wait for it, or choose another --out\n"
    assert second.err == said
    (home.path / "go").touch()
    assert ended(first).code == 0
    assert [row["status"] for row in rows(home.path / "out")] == ["done", "done"]


# ---- a full disk ----


def may_mount():
    """Whether a small file system can be mounted here, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0
    )


ON_A_SMALL_DISK = """
mkdir small && mount -t tmpfs -o size=1m tmpfs small && head -c {kib}K /dev/zero > small/filling || exit 99
"$@"; code=$?
cp -r small/. saved; exit $code
"""


def run_on_a_small_disk(home, *words, kib):
    """Run a command where the directory `small` has 1 MiB, of which so many KiB are taken; `saved` is its copy."""
    (home.path / "saved").mkdir()
    script = ON_A_SMALL_DISK.format(kib=kib)
    command = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "benchfw", *map(str, words)]
    return subprocess.run(command, cwd=home.path, env=home.environment, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not may_mount(), reason="this system lets no test mount a file system")
def test_a_full_disk_stops_the_run_and_keeps_what_is_finished(here, home):
    many = ("run", *FAST, "--repetitions", 20, "--in-process")
    done = run_on_a_small_disk(home, *many, "--out", "small/out", kib=900)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("benchfw: cannot save ")
    assert "small/out/" in last
    assert ": No space left on device; free some space, or choose another directory" in last
    assert "Traceback" not in done.stderr
    finished = [line for line in done.stderr.splitlines() if "] done  " in line]
    kept = rows(home.path / "saved" / "out")
    assert len(kept) == len(finished) > 0
    assert {row["status"] for row in kept} == {"done"}
    again = here(*many, "--out", "saved/out")
    assert again.code == 0
    assert f"{len(kept)} finished before, {20 - len(kept)} to run" in again.err


@pytest.mark.skipif(not may_mount(), reason="this system lets no test mount a file system")
def test_a_full_cache_stops_the_run(home):
    save(home.path / "small.npz", (20, 20))  # its features are small, but not the network
    network = ("-d", "npz@path=small.npz", "-e", "lenet5@steps=1", "--in-process")
    done = run_on_a_small_disk(home, "run", *FAST[2:], *network, "--cache", "small/cache", "--out", "out", kib=100)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("benchfw: cannot save a stage in the cache ")
    assert "small/cache: No space left on device; " in last
    assert not list((home.path / "saved" / "cache").rglob(".writing-*"))
