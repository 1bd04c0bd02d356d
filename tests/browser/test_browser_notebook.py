"""The cache browser in Jupyter Notebook 7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_fixtures import MODELS, Open, Windows
from browser_rig import Notebook7, NotebookPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def windows(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    with Notebook7(tmp_path_factory.mktemp("notebook")) as server, Windows(server, chromium) as windows:
        yield windows


def test_filtered_model_is_removed_in_notebook_7(page: NotebookPage, cache: Path):
    assert len(page.names()) == len(MODELS)
    page.view.get_by_role("searchbox").fill("elmo")
    assert page.names() == ["elmo"]
    page.row("elmo").click()
    page.selection("elmo")
    page.button("Remove…").click()
    page.view.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.said("Removed 1 model")
    assert len([path for path in cache.iterdir() if path.is_dir()]) == len(MODELS) - 1
    assert page.foreign == []


def test_text_is_light_in_the_dark_theme(notebook: Open):
    page = notebook(theme="Dark")
    page.measured(len(MODELS))
    colour = page.view.evaluate("view => getComputedStyle(view).color")
    assert min(int(part) for part in colour.strip("rgba()").split(",")[:3]) > 180, colour
