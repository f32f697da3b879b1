"""Text becomes typed parameters within their bounds, and a label reads back as the component that it names."""

import math
from dataclasses import dataclass, fields
from typing import Literal

import pytest

from benchfw import Synthesizer, param
from benchfw.components import label, parameters
from benchfw.errors import PluginError, UsageError
from benchfw.registry import KINDS, installed
from benchfw.settings import Text, check_parameters, configure, parse_named, wanted

INSTALLED = [(kind, name) for kind in KINDS for name in installed().names(kind)]
ODD_TEXTS = (
    *("", " ", "  two  spaces ", "a,b", "a=b", "a@b", "x#y", "it's", 'say "hi"', '"', "'", "\\", '\\"', "back\\slash"),
    *("]", "a]b,[c", "[1, 2]", "{}", "tab\there", "line\nbreak", "\x00", "\x7f", "\x1b[1m", "naïve", "画像", "🩻"),
    *("none", "None", "true", "false", "inf", "nan", "1", "-1", "+1", "1e5", "0x10", "1979-05-27", "07:32:00", "_1"),
    *("data/x.npz", "./x", "../x", "~/x", "C:\\x", "-x", "x-y+z", "x\u2028y"),
)


@dataclass(frozen=True)
class Odd(Synthesizer):
    """A parameter of each kind."""

    name = "odd"
    presets = {"paper": {"count": 7, "rate": 0.5}, "worn": {"rate": 0.9}}

    count: int = param(5, "how many", ge=1, lt=10)
    rate: float = param(0.1, "how fast", gt=0, le=1)
    free: float = param(0.0, "without bounds")
    flag: bool = param(False, "whether")
    mode: Literal["slow", "fast"] = param("slow", "which")
    limit: int | None = param(None, "at most")
    path: str | None = param(None, "where")
    either: bool | int | str = param(True, "a switch, a number or a name")


def odd(text, **overrides):
    return configure(Odd, parse_named(text), "augmenter.odd", overrides)


def refusal(text):
    with pytest.raises(UsageError) as caught:
        odd(text)
    return str(caught.value)


def test_a_name_alone_has_the_defaults():
    assert odd("odd") == Odd()
    assert parse_named(" odd ").name == "odd"


def test_parameters_are_read_in_their_types():
    found = odd("odd@count=3,rate=1e-3,flag=true,mode=fast,limit=12,path=data/x.npz,either=4")
    assert found == Odd(count=3, rate=0.001, flag=True, mode="fast", limit=12, path="data/x.npz", either=4)
    assert type(odd("odd@rate=1").rate) is float


def test_a_preset_stands_before_parameters_which_win():
    assert odd("odd@paper") == Odd(count=7, rate=0.5)
    assert odd("odd@paper,rate=0.25,flag=true") == Odd(count=7, rate=0.25, flag=True)


def test_typed_wins_over_set_and_set_over_preset():
    assert odd("odd@paper,rate=0.25", count=2, rate=0.75, limit=Text("4")) == Odd(count=2, rate=0.25, limit=4)


def test_spaces_around_names_and_values_do_not_count():
    assert odd(" odd @ paper , limit = 3 ") == Odd(count=7, rate=0.5, limit=3)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('odd@path="a,b",count=2', "a,b"),
        ("odd@path='a,b',count=2", "a,b"),
        ("odd@path='a\"b',count=2", 'a"b'),
        ('odd@path="a\\",b",count=2', 'a",b'),
        ("odd@path=[a,b],count=2", "[a,b]"),
        ("odd@path=it's,count=2", "it's"),
        ("odd@path=a=b,count=2", "a=b"),
        ("odd@path=a@b,count=2", "a@b"),
    ],
)
def test_commas_in_quotes_and_brackets_belong_to_the_value(text, path):
    assert odd(text) == Odd(path=path, count=2)


@pytest.mark.parametrize(
    ("text", "value"),
    [("none", None), ('"none"', "none"), ("None", "None"), ("5", "5"), ("true", "true"), ('"x y"', "x y"), ("", "")],
)
def test_text_is_a_toml_value_where_its_type_fits_else_a_bare_string(text, value):
    assert odd(f"odd@path={text}").path == value


@pytest.mark.parametrize(
    ("text", "value"), [("false", False), ('"false"', "false"), ("3", 3), ('"3"', "3"), ("x", "x"), ("none", "none")]
)
def test_a_union_takes_the_reading_of_toml(text, value):
    found = odd(f"odd@either={text}").either
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("odd@count=three", "augmenter.odd.count: wants int >= 1 and < 10, found 'three'"),
        ("odd@count=0", "augmenter.odd.count: wants int >= 1 and < 10, found '0'"),
        ("odd@count=10", "augmenter.odd.count: wants int >= 1 and < 10, found '10'"),
        ("odd@count=3.0", "augmenter.odd.count: wants int >= 1 and < 10, found '3.0'"),
        ("odd@count=true", "augmenter.odd.count: wants int >= 1 and < 10, found 'true'"),
        ("odd@count=none", "augmenter.odd.count: wants int >= 1 and < 10, found 'none'"),
        ('odd@count="3"', "augmenter.odd.count: wants int >= 1 and < 10, found '\"3\"'"),
        ("odd@count=", "augmenter.odd.count: wants int >= 1 and < 10, found ''"),
        ("odd@rate=0", "augmenter.odd.rate: wants float > 0 and <= 1, found '0'"),
        ("odd@rate=1.01", "augmenter.odd.rate: wants float > 0 and <= 1, found '1.01'"),
        ("odd@rate=nan", "augmenter.odd.rate: wants float > 0 and <= 1, found 'nan'"),
        ("odd@rate=-inf", "augmenter.odd.rate: wants float > 0 and <= 1, found '-inf'"),
        ("odd@rate=true", "augmenter.odd.rate: wants float > 0 and <= 1, found 'true'"),
        ("odd@free=nan", "augmenter.odd.free: wants float, found 'nan'"),
        ("odd@free=-inf", "augmenter.odd.free: wants float, found '-inf'"),
        ("odd@flag=1", "augmenter.odd.flag: wants bool, found '1'"),
        ("odd@flag=yes", "augmenter.odd.flag: wants bool, found 'yes'"),
        ("odd@mode=quick", "augmenter.odd.mode: wants slow | fast, found 'quick'"),
        ("odd@limit=2.5", "augmenter.odd.limit: wants int | none, found '2.5'"),
        ("odd@counts=3", "augmenter.odd: no parameter 'counts'; did you mean 'count'? (known: " + ", ".join(
            ["count", "either", "fill", "flag", "free", "limit", "mode", "path", "rate)"])),
        ("odd@papr", "augmenter.odd: no preset 'papr'; did you mean 'paper'? (known: paper, worn)"),
        ("odd@", "'odd@': wants name@parameter=value,... or name@preset, found nothing after @"),
        ("odd@count=3,paper", "'odd@count=3,paper': wants name@parameter=value,... or name@preset, found 'paper'"),
        ("odd@count=3,count=4", "'odd@count=3,count=4': gives count twice; give it once"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_is_wanted_and_found(text, message):
    assert refusal(text) == message


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", None, True])
def test_values_that_are_no_text_are_checked_too(value):
    with pytest.raises(UsageError, match=r"^augmenter\.odd\.rate: wants float > 0 and <= 1, found "):
        odd("odd", rate=value)


# ---- labels ----


@pytest.mark.parametrize(
    ("component", "text"),
    [
        (Odd(), "odd"),
        (Odd(count=7, rate=0.5), "odd@paper"),
        (Odd(count=7, rate=0.5, flag=True), "odd@paper,flag=true"),
        (Odd(count=7, rate=0.9), "odd@worn,count=7"),
        (Odd(count=7), "odd@count=7"),
        (Odd(rate=1e-5, mode="fast"), "odd@rate=1e-05,mode=fast"),
        (Odd(path="a b"), 'odd@path="a b"'),
        (Odd(path="none"), 'odd@path="none"'),
        (Odd(either="true"), 'odd@either="true"'),
    ],
)
def test_label_names_the_nearest_preset_and_what_differs_from_it(component, text):
    assert label(component) == text
    assert odd(text) == component


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_label_reads_back_whatever_text_it_holds(text):
    component = Odd(path=text, either=text, count=2)
    found = odd(label(component))
    assert found == component
    assert type(found.either) is str


@pytest.mark.parametrize(("kind", "name"), INSTALLED)
def test_label_of_every_installed_component_reads_back(kind, name):
    component = installed().get(kind, name)
    for variant in (component(), *varied(component)):
        text = label(variant)
        found = configure(component, parse_named(text), f"{kind}.{name}")
        assert parse_named(text).name == name
        assert found == variant
        assert parameters(found) == parameters(variant)


def varied(component):
    """The component's presets, and each parameter in turn at several values that its type and bounds allow."""
    yield from (component(**preset) for preset in component.presets.values())
    for field in fields(component):
        named = wanted(component, field).split(" | ")
        for value in (0, 1, 2, 0.25, 0.3125, True, False, "none", "a, b", *named, *map(Text, named)):
            try:
                yield configure(component, parse_named(component.name), component.name, {field.name: value})
            except UsageError:
                continue


@pytest.mark.parametrize(("kind", "name"), INSTALLED)
def test_every_parameter_of_every_installed_component_is_among_the_varied_ones(kind, name):
    component = installed().get(kind, name)
    defaults = parameters(component())
    changed = {key for found in varied(component) for key, value in parameters(found).items() if value != defaults[key]}
    assert changed == set(defaults)


# ---- what a plugin declares ----


def test_what_is_wanted_is_said_in_words():
    said = {field.name: wanted(Odd, field) for field in fields(Odd)}
    assert said == {
        "fill": "float >= 0 and <= 1",
        "count": "int >= 1 and < 10",
        "rate": "float > 0 and <= 1",
        "free": "float",
        "flag": "bool",
        "mode": "slow | fast",
        "limit": "int | none",
        "path": "str | none",
        "either": "bool | int | str",
    }


TYPES = "wants int, float, str, bool, Literal[...], or any of them or None"


def declared(**attributes):
    annotations = {"size": attributes.pop("kind", int)}
    return dataclass(frozen=True)(type("Declared", (Synthesizer,), {"__annotations__": annotations, **attributes}))


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (declared(size=param(0, "size", ge=1)), "here.size: wants int >= 1, found 0"),
        (declared(size=param(1.5, "size")), "here.size: wants int, found 1.5"),
        (declared(size=3), "here: parameter 'size' wants param(default, help), found a plain field"),
        (
            declared(size=param(3, "size", le=9), presets={"huge": {"size": 10}}),
            "here, preset.size: wants int <= 9, found 10",
        ),
        (
            declared(size=param(3, "size"), presets={"huge": {"sise": 10}}),
            "here, preset: no parameter 'sise'; did you mean 'size'? (known: fill, size)",
        ),
        (declared(size=param(3, "size"), kind="Size"), f"here: parameter types: name 'Size' is not defined; {TYPES}"),
        (declared(size=param((3,), "size"), kind="tuple"), f"here: parameter 'size' {TYPES}, found tuple"),
        (
            declared(size=param(3, "size"), kind="int | list[int]"),
            f"here: parameter 'size' {TYPES}, found int | list[int]",
        ),
    ],
)
def test_declarations_are_checked_against_their_own_bounds(component, message):
    with pytest.raises(PluginError) as caught:
        check_parameters(component, "here")
    assert str(caught.value) == message
