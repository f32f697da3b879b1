"""What goes wrong shows, in the exit code and in a row with its reason, and does not spread."""

import numpy as np
import pytest
from commands import FAST, content, rows

ONE = ("run", *FAST, "--repetitions", 1, "--out", "out")
NETWORK = ("-e", "paper-cnn@tiny,steps=2", "-c", "head@steps=2", "--set", "val_fraction=0.2")
STAGED = ("run", "-a", "none", "--no-reference", *NETWORK, "--repetitions", 1, "--in-process")  # every file of a stage


def by(axis, out):
    return {row["axes"][axis]: row for row in rows(out)}


def test_an_augmenter_that_raises_is_a_failed_row_and_the_others_have_numbers(home):
    home.install_probe()
    done = home.run(*ONE, "-a", "raises", "--jobs", 1)
    assert done.code == 1
    assert "1 cell failed: Awkward: this augmenter always raises (see tracebacks/" in done.err
    assert "Traceback" not in done.err
    found = by("augmenter", home.path / "out")
    assert found["none"]["status"] == "done"
    assert found["none"]["scores"]["none"]["accuracy"] > 0
    assert found["raises"]["status"] == "failed"
    assert "scores" not in found["raises"]
    traceback = (home.path / "out" / "tracebacks" / f"{found['raises']['id']}.txt").read_text()
    assert traceback.splitlines()[0] == "Traceback (most recent call last):"
    assert traceback.splitlines()[-1] == "probe.Awkward: this augmenter always raises"
    table = (home.path / "out" / "table.csv").read_text()
    assert "raises,linear@steps=5,none,0,failed: Awkward: this augmenter always raises" in table


def test_a_killed_worker_costs_its_own_cell_alone(home):
    home.install_probe()
    done = home.run(*ONE, "-c", "dies", "-c", "linear@steps=6", "--jobs", 2)
    assert done.code == 1
    assert "1 cell killed: the worker process was killed by SIGKILL" in done.err
    statuses = {name: row["status"] for name, row in by("classifier", home.path / "out").items()}
    assert statuses == {"linear@steps=5": "done", "dies": "killed", "linear@steps=6": "done"}


def test_an_edited_helper_of_a_plugin_is_noticed_and_a_comment_is_not(home):
    command = (*ONE, "-a", "marks", "-c", "linear@steps=50,lr=0.01", "--in-process")
    accuracy = {}
    home.install_probe(MARK=0.0)
    for mark in (0.0, 100.0):
        home.set_constants(MARK=mark)
        done = home.run(*command)
        assert done.code == 0, done.err
        cells = [row for row in rows(home.path / "out") if row["axes"]["augmenter"] == "marks"]
        accuracy[mark] = [row["scores"]["none"]["accuracy"] for row in cells]
    assert "2 finished before, 2 stale" in done.err
    assert accuracy[100.0] != accuracy[0.0]
    home.set_constants(comment="not a result", MARK=100.0)
    assert "4 finished before, 0 to run" in home.run(*command).err


def test_a_data_set_that_fails_leaves_the_results_of_the_other(home):
    np.savez(home.path / "wrong.npz", X=np.zeros((20, 8, 8)) - 1, y=np.arange(20) % 2)
    done = home.run(*ONE, "-d", "npz@path=wrong.npz", "--in-process")
    assert done.code == 1
    assert "1 cell failed: npz: wrong.npz: X has floats from -1 to -1" in done.err
    statuses = {name: row["status"] for name, row in by("dataset", home.path / "out").items()}
    assert statuses == {"digits": "done", "npz@path=wrong.npz": "failed"}
    assert len((home.path / "out" / "table.csv").read_text().splitlines()) == 1 + 3  # digits twice: plain, la-natural


@pytest.mark.parametrize("out", ["file/out", "/proc/out"])
def test_a_directory_that_cannot_be_written_stops_the_run_before_any_work(here, home, out):
    (home.path / "file").write_text("something else")
    before = content(home.path)
    done = here(*ONE, "--out", out)
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(f"benchfw: cannot save results in {out}: ")
    assert done.out == ""
    assert content(home.path) == before


@pytest.mark.parametrize("how", [("--in-process",), ("--jobs", 1)])
def test_a_plugin_that_calls_exit_is_a_failed_row_and_the_others_have_numbers(home, how):
    home.install_probe()
    done = home.run(*ONE, "-a", "exits", "-a", "random", *how)
    assert done.code == 1
    assert "1 cell failed: SystemExit: 0 (see tracebacks/" in done.err
    statuses = {name: row["status"] for name, row in by("augmenter", home.path / "out").items()}
    assert statuses == {"none": "done", "exits": "failed", "random": "done"}


def test_a_selector_that_empties_a_class_is_named(home):
    home.install_probe()
    done = home.run(*ONE, "-a", "empties", "--in-process")
    assert done.code == 1
    assert "1 cell failed: augmenter empties: keeps no row of classes [1, 2, 3, 4, 5, 6, 7, 8, 9]; wants" in done.err


def test_a_damaged_stage_is_made_anew(home):
    assert home.run(*STAGED, "--out", "first").code == 0
    for name in ("train.npy", "network.safetensors", "stage.json"):
        (damaged,) = (home.path / "cache").rglob(name)
        damaged.write_bytes(damaged.read_bytes()[:100])
        done = home.run(*STAGED, "--out", f"after-{name}")
        assert done.code == 0, done.err
        tables = [(home.path / out / "table.csv").read_bytes() for out in ("first", f"after-{name}")]
        assert tables[0] == tables[1]


def test_a_missing_file_of_an_extractor_fails_its_cell_and_no_more(home):
    home.install_probe()
    done = home.run(*ONE, "-e", "wants-weights", "--in-process")
    assert done.code == 1
    assert "1 cell failed: RuntimeError: FileNotFoundError: [Errno 2] No such file" in done.err
    statuses = {name: row["status"] for name, row in by("extractor", home.path / "out").items()}
    assert statuses == {"pixels": "done", "wants-weights": "failed"}


def test_a_stage_without_one_of_its_files_is_made_anew(home):
    assert home.run(*STAGED, "--out", "first").code == 0
    for name in ("val.npy", "network.safetensors"):
        (lost,) = (home.path / "cache").rglob(name)
        lost.unlink()
        assert home.run(*STAGED, "--out", f"after-{name}").code == 0
        assert lost.is_file()
