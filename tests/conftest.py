"""The base of every test: an environment without the user's settings, and separate kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from differential_table import pytest_terminal_summary
from kernel import Kernel, TensorFlowKernel

# A hook of pytest. It stands here because the process that prints the summary loads no conftest of a single layer.
__all__ = ["pytest_terminal_summary"]

# Folders are layers. The slowest files come first: a slow file at the end makes all processes wait.
ORDER = ("browser", "worker", "loading", "differential", "kernel", "host", "project", "core")
# Tests of subjects that are the same with every version of Python and of the packages.
ONCE = {"differential", "host", "project"}

OURS = ("TFHUB_", "HUB_MAGIC_", "TF_USE_LEGACY_KERAS")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark and order the tests by their folders."""
    for item in items:
        if item.get_closest_marker("index") or item.get_closest_marker("stress"):
            item.add_marker("thorough")
        if item.path.parent.name in ONCE:
            item.add_marker("once")
    items.sort(key=lambda item: ORDER.index(item.path.parent.name))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the user who runs the tests."""
    for name in [name for name in os.environ if name.startswith(OURS) and name != "HUB_MAGIC_STRESS"]:
        monkeypatch.delenv(name)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """Yield a real IPython kernel, with its own profile and temporary directory."""
    with Kernel(tmp_path / "kernel") as started:
        yield started


@pytest.fixture
def tensorflow_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """Yield a kernel with TensorFlow imported, so that a cell's `import` is fast."""
    with TensorFlowKernel(tmp_path / "kernel") as started:
        yield started


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return a function that writes a line of a random test's table in spite of capturing; its module has `SEED`."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {request.node.name}: {line} (seed {request.module.SEED})")  # noqa: T201

    return tell
