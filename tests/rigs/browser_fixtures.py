"""A cache worth looking at, and JupyterLab pages that show it."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

Open = Callable[..., NotebookPage]


def plant(cache: Path) -> None:
    """The models, of which yamnet is damaged."""
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


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "tfhub_modules"
    plant(cache)
    return cache


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not in this environment")
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


class Window:
    """A server, and the page that tests share: each opens a notebook of its own on it.

    Args:
        lab: a running server.
        chromium: the browser.
    """

    def __init__(self, lab: Lab, chromium: Browser) -> None:
        self.lab = lab
        self.chromium = chromium
        self.stack = ExitStack()
        self.page: NotebookPage | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, theme: str) -> NotebookPage:
        """Return the page with that notebook in that theme."""
        if self.page is None:
            self.page = self.open_apart(self.stack, name, theme)
        else:
            self.page.turn_to(name, theme)
        return self.page

    def open_apart(self, stack: ExitStack, name: str, theme: str, **options: Any) -> NotebookPage:
        """Return a new page with that notebook; the stack closes the page."""
        self.lab.set_theme(theme)
        return stack.enter_context(opened(self.lab, self.chromium, name, **options))

    def close(self) -> None:
        """Close the page; the next notebook opens on a new one."""
        self.page = None
        self.stack.close()


@pytest.fixture(scope="session")
def window(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab, Window(lab, chromium) as window:
        yield window


@pytest.fixture
def notebook(window: Window, cache: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a notebook that shows the cache browser, once a test.

    With `apart`, or with options of a browser context such as `viewport`, its page is a new one.
    """
    name = f"{request.node.name[:60].strip('[]')}.ipynb"
    failed = request.session.testsfailed

    def open_notebook(
        *cells: str, theme: str = "Light", apart: bool = not window.lab.can_turn, **options: Any
    ) -> NotebookPage:
        setting = f"import os\nos.environ['TFHUB_CACHE_DIR'] = {str(cache)!r}\n%load_ext hub_magic"
        window.lab.write(name, setting, *(cells or (BROWSE,)))
        if apart or options:
            page = window.open_apart(stack, name, theme, **options)
        else:
            page = window.open(name, theme)
        page.run_all()
        return page

    with ExitStack() as stack:
        yield open_notebook
    if request.session.testsfailed > failed:
        window.close()  # nobody knows what is on it


@pytest.fixture
def page(notebook: Open) -> NotebookPage:
    """A notebook that shows the cache browser, with all sizes known."""
    page = notebook()
    page.measured(len(MODELS))
    return page


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    return npm_file("axe-core@4.14.1", "axe.min.js")


def npm_file(package: str, path: str) -> str:
    """A file of an npm package, which is kept in a folder that git ignores."""
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
