"""Figures as SVG for a page: equal runs give equal text, colours are classes, and no style needs to be allowed."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from benchfw.report.palette import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, DIM, RULE, PAPER = "#202122", "#6b6f75", "#d9dce0", "#fefefe"
CLASSES = {value: name for name, value in COLOURS.items()} | {INK: "ink", DIM: "dim", RULE: "rule", PAPER: "paper"}
LONGEST = 34  # characters of a label in a figure

SETTINGS: dict[str, Any] = {
    "axes.edgecolor": DIM,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 11.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 11.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "benchfw",
    "svg.id": None,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": DIM,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.color": DIM,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 11,
}

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_DOT = re.compile(r"M ?(\S+) (\S+) ?L ?\1 \2(?=[M ]|$)")
_GEOMETRY = ("d", "points", "x", "y", "width", "height", "transform", "viewBox")
_KEPT = ("stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray", "stroke-opacity", "fill-opacity")


def drawn(
    name: str, draw: Callable[[Figure], None], *, size: tuple[float, float], title: str, description: str
) -> Markup:
    """A figure as an SVG element. size: width and height in pixels. title, description: what is read out for it.

    name: letters, digits and hyphens, unlike that of any other figure of the page.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    usual = {key: value for key, value in mpl.rcParamsDefault.items() if "backend" not in key}
    file = io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({**usual, **{k: v for k, v in SETTINGS.items() if k in usual}}):
        warnings.simplefilter("ignore")  # a label may have letters that the font lacks; the browser's has them
        figure = Figure(figsize=(size[0] / 72, size[1] / 72))
        draw(figure)
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return _for_page(file.getvalue(), name, title, description)


def dots(axes: Axes, places: np.ndarray[Any, Any], colour: str, *, size: float, opacity: float = 1.0) -> None:
    """Many points as one path of round dots. places: (P, 2) in the axes' data."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(places):
        return
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), len(places))
    path = Path(np.repeat(places, 2, axis=0), codes)
    path.should_simplify = False
    axes.add_artist(PathPatch(path, fill=False, ec=colour, lw=size, capstyle="round", alpha=opacity, clip_on=False))


def crosses(axes: Axes, places: np.ndarray[Any, Any], colour: str, *, reach: float) -> None:
    """Many points as one path of upright crosses. reach: from the middle to an end, in the axes' data."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(places):
        return
    arms = np.array([(-reach, 0), (reach, 0), (0, -reach), (0, reach)])  # (4, 2)
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=np.uint8), 2 * len(places))
    path = Path((places[:, None] + arms).reshape(-1, 2), codes)
    path.should_simplify = False
    axes.add_artist(PathPatch(path, fill=False, ec=colour, lw=0.9, capstyle="butt", clip_on=False))


def brief(label: str, longest: int = LONGEST) -> str:
    """A label short enough for a figure."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def _for_page(source: bytes, name: str, title: str, description: str) -> Markup:
    root = ElementTree.fromstring(source)  # noqa: S314  # our own
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used = {id_ for node in root.iter() for id_ in _referenced(node)}
    for node in root.iter():
        node.tag = node.tag.removeprefix(f"{{{_SVG}}}")
        _as_attributes(node)
        _named(node, name, used)
        _rounded(node)
    _flattened(root)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": root.attrib["viewBox"].split()[2],
        "class": "figure",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "stroke-linejoin": "round",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        told = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        told.text = text
        root.insert(place, told)
    return Markup(re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode")))  # noqa: S704  # escaped there


def _as_attributes(node: ElementTree.Element) -> None:
    """What a style says as classes and attributes: the page allows no style but its own sheet."""
    style = dict(_declarations(node.attrib.pop("style", "")))
    if "font" in style:
        style["font-size"] = re.search(r"[\d.]+px", style["font"])[0]  # type: ignore[index]  # matplotlib's own form
    classes = []
    for paint in ("fill", "stroke"):
        value = style.pop(paint, node.attrib.pop(paint, ""))
        if value in CLASSES:
            classes.append(f"{paint[0]}-{CLASSES[value]}")
        elif value:
            node.set(paint, value)
    for key in (*_KEPT, "font-size", "text-anchor", "opacity"):
        if key in style:
            node.set(key, style[key])
    if classes:
        node.set("class", " ".join(classes))


def _declarations(style: str) -> list[tuple[str, str]]:
    parts = (part.partition(":") for part in style.split(";"))
    return [(key.strip(), value.strip()) for key, _, value in parts if value]


def _referenced(node: ElementTree.Element) -> list[str]:
    found = re.findall(r"url\(#([^)]+)\)", " ".join(node.attrib.values()))
    return [*found, *(node.attrib[key].removeprefix("#") for key in (_HREF, "href") if key in node.attrib)]


def _named(node: ElementTree.Element, name: str, used: set[str]) -> None:
    """Keep the ids that something refers to, each with the figure's name in front."""
    if (id_ := node.attrib.pop("id", None)) in used:
        node.set("id", f"{name}-{id_}")
    if _HREF in node.attrib:
        node.set("href", f"#{name}-{node.attrib.pop(_HREF).removeprefix('#')}")
    for key, value in node.attrib.items():
        node.set(key, re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value))


def _rounded(node: ElementTree.Element) -> None:
    for key in _GEOMETRY:
        if key in node.attrib:
            node.set(key, _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), node.attrib[key]))
    if "d" in node.attrib:
        d = re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(node.attrib["d"].split()))
        node.set("d", _DOT.sub(r"M\1 \2h0", d))


def _flattened(node: ElementTree.Element) -> None:
    """Put what stands in a group without attributes in the group's place."""
    for child in list(node):
        _flattened(child)
        if child.tag in ("g", "defs") and not child.attrib and (child.tag == "g" or not len(child)):
            place = list(node).index(child)
            node.remove(child)
            for offset, inner in enumerate(list(child)):
                node.insert(place + offset, inner)
