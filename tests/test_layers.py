"""The house keeps its order: layers, the door, plugins that are light and stand outside."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import benchfw

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.name.startswith("benchfw_"))
HEAVY = {"imblearn", "numpy", "pandas", "scipy", "sklearn", "timm", "torch", "torchvision"}


def heavy_after(statement: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after this statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def imported(path: Path) -> set[str]:
    """The dotted names of all modules that a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def contract(kind: str) -> dict:
    """The import linter's contract of that type."""
    return next(contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"] if contract["type"] == kind)


def rooms_for_type_checkers() -> dict[str, str]:
    """Name -> room, as the door's `if TYPE_CHECKING:` block imports them."""
    door = ast.parse((ROOT / "benchfw" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in door.body if isinstance(node, ast.If))
    return {alias.name: node.module.removeprefix("benchfw.") for node in block.body for alias in node.names}


def test_the_import_contracts_are_kept():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_benchfw_loads_nothing_heavy():
    assert heavy_after("import benchfw") == set()


def test_heavy_libraries_are_noticed():
    assert heavy_after("import numpy") == {"numpy"}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_importing_a_plugin_loads_nothing_heavy(plugin):
    assert heavy_after(f"import {plugin}") == set()


def test_the_door_lists_every_name_that_it_opens_sorted():
    assert rooms_for_type_checkers() == benchfw._ROOM_OF
    assert benchfw.__all__ == sorted(benchfw._ROOM_OF)


@pytest.mark.parametrize("name", benchfw.__all__)
def test_a_name_of_the_door_resolves(name):
    room = import_module(f"benchfw.{benchfw._ROOM_OF[name]}")
    assert getattr(benchfw, name) is getattr(room, name)


def test_an_unknown_name_of_the_door_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Synthesiser'"):
        benchfw.Synthesiser  # noqa: B018 - the access is the test


def test_plugins_is_a_folder_and_not_a_package():
    assert not (ROOT / "plugins" / "__init__.py").exists()


def test_nothing_imports_a_plugin_through_its_folder():
    files = [path for room in ("benchfw", "plugins", "tests") for path in (ROOT / room).rglob("*.py")]
    wrong = {
        path.name: names for path in files if (names := {n for n in imported(path) if n.split(".")[0] == "plugins"})
    }
    assert wrong == {}, "import the plugin by its own name: through its folder it would be a second copy"


def test_every_room_has_a_layer_and_only_three_are_open_to_plugins():
    packages = {path.parent.name for path in (ROOT / "benchfw").glob("*/__init__.py")}
    rooms = {path.stem for path in (ROOT / "benchfw").glob("*.py")} - {"__init__"} | packages
    layers = re.findall(r"\w+", " ".join(contract("layers")["layers"]))
    closed = {name.removeprefix("benchfw.") for name in contract("protected")["protected_modules"]}
    assert sorted(layers) == sorted(rooms)
    assert rooms - closed == {"__main__", "metrics", "testing", "training"}


def test_every_plugin_is_packaged_registered_and_under_contract():
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    lists = {
        "entry points": PYPROJECT["project"]["entry-points"]["benchfw.v1"].values(),
        "wheel": [path.removeprefix("plugins/") for path in wheel if path != "benchfw"],
        "import-linter": set(PYPROJECT["tool"]["importlinter"]["root_packages"]) - {"benchfw"},
        "the core knows no plugin": contract("forbidden")["forbidden_modules"],
        "no plugin knows another": contract("independence")["modules"],
    }
    assert {place: sorted(names) for place, names in lists.items() if sorted(names) != PLUGINS} == {}


def test_every_package_says_that_it_is_typed():
    packages = [ROOT / "benchfw", *(ROOT / "plugins" / plugin for plugin in PLUGINS)]
    assert [package.name for package in packages if not (package / "py.typed").exists()] == []
