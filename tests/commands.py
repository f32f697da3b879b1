"""Run the real command line in tests, in a home of its own; and look after its processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchfw.__main__ import main

PROBE = Path(__file__).with_name("probe.py")
FAST = ("-d", "digits", "-e", "pixels", "-a", "none", "--no-reference", "-c", "linear@steps=5")  # a cell of 0.1 s


@dataclass(frozen=True)
class Ended:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Home:
    """A place where commands run: their working directory, HOME, cache, temporary files and plugins are all below."""

    path: Path
    started: list[subprocess.Popen] = field(default_factory=list)

    @property
    def environment(self):
        """The variables of a command. OMP_NUM_THREADS and its kin are of the tests' own; colours are not."""
        ours = {name: str(self.path) for name in ("HOME", "TMPDIR", "PROBE_DIR")}
        left = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
        return left | ours | {"BENCHFW_CACHE": str(self.path / "cache"), "PYTHONPATH": str(self.path / "site")}

    def start(self, *words):
        """Start `benchfw` with these words, in a process group of its own, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchfw", *map(str, words)],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.started.append(process)
        return process

    def run(self, *words, seconds=120):
        """Run `benchfw` with these words to its end."""
        return ended(self.start(*words), seconds=seconds)

    def stop(self):
        """Kill what a failed test has left."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def install_probe(self, **constants):
        """Put the plugin of `probe.py` on the path, as an installed distribution; `probe.constants` is its helper."""
        package, info = self.path / "site" / "probe", self.path / "site" / "probe-1.0.dist-info"
        package.mkdir(parents=True)
        shutil.copy(PROBE, package / "__init__.py")
        self.set_constants(**constants)
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[benchfw.v1]\nprobe = probe\n")

    def set_constants(self, comment="first", **constants):
        """Write the plugin's helper module anew."""
        lines = [f"# {comment}", *(f"{name} = {value!r}" for name, value in constants.items())]
        (self.path / "site" / "probe" / "constants.py").write_text("\n".join(lines))

    def workers(self):
        """The process numbers of the worker processes that have started."""
        return {int(path.name.removeprefix("worker-")) for path in self.path.glob("*/.scratch/progress/worker-*")}

    def waiting(self):
        """What the cells of classifier `waits` have noted: (worker, its child) process numbers."""
        return [tuple(json.loads(path.read_text())) for path in self.path.glob("waits-*.json")]


def ended(process, *, seconds=120):
    """Wait for a started command."""
    out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err)


def here(monkeypatch, capsys, home, *words):
    """Run `benchfw` in this process, by the same `main`, without the seconds in which torch is loaded."""
    for name in ("HOME", "BENCHFW_CACHE"):
        monkeypatch.setenv(name, home.environment[name])
    monkeypatch.chdir(home.path)
    monkeypatch.setattr(sys, "argv", ["benchfw", *map(str, words)])
    capsys.readouterr()
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code or 0
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def rows(out):
    """The rows of a run's cells, from their files."""
    return [json.loads(path.read_text()) for path in sorted((out / "cells").iterdir())]


def content(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def until(found, *, seconds=60):
    """Wait until `found()` is true, and return it."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def alive(pid):
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
