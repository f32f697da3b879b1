"""Make a module of the tests an installed plugin, and run its components in this process."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import benchfw
from benchfw.registry import installed


def describe(site, distribution, points=None):
    """Write what makes a module on the path an installed distribution with that plugin, as an installer leaves it.

    points: the entry points; else one of the distribution's name, for the module of that name. Returns the dist-info.
    """
    module = distribution.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points or f"[benchfw.v1]\n{distribution} = {module}\n")
    return info


def write(home, distribution, text, points=None):
    """Install a plugin of this text where the commands of a home find it. Returns the dist-info."""
    return write_at(home.path / "site", distribution, text, points)


def write_at(site, distribution, text, points=None):
    """The same in any directory that is on the path."""
    info = describe(site, distribution, points)
    (site / f"{distribution.replace('-', '_')}.py").write_text(text)
    return info


def install(home, module):
    """Install a module of the tests where the commands of a home find it."""
    describe(home.path / "site", module)
    shutil.copy(Path(__file__).with_name(f"{module}.py"), home.path / "site")


@contextmanager
def installed_here(site, module):
    """While it lasts, a module that is loaded already is an installed plugin of this process."""
    assert module in sys.modules
    describe(site, module)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        installed.cache_clear()
        yield
    installed.cache_clear()


def measured(out, *, dataset=("digits",), extractor=("pixels",), augmenter=("none",), classifier=(), **settings):
    """Run a matrix in this process; the rows of its cells."""
    axes = {"datasets": dataset, "extractors": extractor, "augmenters": augmenter, "classifiers": classifier}
    lists = {name: [texts] if isinstance(texts, str) else list(texts) for name, texts in axes.items()}
    imbalance = settings.pop("imbalance", "natural")
    settings = {"repetitions": 1, "references": False, "test_fraction": 0.2, "val_fraction": 0.0} | settings
    return benchfw.run(**lists, imbalances=[imbalance], settings=settings, out=out, cache=out / "cache").rows
