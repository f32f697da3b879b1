"""The documentation is true: its tables are the code's, its commands and examples run, its links lead somewhere."""

import ast
import inspect
import re
import runpy
import shlex
import sys
import tomllib
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchfw
from benchfw import cli, hookspecs, metrics, tables
from benchfw.experiment import Experiment, packaged
from benchfw.registry import KINDS, installed

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
RESULTS = re.compile(r"\b(DIR|results/\w+)$")


def script():
    spec = spec_from_file_location("write_reference", ROOT / "scripts" / "write_reference.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


write_reference = script()


def blocks(text, language):
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """Each benchfw command of a console block, once."""
    lines = [line for text in TEXTS.values() for block in blocks(text, "console") for line in block.splitlines()]
    return sorted({line.split(" #")[0].strip() for line in lines if line.startswith("benchfw ")})


def pythons():
    return [(name, block) for name, text in TEXTS.items() for block in blocks(text, "python")]


def components():
    """(kind, component) of all that come with benchfw."""
    there = [(kind, installed().registered(kind, name)) for kind in KINDS for name in installed().names(kind)]
    return [(kind, found.component) for kind, found in there if found.distribution == "benchfw"]


def slugs(text):
    """The anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


def exits(function):
    """The exit codes that a function names."""
    for node in ast.walk(ast.parse(inspect.getsource(function))):
        is_exit = isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Exit", "sys.exit")
        if is_exit or (isinstance(node, ast.Return) and function is cli.exit_code):
            yield from (
                part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and type(part.value) is int
            )


@pytest.fixture(scope="module")
def jitter(tmp_path_factory):
    """The plugin of the README as an installed distribution."""
    site = tmp_path_factory.mktemp("site")
    text = TEXTS["README.md"]
    source = next(block for block in blocks(text, "python") if "class Jitter" in block)
    project = tomllib.loads(next(block for block in blocks(text, "toml") if "benchfw.v1" in block))["project"]
    info = site / "benchfw_jitter-0.1.0.dist-info"
    info.mkdir()
    (site / "benchfw_jitter.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["benchfw.v1"].items())
    (info / "entry_points.txt").write_text(f"[benchfw.v1]\n{points}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("BENCHFW_CACHE", str(site / "cache"))
        installed.cache_clear()
        yield site
        sys.modules.pop("benchfw_jitter", None)
    installed.cache_clear()


@pytest.fixture(scope="module")
def results(jitter):
    """A finished run of that plugin beside the references."""
    settings = {"repetitions": 1, "classifier.linear.steps": 20}
    axes = {"extractors": ["pixels"], "augmenters": ["jitter"], "classifiers": ["linear"]}
    return benchfw.run(**axes, settings=settings, out=jitter / "results", cache="off")


def test_the_pages_are_what_cog_writes(capfd):
    assert write_reference.main(["--check"]) == 0, capfd.readouterr()


def test_a_stale_page_is_noticed(tmp_path, monkeypatch, capfd):
    stale = tmp_path / "page.md"
    stale.write_text("<!-- [[[cog put(hooks()) ]]] -->\n\nold\n\n<!-- [[[end]]] -->\n")
    monkeypatch.setattr(write_reference, "PAGES", [stale])
    assert write_reference.main(["--check"]) == 5
    assert "run make reference" in capfd.readouterr().err
    assert write_reference.main([]) == 0
    assert "`register_augmenters(register)`" in stale.read_text()
    assert write_reference.main(["--check"]) == 0


def test_the_readme_shows_what_a_run_printed():
    shown = TEXTS["README.md"].split("put(printed(cog.previous))")[1].split("[[[end]]]")[0]
    assert "gan-feature" in shown
    assert "lift" in shown


def test_what_a_run_printed_stays_unless_a_run_is_named(results, monkeypatch):
    assert write_reference.printed("before") == "before"
    monkeypatch.setenv("RUN", str(results.directory))
    assert "jitter" in write_reference.printed("before")


def test_every_command_and_option_has_a_line():
    page = TEXTS["docs/reference/commands.md"]
    for name in write_reference.functions():
        section = page.split(f"## {name}\n")[1].split("\n## ")[0]
        help_ = CliRunner().invoke(cli.app, [*name.split()[1:], "--help"], terminal_width=200).output
        options = set(re.findall(r"--[a-z-]+", help_)) - {"--help", "--install-completion", "--show-completion"}
        assert [option for option in options if f"`{option}`" not in section] == []
        assert options or name in ("benchfw list", "benchfw show")


def test_every_exit_code_is_explained():
    from benchfw import __main__

    named = {code for function in (cli.exit_code, cli._run, __main__.main) for code in exits(function)}
    assert named == set(write_reference.EXIT_CODES)


def test_every_component_parameter_and_preset_is_documented():
    page = TEXTS["docs/reference/components.md"]
    for _, component in components():
        section = page.split(f"### {component.name}\n")[1].split("\n### ")[0]
        wanted = [f"| `{field.name}` |" for field in fields(component)]
        wanted += [f"`{component.name}@{preset}`" for preset in component.presets]
        assert [text for text in wanted if text not in section] == []


def test_every_setting_and_experiment_is_documented():
    page = TEXTS["docs/reference/experiment.md"]
    assert [
        name for name in (*(field.name for field in fields(Experiment)), *packaged()) if f"| `{name}` |" not in page
    ] == []


def test_every_metric_correction_and_column_is_documented():
    page = TEXTS["docs/reference/metrics.md"]
    axes = dict.fromkeys(tables.AXES, "a")
    row = {"axes": {**axes, "repetition": 0}, "status": "done", "reason": None, "scores": {"none": {"mcc": 0.5}}}
    table, costs = tables.table([row], classifiers=["a"]), tables.costs([row])
    columns = [re.sub("^mcc_", "m_", column) for column in (*table.columns, *costs.columns)]
    columns += [*tables.TESTS, "kind", "needed"]
    assert [name for name in (*metrics.METRICS, *metrics.CORRECTIONS, *columns) if f"`{name}`" not in page] == []


def test_every_hook_is_documented_with_its_argument():
    hooks = [name for name in vars(hookspecs) if name.startswith("register_")]
    assert [hook for hook in hooks if f"`{hook}(register)`" not in TEXTS["docs/how-to/write-a-plugin.md"]] == []


def test_the_plugin_is_the_same_in_the_readme_and_the_guide():
    readme, guide = TEXTS["README.md"], TEXTS["docs/how-to/write-a-plugin.md"]
    assert [block for block in blocks(readme, "python") if "Jitter" in block] == blocks(guide, "python")
    assert blocks(readme, "toml") == blocks(guide, "toml")


def test_the_plugin_of_the_readme_runs_as_an_installed_distribution(results):
    found = installed().registered("augmenter", "jitter")
    assert found.distribution == "benchfw-jitter"
    assert results.statuses == {"done": 3}


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documentation_is_understood(command, results, jitter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "scans.npz").touch()
    for text in TEXTS.values():
        for block in blocks(text, "toml"):
            if named := re.match(r"# (\S+\.toml)\n", block):
                (tmp_path / named[1]).write_text(block)
    words = shlex.split(command)[1:]
    if words[0] == "run":
        words = ["plan", *(word for word in words[1:] if word != "--in-process")]
    if words[0] in ("table", "report", "check"):
        words = [RESULTS.sub(str(results.directory), word) for word in words]
    if "--baseline" in words:
        (tmp_path / "gate").mkdir()
    if "--baseline" in words and "--update" not in words:
        first = ["check", results.directory, *words[words.index("--baseline") :][:2], "--update", "--reason", "first"]
        assert CliRunner().invoke(cli.app, list(map(str, first))).exit_code == 0
    if words[0] == "calibrate":
        words += ["--in-process", "--repeats", "1", "--cache", "off"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.exception or done.output


@pytest.mark.parametrize(("name", "source"), pythons())
def test_a_python_example_calls_what_exists(name, source):
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        if ast.unparse(call.func) == "benchfw.run":
            inspect.signature(benchfw.run).bind(*call.args, **{keyword.arg: None for keyword in call.keywords})
    used = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "results"
    }
    assert [attribute for attribute in used if not hasattr(benchfw.Results, attribute)] == []


def test_the_npz_file_of_the_guide_is_read_with_its_groups(ctx, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("example.py").write_text(blocks(TEXTS["docs/how-to/your-own-images.md"], "python")[0])
    runpy.run_path("example.py")
    dataset = installed().get("dataset", "npz")(path="scans.npz").load(ctx)
    assert dataset.class_names == ("healthy", "ill")
    assert dataset.train.groups.bincount().tolist() == [2, 2, 2]


@pytest.mark.parametrize("name", TEXTS)
def test_a_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), target
        assert not anchor or anchor in slugs(page.read_text(encoding="utf-8")), target
