"""The time of `benchfw --help` beside a typer app with the same commands and options and nothing in them.

The ratio of the rows is the result, at best 1; nothing is asserted about time.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchfw import cli, cli_plugins, cli_results


@pytest.fixture
def empty_app(tmp_path):
    """A script made from the modules of our commands, each with its signature and its help, and no body."""
    trees = [ast.parse(Path(module.__file__).read_text()) for module in (cli_plugins, cli_results, cli)]
    nodes = [node for tree in trees for node in tree.body if not _is_import_of_ours(node)]
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Expr(ast.Constant(ast.get_docstring(node) or ""))]
    for call in (call for node in nodes for call in ast.walk(node) if isinstance(call, ast.Call)):
        call.keywords = [keyword for keyword in call.keywords if keyword.arg != "autocompletion"]
    futures = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    whole = ast.Module([*futures[:1], *(node for node in nodes if node not in futures)], type_ignores=[])
    script = tmp_path / "empty.py"
    script.write_text(ast.unparse(whole) + "\n\napp()\n")
    return script


def _is_import_of_ours(node):
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchfw")


def helped(*words):
    return subprocess.run([sys.executable, *words, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.benchmark(group="startup", min_rounds=15, warmup=True, warmup_iterations=2)
def test_help_of_benchfw(benchmark):
    assert "run" in benchmark(helped, "-m", "benchfw")


@pytest.mark.benchmark(group="startup", min_rounds=15, warmup=True, warmup_iterations=2)
def test_help_of_an_empty_app(benchmark, empty_app):
    shown = benchmark(helped, str(empty_app))
    ours = helped("-m", "benchfw")
    assert shown.replace("empty.py", "python -m benchfw").split() == ours.split()


@pytest.mark.benchmark(group="startup", min_rounds=15, warmup=True, warmup_iterations=2)
def test_completion_of_a_name(benchmark):
    """One press of Tab, beside `benchfw --help`: what it loads more are the plugins."""
    words = {"_BENCHFW_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "benchfw run -a smo"}
    command = str(Path(sys.executable).with_name("benchfw"))

    def pressed():
        return subprocess.run([command], env=os.environ | words, capture_output=True, text=True, check=True).stdout

    assert "smote" in benchmark(pressed)
