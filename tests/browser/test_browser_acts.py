"""What a user does to the models in JupyterLab, and what comes of it on the disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import add_entry, files_of
from browser_fixtures import BY_NAME, GRAPH, MODELS, Open, entries
from browser_host import HaltingHost

if TYPE_CHECKING:
    from browser_rig import NotebookPage

pytestmark = pytest.mark.thorough


def test_pruning_removes_the_models_of_the_preview(page: NotebookPage, cache: Path):
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


def test_cancelled_fetch_leaves_the_cache_unchanged(page: NotebookPage, cache: Path):
    with HaltingHost(files_of(3000)) as host:
        page.view.get_by_role("textbox", name="Model URL").fill(f"{host.url}/google/spice/2")
        page.button("Fetch").click()
        host.is_halfway.wait()
        page.view.get_by_role("button", name="Cancel: Fetching").click()
        page.said("cancelled.")
    assert page.names() == BY_NAME
    assert entries(cache) == len(MODELS)


def test_text_that_is_no_handle_is_refused_with_a_reason(page: NotebookPage):
    page.button("Fetch").click()
    page.said("is empty")
    page.view.get_by_role("textbox", name="Model URL").fill("https:///x")
    page.button("Fetch").click()
    page.said("contains no host")


def test_repair_button_downloads_damaged_model_again(notebook: Open, cache: Path):
    with HaltingHost(files_of(3000, graph=GRAPH, assets=1), halts=False) as host:
        entry = add_entry(cache, f"{host.url}/google/spice/2", files_of(3000, graph=GRAPH, assets=1))
        (entry / "saved_model.pb").unlink()
        page = notebook()
        page.measured(len(MODELS) + 1)
        page.row("spice").click()
        page.view.locator("dl").get_by_text("saved_model.pb is missing").wait_for()
        page.button("Repair").click()
        page.said("Repaired: 1 model downloaded again.")
    assert "OK" in page.row("spice").inner_text()
    assert page.button("Repair").is_hidden()
    page.view.locator("dl").get_by_text("serving_default").wait_for()
    assert (entry / "saved_model.pb").exists()


def test_verify_button_marks_damaged_models(page: NotebookPage, cache: Path):
    entry = next(path for path in cache.glob("*.descriptor.txt") if "elmo" in path.read_text())
    (cache / entry.name[:40] / "saved_model.pb").write_bytes(GRAPH[:-9])
    page.button("Verify all").click()
    page.said("Checked 8 models; 2 are damaged: ")
    assert "Damaged" in page.row("elmo").inner_text()
    page.row("nnlm-en-dim128").click()
    page.button("Verify").click()
    page.said("Checked 1 model: no damage found.")


def test_refresh_shows_new_models_and_leftovers(page: NotebookPage, cache: Path):
    add_entry(cache, "https://tfhub.dev/google/new/1", files_of(100, graph=GRAPH, assets=1))
    (cache / f"{'0' * 40}.{'1' * 32}.tmp").mkdir()
    (cache / f"{'0' * 40}.{'1' * 32}.tmp" / "half").write_bytes(b"x" * 70)
    page.button("Refresh").click()
    page.said("Refreshed: 9 models.")
    assert "new" in page.names()
    page.view.get_by_text("1 other problem").click()
    assert "unfinished download" in page.view.locator(".hm-problems").inner_text()
    page.view.locator(".hm-problems").get_by_role("button", name="Repair").click()
    page.said("1 leftover cleaned up, which freed 70 bytes")
    assert page.view.locator(".hm-problems").is_hidden()
    assert not list(cache.glob("*.tmp"))


def test_view_says_when_the_kernel_does_not_answer(page: NotebookPage):
    # One that runs a cell may answer all the same, on a subshell; this one is stopped.
    process = page.value("__import__('os').getpid()")
    os.kill(process, signal.SIGSTOP)
    try:
        page.button("Refresh").click()
        page.said("Waiting for the kernel…")
    finally:
        os.kill(process, signal.SIGCONT)
    page.said("Refreshed: 8 models.")
