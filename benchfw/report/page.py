"""The content as one HTML page: nothing is loaded from anywhere, and nothing runs but the page's own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from benchfw.metrics import metric_named
from benchfw.report.palette import MARKERS
from benchfw.report.reading import as_json
from benchfw.report.verdicts import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchfw.report.content import Content
    from benchfw.report.grids import Grid

TEMPLATE, STYLE, SCRIPT = "template.html", "style.css", "script.js"


def rendered(content: Content) -> str:
    """The whole page."""
    style, script = _text(STYLE), _text(SCRIPT)
    return (
        Environment(
            loader=_Packaged(),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        .get_template(TEMPLATE)
        .render(
            c=content,
            words=WORDS,
            marker=_marker,
            metric_named=metric_named,
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704  # our own file
            script=Markup(script),  # noqa: S704  # our own file
            numbers=Markup(as_json(_numbers(content))),  # noqa: S704  # as_json escapes it for its element
        )
    )


class _Packaged(BaseLoader):
    """The templates of this package, wherever it is installed."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        try:
            return _text(template), template, lambda: True
        except OSError as error:
            raise TemplateNotFound(template) from error


def _text(name: str) -> str:
    return (files("benchfw.report") / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Only this style and this script, by their hashes, and images that stand in the page."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _marker(augmenter: str, content: Content) -> tuple[str, str]:
    """The class and the symbol of an augmenter's mark."""
    style = content.styles[augmenter]
    return style.colour, f"m{MARKERS.index(style.marker)}"


def _numbers(content: Content) -> dict[str, Any]:
    """What the script puts into the tables when another metric, or another matrix, is chosen."""
    return {
        "grids": {grid.name: _variants(grid) for grid in (content.lines, content.tests)},
        "confusions": content.confusions.as_numbers(),
    }


def _variants(grid: Grid) -> dict[str, Any]:
    made = {
        name: {
            "heads": variant.heads,
            "rows": variant.rows,
            "marks": variant.marks,
            "footnote": variant.footnote,
        }
        for name, variant in grid.variants.items()
    }
    return {"first": grid.first, "metrics": made}
