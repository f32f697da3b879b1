"""Runs to report on: one that a process made, and others whose files say something else; and what a report holds."""

import json
import re
import shutil
from hashlib import sha256
from html.parser import HTMLParser

GAN = "gan-feature@width=16,critic_steps=1,batch=16,steps=20"
AXES = (
    *("-d", "digits", "-i", "step:10", "-e", "pixels", "-c", "linear@steps=5"),
    *("-a", "smote", "-a", GAN, "-a", "raises"),
)


def small_run(home, repetitions=2):
    """Digits in pixels, with an augmenter that logs curves and one that always fails: 5 augmenters."""
    home.install_probe()
    ended = home.run("run", *AXES, "--repetitions", repetitions, "--in-process", "--out", "small")
    assert ended.code == 1, ended.err
    return home.path / "small"


def read(path):
    return json.loads(path.read_text())


def write(path, content):
    path.write_text(json.dumps(content))


def change(directory, out, changed):
    """A copy of a run whose rows are what `changed(row)` makes of them; None leaves a cell without a row."""
    shutil.copytree(directory, out)
    for path in (out / "cells").iterdir():
        row = changed(read(path))
        if row is None:
            path.unlink()
        else:
            write(path, row)
    return out


def relabel(directory, out, renamed):
    """A run of the same files under other labels: `renamed(axes)` gives the axes of all that a cell becomes."""
    for folder in ("cells", "predictions", "views"):
        (out / folder).mkdir(parents=True)
    for name in ("experiment.toml", "machine.json"):
        shutil.copy(directory / name, out / name)
    manifest = read(directory / "manifest.json")
    cells = []
    for cell in manifest["cells"]:
        for axes in renamed(cell["axes"]):
            id_ = sha256(json.dumps(axes, sort_keys=True).encode()).hexdigest()[:16]
            cells.append(cell | {"id": id_, "axes": axes})
            _copy(directory, out, cell["id"], id_, axes)
    experiment = manifest["experiment"]
    for axis in ("dataset", "imbalance", "extractor", "augmenter", "classifier"):
        experiment[f"{axis}s"] = list(dict.fromkeys(cell["axes"][axis] for cell in cells))
    write(out / "manifest.json", manifest | {"cells": cells})
    return out


def _copy(directory, out, old, new, axes):
    row = directory / "cells" / f"{old}.json"
    if row.exists():
        write(out / "cells" / f"{new}.json", read(row) | {"id": new, "axes": axes})
    for folder in ("predictions", "views"):
        if (path := directory / folder / f"{old}.npz").exists():
            shutil.copy(path, out / folder / f"{new}.npz")


class Page(HTMLParser):
    """What a page holds: its texts, its tables by caption, and the attributes of its elements by tag."""

    def __init__(self, source):
        super().__init__()
        self.source, self.text, self.tables, self.elements = source, [], {}, []
        self._table = self._cell = self._caption = self._code = None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._code = tag in ("script", "style")
        if tag == "table":
            self._table, self._caption = [], None
        elif tag == "caption":
            self._caption = []
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table:
            self._cell = []
            self._table[-1].append((self._cell, dict(attributes)))

    def handle_endtag(self, tag):
        self._code = False
        if tag == "table" and self._table is not None:
            name = "".join(self._caption or ()).strip()
            rows = [["".join(cell).strip() for cell, _ in row] for row in self._table]
            marks = [[attributes.get("class", "") for _, attributes in row] for row in self._table]
            self.tables[name] = rows, marks
            self._table = None
        elif tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._code:
            return
        self.text.append(data)
        if self._cell is not None:
            self._cell.append(data)
        elif self._caption is not None and not self._table:
            self._caption.append(data)

    def table(self, start):
        """The rows, and the classes of their cells, of the table whose caption starts so; heads first."""
        return next(found for name, found in self.tables.items() if name.startswith(start))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def figures(self):
        """The title and the description of each figure that is read out, as its label names them."""
        found = {}
        for name in (a["aria-labelledby"] for a in self.all("svg") if a.get("role") == "img"):
            texts = [re.search(rf'id="{id_}">([^<]*)<', self.source) for id_ in name.split()]
            found[name] = tuple(text[1] if text else "" for text in texts)
        return list(found.values())

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())
