"""The page in a real browser: axe finds nothing against the rules of accessibility, and nothing sticks out.

Skipped where there is no browser; what can be said without one is in `test_report_page`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import BROWSER

axe_core = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no browser on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_axe_finds_nothing(browser, page: Path, width: int, mode: str) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=mode)
    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = axe_core.Axe().run(tab, options={"resultTypes": ["violations"]})
    assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []
    assert len(found.response["passes"]) > 20
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.close()
