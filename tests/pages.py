"""The pages of the documentation, and what is in them: fenced blocks, files, commands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
EXAMPLE = ROOT / "tests" / "examples" / "benchfw_jitter"

FENCED = re.compile(r"^(?:[^\n]*`([\w./-]+\.\w+)`:\n\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fenced(text):
    """(file, language, block) of each fenced block; file is the name in a line above it that ends in "`name`:"."""
    return [(found[1], found[2], found[3]) for found in FENCED.finditer(text)]


def blocks(text, language):
    """The fenced blocks of a page in one language."""
    return [block for _, found, block in fenced(text) if found == language]


def files(text):
    """The files that a page shows whole, by name."""
    return {name: block for name, _, block in fenced(text) if name}


def commands(text):
    """The commands of a page's console blocks, without comments, in order."""
    lines = [line.split(" #")[0].strip() for block in blocks(text, "console") for line in block.splitlines()]
    return [line for line in lines if line]
