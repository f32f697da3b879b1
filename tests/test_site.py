"""The site builds without a warning, has every page, and asks no other server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FETCHED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)|url\((https?:[^)]+)\)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out]
    done = subprocess.run(
        build, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_on_the_site_in_its_place(site):
    places = [page.relative_to(ROOT).with_suffix(".html") for page in PAGES]
    wanted = [place.with_name("index.html") if place.stem == "README" else place for place in places]
    assert [place for place in wanted if not (site / place).is_file()] == []


def test_the_site_fetches_nothing_from_elsewhere(site):
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".css") and path.name != "report.html"]
    assert pages
    assert {str(path): found[0] for path in pages if (found := FETCHED.findall(path.read_text(encoding="utf-8")))} == {}


def test_pages_have_the_room_that_printed_tables_want(site):
    assert ".md-grid" in (site / "docs" / "site.css").read_text()
    assert 'href="../site.css"' in (site / "docs" / "tutorial" / "first-run.html").read_text()


@pytest.mark.parametrize(
    "fetching", ['<script src="https://a.b/c.js">', "<link rel=icon href=//a.b/c>", "url(https://a.b/c.woff)"]
)
def test_what_fetches_is_noticed(fetching):
    assert FETCHED.search(fetching)


def test_the_reports_of_the_reference_results_are_on_the_site(site):
    assert (site / "results" / "reference" / "fashion-mnist-ir40" / "report.html").is_file()
