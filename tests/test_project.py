"""The project's own files keep their promises: nothing unsafe, nothing of one machine, records that are complete."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for room in ("benchfw", "plugins", "scripts") for path in (ROOT / room).rglob("*.py"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:(?:home|Users)/\w|(?:root|tmp|work|workspace)/)")
REGISTRY_HOST = re.compile(r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|debian\.org|npmjs\.|anaconda\.org")

PICKLING = {"_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
UNSAFE_ARGUMENTS = {("allow_pickle", True), ("weights_only", False)}


def tracked_lines():
    """(place, line) of every line of every text file that git tracks."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # not text, or deleted and not yet committed
            continue
        yield from ((f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), start=1))


def unsafe(source):
    """What in this source reads pickles or runs text: (line, what) pairs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from ((node.lineno, name) for name in names if name.split(".")[0] in PICKLING)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            arguments = {(k.arg, k.value.value) for k in node.keywords if isinstance(k.value, ast.Constant)}
            if called in ("eval", "exec"):
                yield node.lineno, called
            if called == "torch.load" and ("weights_only", True) not in arguments:
                yield node.lineno, "torch.load without weights_only=True"
            yield from ((node.lineno, f"{name}={value}") for name, value in arguments & UNSAFE_ARGUMENTS)


def commands(text):
    """The command lines of a Markdown text's fenced blocks, without prompt and comment."""
    blocks = re.findall(r"^```(?:console|bash|sh|shell)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ").split(" #")[0].strip() for block in blocks for line in block.splitlines()]


def test_no_tracked_file_names_a_path_of_somebodys_machine():
    assert [f"{place}: {line.strip()}" for place, line in tracked_lines() if MACHINE_PATH.search(line)] == []


def test_no_tracked_file_names_a_package_registry():
    assert [f"{place}: {line.strip()}" for place, line in tracked_lines() if REGISTRY_HOST.search(line)] == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_reads_no_pickle_and_runs_no_text(path):
    assert list(unsafe(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "np.load(file, allow_pickle=True)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
    ],
)
def test_unsafe_source_is_noticed(source):
    assert list(unsafe(source))


def test_a_network_in_evaluation_mode_is_not_unsafe():
    assert list(unsafe("network.eval()\nnp.load(file, allow_pickle=False)\ntorch.load(file, weights_only=True)")) == []


def test_the_changelog_has_a_place_for_what_comes_next():
    headings = re.findall(r"^## .*$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "## [Unreleased]"


def test_decisions_are_numbered_without_a_gap():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_index_of_decisions_links_each_under_its_own_title():
    titles = {path.name: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in DECISIONS}
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert {name: title for title, name in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", index)} == titles


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_why_what_else_and_at_what_cost(path):
    headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Decision", "Why", "Weighed", "Consequences"]


def test_ci_runs_the_test_command_that_the_readme_names():
    named = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "make test" in named
    assert re.search(r"^\s*make test\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_make_target_that_the_documents_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")]
    named = {line.split()[1] for text in texts for line in commands(text) if line.startswith("make ")}
    assert named
    assert named <= targets


def test_the_decision_on_dependencies_names_each_of_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "decisions" / "0014-dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z0-9-]+) \|", page, re.MULTILINE)
    assert rows == ["dependency", *(re.split(r"[>=<~! \[]", line)[0] for line in project["dependencies"])]
