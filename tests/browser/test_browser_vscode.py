"""The cache browser under the widget manager of VS Code's Jupyter extension, which is an npm package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_fixtures import MODELS, Windows, npm_file
from browser_rig import BROWSE, TIMEOUT
from repository import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.thorough

MANAGER = ("@vscode/jupyter-ipywidgets8@1.0.9", "dist/ipywidgets.js")
REQUIRE = ("requirejs@2.3.7", "require.js")
# What VS Code calls its themes, and a few of their colours.
THEMES = {
    "vscode-light": {"--vscode-editor-background": "#ffffff", "--vscode-editor-foreground": "#3b3b3b"},
    "vscode-dark": {"--vscode-editor-background": "#1f1f1f", "--vscode-editor-foreground": "#cccccc"},
    "vscode-high-contrast": {
        "--vscode-editor-background": "#000000",
        "--vscode-editor-foreground": "#ffffff",
    },
}


@pytest.fixture(scope="module")
def vscode(windows: Windows, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    script = Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "anywidget" / "index.js"
    page.route("**/nbextensions/anywidget/index.js", lambda route: route.fulfill(path=script))
    page.goto(f"{windows.lab.url}/lab?reset")
    page.wait_for_function("() => window.jupyterapp?.serviceManager.isReady")
    page.add_script_tag(content=npm_file(*REQUIRE))
    yield page
    context.close()


@pytest.fixture
def page(vscode: Page) -> Iterator[Page]:
    """A page that other tests have used: what it showed goes as `show` begins, and each has a kernel of its own."""
    yield vscode
    vscode.evaluate("async () => { await window.kernel?.shutdown(); delete window.kernel; }")


def show(
    page: Page, cache: Path, theme: str, *, before: str = "", settled: str = "", count: int = len(MODELS)
) -> Locator:
    """The cache browser, once it has looked at all there is; for `settled` see `vscode_page.js`."""
    setting = f"import os\nos.environ['TFHUB_CACHE_DIR'] = {str(cache)!r}\n%load_ext hub_magic"
    code = f"{setting}\n{before}\n{BROWSE}"
    given = {
        "bundle": npm_file(*MANAGER),
        "theme": theme,
        "colours": THEMES[theme],
        "code": code,
        "settled": settled,
    }
    page.evaluate((REPOSITORY / "tests" / "rigs" / "vscode_page.js").read_text(), given)
    view = page.locator(".hub-magic")
    facts = view.locator(".hm-head > .hm-muted").filter(has_text=f"{count} models")
    facts.filter(has_not_text="measuring").wait_for()
    return view


def test_filtered_model_is_removed_in_vs_code(page: Page, cache: Path):
    view = show(page, cache, "vscode-light")
    view.get_by_role("searchbox").fill("elmo")
    view.get_by_text("elmo", exact=True).click()
    view.get_by_text('hub.load("https://tfhub.dev/google/elmo/3")').wait_for()
    view.get_by_role("button", name="Remove…", exact=True).click()
    view.get_by_role("dialog").get_by_role("button", name="Remove").click()
    view.get_by_role("status").filter(has_text="Removed 1 model").wait_for()
    assert len([path for path in cache.iterdir() if path.is_dir()]) == len(MODELS) - 1


@pytest.mark.parametrize("theme", THEMES)
def test_view_uses_the_theme_of_vs_code(page: Page, cache: Path, theme: str):
    # JupyterLab's light colours are on the page too, as they are in VS Code, where the manager brings them.
    view = show(page, cache, theme)
    bright = """(view, selector) => {
        const style = getComputedStyle(view.querySelector(selector));
        const colour = (name) => Math.max(...style[name].match(/\\d+/g).slice(0, 3));
        return [colour("color") / 255, getComputedStyle(view).backgroundColor.match(/\\d+/g)[0] / 255];
    }"""
    for selector in (
        "tbody td.hm-name",
        "tbody td.hm-publisher",
        ".hm-button",
        "th button",
        ".hm-filter input",
    ):
        text, back = view.evaluate(bright, selector)
        assert (text < 0.5 < back) if theme == "vscode-light" else (back < 0.2 and text > 0.6), selector


def test_page_that_listens_late_gets_missed_rows(page: Page, cache: Path):
    # The kernel tells all again some times to a page that does not answer; here in moments, not in 21 s.
    before = "from hub_magic.widget import channel\nassert channel._ANEW\nchannel._ANEW = (0.01, 0.04, 0.16)"
    # Removed after the state was sent that the page begins with.
    settled = (
        "import threading\n"
        "browser.remove('elmo')\n"
        "for thread in threading.enumerate():\n"
        "    if thread.name == 'hub_magic: scan': thread.join()"
    )
    view = show(page, cache, "vscode-light", before=before, settled=settled, count=len(MODELS) - 1)
    assert view.get_by_text("elmo", exact=True).count() == 0
