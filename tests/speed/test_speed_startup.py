"""The time of `benchfw --help` beside a typer app with the same commands and options and nothing in them.

The ratio of the two rows is the result, at best 1; nothing is asserted about time.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchfw import cli


@pytest.fixture
def empty_app(tmp_path):
    """A script made from the module of our commands, each with its signature and its help, and no body."""
    tree = ast.parse(Path(cli.__file__).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            node.body = [ast.Expr(ast.Constant(ast.get_docstring(node)))]
    script = tmp_path / "empty.py"
    script.write_text(ast.unparse(tree) + "\n\napp()\n")
    return script


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
