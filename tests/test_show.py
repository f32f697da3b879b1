"""`show` and `list`: all that a plugin says of a component, as text, and a command that runs it."""

import io
from dataclasses import fields

import pytest
from rich.console import Console
from third_party import write

from benchfw.components import as_text
from benchfw.console_components import print_component
from benchfw.registry import KINDS, installed
from benchfw.settings import wanted

EVERY_COMPONENT = [(kind, name) for kind in KINDS for name in installed().names(kind)]
PLUGIN = '''
from dataclasses import dataclass

from benchfw import Synthesizer, hookimpl, param


@hookimpl
def register_augmenters(register):
    register(Mine)


@dataclass(frozen=True)
class Mine(Synthesizer):
    """{help}"""

    name = "mine"
    source = "{source}"
    libraries = ("somelib",)
    presets = {{"wild": {{"fill": 1.0, "scale": 9.0}}, "usual": {{"scale": 0.5}}}}
    scale: float = param(0.5, "{help}", ge=0)

    {more}
'''
PLAIN = PLUGIN.format(help="Shake the rows.", source="Somebody 2026", more="")
HOSTILE = PLUGIN.format(help="[red]Shake[/red] \\x1b[31mthe \\x9b2J rows.", source="[bold]\\x1b]0;x\\x07", more="")
DEMANDING = PLUGIN.format(
    help="Shake.",
    source="",
    more="""accepts = ("map",)
    @property
    def needs(self):
        return frozenset({"validation", "head"})
""",
)
FAILING = PLUGIN.format(help="Shake.", source="", more="""needs = property(lambda self: 1 / 0)""")


def shown(kind, name, width):
    """What `show` prints on a terminal of that width."""
    there = Console(file=io.StringIO(), width=width, highlight=False)
    print_component(kind, installed().registered(kind, name), there)
    return there.file.getvalue()


def facts(out):
    """The lines below the tables, by their first words."""
    return dict(line.split("  ", 1) for line in out.rpartition("\n\n")[2].splitlines() if "  " in line)


def fact(out, name):
    return facts(out)[name].strip()


@pytest.mark.parametrize(("kind", "name"), EVERY_COMPONENT)
def test_all_that_a_component_declares_is_shown(here, kind, name):
    out, component = here("show", kind, name).out, installed().get(kind, name)
    assert out.startswith(f"{kind} {name} (")
    assert (component.__doc__ or "").strip().splitlines()[0] in out
    for field in fields(component):
        assert f"{field.metadata['help']} ({wanted(component, field)})" in out
        assert f" {field.name}={as_text(field.default)[:10]}" in out
    for preset in component.presets:
        assert f"{name}@{preset}" in out
    assert fact(out, "source") == component.source
    if kind == "dataset":
        assert fact(out, "licence") == f"{component.licence} (of the data)"


@pytest.mark.parametrize(("kind", "name"), EVERY_COMPONENT)
def test_the_command_that_is_shown_is_one_that_can_be_planned(here, kind, name):
    program, run, *words = fact(here("show", kind, name).out, "to run it").split()
    assert (program, run, words[0]) == ("benchfw", "run", f"--{kind}")
    planned = here("plan", *words, "--repetitions", 1)
    _, _, placeholder = words[1].partition("=")
    if placeholder.isupper():  # what the component requires
        assert f": {placeholder}: no " in planned.err
    else:
        assert planned.code == 0, planned.err


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(("kind", "name"), [("augmenter", "gan-feature"), ("dataset", "chexpert")])
def test_no_line_is_wider_than_the_terminal(kind, name, width):
    assert max(map(len, shown(kind, name, width).splitlines())) <= width


def test_a_paragraph_is_filled_where_the_terminal_is_narrow():
    narrow = shown("augmenter", "gan-feature", 80).split("\n\n")[2].splitlines()
    assert all(len(line) > 60 for line in narrow[:-1])
    assert "\n".join(shown("augmenter", "gan-feature", 200).split("\n\n")[2].splitlines()) in shown(
        "augmenter", "gan-feature", 10_000
    )


def test_a_component_names_its_distribution_version_plugin_and_module(here, home):
    write(home, "foreign", PLAIN)
    shown = home.run("show", "augmenter", "mine")
    assert shown.out.splitlines()[0] == "augmenter mine (foreign 1.0, plugin foreign, foreign)"
    assert fact(shown.out, "libraries") == "somelib"
    assert fact(shown.out, "takes") == "vectors and maps"
    assert fact(shown.out, "role") == "Synthesizer"
    assert fact(shown.out, "to run it") == "benchfw run --augmenter mine@scale=0.5"


def test_a_preset_shows_what_it_changes(home):
    write(home, "foreign", PLAIN)
    lines = home.run("show", "augmenter", "mine").out.splitlines()
    assert [line.split("│")[1].strip() for line in lines if " mine@" in line and "│" in line] == [
        "scale=9.0",
        "nothing: the defaults",
    ]


def test_a_component_of_a_file_is_shown_with_the_file(home):
    (home.path / "mine.py").write_text(PLAIN)
    out = home.run("show", "augmenter", "mine", "--plugin", "mine.py").out
    assert out.splitlines()[0] == f"augmenter mine (the file {home.path / 'mine.py'})"
    assert fact(out, "to run it") == "benchfw run --augmenter mine@scale=0.5 --plugin mine.py"


def test_what_a_component_takes_and_needs_is_shown(home):
    write(home, "foreign", DEMANDING)
    out = home.run("show", "augmenter", "mine").out
    assert fact(out, "takes") == "maps"
    assert fact(out, "needs") == "head, validation"
    assert fact(out, "source") == "not stated"


def test_a_property_that_fails_is_named_and_the_rest_is_shown(home):
    write(home, "foreign", FAILING)
    shown = home.run("show", "augmenter", "mine")
    assert shown.code == 0
    assert fact(shown.out, "trouble") == "its default parameters give ZeroDivisionError: division by zero"
    assert "scale=0.5" in shown.out


@pytest.mark.parametrize("words", [("show", "augmenter", "mine"), ("list", "augmenter")])
def test_no_text_of_a_plugin_is_markup_or_moves_the_cursor(home, words):
    write(home, "foreign", HOSTILE)
    out = home.run(*words).out
    assert "[red]Shake[/red]" in out
    assert not {"\x1b", "\x9b", "\x07"} & set(out)


def test_of_two_with_one_name_each_is_shown_under_its_own(home):
    write(home, "first", PLAIN)
    write(home, "second", PLAIN)
    both = home.run("show", "augmenter", "mine")
    assert both.code == 2
    assert "comes from first and second; say which: first:mine or second:mine" in both.err
    one = home.run("show", "augmenter", "second:mine")
    assert one.out.splitlines()[0] == "augmenter second:mine (second 1.0, plugin second, second)"
    assert fact(one.out, "to run it") == "benchfw run --augmenter second:mine@scale=0.5"
    assert "comes from first and second" in one.err


def test_the_list_marks_what_others_brought(home):
    write(home, "foreign", PLAIN)
    lines = home.run("list", "augmenter").out.splitlines()
    (mine,) = (line for line in lines if line.strip().startswith("mine "))
    assert mine.rstrip().endswith("│ Shake the rows. (foreign 1.0)")
    assert not [line for line in lines if "(benchfw" in line]
