"""The pages of the site: mkdocs reads docs/, and this hook adds those outside it that they lead to.

Every file keeps its place in the repository, so a link works on the site as it does among the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[1]
PLACES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs/**/*", "results/reference/**/*")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's own files in place of those of docs/, beside the theme's."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    own = [File(name, str(ROOT), config.site_dir, config.use_directory_urls) for name in names()]
    return Files([*theme, *own])


def names() -> Iterator[str]:
    """The files of the site by their path in the repository."""
    found = {path for place in PLACES for path in ROOT.glob(place) if path.is_file()}
    yield from sorted(path.relative_to(ROOT).as_posix() for path in found)
