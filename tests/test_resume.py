"""The same command goes on where it stopped; what is killed costs a cell at most, and leaves no process behind."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, Home, alive, content, ended, rows, until

ONE = ("run", *FAST, "--repetitions", 1, "--out", "out")
TWO = (*ONE, "-a", "random")
THREE = (*TWO, "-a", "smote")
ONE_AND_WAITS = (*ONE, "-c", "waits")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A home in which a run of three cells has finished; copied by each test."""
    home = Home(tmp_path_factory.mktemp("finished"))
    assert home.run(*THREE, "--in-process").code == 0
    return home.path


@pytest.fixture
def resumable(finished, home):
    shutil.copytree(finished, home.path, dirs_exist_ok=True)
    return home


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_same_command_again_runs_nothing(resumable):
    out = resumable.path / "out"
    table, before = (out / "table.csv").read_bytes(), stamps(out / "cells") | stamps(out / "predictions")
    done = resumable.run(*THREE)
    assert done.code == 0
    assert "3 cells in out: 3 finished before, 0 to run" in done.err
    assert (out / "table.csv").read_bytes() == table
    assert stamps(out / "cells") | stamps(out / "predictions") == before


def test_only_cells_whose_files_are_gone_or_damaged_run_again(resumable, here):
    out = resumable.path / "out"
    before, (gone, damaged, left) = content(out), sorted((out / "cells").iterdir())
    stamp = left.stat().st_mtime_ns
    gone.unlink()
    damaged.write_bytes(damaged.read_bytes()[:100])
    done = here(*THREE, "--in-process")
    assert "1 finished before, 2 to run" in done.err
    assert left.stat().st_mtime_ns == stamp
    assert content(out)["table.csv"] == before["table.csv"]


def test_a_changed_parameter_is_another_experiment_and_overwrites_nothing(resumable, here):
    out = resumable.path / "out"
    before = content(out)
    done = here(*THREE, "--set", "augmenter.random.fill=0.5")
    assert done.code == 2
    there, here = "['none', 'random', 'smote']", "['none', 'random@fill=0.5', 'smote']"
    assert f"holds the run of another experiment (augmenters {there} there, {here} here)" in done.err
    assert content(out) == before


def test_changed_data_makes_the_cells_stale(here, home):
    images, labels = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8), np.arange(40) % 2
    command = ("run", "-d", "npz@path=own.npz", *FAST[2:], "--repetitions", 1, "--in-process", "--out", "out")
    fingerprints = set()
    for pixels in (images, 255 - images):
        np.savez(home.path / "own.npz", X=pixels, y=labels)
        done = here(*command)
        assert done.code == 0
        fingerprints |= {row["data"]["fingerprint"] for row in rows(home.path / "out")}
    assert "1 stale (something they depend on has changed), so they run again, 1 to run" in done.err
    assert len(fingerprints) == 2  # the new pixels were read, although this process knew the old ones


def test_failed_cells_run_again_and_finished_ones_do_not(home):
    home.install_probe()
    command = (*ONE, "-c", "wants-file", "--in-process")
    first = home.run(*command)
    assert first.code == 1
    assert "1 cell failed: FileNotFoundError" in first.err
    (home.path / "file").touch()
    second = home.run(*command)
    assert second.code == 0
    assert "1 finished before, 1 to run" in second.err
    assert [row["status"] for row in rows(home.path / "out")] == ["done", "done"]


def start_and_wait(home, *command):
    """Start a run; returns it when a cell of `waits` has started."""
    home.install_probe()
    process = home.start(*command)
    until(home.waiting)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(home, sent):
    command = (*ONE_AND_WAITS, "--repetitions", 2, "--jobs", 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job hands on that it is ignored
    process = start_and_wait(home, *command)
    until(lambda: len(home.waiting()) == 2)  # one cell of each repetition is done then
    processes = home.workers() | set(np.ravel(home.waiting()))
    os.killpg(process.pid, sent)
    stopped = ended(process)
    kept = rows(home.path / "out")
    assert stopped.code == 130
    assert f"interrupted: {len(kept)} of 4 cells are finished; the same command goes on from there" in stopped.err
    assert "Traceback" not in stopped.err
    assert {row["status"] for row in kept} == {"done"}
    assert [pid for pid in processes if alive(pid)] == []
    (home.path / "go").touch()
    resumed = home.run(*command, "--jobs", 1)
    assert resumed.code == 0
    assert f"{len(kept)} finished before, {4 - len(kept)} to run" in resumed.err
    assert [row["status"] for row in rows(home.path / "out")] == ["done"] * 4


def test_workers_and_their_children_die_with_a_killed_parent(home):
    process = start_and_wait(home, *ONE_AND_WAITS, "--jobs", 2)
    processes = home.workers() | set(np.ravel(home.waiting()))
    assert len(processes) >= 2
    process.kill()
    ended(process)
    until(lambda: not any(alive(pid) for pid in processes), seconds=5)


def test_no_child_of_a_cell_survives_the_run(home):
    home.install_probe()
    (home.path / "go").touch()
    done = home.run(*ONE_AND_WAITS, "--jobs", 1)
    assert done.code == 0
    ((worker, child),) = home.waiting()
    assert not alive(worker)
    assert not alive(child)


def test_a_run_survives_the_death_of_an_idle_worker(home):
    command = ("run", *FAST[:-2], "-c", "waits", "-c", "linear@steps=5", "--repetitions", 1, "--out", "out")
    process = start_and_wait(home, *command, "--jobs", 2)  # the second cell waits until the first has embedded
    until(lambda: len(home.workers()) == 2)
    ((busy, _),) = home.waiting()
    (idle,) = home.workers() - {busy}
    os.kill(idle, signal.SIGKILL)
    until(lambda: not alive(idle))
    (home.path / "go").touch()
    done = ended(process)
    assert done.code == 0, done.err
    assert [row["status"] for row in rows(home.path / "out")] == ["done", "done"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds a starting worker in /proc")
def test_a_run_survives_the_death_of_a_starting_worker(home):
    process = home.start(*TWO, "--jobs", 2)
    starting = until(lambda: next(spawned_by(process.pid), None))
    os.kill(starting, signal.SIGKILL)
    done = ended(process)
    assert done.code == 0, done.err
    assert [row["status"] for row in rows(home.path / "out")] == ["done", "done"]


def spawned_by(parent):
    """The worker processes of a command, started or starting."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, status = (path / "cmdline").read_text(), (path / "stat").read_text()
        except OSError:  # it has ended
            continue
        if "spawn_main" in words and int(status.rpartition(")")[2].split()[1]) == parent:
            yield int(path.name)
