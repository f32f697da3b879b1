"""What a shell offers after Tab: names, presets, parameters and values, from the plugins. No heavy library is loaded.

typer asks a function of this room for each option and argument. A word may be open, as `smote@k=` is: then the shell
shall put no space behind it, so what may follow is offered too.
"""

from __future__ import annotations

import re
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchfw.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


Offer = tuple[str, str]  # a word and its line of help

WORD = re.compile(r"[\w./~+:=@,-]+")  # what is itself in every shell, unquoted
UNSAFE = str.maketrans(
    {"[": "(", "]": ")", '"': "\N{RIGHT DOUBLE QUOTATION MARK}", "'": "\N{RIGHT SINGLE QUOTATION MARK}"}
)
LONGEST = 72  # letters of help beside a word
OPEN = tuple("=.:@,/")  # how a word ends that is not finished
DEVICES = {
    "auto": "the GPU where there is one",
    "cpu": "no GPU",
    "cuda": "the first NVIDIA GPU",
    "cuda:1": "the second one",
    "mps": "Apple's GPU",
}
IMBALANCES = {
    "natural": "the data as it is",
    "exp:": "class sizes fall exponentially; R is largest over smallest",
    "step:": "one half of the classes is R times as large as the other",
    "counts:": "training samples of each class: a,b,... or 150x8",
}
RATIOS = ("10", "20", "50", "100")  # those of the literature


# ---- what typer asks: a word as far as it is typed -> the words that it may become ----


def kinds(incomplete: str) -> list[Offer]:
    """The kinds of `list` and `show`."""
    return _fitting([*_kinds(), ("experiment", "")], incomplete)


def kinds_of_plugins(incomplete: str) -> list[Offer]:
    """The kinds of components."""
    return _fitting(_kinds(), incomplete)


def names(ctx: Any, incomplete: str) -> list[Offer]:
    """The names of the kind that `show` was given."""
    kind = ctx.params.get("kind")
    if kind == "experiment":
        return experiments(incomplete)
    return _fitting(_names(ctx, kind), incomplete)


def experiments(incomplete: str) -> list[Offer]:
    """The packaged experiments, and TOML files."""
    from benchfw.experiment import packaged

    return _stepwise(lambda begun: [*packaged().items(), *_paths(begun, ".toml")], incomplete)


def imbalances(incomplete: str) -> list[Offer]:
    """The forms of an imbalance; after exp: or step: the usual ratios, and then `:permuted`."""
    return _stepwise(_imbalances, incomplete)


def devices(incomplete: str) -> list[Offer]:
    """Where training may happen."""
    return _fitting(DEVICES.items(), incomplete)


def metrics(incomplete: str) -> list[Offer]:
    """The metrics' names, read from the source: importing that room loads numpy."""
    from importlib.resources import files

    source = (files("benchfw") / "metrics.py").read_text(encoding="utf-8")
    return _fitting([(name, "") for name in re.findall(r'^ +Metric\("(\w+)"', source, re.MULTILINE)], incomplete)


def component(kind: str) -> Callable[..., list[Offer]]:
    """What typer asks for a component of that kind with its parameters: `smote`, `smote@k=3,fill=0.5`."""

    def offers(ctx: Any, incomplete: str) -> list[Offer]:
        return _stepwise(partial(_configured, ctx, kind), incomplete)

    return offers


def targets(ctx: Any, incomplete: str) -> list[Offer]:
    """What `plugin check` takes: components of every kind, distributions with plugins, and Python files."""
    return _stepwise(partial(_targets, ctx), incomplete)


def assignments(ctx: Any, incomplete: str) -> list[Offer]:
    """`kind.name.parameter=value`, or `setting=value`."""
    return _stepwise(partial(_assigned, ctx), incomplete)


# ---- from the plugins ----


def _kinds() -> list[Offer]:
    from benchfw.hooks import KINDS

    return [(kind, "") for kind in KINDS]


def _registry(ctx: Any) -> Any:
    """The plugins that the command line asks for so far."""
    from benchfw.registry import installed

    return installed(tuple(map(str, ctx.params.get("plugins") or ())), not ctx.params.get("no_plugins"))


def _names(ctx: Any, kind: str) -> list[Offer]:
    from benchfw.components import first_line

    registry = _registry(ctx)
    return [(name, first_line(registry.get(kind, name))) for name in registry.names(kind)]


def _configured(ctx: Any, kind: str, incomplete: str) -> list[Offer]:
    name, at, typed = incomplete.partition("@")
    if not at:
        return _names(ctx, kind)
    component = _registry(ctx).get(kind, name)
    before, comma, part = typed.rpartition(",")
    start = f"{name}@{before}{comma}"
    key, equals, _ = part.partition("=")
    if equals:
        return [(f"{start}{key}={value}", line) for value, line in _values(component, key)]
    given = {part.partition("=")[0] for part in before.split(",")}
    found = [] if comma else [(preset, "preset") for preset in component.presets]
    found += [(f"{name}=", line) for name, line in _parameters(component) if name not in given]
    return [(f"{start}{text}", line) for text, line in found]


def _targets(ctx: Any, incomplete: str) -> list[Offer]:
    name, at, _ = incomplete.partition("@")
    registry = _registry(ctx)
    kinds = [kind for kind, _ in _kinds() if not at or name in registry.names(kind)]
    found = [offer for kind in kinds for offer in _configured(ctx, kind, incomplete)]
    distributions = {plugin.origin.distribution: "a distribution" for plugin in registry.plugins}
    return found if at else [*found, *distributions.items(), *_paths(incomplete, ".py")]


def _assigned(ctx: Any, incomplete: str) -> list[Offer]:
    key, equals, value = incomplete.partition("=")
    if "." not in key:
        return _set(key, value) if equals else [*((f"{kind}.", "") for kind, _ in _kinds()), *_settings()]
    owner, _, parameter = key.rpartition(".")
    kind, dot, name = owner.partition(".")
    if not dot:
        return [(f"{kind}.{name}.", line) for name, line in _names(ctx, kind)]
    component = _registry(ctx).get(kind, name)
    if equals:
        return [(f"{key}={value}", line) for value, line in _values(component, parameter)]
    return [(f"{owner}.{name}=", line) for name, line in _parameters(component)]


def _settings() -> list[Offer]:
    from benchfw.experiment import Experiment

    return [(f"{name}=", line) for name, line in _parameters(Experiment) if name != "set"]


def _set(setting: str, value: str) -> list[Offer]:
    from benchfw.experiment import Experiment

    found = metrics(value) if setting == "metric" else _values(Experiment, setting)
    return [(f"{setting}={value}", line) for value, line in found]


def _parameters(component: type[Any]) -> list[Offer]:
    return [(field.name, field.metadata["help"]) for field in fields(component)]


def _values(component: type[Any], name: str) -> list[Offer]:
    """The default of a parameter, and what else it may be where that can be listed."""
    from benchfw.settings import choices

    (field,) = (field for field in fields(component) if field.name == name)
    listed = choices(component, field)
    listed += [field.default] * (field.default not in listed)
    return [(_as_typed(value), "default" * (value == field.default)) for value in listed]


def _as_typed(value: object) -> str:
    """A parameter's value without the quotes that it does not need: `critic_norm=none` is the word where it is one."""
    from benchfw.components import as_text

    return value if isinstance(value, str) and "," not in value else as_text(value)


def _imbalances(incomplete: str) -> list[Offer]:
    kind, colon, typed = incomplete.partition(":")
    if kind not in ("exp", "step") or not colon:
        return list(IMBALANCES.items())
    ratios = [(f"{kind}:{ratio}", f"largest over smallest class: {ratio}") for ratio in RATIOS]
    if not typed:
        return ratios
    return [*ratios, (f"{kind}:{typed.partition(':')[0]}:permuted", "another order of the classes in each repetition")]


def _paths(incomplete: str, suffix: str) -> list[Offer]:
    """The files with that suffix, and the directories that go on from what is typed."""
    start = incomplete[: incomplete.rfind("/") + 1]
    try:
        there = sorted(Path(start or ".").iterdir())
    except OSError:
        return []
    directories = [f"{start}{path.name}/" for path in there if path.is_dir()] if incomplete else []
    return [(text, "") for text in directories + [f"{start}{path.name}" for path in there if path.suffix == suffix]]


# ---- words ----


def _stepwise(offers: Callable[[str], list[Offer]], incomplete: str) -> list[Offer]:
    """The words that fit; with an open word that is the only one, also what may follow, else a space would follow."""
    found = _fitting(offers(incomplete), incomplete)
    if len(found) == 1 and found[0][0] != incomplete and found[0][0].endswith(OPEN):
        found += _fitting(offers(found[0][0]), found[0][0])
    return found


def _fitting(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    """The words that begin so and that no shell would read as anything but a word; the help without markup."""
    fitting = [(word, line) for word, line in offers if word.startswith(incomplete) and WORD.fullmatch(word)]
    return [(word, _plain(line)) for word, line in fitting]


def _plain(line: str) -> str:
    """A line that rich reads as no markup, and zsh as no code; cut where a list in a terminal would break it."""
    line = re.sub(r"[`$\\]", "", printable(" ".join(line.split()))).translate(UNSAFE)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
