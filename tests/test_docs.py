"""The documentation is true: its tables are the code's, its commands and examples run, its links lead somewhere."""

import ast
import inspect
import re
import runpy
import shlex
import sys
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest
import typer
from made_files import write_slides
from pages import EXAMPLE, ROOT, TEXTS, blocks, commands, files
from third_party import describe
from typer.testing import CliRunner

import benchfw
from benchfw import cli, hookspecs, measures, metrics
from benchfw.experiment import Experiment, packaged
from benchfw.registry import KINDS, installed
from benchfw.testing import all_checks

RESULTS = re.compile(r"\b(DIR|results/\w+)$")
OF_ALL = ("--help", "--install-completion", "--show-completion")  # options of every command, or of the shell


def script():
    spec = spec_from_file_location("write_reference", ROOT / "scripts" / "write_reference.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


write_reference = script()


def benchfw_commands():
    """Each benchfw command of the pages, once."""
    return sorted({line for text in TEXTS.values() for line in commands(text) if line.startswith("benchfw ")})


def commands_of(command, words="benchfw"):
    """What a user can type: each command with its click command, those of commands too."""
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, f"{words} {name}")
    if not hasattr(command, "commands") or words == "benchfw":
        yield words, command


COMMANDS = dict(commands_of(typer.main.get_command(cli.app)))


def pythons():
    return [(name, block) for name, text in TEXTS.items() for block in blocks(text, "python")]


def components():
    """(kind, component) of all that come with benchfw."""
    there = [(kind, installed().registered(kind, name)) for kind in KINDS for name in installed().names(kind)]
    return [(kind, found.component) for kind, found in there if found.distribution == "benchfw"]


def numbers(node):
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and type(part.value) is int}


def exit_codes():
    """The exit codes that the source names: where it leaves, and what `exit_code` returns."""
    for path in (ROOT / "benchfw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Exit", "sys.exit"):
                yield from numbers(node)
    for node in ast.walk(ast.parse(inspect.getsource(cli.exit_code))):
        if isinstance(node, ast.Return):
            yield from numbers(node)


def variables():
    """The environment variables of benchfw that its source names."""
    for path in (ROOT / "benchfw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"BENCHFW_[A-Z_]+", str(node.value)):
                yield node.value


@pytest.fixture(scope="module")
def jitter(tmp_path_factory):
    """The example as an installed distribution."""
    site = tmp_path_factory.mktemp("site")
    describe(site, "benchfw_jitter")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE / "src"))
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
    axes = {"extractors": ["pixels"], "augmenters": ["jitter", "smote"], "classifiers": ["linear"]}
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
    shown = TEXTS["README.md"].split('put(printed("first", cog.previous))')[1].split("[[[end]]]")[0]
    assert "gan-feature" in shown
    assert "lift" in shown


def test_what_a_run_printed_stays_unless_that_run_is_named(results, monkeypatch):
    assert write_reference.printed("results", "before") == "before"
    monkeypatch.setenv("RUN", str(results.directory))
    assert write_reference.printed("other", "before") == "before"
    assert "jitter" in write_reference.printed("results", "before")


def test_every_command_and_option_has_a_line():
    page = TEXTS["docs/reference/commands.md"]
    assert set(write_reference.functions()) == set(COMMANDS)
    for name, command in COMMANDS.items():
        section = page.split(f"## {name}\n")[1].split("\n## ")[0]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options = {option for option in options if option.startswith("--")}
        assert options
        assert [option for option in options - set(OF_ALL) if f"`{option}`" not in section] == []


def test_every_exit_code_is_explained():
    assert set(exit_codes()) == set(write_reference.EXIT_CODES)


def test_every_environment_variable_is_explained():
    environment = TEXTS["docs/reference/commands.md"].split("## Environment\n")[1].split("\n## ")[0]
    assert set(variables()) == set(re.findall(r"^\| `(BENCHFW_\w+)` \|", environment, re.MULTILINE))


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


def test_every_metric_and_correction_is_documented():
    page = TEXTS["docs/reference/metrics.md"]
    assert [name for name in (*metrics.METRICS, *metrics.CORRECTIONS) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", ["table", "comparisons", "costs", "fidelity"])
def test_every_column_of_a_file_is_documented(name, results):
    section = TEXTS["docs/reference/metrics.md"].split(f"## {name}.csv\n")[1].split("\n## ")[0]
    measured = "|".join(map(re.escape, (*metrics.METRICS, *measures.MEASURES)))
    of_one = re.compile(rf"^(?:{measured}|{re.escape(metrics.RECALL)}.*?)_(?=(?:n|mean|sd|floor|lift|gain)(?:_|$))")
    columns = {of_one.sub("m_", column) for column in pd.read_csv(results.directory / f"{name}.csv", nrows=0).columns}
    assert len(columns) > 5
    axes = {"dataset", "imbalance", "extractor", "augmenter", "classifier", "correction", "class"}
    assert [column for column in columns - axes if f"`{column}`" not in section] == []


def test_every_hook_is_documented_with_its_arguments():
    hooks = {name: inspect.signature(hook) for name, hook in vars(hookspecs).items() if name.startswith("register_")}
    wanted = [f"`{name}({', '.join(signature.parameters)})`" for name, signature in hooks.items()]
    assert len(wanted) == 4
    assert [hook for hook in wanted if hook not in TEXTS["docs/how-to/write-a-plugin.md"]] == []


def test_every_check_of_the_contract_is_documented():
    page = TEXTS["docs/reference/contract.md"]
    assert [check.name for check in all_checks() if f"| `{check.name}` | {check.wants} |" not in page] == []


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial/your-first-augmenter.md"])
def test_a_page_shows_the_files_of_the_example_as_they_are(name):
    places = {"benchfw_jitter.py": "src/benchfw_jitter/__init__.py"}
    shown = files(TEXTS[name])
    assert "benchfw_jitter.py" in shown
    assert {file: (EXAMPLE / places.get(file, file)).read_text(encoding="utf-8") for file in shown} == shown


def test_the_example_runs_as_an_installed_distribution(results):
    found = installed().registered("augmenter", "jitter")
    assert found.distribution == "benchfw_jitter"
    assert results.statuses == {"done": 4}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A directory with all that the commands of the pages find beside them."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "gate"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scans.npz").touch()
    write_slides(tmp_path / "slides")
    shown = {name: block for text in TEXTS.values() for name, block in files(text).items()}
    settings = [block for text in TEXTS.values() for block in blocks(text, "toml")]
    shown |= {named[1]: block for block in settings if (named := re.match(r"# (\S+\.toml)\n", block))}
    for name, block in shown.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block)
    return tmp_path


def in_short(words, results):
    """A command as it is tried here: what would run long is planned, and results are those of a run that is there."""
    if words[0] == "run":
        words = ["plan", *(word for word in words[1:] if word != "--in-process")]
    if words[0] in ("table", "report", "check"):
        words = [RESULTS.sub(str(results.directory), word) for word in words]
    if words[0] == "calibrate":
        words = [*words, "--in-process", "--repeats", "1", "--cache", "off"]
    if "--plugin" in words:  # the example is installed here, and would bring the same name
        words = [*words, "--no-plugins"]
    return words


@pytest.mark.parametrize("command", benchfw_commands())
def test_a_command_of_the_documentation_is_understood(command, results, desk):
    words = in_short(shlex.split(command)[1:], results)
    if "--baseline" in words and "--update" not in words:
        first = ["check", results.directory, *words[words.index("--baseline") :][:2], "--update", "--reason", "first"]
        assert CliRunner().invoke(cli.app, list(map(str, first))).exit_code == 0
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.exception or done.output


@pytest.mark.parametrize(("name", "source"), pythons())
def test_a_python_example_calls_what_exists(name, source):
    tree = ast.parse(dedent(source))
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
