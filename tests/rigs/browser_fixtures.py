"""A cache worth looking at, and JupyterLab pages that show it."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_caches import CLASSIFY, NOW, add_entry, files_of, saved_model
from browser_rig import BROWSE, Lab, NotebookPage, launch, opened
from repository import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from typing_extensions import Self

GRAPH = saved_model({"serving_default": CLASSIFY}, ["vocabulary-0.txt"])

# Name with publisher and version, bytes of the variables, days since it was downloaded and used.
MODELS = (
    ("google/nnlm-en-dim128/2", 484_000, 40, 0.1),
    ("google/elmo/3", 374_000, 230, 90),
    ("google/universal-sentence-encoder/4", 1_020_000, 90, 2),
    ("tensorflow/bert_en_uncased_L-12_H-768_A-12/4", 438_000, 61, 4),
    ("google/imagenet/mobilenet_v2_100_224/classification/5", 14_200, 12, 12),
    ("deepmind/biggan-deep-256/1", 215_000, 190, 33),
    ("google/yamnet/1", 15_100, 3, 3),
    ("google/movenet/singlepose/lightning/4", 9_400, 7, 1),
)

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

Open = Callable[..., NotebookPage]


def plant(cache: Path) -> None:
    """Add the models, of which yamnet is damaged."""
    for name, size, downloaded, used in MODELS:
        entry = add_entry(
            cache,
            f"https://tfhub.dev/{name}",
            files_of(size, graph=GRAPH, assets=1),
            downloaded=NOW - timedelta(days=downloaded),
            used=NOW - timedelta(days=used),
        )
        if "yamnet" in name:
            (entry / "variables" / "variables.index").unlink()


def entries(cache: Path) -> int:
    """Return the number of models in the cache."""
    return len([path for path in cache.iterdir() if path.is_dir()])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "tfhub_modules"
    plant(cache)
    return cache


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not in this environment")
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


class Windows:
    """A server, and the pages that tests share: each test opens a notebook of its own on one of them.

    Args:
        lab: a running server.
        chromium: the browser.
    """

    def __init__(self, lab: Lab, chromium: Browser) -> None:
        self.lab = lab
        self.chromium = chromium
        self.stack = ExitStack()
        self.pages: dict[int, NotebookPage] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, theme: str, width: int) -> NotebookPage:
        """Return the page of that width, with that notebook in that theme."""
        if width in self.pages:
            self.pages[width].turn_to(name, theme)
        else:
            self.pages[width] = self.open_apart(self.stack, name, theme, width)
        return self.pages[width]

    def open_apart(self, stack: ExitStack, name: str, theme: str, width: int) -> NotebookPage:
        """Return a new page with that notebook; the stack closes the page."""
        self.lab.set_theme(theme)
        viewport = {"width": width, "height": 1000}
        return stack.enter_context(opened(self.lab, self.chromium, name, viewport=viewport))

    def close(self) -> None:
        """Close the pages; the next notebook opens on a new one."""
        self.pages.clear()
        self.stack.close()


@pytest.fixture(scope="package")
def windows(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab, Windows(lab, chromium) as windows:
        yield windows


@pytest.fixture
def notebook(windows: Windows, cache: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Yield a function that opens a notebook with the cache browser, once per test.

    Options: `theme`, "Light" or "Dark"; `width` of the page in pixels; `color_scheme`, what the system prefers;
    `apart`, on a page that no other test has used or will use.
    """
    name = f"{request.node.name[:60].strip('[]')}.ipynb"
    failed = request.session.testsfailed

    def open_notebook(
        *cells: str,
        theme: str = "Light",
        width: int = 1400,
        color_scheme: str = "light",
        apart: bool = not windows.lab.can_turn,
    ) -> NotebookPage:
        setting = f"import os\nos.environ['TFHUB_CACHE_DIR'] = {str(cache)!r}\n%load_ext hub_magic"
        windows.lab.write(name, setting, *(cells or (BROWSE,)))
        page = windows.open_apart(stack, name, theme, width) if apart else windows.open(name, theme, width)
        page.page.emulate_media(color_scheme=color_scheme)
        page.run_all()
        return page

    with ExitStack() as stack:
        yield open_notebook
    if request.session.testsfailed > failed:
        windows.close()  # the state of its pages is unknown


@pytest.fixture
def page(notebook: Open) -> NotebookPage:
    """Return a notebook that shows the cache browser, with all sizes known."""
    page = notebook()
    page.measured(len(MODELS))
    return page


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the script of axe-core."""
    return npm_file("axe-core@4.14.1", "axe.min.js")


def npm_file(package: str, path: str) -> str:
    """Return a file of an npm package, kept in a folder that git ignores."""
    folder = REPOSITORY / ".lanes" / "npm"
    kept = folder / f"{package.removeprefix('@').replace('/', '-').replace('@', '-')}.tgz"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.fail(f"This test needs {path} of {package}: `npm pack {package}` fails ({error}).")
    with tarfile.open(kept) as archive:
        file = archive.extractfile(f"package/{path}")
        assert file is not None
        return file.read().decode()
