"""What axe-core says of the cache browser, in both themes and on wide and narrow pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import files_of
from browser_fixtures import MODELS, Open
from browser_host import HaltingHost

if TYPE_CHECKING:
    from browser_rig import NotebookPage

pytestmark = pytest.mark.thorough


def violations(page: NotebookPage, axe: str) -> list[str]:
    """What axe-core finds wrong with the view, by the rules of WCAG 2.2 A and AA, and its own good practice."""
    page.page.evaluate(axe)
    found = page.page.evaluate(
        "view => axe.run(view, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })",
        page.view.element_handle(),
    )
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing(notebook: Open, axe: str, cache: Path, theme: str, width: int):
    (cache / f"{'0' * 40}.{'1' * 32}.tmp").mkdir()
    with HaltingHost(files_of(300)) as host:
        page = notebook(theme=theme, width=width)
        page.measured(len(MODELS))
        assert violations(page, axe) == []
        page.view.get_by_role("textbox", name="Model URL").fill(f"{host.url}/google/spice/2")
        page.button("Fetch").click()
        host.is_halfway.wait()
        page.view.get_by_text("1 other problem").click()
        page.row("elmo").click()
        page.row("yamnet").click(modifiers=["Control"])
        assert violations(page, axe) == []
        page.row("elmo").click()
        page.view.locator("dl").wait_for()
        assert violations(page, axe) == []
        page.button("Remove…").click()
        page.view.get_by_role("heading", name="Remove 1 model?").wait_for()
        assert violations(page, axe) == []
        page.page.keyboard.press("Escape")
        page.button("Prune…").click()
        page.view.get_by_role("heading", name="Free up space").wait_for()
        assert violations(page, axe) == []
        page.page.keyboard.press("Escape")
        page.view.get_by_role("searchbox").fill("nothing of that name")
        assert violations(page, axe) == []
    assert page.errors == []
