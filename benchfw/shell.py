"""A shell's question after Tab, and the answer, as bash, zsh and fish want it: what typer's own scripts leave undone.

bash breaks words where ours go on; zsh and fish say nothing behind `--option=`; and plugins may print.
"""

from __future__ import annotations

import os
import re
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

ASKED = "_BENCHFW_COMPLETE"  # typer's variable; `complete_bash` asks for words, `source_bash` for the script
BREAKS = frozenset("@=:")  # where bash breaks words, as far as ours have it


def asks(environment: Mapping[str, str]) -> bool:
    """Whether this process was started by a shell that wants words."""
    return environment.get(ASKED, "").startswith("complete_")


def answer(app: Callable[[], object]) -> NoReturn:
    """Answer a shell that asks through typer, and leave; nothing that a plugin prints reaches the terminal."""
    kept, silent = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(silent, number)  # for good: a plugin may print when the process ends, too
    code, said, shell = 1, StringIO(), os.environ[ASKED].removeprefix("complete_")
    stem = _rejoin(os.environ) if shell == "bash" else ""
    try:
        with redirect_stdout(said):
            app()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0
    except Exception:  # there is no place on the screen for it
        said = StringIO()
    found = [line.removeprefix(stem) for line in said.getvalue().splitlines() if line]
    os.write(kept, "".join(f"{line}\n" for line in _behind(_option(os.environ), found, shell)).encode())
    os._exit(code)


def _rejoin(environment: MutableMapping[str, str]) -> str:
    """Join the words that bash has broken at `@`, `=` and `:`; what its answers begin with and bash already has.

    bash hands over `-a smote @ k`, and replaces what stands after the last break; `@` itself belongs to that.
    """
    at = int(environment["COMP_CWORD"])
    broken = environment["COMP_WORDS"].split("\n")[: at + 1]
    words = broken[:1]
    for before, word in pairwise(broken):
        if len(words) > 1 and word and (BREAKS.issuperset(word) or (before and BREAKS.issuperset(before))):
            words[-1] += word
        else:
            words.append(word)
    environment["COMP_WORDS"], environment["COMP_CWORD"] = "\n".join(words), str(len(words) - 1)
    *_, before, last = [*broken, ""] if BREAKS.issuperset(broken[-1]) else broken
    value = words[-1].partition("=")[2] if words[-1].startswith("-") else words[-1]
    return value.removesuffix("@" * before.endswith("@") + last)


def _option(environment: Mapping[str, str]) -> str:
    """The `--option=` that the word at the cursor begins with, where the shell is not bash."""
    begun = re.search(r"(?:^|\s)(--[\w-]+=)\S*$", environment.get("_TYPER_COMPLETE_ARGS", ""))
    return begun[1] if begun else ""


def _behind(option: str, found: list[str], shell: str) -> list[str]:
    """The answer for what stands behind `--option=`, which typer leaves out: fish wants it, zsh shall pass over it."""
    if not option or not found:
        return found
    return [f"compset -P '{option}'; {found[0]}", *found[1:]] if shell == "zsh" else [option + line for line in found]
