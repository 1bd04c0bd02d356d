"""A cache worth looking at, and JupyterLab pages that show it."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_caches import CLASSIFY, NOW, add_entry, files_of, saved_model
from repository import REPOSITORY

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not in this environment")

from browser_rig import BROWSE, Lab, NotebookPage, launch, opened  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def notebook(lab: Lab, chromium: Browser, cache: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a notebook that shows the cache browser; the options are a browser context's."""
    name = f"{request.node.name[:60].strip('[]')}.ipynb"
    with ExitStack() as stack:
        yield partial(_open, stack, lab, chromium, name, cache)


def _open(
    stack: ExitStack,
    lab: Lab,
    chromium: Browser,
    name: str,
    cache: Path,
    *cells: str,
    theme: str = "Light",
    **options: Any,
) -> NotebookPage:
    lab.set_theme(theme)
    setting = f"import os\nos.environ['TFHUB_CACHE_DIR'] = {str(cache)!r}\n%load_ext hub_magic"
    lab.write(name, setting, *(cells or (BROWSE,)))
    page = stack.enter_context(opened(lab, chromium, name, **options))
    page.run_all()
    return page


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
