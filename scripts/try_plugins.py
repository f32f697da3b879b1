"""Plugins as their authors make them: the example and a new package of each kind, installed, tested, checked and run.

    python scripts/try_plugins.py

Each must pass its own tests, be loaded, and have its rows in a table; then all are uninstalled. They are installed into
the environment of this interpreter, which has benchfw and its dependency group dev, and nothing is fetched.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchfw.registry import KINDS

EXAMPLE = Path(__file__).parents[1] / "tests" / "examples" / "benchfw_jitter"
PIP = ("pip", "--disable-pip-version-check", "-qq")
MATRIX = (
    "-d",
    "digits",
    "-e",
    "pixels",
    "-c",
    "linear@steps=20",
    "--no-reference",
    "--repetitions",
    "1",
    "--jobs",
    "2",
)


@dataclass(frozen=True)
class Package:
    """A plugin package on disk, with one component."""

    path: Path
    kind: str
    name: str

    @property
    def distribution(self) -> str:
        """Its name for pip."""
        project = tomllib.loads((self.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return str(project["name"])


def main() -> None:
    """Try them all. Ends with 1, and says why, where one of them fails."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["BENCHFW_CACHE"] = str(scratch / "cache")
        packages = [Package(EXAMPLE, "augmenter", "jitter"), *(made(kind, scratch) for kind in KINDS)]
        try:
            installed(packages)
            for package in packages:
                tested(package)
            listed(packages)
            python("benchfw", "plugin", "check", packages[0].name, "--format", "markdown")  # as a workflow does
            tabled(packages, scratch / "run")
        finally:
            python(*PIP, "uninstall", "--yes", "--root-user-action=ignore", *(one.distribution for one in packages))


def made(kind: str, scratch: Path) -> Package:
    """What `benchfw plugin new` writes for this kind."""
    package = Package(scratch / kind, kind, f"new-{kind}")
    python("benchfw", "plugin", "new", kind, package.name, "--out", str(package.path), quiet=True)
    return package


def installed(packages: list[Package]) -> None:
    """Install them as their users do; what they depend on is there already."""
    flags = ("--no-deps", "--no-build-isolation", "--force-reinstall", "--root-user-action=ignore")
    python(*PIP, "install", *flags, *(str(package.path) for package in packages))


def tested(package: Package) -> None:
    """Run the package's own tests, with its own settings."""
    python("pytest", "-q", "-p", "no:cacheprovider", cwd=package.path)


def listed(packages: list[Package]) -> None:
    """See that each is loaded, with its one component."""
    plugins = json.loads(python("benchfw", "plugin", "list", "--json", quiet=True))
    found = {plugin["distribution"]: plugin for plugin in plugins}
    for package in packages:
        plugin = found.get(package.distribution, {"status": "not listed", "components": [], "what is wrong": ""})
        if (plugin["status"], plugin["components"]) != ("loaded", [{"kind": package.kind, "name": package.name}]):
            wrong = f"{plugin['status']} with {plugin['components']} {plugin['what is wrong']}"
            sys.exit(f"{package.distribution}: wants it loaded with {package.kind} {package.name}, found it {wrong}")


def tabled(packages: list[Package], out: Path) -> None:
    """Run them all in one matrix beside what comes with benchfw; each must stand in the table."""
    axes = [word for package in packages for word in (f"--{package.kind}", package.name)]
    python("benchfw", "run", *MATRIX, *axes, "--out", str(out))
    with (out / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for package in packages:
        if not any(row[package.kind] == package.name for row in rows):
            sys.exit(f"{package.distribution}: no row with {package.kind} {package.name} in {sorted(rows[0])}")


def python(*words: str, cwd: Path | None = None, quiet: bool = False) -> str:
    """Run a module of this interpreter; returns what it printed, if quiet. Ends with 1 where it fails."""
    started = perf_counter()
    command, out = [sys.executable, "-m", *words], subprocess.PIPE if quiet else None
    done = subprocess.run(command, cwd=cwd, stdout=out, text=True, check=False)  # noqa: S603  # our own words
    if done.returncode:
        sys.exit(f"{done.stdout or ''}python -m {' '.join(words)}: ended with {done.returncode}")
    print(f"{perf_counter() - started:5.1f} s  {' '.join(words)}{f' in {cwd.name}' if cwd else ''}", flush=True)
    return done.stdout or ""


if __name__ == "__main__":
    main()
