"""What every test stands on: an environment without the user's settings, and kernels of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from differential_table import pytest_terminal_summary
from kernel import Kernel, TensorFlowKernel

# A hook of pytest. It stands here because the process that prints the summary loads no conftest of a single layer.
__all__ = ["pytest_terminal_summary"]

# The layers are folders. Files that take longest come first: whoever gets one last keeps all others waiting.
ORDER = ("browser", "worker", "loading", "differential", "kernel", "host", "project", "core")
# What these test is the same with every version of Python and of the packages.
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
    """No test sees the settings of whoever runs it."""
    for name in [name for name in os.environ if name.startswith(OURS) and name != "HUB_MAGIC_STRESS"]:
        monkeypatch.delenv(name)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A real IPython kernel, with a profile and a temporary directory of its own."""
    with Kernel(tmp_path / "kernel") as started:
        yield started


@pytest.fixture
def tensorflow_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """The same with TensorFlow imported, which a cell's `import` then finds at once."""
    with TensorFlowKernel(tmp_path / "kernel") as started:
        yield started


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Writes a line of the table of a random test, whatever is captured; its module names the `SEED`."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {request.node.name}: {line} (seed {request.module.SEED})")  # noqa: T201

    return tell
