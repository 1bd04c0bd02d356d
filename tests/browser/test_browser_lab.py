"""The cache browser in a real JupyterLab: what a user does, and what comes of it on the disk and in Python."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import add_entry, files_of
from browser_fixtures import GRAPH, MODELS, Open
from browser_host import HaltingHost

if TYPE_CHECKING:
    from browser_rig import NotebookPage

BY_NAME = [
    "bert_en_uncased_L-12_H-768_A-12",
    "biggan-deep-256",
    "elmo",
    "imagenet/mobilenet_v2_100_224/classification",
    "movenet/singlepose/lightning",
    "nnlm-en-dim128",
    "universal-sentence-encoder",
    "yamnet",
]


def entries(cache: Path) -> int:
    return len([path for path in cache.iterdir() if path.is_dir()])


@pytest.mark.ipywidgets7
def test_opening(page: NotebookPage, cache: Path):
    assert page.names() == BY_NAME
    assert page.view.locator(".hm-path").inner_text() == str(cache)
    assert page.facts.inner_text() == "8 models · 2.6 MB · compressed mode · 1 damaged"
    assert "free" in page.view.locator(".hm-room").inner_text()
    for word in ("3", "google", "374.8 kB", "Whole"):
        assert word in page.row("elmo").inner_text()
    assert (
        page.row("yamnet").locator("td").last.get_attribute("title") == "variables/variables.index is missing"
    )
    assert page.foreign == []
    assert page.errors == []


def test_sorting(page: NotebookPage):
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


def test_filtering(page: NotebookPage):
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


@pytest.mark.ipywidgets7
def test_selecting_shows_in_python(page: NotebookPage):
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


def test_details(page: NotebookPage, cache: Path):
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


@pytest.mark.ipywidgets7
def test_removing(page: NotebookPage, cache: Path):
    page.row("elmo").click()
    page.row("yamnet").click(modifiers=["Control"])
    dialog = page.view.get_by_role("dialog")
    page.button("Remove…").click()
    dialog.get_by_role("heading", name="Remove 2 models?").wait_for()
    assert "https://tfhub.dev/google/elmo/3" in dialog.inner_text()
    assert "This frees 390.4 kB; 2.2 MB are left." in dialog.inner_text()
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


def test_pruning(page: NotebookPage, cache: Path):
    page.button("Prune…").click()
    dialog = page.view.get_by_role("dialog")
    field = dialog.get_by_role("textbox")
    field.fill("a lot")
    field.press("Enter")
    dialog.get_by_role("alert").filter(has_text="'a lot' is not a size").wait_for()
    field.fill("2 MB")
    field.press("Enter")
    dialog.get_by_role("heading", name="Remove 2 models?").wait_for()
    assert "biggan-deep-256" in dialog.inner_text()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    page.said("Removed 2 models")
    assert entries(cache) == len(MODELS) - 2


@pytest.mark.ipywidgets7
def test_fetching(page: NotebookPage, cache: Path):
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1)) as host:
        field = page.view.get_by_role("textbox", name="Handle of a model to fetch")
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
    assert "Whole" in page.row("spice").inner_text()
    assert entries(cache) == len(MODELS) + 1


def test_cancelling_a_fetch(page: NotebookPage, cache: Path):
    with HaltingHost(files_of(3000)) as host:
        page.view.get_by_role("textbox", name="Handle of a model to fetch").fill(f"{host.url}/google/spice/2")
        page.button("Fetch").click()
        host.is_halfway.wait()
        page.view.get_by_role("button", name="Cancel: Fetching").click()
        page.said("cancelled.")
    assert page.names() == BY_NAME
    assert entries(cache) == len(MODELS)


def test_a_handle_that_is_none(page: NotebookPage):
    page.button("Fetch").click()
    page.said("is empty")
    page.view.get_by_role("textbox", name="Handle of a model to fetch").fill("https:///x")
    page.button("Fetch").click()
    page.said("names no host")


def test_repairing(notebook: Open, cache: Path):
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1), halts=False) as host:
        entry = add_entry(cache, f"{host.url}/google/spice/2", files_of(3000, graph=GRAPH, assets=1))
        (entry / "saved_model.pb").unlink()
        page = notebook()
        page.measured(len(MODELS) + 1)
        page.row("spice").click()
        page.view.locator("dl").get_by_text("saved_model.pb is missing").wait_for()
        page.button("Repair").click()
        page.said("Repaired: 1 model downloaded again.")
    assert "Whole" in page.row("spice").inner_text()
    assert page.button("Repair").is_hidden()
    page.view.locator("dl").get_by_text("serving_default").wait_for()
    assert (entry / "saved_model.pb").exists()


def test_verifying(page: NotebookPage, cache: Path):
    entry = next(path for path in cache.glob("*.descriptor.txt") if "elmo" in path.read_text())
    (cache / entry.name[:40] / "saved_model.pb").write_bytes(GRAPH[:-9])
    page.button("Verify all").click()
    page.said("Checked 8 models: 2 damaged.")
    assert "Damaged" in page.row("elmo").inner_text()
    page.row("nnlm-en-dim128").click()
    page.button("Verify").click()
    page.said("Checked 1 model: nothing speaks against it.")


def test_refreshing(page: NotebookPage, cache: Path):
    add_entry(cache, "https://tfhub.dev/google/new/1", files_of(100, graph=GRAPH, assets=1))
    (cache / f"{'0' * 40}.{'1' * 32}.tmp").mkdir()
    (cache / f"{'0' * 40}.{'1' * 32}.tmp" / "half").write_bytes(b"x" * 70)
    page.button("Refresh").click()
    page.said("Looked again: 9 models.")
    assert "new" in page.names()
    page.view.get_by_text("1 problem beside the models").click()
    assert "half download" in page.view.locator(".hm-problems").inner_text()
    page.view.locator(".hm-problems").get_by_role("button", name="Repair").click()
    page.said("1 leftover taken away, which freed 70 bytes")
    assert page.view.locator(".hm-problems").is_hidden()
    assert not list(cache.glob("*.tmp"))


def test_a_kernel_that_does_not_answer(page: NotebookPage):
    # One that runs a cell may answer all the same, on a subshell; this one is stopped.
    process = page.value("__import__('os').getpid()")
    os.kill(process, signal.SIGSTOP)
    try:
        page.button("Refresh").click()
        page.said("The kernel does not answer yet: it is busy, or not running.")
    finally:
        os.kill(process, signal.SIGCONT)
    page.said("Looked again: 8 models.")


def test_the_same_browser_shown_twice(notebook: Open):
    page = notebook("browser = %hub_cache\nbrowser", "browser")
    page.measured(len(MODELS))
    first, second = (page.page.locator(".hub-magic").nth(index) for index in (0, 1))
    first.get_by_text("elmo", exact=True).click()
    second.locator(".hm-picked").get_by_text("elmo").wait_for()
    second.locator("tr[aria-selected=true] bdi").get_by_text("elmo", exact=True).wait_for()


@pytest.mark.ipywidgets7
def test_a_page_loaded_anew(notebook: Open):
    page = notebook(apart=True)
    page.measured(len(MODELS))
    page.row("elmo").click()
    page.selection("elmo")
    page.command("docmanager:save")
    page.page.reload()
    page.row("elmo").and_(page.view.locator("[aria-selected=true]")).wait_for()
    assert page.names() == BY_NAME
    page.button("Refresh").click()
    page.said("Looked again: 8 models.")


@pytest.mark.parametrize("whose", ["one's own", "somebody else's"])
def test_a_saved_notebook_without_its_kernel(page: NotebookPage, whose: str):
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
