"""A broken plugin is named with what is wrong in it and stops nobody; two components of one name are an error."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest
import torch
from third_party import write_at

from benchfw import Classifier, Extractor, Synthesizer, experiment, hookimpl, param
from benchfw.components import label
from benchfw.errors import PluginError, UsageError
from benchfw.keys import keys_of
from benchfw.plan import cells
from benchfw.registry import HOOKS, KINDS, ROLES, Registry, installed
from benchfw.seeding import AXES_OF_STAGE
from benchfw.settings import configure, parse_named

JITTER = '''
from dataclasses import dataclass
from benchfw import Synthesizer, hookimpl, param

@hookimpl
def register_augmenters(register):
    register(Jitter)

@dataclass(frozen=True)
class Jitter(Synthesizer):
    """Repeat minority rows with noise."""

    name = "jitter"
    scale: float = param(0.1, "noise, in standard deviations", ge=0)
'''
PLUGINS = {  # name: (its source, what `benchfw list` says of it)
    "absent": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "leaves": ("import sys\nsys.exit('bye')", "SystemExit: bye"),
    "bounds": (JITTER.replace("0.1", "-0.1"), "augmenter Jitter.scale: wants float >= 0, found -0.1"),
    "undecorated": (
        JITTER.replace("@dataclass(frozen=True)", ""),
        "augmenter Jitter: wants @dataclass(frozen=True) above the class, found none",
    ),
    "thawed": (
        JITTER.replace("@dataclass(frozen=True)", "@dataclass"),
        "TypeError: cannot inherit non-frozen dataclass from a frozen one; wants @dataclass(frozen=True)",
    ),
    "bare-field": (
        JITTER.replace("scale: float", "size: int\n    scale: float"),
        (
            "TypeError: non-default argument 'size' follows default argument; wants param(default, help) for each "
            "parameter"
        ),
    ),
    "list-default": (
        JITTER.replace("scale: float = param(0.1", "scale: list = param([0.1]"),
        (
            "ValueError: mutable default <class 'list'> for field scale is not allowed: use default_factory; wants a "
            "parameter of int, float, str, bool, Literal[...], or any of them or None"
        ),
    ),
    "method-for-words": (
        f"{JITTER}\n    def needs(self):\n        return ()",
        "augmenter Jitter: needs: wants @property above it, found a method",
    ),
    "undocumented": (
        JITTER.replace('"""Repeat minority rows with noise."""', ""),
        "augmenter Jitter: wants a docstring whose first line is its help text, found none",
    ),
    "unhelpful": (
        JITTER.replace('param(0.1, "noise, in standard deviations", ge=0)', "0.1"),
        "augmenter Jitter: parameter 'scale' wants param(default, help), found a plain field",
    ),
    "wrongly-named": (
        JITTER.replace('"jitter"', '"Jitter 2"'),
        "augmenter Jitter: wants a name of lower-case words joined by hyphens, found 'Jitter 2'",
    ),
    "wrong-role": (
        JITTER.replace("register_augmenters", "register_extractors"),
        "register_extractors: Jitter subclasses Synthesizer: register it in register_augmenters",
    ),
    "misspelt": (
        JITTER.replace("register_augmenters", "register_augmenter"),
        (
            "no hook named 'register_augmenter'; did you mean 'register_augmenters'? (known: "
            "register_augmenters, register_classifiers, register_datasets, register_extractors)"
        ),
    ),
    "unhooked": (
        JITTER.replace("@hookimpl", ""),
        "hook register_augmenters: wants @hookimpl above it, found a plain function",
    ),
    "hookless": (
        "answer = 42",
        (
            "wants @hookimpl above one or more of register_datasets, register_extractors, register_augmenters, "
            "register_classifiers; found none"
        ),
    ),
    "no-argument": (
        JITTER.replace("(register):\n    register(Jitter)", "():\n    pass"),
        "hook register_augmenters: wants register_augmenters(register), found register_augmenters()",
    ),
    "registers-nothing": (
        JITTER.replace("    register(Jitter)", "    pass"),
        "its hooks register nothing; wants register(Class) in one of them",
    ),
    "twice": (
        JITTER.replace("    register(Jitter)", "    register(Jitter)\n    register(Jitter)"),
        "augmenter 'jitter' comes twice from twice; wants one of a name",
    ),
    "argument": (
        JITTER.replace("(register):", "(registry):"),
        "hook register_augmenters: wants register_augmenters(register), found register_augmenters(registry)",
    ),
    "raises": (
        JITTER.replace("register(Jitter)", "register(1 / 0)"),
        "hook register_augmenters: ZeroDivisionError: division by zero",
    ),
}


def benchfw(site, *words):
    """Run the command with the site's distributions installed beside the others."""
    command = [sys.executable, "-m", "benchfw", *words]
    environment = os.environ | {"PYTHONPATH": str(site), "BENCHFW_CACHE": str(site / "cache")}
    return subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory):
    """Every broken plugin, one sound one, and two that bring the same name."""
    site = tmp_path_factory.mktemp("site")
    for name, (source, _) in PLUGINS.items():
        write_at(site, name, source)
    write_at(site, "sound", JITTER.replace('"jitter"', '"sound-jitter"'))
    for name in ("twin-one", "twin-two"):
        write_at(site, name, JITTER.replace('"jitter"', '"twin"'))
    return site


@pytest.fixture(scope="module")
def listed(broken_site):
    return benchfw(broken_site, "list")


def test_list_works_beside_broken_plugins_and_shows_the_sound_ones(listed):
    assert listed.returncode == 0
    first_words = {line.split()[0] for line in listed.stdout.splitlines() if line.strip()}
    assert first_words >= {"sound-jitter", "smote", "gan-feature", "digits", "quick"}


@pytest.mark.parametrize("name", PLUGINS)
def test_list_says_what_is_wrong_with_a_plugin_in_one_line(name, listed):
    said = [line for line in listed.stderr.splitlines() if line.startswith(f"benchfw: plugin {name!r} ")]
    assert said == [f"benchfw: plugin {name!r} of {name} was not loaded: {PLUGINS[name][1]}"]


CLASH = "augmenter 'twin' comes from twin-one and twin-two; say which: twin-one:twin or twin-two:twin"


def test_list_names_both_distributions_of_a_clash_and_says_nothing_else(listed):
    assert listed.stderr.splitlines()[len(PLUGINS) :] == [f"benchfw: {CLASH}"]


def test_list_shows_both_components_of_a_clash_as_they_may_be_asked_for(listed):
    first_words = [line.split()[0] for line in listed.stdout.splitlines() if "twin" in line]
    assert first_words == ["twin-one:twin", "twin-two:twin"]


def test_using_a_name_that_two_distributions_bring_is_an_error_that_names_both(broken_site):
    ended = benchfw(broken_site, "plan", "-a", "twin")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"benchfw: {CLASH}"


def test_unknown_name_comes_with_the_plugins_that_were_not_loaded(broken_site):
    ended = benchfw(broken_site, "show", "augmenter", "jitter")
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("benchfw: no augmenter named 'jitter'; did you mean ")
    assert last.endswith(f"; {len(PLUGINS)} plugins were not loaded, see `benchfw plugin list`")


# ---- one registry, without a process of its own ----


def plugin(**attributes):
    """A module with these functions, which are hook implementations where decorated."""
    module = ModuleType("toy")
    vars(module).update(attributes)
    return module


@dataclass(frozen=True)
class Toy(Synthesizer):
    """Do as one is told."""

    name = "toy"
    size: int = param(3, "how much")


@dataclass(frozen=True)
class Other(Toy):
    """Do otherwise."""

    name = "other"


@dataclass(frozen=True)
class Judge(Classifier):
    """Judge."""

    name = "judge"


def test_components_are_found_by_kind_and_name():
    @hookimpl
    def register_augmenters(register):
        register(Toy)
        register(Other)

    @hookimpl
    def register_classifiers(register):
        register(Judge)

    registry = Registry()
    registry.add(plugin(register_augmenters=register_augmenters, register_classifiers=register_classifiers), "mine")
    assert registry.names("augmenter") == ["other", "toy"]
    assert registry.get("classifier", "judge") is Judge
    assert registry.registered("augmenter", "toy").distribution == "mine"
    assert registry.names("dataset") == []


def test_a_plugin_with_one_wrong_component_adds_none():
    @hookimpl
    def register_augmenters(register):
        register(Toy)
        register(Judge)

    registry = Registry()
    with pytest.raises(
        PluginError, match=r"^register_augmenters: Judge subclasses Classifier: register it in register_c"
    ):
        registry.add(plugin(register_augmenters=register_augmenters), "mine")
    assert registry.names("augmenter") == []


@pytest.mark.parametrize("thing", [Toy(), "toy", None, Extractor])
def test_what_is_no_component_of_the_role_is_refused(thing):
    @hookimpl
    def register_augmenters(register):
        register(thing)

    with pytest.raises(PluginError, match=r"^register_augmenters: wants a subclass of .*, found "):
        Registry().add(plugin(register_augmenters=register_augmenters), "mine")


def test_subclass_without_its_own_decorator_is_refused():
    class Lazy(Toy):
        """Inherit the fields, and lose the new ones."""

        name = "lazy"
        more: int = param(4, "never becomes a field")

    @hookimpl
    def register_augmenters(register):
        register(Lazy)

    with pytest.raises(PluginError, match=r"^augmenter Lazy: wants @dataclass\(frozen=True\) above the class"):
        Registry().add(plugin(register_augmenters=register_augmenters), "mine")


def test_unknown_name_is_refused_with_what_is_meant_and_known():
    @hookimpl
    def register_augmenters(register):
        register(Toy)

    registry = Registry()
    registry.add(plugin(register_augmenters=register_augmenters), "mine")
    with pytest.raises(UsageError, match=r"^no augmenter named 'toi'; did you mean 'toy'\? \(known: toy\)$"):
        registry.get("augmenter", "toi")
    with pytest.raises(UsageError, match=r"^no dataset named 'toy'; known: none$"):
        registry.get("dataset", "toy")


def test_hooks_and_roles_name_the_same_kinds():
    from benchfw import hookspecs

    assert [name for name in vars(hookspecs) if name.startswith("register_")] == list(HOOKS)
    assert set(ROLES) == set(KINDS)


def test_every_entry_point_of_this_project_loads():
    ours = [point for point in entry_points(group="benchfw.v1") if point.dist.name == "benchfw"]
    declared = Path(__file__).parents[1].joinpath("plugins").glob("benchfw_*/__init__.py")
    assert sorted(point.value for point in ours) == sorted(path.parent.name for path in declared)
    assert {plugin.status for plugin in installed().plugins if plugin.origin.distribution == "benchfw"} == {"loaded"}


OURS = [  # whoever runs these tests may have plugins of others too
    (kind, name)
    for kind in KINDS
    for name in installed().names(kind)
    if installed().registered(kind, name).distribution == "benchfw"
]


@pytest.mark.parametrize(("kind", "name"), OURS)
def test_installed_components_are_what_their_kind_wants(kind, name):
    component = installed().get(kind, name)
    assert issubclass(component, ROLES[kind])
    assert label(component()) == name
    assert component.source
    assert hash(component()) == hash(replace(component()))


# ---- two distributions, one name ----


@pytest.fixture
def clashing():
    """A registry where two distributions bring augmenter `toy`, and one of them `other`."""

    @dataclass(frozen=True)
    class Second(Synthesizer):
        """Do it the second way."""

        name = "toy"
        size: int = param(4, "how much")

    def bringing(*components):
        @hookimpl
        def register_augmenters(register):
            for component in components:
                register(component)

        return plugin(register_augmenters=register_augmenters)

    registry = Registry()
    registry.add(bringing(Toy, Other), "first")
    registry.add(bringing(Second), "Second_Dist")
    return registry


def test_names_tell_apart_only_what_clashes(clashing):
    assert clashing.names("augmenter") == ["Second_Dist:toy", "first:toy", "other"]


def test_the_distribution_before_the_name_decides_and_stays_in_the_label(clashing):
    found = clashing.get("augmenter", "first:toy")
    assert label(found(size=5)) == "first:toy@size=5"
    assert found().name == "toy"  # which enters seeds and keys, so it does not matter what else is installed
    assert issubclass(found, Toy)
    assert found() == clashing.get("augmenter", "first:toy")()
    assert label(replace(found(), size=4)) == "first:toy@size=4"


def test_the_distribution_before_the_name_changes_no_seed_and_no_key(clashing):
    cell = cells(experiment.load("quick"), installed())[0]
    one, other = (replace(cell, augmenter=component()) for component in (Toy, clashing.get("augmenter", "first:toy")))
    assert one.axes != other.axes
    assert [one.seed_of(stage) for stage in AXES_OF_STAGE] == [other.seed_of(stage) for stage in AXES_OF_STAGE]
    assert keys_of(one, torch.device("cpu"), Path()) == keys_of(other, torch.device("cpu"), Path())


def test_the_distribution_is_compared_as_installers_do(clashing):
    assert clashing.get("augmenter", "second-dist:toy")().size == 4


def test_a_label_reads_back_as_what_it_labels(clashing):
    component = clashing.get("augmenter", "second-dist:toy")(size=9)
    named = parse_named(label(component))
    assert configure(clashing.get("augmenter", named.name), named, "augmenter") == component


def test_a_distribution_that_does_not_bring_the_name_is_refused(clashing):
    with pytest.raises(UsageError, match=r"^no augmenter named 'third:toy'; did you mean 'first:toy'\?"):
        clashing.get("augmenter", "third:toy")


def test_the_label_of_our_own_has_no_distribution(clashing):
    @hookimpl
    def register_augmenters(register):
        register(Toy)

    clashing.add(plugin(register_augmenters=register_augmenters), "benchfw")
    with pytest.raises(PluginError, match="comes from Second_Dist and benchfw and first; say which: "):
        clashing.get("augmenter", "toy")
    assert clashing.get("augmenter", "benchfw:toy") is Toy
    assert label(clashing.get("augmenter", "benchfw:toy")()) == "toy"


def test_a_plugin_that_registers_a_name_twice_is_refused():
    @hookimpl
    def register_augmenters(register):
        register(Toy)
        register(Toy)

    with pytest.raises(PluginError, match=r"^augmenter 'toy' comes twice from mine; wants one of a name$"):
        Registry().add(plugin(register_augmenters=register_augmenters), "mine")
