"""Plugins that do what no plugin should: each is named in one line, and what others get stays as it was."""

import json
from pathlib import Path

import pytest
from commands import Home, rows
from third_party import describe, write

HEAD = """
import os, sys
from dataclasses import dataclass
from benchfw import Selector, Synthesizer, hookimpl, param
"""
BODY = '''
@hookimpl
def register_augmenters(register):
    register(Own)

@dataclass(frozen=True)
class Own(Synthesizer):
    """Repeat rows of the small classes."""

    name = "NAME"
    source = "a test"

    def fit(self, train, val, ctx):
        return train.draw
'''
WHOLE = HEAD + BODY


def named(name, source=WHOLE):
    return source.replace("NAME", name)


HOSTILE = {  # distribution: (source, what is said of it)
    "mute": (
        "class Odd(Exception):\n    def __str__(self):\n        return 5\nraise Odd",
        "Odd: its message cannot be shown",
    ),
    "wordy": ("raise ValueError('so ' * 1_000_000)", "ValueError: " + "so " * 95 + "..."),
    "red": ("raise ValueError('\\x1b[31mred')", "ValueError: \N{REPLACEMENT CHARACTER}[31mred"),
    "shuts": ("import sys\nsys.stdout.close()\nsys.stderr.close()\n1 / 0", "ZeroDivisionError: division by zero"),
    "waits": (
        named("waits").replace("def register", "async def register"),
        "hook register_augmenters: wants a plain function, found one with await or yield",
    ),
    "yields": (
        named("yields").replace("    register(Own)", "    yield register(Own)"),
        "hook register_augmenters: wants a plain function, found one with await or yield",
    ),
    "wants-more": (
        named("wants-more").replace("(register):", "(register, more):"),
        "hook register_augmenters: wants register_augmenters(register), found register_augmenters(register, more)",
    ),
    "blank": (
        named("blank").replace("Repeat rows of the small classes.", "  "),
        "augmenter Own: wants a docstring whose first line is its help text, found none",
    ),
    "one-need": (
        named("one-need").replace('source = "a test"', 'needs = "head"'),
        "augmenter Own: needs: wants several words, e.g. ('head',), found 'head'",
    ),
    "one-library": (
        named("one-library").replace('source = "a test"', 'libraries = "numpy"'),
        "augmenter Own: libraries: wants several words, e.g. ('numpy',), found 'numpy'",
    ),
    "five": (
        named("five").replace('source = "a test"', "source = 5"),
        "augmenter Own: source: wants a text, found 5",
    ),
    "preset": (
        named("preset").replace('source = "a test"', 'presets = {"a,b=1": {}}'),
        "augmenter Own: preset 'a,b=1': wants a name without spaces and without , = @ :",
    ),
    "borrows": (
        HEAD + "from benchfw_oversampling import Smote as Own\n" + BODY.split("@dataclass")[0],
        "the class of augmenter 'smote' is registered by benchfw already; wants one of its own, e.g. a subclass",
    ),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """What `list` prints beside all of them, and a sound one that is alphabetically the last."""
    home = Home(tmp_path_factory.mktemp("hostile"))
    for distribution, (source, _) in HOSTILE.items():
        write(home, distribution, source)
    write(home, "zebra", named("zebra"))
    yield home.run("list", "augmenter")
    home.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_is_said_in_one_line(name, hostile):
    said = [line for line in hostile.err.splitlines() if line.startswith(f"benchfw: plugin {name!r} ")]
    assert said == [f"benchfw: plugin {name!r} of {name} was not loaded: {HOSTILE[name][1]}"]


def test_the_sound_ones_are_there_and_nothing_else_is_said(hostile):
    assert hostile.code == 0
    assert {"zebra", "smote", "gan-feature"} <= {line.split()[0] for line in hostile.out.splitlines() if line.strip()}
    assert len(hostile.err.splitlines()) == len(HOSTILE)


def test_a_distribution_that_is_half_gone_stops_nobody(home):
    (write(home, "no-metadata", named("left-over")) / "METADATA").unlink()
    ended = home.run("plugin", "list", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert "an unknown distribution" in {plugin["distribution"] for plugin in json.loads(ended.out)}


def test_entry_points_that_cannot_be_read_stop_nobody(home):
    write(home, "garbled", named("garbled"), points="[benchfw.v1]\nno equals sign here\n")
    write(home, "unrelated", "", points="[console_scripts]\nnor here\n")
    (write(home, "no-text", "") / "entry_points.txt").write_bytes(b"[benchfw.v1]\na = b\xff\n")
    write(home, "sound", named("sound"))
    ended = home.run("list", "augmenter")
    assert ended.code == 0
    assert {"sound", "smote"} <= set(ended.out.split())
    assert ended.err == (
        "benchfw: plugin 'unreadable entry points' of garbled was not loaded: its entry_points.txt cannot be read; "
        "wants lines of name = module\n"
    )


@pytest.mark.parametrize(
    "points",
    [
        "[benchfw.v1]\nfirst = double\nsecond = double\n",
        "[benchfw.v1]\nfirst = double\nsecond = double:Other\n",
    ],
)
def test_a_distribution_that_brings_a_name_twice_is_told_and_keeps_the_first(points, home):
    other = "\n\nclass Other:\n    register_augmenters = staticmethod(register_augmenters)\n"
    write(home, "double", named("double") + other, points=points)
    ended = home.run("list", "augmenter")
    assert ended.code == 0
    assert ended.out.split().count("double") == 1
    assert ended.err == (
        "benchfw: plugin 'second' of double was not loaded: augmenter 'double' comes twice from double; wants one of a "
        "name\n"
    )


def test_a_distribution_for_two_versions_of_the_api_is_no_trouble(home):
    write(home, "both", named("both"), points="[benchfw.v1]\nboth = both\n[benchfw.v2]\nboth = both2\n")
    ended = home.run("list", "augmenter")
    assert (ended.code, ended.err) == (0, "")
    assert "both" in ended.out


def test_a_heavy_import_is_listed_with_what_it_loaded(home):
    write(home, "heavy", "import torch\n" + named("heavy"))
    found = json.loads(home.run("plugin", "list", "--json").out)
    loads = {plugin["distribution"]: plugin["loads"] for plugin in found}
    assert "torch" in loads["heavy"]
    assert loads["benchfw"] == []


# ---- what others get ----

LEAK = """
os.environ["LEAK"] = "yes"
os.environ["OMP_NUM_THREADS"] = "7"
sys.path.insert(0, "/nowhere/leak")
os.makedirs("elsewhere", exist_ok=True)
os.chdir("elsewhere")
"""
WITNESS = """
    def fit(self, train, val, ctx):
        found = os.environ.get("LEAK"), os.environ.get("OMP_NUM_THREADS"), "/nowhere/leak" in sys.path, os.getcwd()
        assert found[:3] == (None, "1", False), found
        assert not found[3].endswith("elsewhere"), found
        return train.draw
"""
SMALL = ("run", "quick", "--repetitions", "1", "-e", "pixels", "-c", "linear@steps=5", "--no-reference")


@pytest.mark.parametrize("where", [("--jobs", "1"), ("--in-process",)])
def test_what_a_plugin_sets_around_it_at_import_reaches_nobody(where, home):
    write(home, "leaks", HEAD + LEAK + named("leaks", BODY))
    witness = named("witness", BODY).replace(
        "    def fit(self, train, val, ctx):\n        return train.draw\n", WITNESS
    )
    write(home, "witness", HEAD + witness)
    Path(home.path, "own.py").write_text(named("own"))
    ended = home.run(*SMALL, "-a", "witness", "-a", "own", "--plugin", "own.py", *where, "--out", "here")
    assert ended.code == 0, ended.err
    assert {row["status"] for row in rows(home.path / "here")} == {"done"}


def test_two_of_one_package_and_name_have_keys_of_their_own(home):
    body = '''
from dataclasses import dataclass
from benchfw import Extractor, hookimpl

@hookimpl
def register_extractors(register):
    register(Thumb)

@dataclass(frozen=True)
class Thumb(Extractor):
    """Small pixels."""

    name = "thumb"
    source = "a test"
    layout = "vector"

    def embed(self, images, ctx):
        return images.float().flatten(1) * FACTOR
'''
    package = home.path / "site" / "acme"
    package.mkdir(parents=True)
    for name, factor in (("a", "1 / 255"), ("b", "0")):
        (package / f"{name}.py").write_text(body.replace("FACTOR", factor))
        describe(home.path / "site", f"acme-{name}", f"[benchfw.v1]\nthumb = acme.{name}\n")
    both = ("-e", "acme-a:thumb", "-e", "acme-b:thumb", "-a", "none", "-c", "linear@steps=50")
    ended = home.run("run", "quick", "--repetitions", "1", "--no-reference", *both, "--out", "here")
    assert ended.code == 0, ended.err
    scores = {row["axes"]["extractor"]: row["scores"]["none"]["accuracy"] for row in rows(home.path / "here")}
    assert scores["acme-a:thumb"] > 0.3
    assert scores["acme-b:thumb"] < 0.2


@pytest.mark.parametrize("where", [("--jobs", "2"), ("--in-process",)])
def test_a_plugin_that_fails_when_its_cell_runs_costs_its_own_cells(where, home):
    once = HEAD + named("once", BODY).replace(
        "    register(Own)", "    assert not LOADED, 'only once'\n    LOADED.append(1)\n    register(Own)"
    )
    write(home, "once", once + "\nLOADED = []\nimport multiprocessing as m\nassert m.parent_process() is None, 'no'\n")
    ended = home.run(*SMALL, "-a", "once", "-a", "none", *where, "--out", "here")
    assert ended.code == 1
    found = {row["axes"]["augmenter"]: row for row in rows(home.path / "here")}
    assert found["none"]["status"] == "done"
    assert found["once"]["status"] == "failed"
    assert found["once"]["reason"].startswith("plugin 'once' of once was not loaded: ")


def test_a_component_that_cannot_say_what_it_needs_is_skipped_with_the_reason(home):
    wrong = named("wrong").replace('source = "a test"', "needs = property(lambda self: 1 / 0)")
    write(home, "wrong", wrong)
    ended = home.run(*SMALL, "-a", "wrong", "-a", "none", "--out", "here", "--in-process")
    found = {row["axes"]["augmenter"]: row for row in rows(home.path / "here")}
    assert found["none"]["status"] == "done"
    assert found["wrong"]["status"] == "skipped"
    assert found["wrong"]["reason"] == (
        "a component cannot say what it needs, gives or accepts: ZeroDivisionError: division by zero"
    )
    assert ended.code == 0


SETS = """
import torch
torch.backends.cuda.matmul.fp32_precision = "tf32"
torch.backends.cudnn.conv.fp32_precision = "tf32"
torch.use_deterministic_algorithms(True, warn_only=True)
torch.backends.cudnn.benchmark = True
"""


def test_what_a_plugin_sets_in_torch_by_its_newer_names_stops_no_cell(home):
    write(home, "sets", SETS + WHOLE.replace("NAME", "sets"))
    ended = home.run(*SMALL, "-a", "none", "--in-process", "--out", "here")
    assert ended.code == 0, ended.err


def test_a_worker_tells_our_own_from_one_of_the_same_name_in_its_cell(home):
    also_smote = """
from benchfw import Extractor

@hookimpl
def register_extractors(register):
    register(Thumb)
    register(Given)

@dataclass(frozen=True)
class Thumb(Extractor):
    \"\"\"Pixels.\"\"\"

    name = "thumb"
    source = "a test"
    layout = "vector"

    def embed(self, images, ctx):
        return images.float().flatten(1)

@dataclass(frozen=True)
class Given(Thumb):
    \"\"\"Takes the name of what is no extractor.\"\"\"

    name = "given"
"""
    write(home, "takes-names", HEAD + named("smote", BODY) + also_smote)
    axes = ("-e", "thumb", "-a", "benchfw:smote", "-c", "linear@steps=5", "--jobs", "1", "--out", "here")
    ended = home.run("run", "quick", "--repetitions", "1", *axes)
    assert ended.code == 0, ended.err
    assert {row["axes"]["augmenter"] for row in rows(home.path / "here")} == {"none", "random", "smote"}


def test_a_template_in_a_package_stops_no_plan(home):
    package = home.path / "site" / "templated"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text(named("templated"))
    (package / "templates" / "setup.py").write_text("{{ name }} = {% x %}")
    (package / ".#__init__.py").symlink_to("nobody@nowhere")  # as an editor locks a file
    describe(home.path / "site", "templated")
    ended = home.run("plan", *SMALL[1:], "-a", "templated")
    assert ended.code == 0, ended.err


# ---- files ----


def test_a_file_that_was_edited_in_this_process_is_refused(tmp_path):
    import benchfw

    file = tmp_path / "notebook.py"
    asked = {"extractors": ["pixels"], "augmenters": ["own"], "classifiers": ["linear"], "cache": "off"}
    settings = {"repetitions": 1, "classifier.linear.steps": 5, "references": False}
    file.write_text(named("own"))
    assert benchfw.run(**asked, settings=settings, out=tmp_path / "one", plugins=str(file)).statuses == {"done": 1}
    file.write_text(named("own") + "# edited")
    with pytest.raises(benchfw.PluginError, match="was edited since this process loaded it; start "):
        benchfw.run(**asked, settings=settings, out=tmp_path / "two", plugins=[file, file])


def test_a_file_whose_name_has_a_dot_runs(home):
    Path(home.path, "my.aug.py").write_text(named("dotted"))
    ended = home.run(*SMALL, "-a", "dotted", "--plugin", "my.aug.py", "--jobs", "1", "--out", "here")
    assert ended.code == 0, ended.err


def test_a_file_that_is_named_twice_is_loaded_once(home):
    Path(home.path, "own.py").write_text(named("own"))
    Path(home.path, "d").mkdir()
    ended = home.run("list", "augmenter", "--plugin", "own.py", "--plugin", "d/../own.py")
    assert (ended.code, ended.err) == (0, "")


def test_two_files_of_one_name_are_both_in_the_record(home):
    Path(home.path, "d").mkdir()
    for file, name in (("own.py", "own"), ("d/own.py", "other")):
        Path(home.path, file).write_text(named(name))
    asked = ("-a", "own", "-a", "other", "--plugin", "own.py", "--plugin", "d/own.py")
    ended = home.run(*SMALL, *asked, "--in-process", "--out", "here")
    assert ended.code == 0, ended.err
    version = json.loads((home.path / "here" / "machine.json").read_text())["versions"]["own.py"]
    assert version.count("file ") == 2


def test_a_classifier_that_forgot_the_logarithm_is_warned_of(home):
    Path(home.path, "forest.py").write_text(
        """
from dataclasses import dataclass
from benchfw import Classifier, hookimpl

@hookimpl
def register_classifiers(register):
    register(Shares)

@dataclass(frozen=True)
class Shares(Classifier):
    \"\"\"The shares of the classes, as they are.\"\"\"

    name = "shares"
    source = "a test"

    def fit(self, train, val, ctx):
        return lambda rows: train.prior.float().expand(len(rows), -1)
"""
    )
    asked = ("-a", "none", "-c", "shares", "-c", "linear@steps=5", "--plugin", "forest.py", "--in-process")
    assert home.run("run", "quick", "--repetitions", "1", "-e", "pixels", *asked, "--out", "here").code == 0
    warned = {row["axes"]["classifier"]: row["warnings"] for row in rows(home.path / "here")}
    assert warned["shares"] == [
        "classifier: the log-scores look like probabilities, each row sums to 1; return their logarithm"
    ]
    assert warned["linear@steps=5"] == []
