"""Who follows the tutorial, and nothing else, has an augmenter in the table, tested and as a package."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import EXAMPLE, TEXTS, fenced

PAGE = TEXTS["docs/tutorial/your-first-augmenter.md"]
PIP = """#!/bin/sh
# The tutorial's command, without a network and into a site of the test's own; the tools are there already.
[ "$*" = "install --upgrade pip" ] && exit
[ "$*" = "install --editable . --group dev" ] || exit 1
exec {python} -m pip install -q --no-index --no-deps --no-build-isolation --target {site} .
"""


def script():
    """The page as a shell script: its files are written, its commands run, in order."""
    for name, language, block in fenced(PAGE):
        if name:
            yield f"cat > {shlex.quote(name)} <<'END OF FILE'\n{block}END OF FILE\n"
        elif language == "console":
            yield block


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """(output, directory) after the tutorial, as real processes in an empty directory."""
    desk, tools = tmp_path_factory.mktemp("desk"), tmp_path_factory.mktemp("tools")
    site, pip = tools / "site", tools / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text(PIP.format(python=sys.executable, site=site))
    pip.chmod(0o755)
    path = os.pathsep.join([str(pip.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    ours = {"PATH": path, "PYTHONPATH": str(site), "BENCHFW_CACHE": str(tools / "cache"), "HOME": str(desk)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script())],
        cwd=desk,
        env=os.environ | ours,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout, desk


def test_the_augmenter_has_its_row_beside_the_references(followed):
    table = (followed[1] / "results" / "jitter" / "table.csv").read_text().splitlines()
    assert {line.split(",")[3] for line in table[1:]} == {"none", "random", "jitter"}
    assert {line.split(",")[7] for line in table[1:]} == {"done"}


def test_the_augmenter_keeps_the_contract_as_a_file_and_installed(followed):
    said = re.findall(r"^augmenter jitter: passed \((\d+) passed", followed[0], re.MULTILINE)
    assert len(said) == 2
    assert int(said[0]) == int(said[1]) > 20


def test_the_contract_passes_as_tests_of_the_package(followed):
    summary = re.findall(r"^(?:=* ?)(\d+) passed", followed[0], re.MULTILINE)
    assert [int(passed) > 40 for passed in summary] == [True]


def test_the_package_is_the_example(followed):
    names = ["pyproject.toml", "src/benchfw_jitter/__init__.py", "tests/test_contract.py", "tests/test_method.py"]
    made = {name: (followed[1] / "benchfw-jitter" / name).read_text() for name in names}
    assert made == {name: (EXAMPLE / name).read_text() for name in names}


def test_the_installed_augmenter_has_its_row_beside_its_rivals(followed):
    out, desk = followed
    table = (desk / "benchfw-jitter" / "results" / "rivals" / "table.csv").read_text()
    assert {"jitter", "jitter@scale=0.5", "smote"} <= {line.split(",")[3] for line in table.splitlines()[1:]}
    assert re.search(r"benchfw-jitter +│ 0\.1\.0 +│ loaded +│ +\d\.\d+ +│ jitter: augmenter jitter", out)


def test_the_smallest_augmenter_has_25_lines_at_most():
    block = next(block for name, _, block in fenced(PAGE) if name == "benchfw_jitter.py")
    assert len(block.splitlines()) <= 25
