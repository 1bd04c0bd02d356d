"""The cache browser for everybody: by keyboard, with a screen reader, in the dark, on a narrow page, and for
text that was made to do harm."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import NOW, add_entry, files_of, saved_model
from browser_fixtures import MODELS, Open

if TYPE_CHECKING:
    from browser_rig import NotebookPage

pytestmark = pytest.mark.thorough

# How light the view's background is, and its text, from 0 to 1.
LIGHT = """view => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (color) => { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
    const light = (color) => rgb(color).slice(0, 3).reduce((sum, one) => sum + one, 0) / 765;
    return [light(getComputedStyle(view).backgroundColor), light(getComputedStyle(view).color)];
}"""

EVIL = (
    "https://evil.example/<img src=x onerror=alert(1)>/1",
    "https://evil.example/<script>fetch('https://evil.example/stolen')</script>/1",
    "javascript:alert(document.cookie)//https://evil.example/model/1",
    "https://evil.example/\u202egnp.exe\u202c/1",
    "https://evil.example/" + "n" * 10_000 + "/1",
    "https://evil.example/\udce9\udcff broken/1",
    "https://evil.example/\"'); alert(1); ('/1",
    "data:text/html,<script>alert(1)</script>",
    "</script><svg onload=alert(1)>",
    "\x1b[31mred\x07",
)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_view_follows_the_theme(notebook: Open, theme: str):
    # The system's preference says the contrary, and does not count.
    page = notebook(theme=theme, color_scheme="light" if theme == "Dark" else "dark")
    page.measured(len(MODELS))
    back, text = page.view.evaluate(LIGHT)
    assert (back < 0.2 and text > 0.8) if theme == "Dark" else (back > 0.8 and text < 0.2)


def test_the_view_follows_a_change_of_theme(page: NotebookPage):
    page.page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    page.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    back, text = page.view.evaluate(LIGHT)
    assert back < 0.2
    assert text > 0.8


def test_view_fits_a_page_of_400_pixels(notebook: Open):
    page = notebook(width=400, apart=True)
    page.command("application:toggle-left-area")
    page.measured(len(MODELS))
    page.row("elmo").click()
    page.view.locator("dl").wait_for()
    assert page.view.bounding_box()["width"] < 400
    wide = page.view.evaluate(
        """view => [...view.querySelectorAll(':not(dialog *, td *, ul *)')].filter(one =>
            one.checkVisibility() && one.getBoundingClientRect().right > view.getBoundingClientRect().right + 1
        ).map(one => one.outerHTML.slice(0, 100))"""
    )
    assert wide == []
    assert page.view.get_by_role("columnheader", name="Model").is_visible()
    assert page.view.get_by_role("columnheader", name="Size").is_visible()
    assert page.view.get_by_role("columnheader", name="State").is_visible()


def test_keyboard_alone_reaches_every_row_and_act(page: NotebookPage):
    keys = page.page.keyboard
    cells = page.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
    grid = page.view.get_by_role("grid")

    def focused() -> str:
        return page.page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText")

    def active() -> str:
        """The row that the keyboard is at, once it is drawn."""
        frame = "table => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"
        name = "table => document.getElementById(table.getAttribute('aria-activedescendant'))?.querySelector('bdi').innerText"
        grid.evaluate(frame)
        return grid.evaluate(name)

    # Into the view, as with TAB from the cell before it, and through it.
    page.view.get_by_role("button", name="Copy the location").focus()
    walked = [focused()]
    while walked[-1] != "Cached models":
        keys.press("Tab")
        walked.append(focused())
    assert walked == [
        "Copy the location",
        "Filter by name or handle",
        "Refresh",
        "Verify all",
        "Prune…",
        "Model URL, e.g. https://tfhub.dev/google/yamnet/1",
        "Fetch",
        "Cached models",
    ]
    names = page.names()
    keys.press("ArrowDown")
    assert active() == names[0]
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    assert active() == names[2]
    keys.press("Shift+ArrowDown")
    page.view.locator(".hm-picked").get_by_text("2 models").wait_for()
    keys.press("End")
    assert active() == names[-1]
    keys.press("Home")
    assert active() == names[0]
    keys.press("Control+ArrowDown")
    keys.press("Control+ArrowDown")
    keys.press(" ")
    page.view.locator(".hm-picked").get_by_text("2 models").wait_for()
    keys.press("Control+a")
    page.view.locator(".hm-picked").get_by_text("8 models").wait_for()
    keys.press("Escape")
    page.view.locator(".hm-picked").wait_for(state="hidden")
    # Remove by keyboard: the dialog takes the focus, and gives it back.
    keys.press("ArrowDown")
    chosen = active()
    keys.press("Delete")
    dialog = page.view.get_by_role("dialog")
    dialog.get_by_role("heading", name="Remove 1 model?").wait_for()
    assert focused() == "Cancel"
    keys.press("Escape")
    dialog.wait_for(state="hidden")
    assert focused() == "Cached models"
    assert chosen in page.names()
    keys.press("Delete")
    dialog.wait_for()
    keys.press("Tab")
    assert focused() == "Remove"
    keys.press("Enter")
    page.said("Removed 1 model")
    assert chosen not in page.names()
    # To the filter and back, and what is typed there goes nowhere else.
    grid.focus()
    keys.press("/")
    assert focused() == "Filter by name or handle"
    keys.type("dd elmo aa")
    assert page.view.get_by_role("searchbox").input_value() == "dd elmo aa"
    # JupyterLab's own keys, such as D D and A, did nothing to the notebook.
    page.view.get_by_role("searchbox").fill("")
    grid.focus()
    for key in ("d", "d", "a", "x", "m", "Enter"):
        keys.press(key)
    assert page.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length") == cells
    assert page.errors == []


def test_table_has_roles_and_names_for_screen_readers(page: NotebookPage):
    page.row("yamnet").click()
    grid = page.view.get_by_role("grid", name="Cached models")
    assert grid.get_attribute("aria-rowcount") == "9"
    assert grid.get_attribute("aria-multiselectable") == "true"
    row = page.row("yamnet")
    assert row.get_attribute("aria-rowindex") == "9"
    assert row.get_attribute("aria-selected") == "true"
    assert grid.get_attribute("aria-activedescendant") == row.get_attribute("id")
    snapshot = page.view.aria_snapshot()
    for words in (
        'region "Model cache"',
        'searchbox "Filter by name or handle"',
        'button "Remove…"',
        "status",
    ):
        assert words in snapshot, snapshot
    assert page.view.get_by_role("img", name="models:").count() == 1


def test_hostile_text_is_text(notebook: Open, cache: Path):
    for index, handle in enumerate(EVIL):
        graph = saved_model({EVIL[0]: ({EVIL[1]: ("float32", (1,))}, {})}, [EVIL[8]])
        files = {**files_of(index, graph=graph), "<img src=x onerror=alert(1)>": b"x"}
        add_entry(cache, handle, files, host=EVIL[index % 3], downloaded=NOW - timedelta(days=index))
    page = notebook()
    page.measured(len(MODELS) + len(EVIL))
    names = page.page.locator(".hub-magic tbody bdi")
    assert names.count() > 0
    # Down the whole table, with the details of every model.
    page.view.get_by_role("grid").focus()
    for _ in range(len(MODELS) + len(EVIL)):
        page.page.keyboard.press("ArrowDown")
        page.view.locator(".hm-picked bdi").wait_for()
        page.view.locator("dl").wait_for()
        # At once: the details of the next model may take the place of a link that was found.
        links = page.view.get_by_role("link").evaluate_all("links => links.map((link) => link.href)")
        assert [link for link in links if not link.startswith("https://")] == []
    page.page.keyboard.press("Control+a")
    page.page.keyboard.press("Delete")
    page.view.get_by_role("heading", name=f"Remove {len(MODELS) + len(EVIL)} models?").wait_for()
    assert "<img src=x onerror=alert(1)>" in page.view.get_by_role("dialog").inner_text()
    page.page.keyboard.press("Escape")
    page.view.get_by_role("searchbox").fill("<script>")
    assert "</script>" in page.names()[0]
    assert page.view.locator("img, script, svg, iframe").count() == 0
    # Nothing that turns the writing around, or moves the cursor of a terminal.
    told = page.view.inner_text()
    assert not {"\u202e", "\u202c", "\x1b", "\x07"}.intersection(told)
    assert page.dialogs == []
    assert page.foreign == []
    assert page.errors == []
    # The static table neither.
    page.command("docmanager:save")
    html = "".join(page.lab.read(page.name)["cells"][1]["outputs"][-1]["data"]["text/html"])
    assert "<img" not in html
    assert "<script" not in html
