"""Completion: what is offered is what the commands take; real shells show it; no plugin gets a word in."""

import subprocess
import sys
from dataclasses import fields
from types import SimpleNamespace

import pytest
import shells
from third_party import write

from benchfw import completion
from benchfw.cli import LISTED
from benchfw.experiment import Experiment, apply_settings
from benchfw.imbalance import Imbalance
from benchfw.metrics import METRICS
from benchfw.registry import KINDS, installed
from benchfw.settings import Text, configure, parse_named, read

HEAVY = ("numpy", "pandas", "scipy", "sklearn", "torch", "torchvision")
EVERY_COMPONENT = [(kind, name) for kind in KINDS for name in installed().names(kind)]
LINES = [  # as typed, and after Tab in bash and in zsh
    ("benchfw show aug", "benchfw show augmenter "),
    ("benchfw show augmenter smo", "benchfw show augmenter smote "),
    ("benchfw run -a smo", "benchfw run -a smote "),
    ("benchfw run -a smote@", "benchfw run -a smote@"),
    ("benchfw run -a smote@k", "benchfw run -a smote@k="),
    ("benchfw run -a smote@k=", "benchfw run -a smote@k=5 "),
    ("benchfw run -a gan-feature@paper,z", "benchfw run -a gan-feature@paper,z="),
    ("benchfw run --augmenter=smote@fi", "benchfw run --augmenter=smote@fill="),
    ("benchfw run -i ex", "benchfw run -i exp:"),
    ("benchfw run -i exp:2", "benchfw run -i exp:2"),
    ("benchfw run -i exp:20:p", "benchfw run -i exp:20:permuted "),
    ("benchfw run --set augmenter.smote.k", "benchfw run --set augmenter.smote.k="),
    ("benchfw run --set=adapt=p", "benchfw run --set=adapt=pool "),
    ("benchfw run qui", "benchfw run quick "),
    ("benchfw run min", "benchfw run mine.toml "),
    ("benchfw table --metric bal", "benchfw table --metric balanced_accuracy "),
    ("benchfw table --format m", "benchfw table --format markdown "),
    ("benchfw run --device mp", "benchfw run --device mps "),
    ("benchfw plugin check logi", "benchfw plugin check logistic "),
    ("benchfw plugin check smote@fi", "benchfw plugin check smote@fill="),
    ("benchfw plugin check pro", "benchfw plugin check probe.py "),
    ("benchfw plugin new clas", "benchfw plugin new classifier "),
    ("benchfw table out", "benchfw table output/"),
]


def words(ask, incomplete, **params):
    """The words that are offered, without their help."""
    return [word for word, _ in ask(SimpleNamespace(params=params), incomplete)]


# ---- what is offered ----


@pytest.mark.parametrize(("kind", "name"), EVERY_COMPONENT)
def test_every_word_for_a_component_is_one_that_the_commands_take(kind, name):
    ask, component = completion.component(kind), installed().get(kind, name)
    assert words(ask, name)[0] == name
    offered = words(ask, f"{name}@")
    presets = [word for word in offered if word.rpartition("@")[2] in component.presets]
    parameters = [word for word in offered if word.endswith("=")]
    assert len(presets) == len(component.presets)
    assert len(parameters) == len(fields(component))
    for preset in presets:
        configure(component, parse_named(preset), kind)
    for value in (value for parameter in parameters for value in words(ask, parameter)):
        ((parameter, text),) = parse_named(value).values.items()
        read(component, parameter, text, kind)


@pytest.mark.parametrize(("kind", "name"), EVERY_COMPONENT)
def test_every_key_and_value_for_set_is_one_that_the_commands_take(kind, name):
    keys = words(completion.assignments, f"{kind}.{name}.")
    component = installed().get(kind, name)
    assert len([key for key in keys if key.endswith("=")]) == len(fields(component))
    for assignment in (value for key in keys for value in words(completion.assignments, key)):
        key, _, value = assignment.partition("=")
        read(component, key.rpartition(".")[2], Text(value), kind)


def test_every_setting_is_offered_and_each_value_is_one_that_it_takes():
    offered = words(completion.assignments, "")
    settings = [word for word in offered if word.endswith("=")]
    assert {word.rstrip("=") for word in settings} == {field.name for field in fields(Experiment)} - {"set"}
    assert set(offered) - set(settings) == {f"{kind}." for kind in KINDS}
    for value in (value for setting in settings for value in words(completion.assignments, setting)):
        apply_settings(Experiment(), (value,))


def test_the_values_of_a_choice_are_all_offered_and_the_default_says_so():
    offers = dict(completion.component("classifier")(SimpleNamespace(params={}), "linear@loss="))
    assert offers == {"linear@loss=ce": "default", "linear@loss=balanced-softmax": ""}
    assert words(completion.assignments, "adapt=") == ["adapt=none", "adapt=pool", "adapt=flatten"]
    assert words(completion.assignments, "deterministic=") == ["deterministic=true", "deterministic=false"]


def test_a_parameter_that_is_given_already_is_not_offered_again():
    assert words(completion.component("augmenter"), "smote@k=3,") == ["smote@k=3,fill=", "smote@k=3,fill=1.0"]


def test_each_offered_imbalance_can_be_read_once_it_is_whole():
    forms = [word for word, _ in completion.imbalances("")]
    assert forms == ["natural", "exp:", "step:", "counts:"]
    whole = [word for form in forms for word, _ in completion.imbalances(form) if not word.endswith(":")]
    assert len(whole) > 8
    assert "exp:100:permuted" in [word for word, _ in completion.imbalances("exp:100")]
    assert [str(Imbalance.parse(word)) for word in whole] == whole


def test_the_metrics_are_those_of_the_table():
    assert [word for word, _ in completion.metrics("")] == list(METRICS)
    assert words(completion.assignments, "metric=macro_a") == ["metric=macro_auroc", "metric=macro_auprc"]


@pytest.mark.parametrize("typed", ["smoot@", "smote@q=", "smote@k=3,q="])
def test_after_a_mistake_nothing_is_offered(typed, home):
    assert shells.asked(home, f"benchfw run -a {typed}") == ("", "")


def test_kinds_are_those_of_the_commands():
    assert [word for word, _ in completion.kinds("")] == list(LISTED)
    assert [word for word, _ in completion.kinds_of_plugins("")] == list(KINDS)


def test_a_help_line_is_text_in_every_shell():
    hostile = completion._fitting(
        [("a", 'it\'s "$(x)" `y` \\ [red]z[/red]\nand \x1b[31m'), ("b c", ""), ("$d", "")], ""
    )
    assert [word for word, _ in hostile] == ["a"]
    assert not set(hostile[0][1]) & set("'\"$`\\[]\n\x1b")


# ---- in real shells ----


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A home with an experiment and a results directory in it."""
    from commands import Home

    made = Home(tmp_path_factory.mktemp("desk"))
    (made.path / "mine.toml").write_text("")
    (made.path / "probe.py").write_text("")
    (made.path / "output").mkdir()
    return made


@pytest.fixture(scope="module")
def bash(desk):
    with shells.terminal("bash", desk) as tabbed:
        yield tabbed


@pytest.fixture(scope="module")
def zsh(desk):
    if reason := shells.missing("zsh"):
        pytest.skip(reason)
    with shells.terminal("zsh", desk) as tabbed:
        yield tabbed


@pytest.mark.parametrize(("typed", "then"), LINES)
def test_tab_in_bash(bash, typed, then):
    assert bash(typed) == then


@pytest.mark.parametrize(("typed", "then"), LINES[::2])
def test_tab_in_zsh(zsh, typed, then):
    assert zsh(typed) == then.rstrip(" /")  # zsh takes them back when the cursor goes elsewhere


@pytest.mark.skipif(shells.missing("fish") is not None, reason="wants fish on the path")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("benchfw show aug", ["augmenter"]),
        ("benchfw run -a smote@", ["smote@fill=", "smote@k="]),
        ("benchfw run --augmenter=smo", ["--augmenter=smote"]),
        ("benchfw run -i exp:10", ["exp:10", "exp:100", "exp:10:permuted"]),
        ("benchfw run qui", ["quick"]),
        ("benchfw table out", ["output/"]),
    ],
)
def test_tab_in_fish(desk, typed, offered):
    assert shells.fish(desk, typed) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(home, shell):
    words = [shells.BIN / "benchfw", "--install-completion", shell]
    done = subprocess.run(words, env=shells.environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = [path for path in home.path.rglob("*") if path.is_file() and "_BENCHFW_COMPLETE" in path.read_text()]
    assert len(written) == 1


# ---- other people's plugins ----

PLUGIN = '''
from dataclasses import dataclass

from benchfw import Classifier, hookimpl

{before}

@hookimpl
def register_classifiers(register):
    register(Mine)


@dataclass(frozen=True)
class Mine(Classifier):
    """{help}"""

    name = "{name}"
'''
LOUD = """
import atexit, os, subprocess, sys
for stream in (1, 2):
    os.write(stream, b"smote-written\\n")
print("smote-printed")
print("smote-printed", file=sys.stderr)
subprocess.run(["echo", "smote-echoed"])
atexit.register(print, "smote-at-exit")
"""


def test_no_plugin_gets_a_word_in(home):
    quiet = shells.asked(home, "benchfw run -a smo")
    write(home, "loud", PLUGIN.format(before=LOUD, help="Shouts.", name="loud"))
    write(home, "leaving", LOUD + "sys.exit('smote-leaving')")
    write(home, "broken", LOUD + "raise RuntimeError('smote-broken')")
    assert shells.asked(home, "benchfw run -a smo") == quiet
    assert "smote" in quiet[0]
    assert quiet[1] == ""
    assert '"loud":"Shouts."' in shells.asked(home, "benchfw run -c lo")[0]


def test_two_distributions_with_one_name_are_told_apart(home):
    write(home, "first", PLUGIN.format(before="", help="Of the first.", name="same"))
    write(home, "second", PLUGIN.format(before="", help="Of the second.", name="same"))
    with shells.terminal("bash", home) as tabbed:
        assert tabbed("benchfw run -c first:") == "benchfw run -c first:same "
        assert tabbed("benchfw show classifier sec") == "benchfw show classifier second:same "


def test_a_help_text_runs_nothing_in_zsh(home):
    if reason := shells.missing("zsh"):
        pytest.skip(reason)
    hostile = r"Takes $(touch ran) and `touch ran`, \\$(touch ran), it's 'so' [red]x[/red] :)"
    write(home, "hostile", PLUGIN.format(before="", help=hostile, name="hostile"))
    with shells.terminal("zsh", home) as tabbed:
        assert tabbed("benchfw run -c hos") == "benchfw run -c hostile"
        assert tabbed("benchfw run -c h") == "benchfw run -c h"
    assert not (home.path / "ran").exists()


def test_plugins_of_the_command_line_are_asked_too(home):
    (home.path / "mine.py").write_text(PLUGIN.format(before="", help="Mine.", name="mine"))
    write(home, "other", PLUGIN.format(before="", help="Other.", name="minor"))
    assert '"mine"' not in shells.asked(home, "benchfw run -c mi")[0]
    assert '"minor"' in shells.asked(home, "benchfw run -c mi")[0]
    asked = shells.asked(home, "benchfw run --no-plugins --plugin mine.py -c mi")[0]
    assert '"mine":"Mine."' in asked
    assert '"minor"' not in asked


@pytest.mark.parametrize("line", ["benchfw ", *(typed for typed, _ in LINES[:-1:3]), "benchfw run --set augmenter."])
def test_completion_loads_no_heavy_library(home, line):
    site = home.path / "site"
    site.mkdir()
    for name in HEAVY:
        (site / f"{name}.py").write_text(f"open({str(home.path / 'loaded')!r}, 'a').write('{name} ')")
    assert shells.asked(home, line)[0].strip() not in ("", "_files")
    assert not (home.path / "loaded").exists()
    subprocess.run([sys.executable, "-c", "import torch"], env=home.environment, check=True)
    assert (home.path / "loaded").exists()  # the trap works
