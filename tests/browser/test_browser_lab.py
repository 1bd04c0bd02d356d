"""The cache browser in a real JupyterLab, with ipywidgets 8 and 7: what everything else stands on.

`test_opened_view_shows_models_location_and_free_space` is the one test in a browser that runs without `--all`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import files_of
from browser_fixtures import BY_NAME, GRAPH, MODELS, Open, entries
from browser_host import HaltingHost

if TYPE_CHECKING:
    from browser_rig import NotebookPage


@pytest.mark.ipywidgets7
def test_opened_view_shows_models_location_and_free_space(page: NotebookPage, cache: Path):
    assert page.names() == BY_NAME
    assert page.view.locator(".hm-path").inner_text() == str(cache)
    assert page.facts.inner_text() == "8 models · 2.6 MB · downloads: compressed · 1 damaged"
    assert "free" in page.view.locator(".hm-room").inner_text()
    for word in ("3", "google", "374.8 kB", "OK"):
        assert word in page.row("elmo").inner_text()
    assert (
        page.row("yamnet").locator("td").last.get_attribute("title") == "variables/variables.index is missing"
    )
    assert page.foreign == []
    assert page.errors == []


@pytest.mark.thorough
@pytest.mark.ipywidgets7
def test_selection_in_the_view_appears_in_python(page: NotebookPage):
    page.row("elmo").click()
    page.selection("elmo")
    assert page.value("browser.code") == 'hub.load("https://tfhub.dev/google/elmo/3")'
    page.row("yamnet").click(modifiers=["Control"])
    page.selection("elmo", "yamnet")
    page.row("elmo").click(modifiers=["Control"])
    page.selection("yamnet")
    page.row("movenet/singlepose/lightning").click(modifiers=["Shift"])
    # From where the last click was.
    page.selection(*BY_NAME[2:5])
    assert page.view.locator(".hm-picked").inner_text().startswith("3 models")
    # And Python's choice in the page.
    page.value("[model.name for model in browser.select('elmo', 'biggan')]")
    page.view.locator(".hm-picked").get_by_text("2 models").wait_for()
    assert page.chosen() == ["biggan-deep-256", "elmo"]


@pytest.mark.thorough
@pytest.mark.ipywidgets7
def test_removal_needs_confirmation_and_frees_the_models(page: NotebookPage, cache: Path):
    page.row("elmo").click()
    page.row("yamnet").click(modifiers=["Control"])
    dialog = page.view.get_by_role("dialog")
    page.button("Remove…").click()
    dialog.get_by_role("heading", name="Remove 2 models?").wait_for()
    assert "https://tfhub.dev/google/elmo/3" in dialog.inner_text()
    assert (
        "Frees 390.4 kB; 2.2 MB of models stay. This cannot be undone; hub.load downloads them again."
        in dialog.inner_text()
    )
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="hidden")
    assert entries(cache) == len(MODELS)
    page.button("Remove…").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    page.said("Removed 2 models, which freed")
    assert page.names() == [name for name in BY_NAME if name not in {"elmo", "yamnet"}]
    assert page.view.locator(".hm-picked").is_hidden()
    assert entries(cache) == len(MODELS) - 2
    assert page.value("len(browser.scan.models)") == len(MODELS) - 2


@pytest.mark.thorough
@pytest.mark.ipywidgets7
def test_fetch_shows_progress_and_adds_a_row(page: NotebookPage, cache: Path):
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1)) as host:
        field = page.view.get_by_role("textbox", name="Model URL")
        field.fill(f"{host.url}/google/spice/2")
        field.press("Enter")
        host.is_halfway.wait()
        row = page.row("spice")
        bar = row.get_by_role("progressbar")
        bar.wait_for()
        page.page.wait_for_function("bar => bar.value > 0 && bar.value < bar.max", arg=bar.element_handle())
        assert " %" in row.inner_text()
        assert field.input_value() == ""
        host.go_on.set()
        page.said(f"Fetched {host.url}/google/spice/2.")
    assert page.view.get_by_role("progressbar").count() == 0
    assert "OK" in page.row("spice").inner_text()
    assert entries(cache) == len(MODELS) + 1


@pytest.mark.thorough
@pytest.mark.ipywidgets7
def test_reloaded_page_shows_the_rows_and_works(notebook: Open):
    page = notebook(apart=True)
    page.measured(len(MODELS))
    page.row("elmo").click()
    page.selection("elmo")
    page.command("docmanager:save")
    page.page.reload()
    page.row("elmo").and_(page.view.locator("[aria-selected=true]")).wait_for()
    assert page.names() == BY_NAME
    page.button("Refresh").click()
    page.said("Refreshed: 8 models.")
