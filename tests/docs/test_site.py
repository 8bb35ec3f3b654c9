"""The site: it builds without a warning, has every page and every name of the API, and asks nobody for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layoutopt
from tests.docs.pages import DOCS, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.docs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", str(DOCS), str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_it_has_every_page(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert site.joinpath(page.relative_to(DOCS)).with_suffix(".html").exists()


def test_it_has_every_name_of_the_api(site: Path) -> None:
    page = (site / "api.html").read_text()
    names = set(layoutopt.__all__) - {"__version__"}
    missing = {name for name in names if f'id="layoutopt.{name}"' not in page}
    assert not missing


def test_it_needs_no_network(site: Path) -> None:
    """Links to other sites are for the reader; what a page loads by itself is here."""
    loads = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//|<link[^>]*href="(?:https?:)?//""")
    for page in site.rglob("*.html"):
        assert not loads.search(page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", sheet.read_text()), sheet


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 800, 1100, 1400, 1920])
def test_nothing_is_cut_in_any_window(site: Path, browser: Browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    for name in ("api", "cli", "limits", "networks"):
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        text = page.locator(".content").bounding_box()
        assert text is not None
        for each in page.locator(".toc-tree").all():
            contents = each.bounding_box()
            assert contents is not None
            if contents["x"] < width:  # in narrower windows a button shows it
                assert contents["x"] + contents["width"] <= width, name
                assert text["x"] + text["width"] <= contents["x"], name
    page.close()


def test_search_finds_what_pages_say(site: Path) -> None:
    assert "explain" in (site / "searchindex.js").read_text()
