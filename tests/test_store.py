"""What is kept on disk is whole or absent, belongs to one experiment, and is written by one process at a time."""

import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchfw.errors import StoreError, UsageError
from benchfw.experiment import Experiment, load
from benchfw.keys import Keys, Planned
from benchfw.plan import cells
from benchfw.registry import installed
from benchfw.store import RunDirectory, StageCache, as_bytes, experiment_digest, read_json, write_atomically

SMALL = Experiment("small", "", ("digits",), ("exp:5",), ("pixels",), ("none",), ("linear",), repetitions=3)
HOLD = """
import sys
from pathlib import Path
from benchfw.experiment import Experiment
from benchfw.keys import Keys, Planned
from benchfw.plan import cells
from benchfw.registry import installed
from benchfw.store import RunDirectory

small = Experiment("small", "", ("digits",), ("exp:5",), ("pixels",), ("none",), ("linear",), repetitions=3)
planned = [Planned(cell, Keys("e", "a", "f", cell.id), None) for cell in cells(small, installed())]
with RunDirectory(Path(sys.argv[1])).opened(planned, {}):
    print("holding", flush=True)
    sys.stdin.read()
"""
KILLED = """
import os, sys
from pathlib import Path
from benchfw.store import StageCache

def write(path):
    (path / "train.npy").write_bytes(b"half of it")
    os._exit(9)

StageCache(Path(sys.argv[1])).put("embed", "abc", write)
"""


def planned_of(experiment=SMALL):
    return [Planned(cell, Keys("e", "a", "f", cell.id), None) for cell in cells(experiment, installed())]


def row(planned, status="done", **changed):
    made = {"id": planned.cell.id, "key": planned.keys.cell, "axes": planned.cell.axes, "status": status}
    return made | {"reason": None} | changed


def content(folder):
    """Every file and folder below, with bytes and time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def opened(directory, planned):
    with directory.opened(planned, {"python": "3"}):
        pass


@contextmanager
def no_room():
    """A file of more than 1000 bytes cannot be written, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def planned():
    return planned_of()


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "results")


# ---- files ----


def test_a_written_file_holds_its_content_and_nothing_is_left_beside_it(tmp_path):
    write_atomically(tmp_path / "row.json", b"one")
    write_atomically(tmp_path / "row.json", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"row.json": b"two"}


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    write_atomically(tmp_path / "row.json", b"old")
    with no_room(), pytest.raises(StoreError, match=r"^cannot save .*/row\.json: File too large; free some space, or "):
        write_atomically(tmp_path / "row.json", bytes(5000))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"row.json": b"old"}


def test_a_rename_that_fails_leaves_nothing_beside(tmp_path):
    (tmp_path / "row.json").mkdir()
    with pytest.raises(StoreError, match=r"^cannot save .*/row\.json: Is a directory; "):
        write_atomically(tmp_path / "row.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["row.json"]


def test_a_missing_directory_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"^cannot save .*/absent/row\.json: No such file or directory; "):
        write_atomically(tmp_path / "absent" / "row.json", b"new")


def test_what_is_written_may_be_read_by_whom_the_user_lets_read(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    write_atomically(tmp_path / "row.json", b"")
    stage = StageCache(tmp_path).put("embed", "abc", lambda path: None)
    assert stat.S_IMODE((tmp_path / "row.json").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(stage.stat().st_mode) == stat.S_IMODE((tmp_path / "folder").stat().st_mode)


def test_json_is_sorted_and_reads_back(tmp_path):
    value = {"b": [1, 2.5, None], "a": "画像"}
    assert as_bytes(value).decode().splitlines()[1] == '  "a": "画像",'
    write_atomically(tmp_path / "row.json", as_bytes(value))
    assert read_json(tmp_path / "row.json") == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_numbers_that_it_has_no_word_for(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_bytes({"score": number})


@pytest.mark.parametrize("damaged", [b"", b"{", b"\xff", None])
def test_json_that_cannot_be_read_is_named_with_the_cure(tmp_path, damaged):
    if damaged is not None:
        (tmp_path / "row.json").write_bytes(damaged)
    with pytest.raises(StoreError, match=r"^cannot read .*/row\.json: .*; delete it and run the same command again$"):
        read_json(tmp_path / "row.json")


# ---- the stage cache ----


def put(cache, text, stage="embed", key="abc"):
    return cache.put(stage, key, lambda path: (path / "text").write_text(text) and None)


def test_a_stage_is_found_under_its_own_name_and_key_only(tmp_path):
    cache = StageCache(tmp_path)
    assert cache.find("embed", "abc") is None
    assert put(cache, "one") == cache.find("embed", "abc")
    assert (cache.find("embed", "abc") / "text").read_text() == "one"
    assert cache.find("augment", "abc") is cache.find("embed", "abd") is None
    assert StageCache(tmp_path).find("embed", "abc") == cache.find("embed", "abc")


def test_a_stage_that_is_put_twice_stays_the_first(tmp_path):
    cache = StageCache(tmp_path)
    assert put(cache, "one") == put(cache, "two")
    assert (cache.find("embed", "abc") / "text").read_text() == "one"
    assert [path.name for path in cache.find("embed", "abc").parent.iterdir()] == ["abc"]


def test_a_stage_is_not_found_while_it_is_written(tmp_path):
    cache, seen = StageCache(tmp_path), []

    def write(path):
        (path / "text").write_text("half")
        seen.append(cache.find("embed", "abc"))

    cache.put("embed", "abc", write)
    assert seen == [None]


def test_a_stage_whose_writing_fails_leaves_nothing(tmp_path):
    cache = StageCache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.put("embed", "abc", lambda path: (path / "text").write_text(str(1 / 0)) and None)
    with no_room(), pytest.raises(StoreError, match=r"^cannot save a stage in the cache .*: File too large; "):
        cache.put("embed", "abc", lambda path: (path / "text").write_bytes(bytes(5000)) and None)
    assert cache.find("embed", "abc") is None
    assert [path for path in tmp_path.rglob("*") if path.name.startswith((".", "text"))] == []


def test_a_stage_whose_writer_is_killed_is_not_found_and_is_made_again(tmp_path):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert ended.returncode == 9
    assert len(list(tmp_path.rglob("train.npy"))) == 1  # half of it lies there
    cache = StageCache(tmp_path)
    assert cache.find("embed", "abc") is None
    put(cache, "whole")
    assert (cache.find("embed", "abc") / "text").read_text() == "whole"


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^cannot save a stage in the cache .*/file: Not a directory; "):
        put(StageCache(tmp_path / "file"), "one")


# ---- a run's directory ----


def test_what_is_known_is_written_before_the_first_cell(directory, planned):
    with directory.opened(planned, {"python": "3"}):
        written = {path.name for path in directory.root.iterdir()} - {".lock"}
        assert written == {"manifest.json", "experiment.toml", "machine.json", "cells", "predictions", "views"}
        assert load(str(directory.root / "experiment.toml")) == planned[0].cell.experiment
        assert read_json(directory.root / "machine.json") == {"python": "3"}
        experiment, rows = directory.rows()
    assert experiment == planned[0].cell.experiment
    assert [row["id"] for row in rows] == [item.cell.id for item in planned]
    assert {row["status"] for row in rows} == {"not run"}
    assert [row["axes"] for row in rows] == [item.cell.axes for item in planned]


def test_a_finished_cell_is_reused_under_its_key_only(directory, planned):
    opened(directory, planned)
    for item, status in zip(planned, ("done", "skipped", "failed"), strict=False):
        directory.save(row(item, status))
    assert [directory.reusable(item) is not None for item in planned[:4]] == [True, True, False, False]
    stale = replace(planned[0], keys=Keys("e", "a", "f", "another"))
    assert directory.reusable(stale) is None
    assert directory.row(planned[0].cell.id)["status"] == "done"


@pytest.mark.parametrize("damaged", ["", "{", "null", "[]", "3", "{}", '{"id": "another", "status": "done"}'])
def test_a_cell_file_that_cannot_be_read_is_a_cell_that_has_not_run(directory, planned, damaged):
    opened(directory, planned)
    directory.save(row(planned[0]))
    (directory.cells / f"{planned[0].cell.id}.json").write_text(damaged)
    assert directory.row(planned[0].cell.id) is None
    assert directory.reusable(planned[0]) is None
    assert directory.rows()[1][0]["status"] == "not run"


def test_rows_are_those_of_the_manifest_whatever_else_lies_there(directory, planned):
    opened(directory, planned)
    directory.save(row(planned[1], test=1))
    directory.save(row(planned[1], id="stranger"))
    rows = directory.rows()[1]
    assert len(rows) == len(planned)
    assert rows[1]["test"] == 1


def test_the_same_experiment_may_go_on_in_its_directory(directory, planned):
    opened(directory, planned)
    directory.save(row(planned[0]))
    opened(directory, planned)
    assert directory.reusable(planned[0]) is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"val_fraction": 0.5}, "val_fraction 0.1 there, 0.5 here"),
        ({"classifiers": ("linear@steps=5",)}, "classifiers ['linear'] there, ['linear@steps=5'] here"),
    ],
)
def test_the_directory_of_another_experiment_is_refused_untouched(directory, planned, change, said):
    opened(directory, planned)
    before = content(directory.root)
    with pytest.raises(UsageError) as caught:
        opened(directory, planned_of(replace(SMALL, **change)))
    assert str(caught.value) == f"{directory.root} holds the run of another experiment ({said}); choose another --out"
    assert content(directory.root) == before


def test_a_directory_with_anything_else_in_it_is_refused_untouched(directory, planned):
    directory.root.mkdir()
    (directory.root / "thesis.tex").write_text("all of it")
    before = content(directory.root)
    with pytest.raises(UsageError, match=r"results is not empty and holds no run of benchfw; choose another --out$"):
        opened(directory, planned)
    assert content(directory.root) == before


def test_a_file_in_the_place_of_the_directory_is_said(directory, planned):
    directory.root.write_text("a file")
    with pytest.raises(StoreError, match=r"^cannot save results in .*: File exists; "):
        opened(directory, planned)
    assert directory.root.read_text() == "a file"


def test_a_lock_that_cannot_be_made_is_said(directory, planned):
    (directory.root / ".lock").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"^cannot save results in .*; "):
        opened(directory, planned)


def test_a_run_that_failed_at_its_first_file_starts_again(directory, planned):
    with no_room(), pytest.raises(StoreError, match=r"manifest\.json: File too large; .* run the same command again"):
        opened(directory, planned)
    (directory.root / ".writing-0123").write_text("what a killed process leaves")
    opened(directory, planned)
    assert directory.manifest.is_file()


def test_a_directory_without_a_run_has_no_rows(tmp_path):
    with pytest.raises(UsageError, match=r"holds no run \(no manifest\.json\); wants the directory that `benchfw run`"):
        RunDirectory(tmp_path).rows()


def test_a_second_process_is_refused_and_writes_nothing(directory, planned):
    holder = [sys.executable, "-c", HOLD, str(directory.root)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holding\n"
        before = content(directory.root)
        with pytest.raises(UsageError, match=r"results: another benchfw process works in it; wait for it, or choose "):
            opened(directory, planned)
        assert content(directory.root) == before
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    opened(directory, planned)


def test_a_directory_is_free_again_when_its_process_was_killed(directory, planned):
    holder = [sys.executable, "-c", HOLD, str(directory.root)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holding\n"
        process.kill()
    opened(directory, planned)


def test_a_directory_is_free_again_after_an_error_in_the_run(directory, planned):
    def broken():
        with directory.opened(planned, {}):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    opened(RunDirectory(directory.root), planned)


def test_digest_tells_resolved_experiments_apart():
    digests = {experiment_digest(made) for made in (SMALL, replace(SMALL, seed=1), replace(SMALL, augmenters=("eos",)))}
    assert len(digests) == 3
    assert experiment_digest(SMALL) == experiment_digest(replace(SMALL))


def test_a_row_under_another_key_is_no_result_of_the_plan(directory, planned):
    opened(directory, planned)
    directory.save(row(planned[0]))
    directory.save(row(planned[1], key="of other code"))
    found = directory.rows()[1]
    assert [cell["status"] for cell in found[:3]] == ["done", "not run", "not run"]
    stale = "stale: something it depends on has changed since; run again"
    assert [cell["reason"] for cell in found[:3]] == [None, stale, None]


def test_more_repetitions_go_into_the_same_directory(directory, planned):
    opened(directory, planned)
    directory.save(row(planned[0]))
    opened(directory, planned_of(replace(SMALL, repetitions=5, metric="mcc")))
    found = directory.rows()[1]
    assert len(found) > len(planned)
    assert [cell["status"] for cell in found] == ["done", *["not run"] * (len(found) - 1)]


def test_a_manifest_that_cannot_be_read_is_said_with_a_way_out(directory, planned):
    opened(directory, planned)
    directory.manifest.write_text("{")
    for call in (directory.rows, lambda: opened(directory, planned)):
        with pytest.raises(UsageError, match=r"manifest\.json cannot be read; remove .*, or choose another --out"):
            call()


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == 9
    (left,) = tmp_path.glob("stages/*/*/.writing-*")
    ours = left.with_name(left.name.replace(f"-{left.name.split('-')[2]}-", f"-{os.getpid()}-"))
    ours.mkdir()
    StageCache(tmp_path).open()
    assert [path for path in tmp_path.rglob(".writing-*") if path.is_dir()] == [ours]


def test_a_cache_that_cannot_be_written_is_said_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"^cannot save stages in the cache .*/file: File exists; choose another"):
        StageCache(tmp_path / "file").open()
