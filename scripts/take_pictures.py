"""Take the pictures of the cache browser: in a real JupyterLab, on the cache of its tests.

The pictures are two stills, light and dark, and an animation of typical use. Look at them before they are
committed.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "rigs")]

from browser_fixtures import MODELS, plant  # noqa: E402 - after the path to it
from browser_rig import Lab, NotebookPage, launch, opened  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
MOST = 1_000_000  # bytes of the animation
# The cache's path in the pictures. It must not exist, and is removed at the end.
CACHE = Path(tempfile.gettempdir(), "models")


class Film:
    """Frames of a page's notebook, each with its duration."""

    def __init__(self, page: NotebookPage) -> None:
        self._page = page
        self._frames: list[tuple[Image.Image, int]] = []

    def frame(self, milliseconds: int) -> None:
        """Add the page as it is now."""
        self._page.names()  # waits until pending changes are painted
        self._frames.append((_still(self._page), milliseconds))

    def write(self, path: Path) -> None:
        """Write the frames as one file."""
        first, *others = (image for image, _ in self._frames)
        times = [time for _, time in self._frames]
        first.save(path, save_all=True, append_images=others, duration=times, loop=0, lossless=True, method=6)


def main() -> int:
    """Take all pictures; return 1 if the animation is too large for a front page."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        home = Path(scratch)
        browser = launch(playwright)
        with Lab(home / "lab") as lab:
            for theme in ("Light", "Dark"):
                with _browser(lab, browser, theme, height=1060) as page:
                    page.row("universal-sentence-encoder").click()
                    page.view.locator("dl").wait_for()
                    _still(page).save(PICTURES / f"browser-{theme.lower()}.png", optimize=True)
            with _browser(lab, browser, "Light", height=900) as page:
                film = Film(page)
                _play(page, film.frame)
                film.write(PICTURES / "browser.webp")
        browser.close()
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.stat().st_size:>9,} bytes  {path.relative_to(ROOT)}")
    return int((PICTURES / "browser.webp").stat().st_size > MOST)


@contextmanager
def _browser(lab: Lab, browser: Browser, theme: str, height: int) -> Iterator[NotebookPage]:
    """Yield a notebook that shows only the cache browser."""
    CACHE.mkdir()
    try:
        plant(CACHE)
        _swell(CACHE)
        lab.set_theme(theme)
        name = lab.write("cache.ipynb", f"%load_ext hub_magic\n%hub_cache {CACHE}", "%hub_cache")
        with opened(lab, browser, name, viewport={"width": 1180, "height": height}) as page:
            page.command("application:toggle-left-area")
            page.run_all()
            page.measured(len(MODELS))
            yield page
    finally:
        shutil.rmtree(CACHE)


def _swell(cache: Path) -> None:
    """Make the models of the tests as large as real ones; holes in files take no disk space."""
    for path in cache.glob("*/variables/*.data-*"):
        facts = path.stat()
        os.truncate(path, facts.st_size * 1000)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _play(page: NotebookPage, frame: Callable[[int], None]) -> None:
    """Sort, filter, select, and remove."""
    field = page.view.get_by_role("searchbox")
    frame(1500)
    page.view.get_by_role("columnheader", name="Size").get_by_role("button").click()
    frame(1500)
    for letter in "net":
        field.press_sequentially(letter)
        frame(160)
    frame(900)
    page.row("movenet/singlepose/lightning").click()
    page.view.locator("dl").wait_for()
    frame(2200)
    page.button("Remove…").click()
    dialog = page.view.get_by_role("dialog")
    dialog.get_by_role("heading", name="Remove").wait_for()
    frame(2000)
    dialog.get_by_role("button", name="Remove", exact=True).click()
    page.said("Removed 1 model")
    frame(2000)
    field.fill("")
    frame(2600)


def _still(page: NotebookPage) -> Image.Image:
    taken = page.page.locator(".jp-Notebook").first.screenshot()
    return Image.open(io.BytesIO(taken)).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
