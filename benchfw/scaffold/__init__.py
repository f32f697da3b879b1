"""`benchfw plugin new`: the files of a package with one working component, written from templates without a network."""

from __future__ import annotations

import builtins
import keyword
import re
import shlex
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

from benchfw.components import role_hint
from benchfw.errors import UsageError, did_you_mean, os_words
from benchfw.registry import KINDS, NAME, installed

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 40  # characters of a name; the longest lines of the templates then keep to their 120

FILES = {  # path in the package -> its template
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    "{source}": "{kind}.py",
    "src/{module}/py.typed": "py.typed",
    "tests/test_contract.py": "test_contract.py",
}
FACTS = ("component", "distribution", "module", "noun", "source", "trial")
NOUNS = {"dataset": "data set"}
VARIANTS = {"dataset": "largest=90", "extractor": "cells=2", "augmenter": "scale=0.5", "classifier": "shrink=0.5"}
TRIALS = {
    "dataset": "-d {name} -e pixels -a random -c linear",
    "extractor": "-d digits -e {name} -a random -c linear",
    "augmenter": "-d digits -e pixels -a {name} -a {name}@scale=0.5 -c linear",
    "classifier": "-d digits -e pixels -a random -c {name}",
}


@dataclass(frozen=True)
class Package:
    """A plugin package to be written: one component of that kind and name.

    Raises UsageError where the kind is unknown, or the name is none, is taken, or would hide an installed module.
    """

    kind: str
    name: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no kind named {self.kind!r}{role_hint(self.kind) or did_you_mean(self.kind, KINDS)}")
        if not NAME.fullmatch(self.name) or len(self.name) > LONGEST:
            wanted = f"lower-case words joined by hyphens, at most {LONGEST} characters"
            raise UsageError(f"name: wants {wanted}, found {self.name!r}; for example my-{self.kind}")
        taken = [known for known in installed().names(self.kind) if known.rpartition(":")[2] == self.name]
        if taken:
            owner = installed().registered(self.kind, taken[0]).distribution
            raise UsageError(f"{self.kind} {self.name!r} comes with {owner} already; choose another name")
        if find_spec(self.module):
            raise UsageError(f"the module {self.module!r} is installed already; choose another name than {self.name!r}")

    @property
    def distribution(self) -> str:
        """What pip calls it."""
        return f"benchfw-{self.name}"

    @property
    def module(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    @cached_property
    def component(self) -> str:
        """The class: MyAug for my-aug, and AugmenterContext for context, since the module imports another Context.

        pytest would take a class TestTime, which its tests import, for one of tests.
        """
        camel = "".join(word.capitalize() for word in self.name.split("-"))
        imports = re.findall(r"^ *from .*", _template(f"{self.kind}.py"), re.MULTILINE)
        used = {*re.findall(r"\w+", " ".join(imports)), *keyword.kwlist, *dir(builtins)}
        fine = camel.isidentifier() and camel not in used and not camel.startswith("Test")
        return camel if fine else f"{self.kind.capitalize()}{camel}"

    @property
    def noun(self) -> str:
        """The kind in words."""
        return NOUNS.get(self.kind, self.kind)

    @property
    def source(self) -> str:
        """The file that its author writes, in the package."""
        return f"src/{self.module}/__init__.py"

    @property
    def trial(self) -> str:
        """A small run with it."""
        return f"benchfw run {TRIALS[self.kind].format(name=self.name)} --repetitions 2"

    def files(self) -> dict[str, str]:
        """Path in the package -> text."""
        from jinja2 import Environment, StrictUndefined

        environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701  # no HTML
        facts = asdict(self) | {name: getattr(self, name) for name in FACTS} | {"variant": VARIANTS[self.kind]}
        return {
            path.format(**facts): environment.from_string(_template(template.format(**facts))).render(facts)
            for path, template in FILES.items()
        }


def write(package: Package, out: Path) -> None:
    """Write the package into a directory that is new or empty. Raises UsageError for another, or where it cannot."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(
                f"{out}: wants a new or empty directory, so that nothing is overwritten; choose another --out"
            )
        for path, text in package.files().items():
            file = out / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({os_words(error)}); choose another --out") from error


def next_commands(package: Package, out: Path) -> list[str]:
    """What to type after the package was written."""
    place = [] if out.resolve() == out.cwd() else [f"cd {shlex.quote(str(out))}"]
    check = f"benchfw plugin check {package.name}"
    install = ["pip install --upgrade pip", "pip install --editable . --group dev"]  # --group wants pip 25.1
    return [*place, *install, "pytest", check, package.trial]


def _template(name: str) -> str:
    return (files(__package__) / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
