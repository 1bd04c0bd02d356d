"""How a user finds models in JupyterLab, reads about them, and sees them in a notebook that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_fixtures import BY_NAME, MODELS, Open

if TYPE_CHECKING:
    from browser_rig import NotebookPage

pytestmark = pytest.mark.thorough


def test_click_on_a_heading_sorts_the_rows(page: NotebookPage):
    def click(name: str) -> list[str]:
        page.view.get_by_role("columnheader", name=name).get_by_role("button").click()
        return page.names()

    assert click("Size")[:3] == [
        "universal-sentence-encoder",
        "nnlm-en-dim128",
        "bert_en_uncased_L-12_H-768_A-12",
    ]
    header = page.view.get_by_role("columnheader", name="Size")
    assert header.get_attribute("aria-sort") == "descending"
    assert click("Size")[0] == "movenet/singlepose/lightning"
    assert header.get_attribute("aria-sort") == "ascending"
    assert click("Last used")[:2] == ["nnlm-en-dim128", "movenet/singlepose/lightning"]
    assert header.get_attribute("aria-sort") == "none"
    assert click("Downloaded")[0] == "yamnet"
    assert click("Publisher")[0] == "biggan-deep-256"
    assert click("State")[0] == "yamnet"
    assert click("Kind") == BY_NAME
    assert click("Model") == BY_NAME
    assert click("Model") == BY_NAME[::-1]


def test_filter_shows_only_rows_with_all_words(page: NotebookPage):
    field = page.view.get_by_role("searchbox")
    field.press_sequentially("net")
    assert page.names() == [name for name in BY_NAME if "net" in name]
    page.said("3 models found.")
    field.fill("GOOGLE dim")
    assert page.names() == ["nnlm-en-dim128"]
    assert page.view.locator(".hm-filter .hm-muted").inner_text() == "1 of 8"
    field.fill("deepmind.com")
    assert page.names() == []
    assert "No model" in page.view.locator(".hm-empty").inner_text()
    field.fill("")
    assert page.names() == BY_NAME


def test_details_show_files_signatures_and_link_of_a_model(page: NotebookPage, cache: Path):
    page.row("elmo").click()
    details = page.view.locator("dl")
    details.wait_for()
    told = details.inner_text()
    for words in (
        'hub.load("https://tfhub.dev/google/elmo/3")',
        str(cache),
        "by lab-3",
        "TensorFlow 2.21.0",
        "serving_default",
        "inputs float32 [?, 224, 224, 3]",
        "logits float32 [?, 1001]",
        "vocabulary-0.txt",
        "374.0 kB",
    ):
        assert words in told, words
    link = details.get_by_role("link")
    assert link.get_attribute("href") == "https://tfhub.dev/google/elmo/3"
    assert link.get_attribute("rel") == "noopener noreferrer"
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    details.get_by_role("button", name="Copy the code").click()
    page.said("Copied.")
    assert (
        page.page.evaluate("navigator.clipboard.readText()") == 'hub.load("https://tfhub.dev/google/elmo/3")'
    )


def test_two_views_of_one_browser_share_the_selection(notebook: Open):
    page = notebook("browser = %hub_cache\nbrowser", "browser")
    page.measured(len(MODELS))
    first, second = (page.page.locator(".hub-magic").nth(index) for index in (0, 1))
    first.get_by_text("elmo", exact=True).click()
    second.locator(".hm-picked").get_by_text("elmo").wait_for()
    second.locator("tr[aria-selected=true] bdi").get_by_text("elmo", exact=True).wait_for()


@pytest.mark.parametrize("whose", ["one's own", "somebody else's"])
def test_saved_notebook_shows_the_table_without_a_kernel(page: NotebookPage, whose: str):
    page.command("docmanager:save")
    page.end_kernel()
    page.page.goto("about:blank")
    saved = page.lab.read(page.name)
    *_, output = saved["cells"][1]["outputs"]
    assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} == output["data"].keys()
    name = page.name
    if whose != "one's own":  # which JupyterLab does not trust
        name = page.lab.write("theirs.ipynb", *saved["cells"])
    page.page.goto(f"{page.lab.url}/lab/tree/{name}?reset")
    shown = page.page.locator(".jp-OutputArea-output")
    shown.get_by_role("cell", name="elmo").wait_for()
    for model in BY_NAME:
        assert shown.get_by_role("cell", name=model, exact=True).count() == 1
    assert page.view.count() == 0
