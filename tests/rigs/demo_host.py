"""The demo's models on a host, made once for all tests of this process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import run_python
from repository import REPOSITORY
from saved_models import models_folder

from hub_magic.host import ModelHost


@functools.cache
def demo_models() -> Path:
    """Return the folder of the models that the lessons and the demo load."""
    folder = models_folder() / "demo_models"
    run_python(str(REPOSITORY / "notebooks" / "demo_models.py"), str(folder), check=True)
    return folder


@pytest.fixture(scope="module")
def host() -> Iterator[ModelHost]:
    """Yield a host of the demo's models."""
    with ModelHost(demo_models()) as running:
        yield running
