"""`benchfw plugin new` writes packages that work at once, and the example is the one that the README shows."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import content, rows
from hatchling.builders.wheel import WheelBuilder
from test_layers import heavy_after

from benchfw.registry import KINDS, installed
from benchfw.scaffold import FILES, LONGEST, Package, write

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "examples" / "benchfw_jitter"
WRITTEN = [
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/benchfw_my_part/__init__.py",
    "src/benchfw_my_part/py.typed",
    "tests/test_contract.py",
]
SMALL = {"dataset": "digits", "extractor": "pixels", "augmenter": "random", "classifier": "logistic"}
REFUSED = {  # the words after `plugin new`: what is said
    ("augmentr", "x"): "no kind named 'augmentr'; did you mean 'augmenter'?",
    ("selector", "x"): "no kind named 'selector'; a Selector is an augmenter",
    ("augmenter", "My_Aug"): "name: wants lower-case words joined by hyphens, at most 40 characters, found 'My_Aug'",
    ("augmenter", "../x"): "found '../x'; for example my-augmenter",
    ("dataset", "a" * (LONGEST + 1)): "at most 40 characters, found 'aaa",
    ("augmenter", "smote"): "augmenter 'smote' comes with benchfw already; choose another name",
    ("extractor", "neural"): "the module 'benchfw_neural' is installed already; choose another name than 'neural'",
    ("augmenter", "x", "--out", "full"): "full: wants a new or empty directory, so that nothing is overwritten",
    ("augmenter", "x", "--out", "full/kept"): "full/kept: wants a new or empty directory",
    ("augmenter", "x", "--out", "full/kept/in"): "full/kept/in: cannot be written (Not a directory); choose another",
}


def written(folder, kind, name="my-part"):
    """A new package of that kind in a folder."""
    write(Package(kind, name), folder)
    return folder


def module_of(package):
    """The one module of a package."""
    [path] = package.glob("src/*/__init__.py")
    return path


def quoted(page, language, word):
    """The fenced block of a page that has this word."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if word in block)


def contract_of(*packages):
    """Run the packages' own tests with their own settings, as if they were installed."""
    path = os.pathsep.join(str(package / "src") for package in packages)
    words = ("-v", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", packages[0] / "pyproject.toml")
    command = [sys.executable, "-m", "pytest", *words, *(package / "tests" for package in packages)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A new package of each kind, side by side."""
    folder = tmp_path_factory.mktemp("packages")
    return [written(folder / kind, kind, f"new-{kind}") for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_new_writes_a_package_and_says_what_to_do_next(kind, here, home):
    done = here("plugin", "new", kind, "my-part")
    assert (done.code, done.err) == (0, "")
    first, *commands = done.out.splitlines()
    assert first.endswith("my-part works, and waits for yours in src/benchfw_my_part/__init__.py")
    assert commands[:5] == [
        "  cd benchfw-my-part",
        "  pip install --upgrade pip",
        "  pip install --editable . --group dev",
        "  pytest",
        "  benchfw plugin check my-part",
    ]
    assert re.fullmatch(r"  benchfw run .*\bmy-part\b.*", commands[5])
    assert sorted(content(home.path / "benchfw-my-part")) == WRITTEN


def test_a_directory_of_ones_own_choice_may_be_there_and_empty(here, home):
    (home.path / "my part").mkdir()
    done = here("plugin", "new", "augmenter", "my-part", "--out", "my part")
    assert "  cd 'my part'" in done.out.splitlines()
    assert sorted(content(home.path / "my part")) == WRITTEN


def test_in_the_present_directory_nobody_is_sent_elsewhere(here):
    assert "  cd " not in here("plugin", "new", "augmenter", "my-part", "--out", ".").out


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_request_that_cannot_be_met_is_refused_in_one_line(words, here, home):
    (home.path / "full").mkdir()
    (home.path / "full" / "kept").write_text("mine")
    done = here("plugin", "new", *words)
    assert done.code == 2
    assert done.err.startswith("benchfw: ")
    assert done.err.count("\n") == 1
    assert REFUSED[words] in done.err
    assert content(home.path) == {"full/kept": b"mine"}


def test_a_package_is_found_by_its_entry_point_and_wants_benchfw(tmp_path):
    project = tomllib.loads((written(tmp_path / "new", "augmenter") / "pyproject.toml").read_text())["project"]
    assert project["name"] == "benchfw-my-part"
    assert project["entry-points"] == {"benchfw.v1": {"my-part": "benchfw_my_part"}}
    assert project["dependencies"] == ["benchfw"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_readme_speaks_of_its_kind(kind, tmp_path):
    readme = (written(tmp_path / "new", kind) / "README.md").read_text()
    assert ("what the images show" in readme) == (kind == "dataset")
    assert ("the method" in readme) == (kind != "dataset")
    assert "%" not in readme
    assert "\n\n\n" not in readme
    assert max(map(len, readme.splitlines())) <= 120


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_component_has_its_rows_in_a_table(kind, packages, here, home):
    module = module_of(packages[KINDS.index(kind)])
    axes = SMALL | {kind: f"new-{kind}"}
    words = [word for name, value in axes.items() for word in (f"--{name}", value)]
    run = ("run", "--plugin", module, *words, "--repetitions", 1, "--in-process", "--cache", "off", "--out", "out")
    done = here(*run, "--no-reference")
    assert done.code == 0, done.err
    [row] = rows(home.path / "out")
    assert (row["status"], row["axes"][kind]) == ("done", f"new-{kind}")
    assert row["scores"]["none"]["balanced_accuracy"] > 0.5  # chance: 0.33 for the new data set, 0.1 for digits


def test_new_components_pass_their_own_tests(packages):
    done = contract_of(*packages)
    assert done.returncode == 0, done.stdout
    assert [kind for kind in KINDS if f"test_contract[new-{kind}-" not in done.stdout] == []


def test_a_method_that_breaks_the_contract_fails_the_tests_of_its_package(tmp_path):
    package = written(tmp_path / "new", "augmenter")
    module = module_of(package)
    module.write_text(module.read_text().replace("torch.normal(rows, deviation, generator=rng)", "rows[:1]"))
    done = contract_of(package)
    assert done.returncode == 1, done.stdout
    assert "test_contract[my-part-rows]" in done.stdout


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)], ids=" ".join)
def test_what_is_written_is_formatted_and_linted(command, packages):
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *packages]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_written_is_typed(packages, tmp_path):
    sources = [package / "src" for package in packages]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path, *sources]
    done = subprocess.run(mypy, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("my-aug", "MyAug"),
        ("a", "A"),
        ("repeat", "Repeat"),
        ("3d-warp", "Augmenter3dWarp"),
        ("context", "AugmenterContext"),
        ("test-time", "AugmenterTestTime"),
        ("true", "AugmenterTrue"),
        ("warning", "AugmenterWarning"),
        ("x" * LONGEST, "X" + "x" * (LONGEST - 1)),
    ],
)
def test_a_class_hides_nothing_that_its_module_uses(name, wanted, tmp_path):
    module = module_of(written(tmp_path / "new", "augmenter", name))
    component = installed((str(module),)).get("augmenter", name)
    assert component.__name__ == wanted
    assert max(map(len, module.read_text().splitlines())) <= 120


def test_the_wheel_has_every_template():
    wheel = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    kinds = [template.format(kind=kind) for template in FILES.values() for kind in KINDS]
    assert {f"benchfw/scaffold/templates/{template}.jinja" for template in kinds} <= wheel


def test_beginning_a_plugin_loads_nothing_heavy(tmp_path):
    package = f"Package('augmenter', 'my-part'), Path({str(tmp_path / 'new')!r})"
    code = f"from pathlib import Path; from benchfw.scaffold import Package, write; write({package})"
    assert heavy_after(code) == set()
    assert (tmp_path / "new" / "README.md").exists()


def test_the_readme_shows_the_example_as_it_is():
    assert quoted("README.md", "python", "class Jitter") == module_of(EXAMPLE).read_text()


def test_the_smallest_augmenter_has_25_lines_at_most():
    assert len(module_of(EXAMPLE).read_text().splitlines()) <= 25


def test_the_example_tests_itself_as_a_new_package_does(tmp_path):
    new = (written(tmp_path / "new", "augmenter", "my-jitter") / "tests" / "test_contract.py").read_text()
    wanted = new.replace("MyJitter", "Jitter").replace("benchfw_my_jitter", "benchfw_jitter")
    assert (EXAMPLE / "tests" / "test_contract.py").read_text() == wanted
