"""A stand-in for `pkg_resources` while tensorflow_hub is being imported.

tensorflow_hub 0.16.1 compares versions with `pkg_resources.parse_version`, which setuptools 82 removed
(tensorflow/hub#934), and names no dependency on setuptools at all. `packaging` has the same function. The
stand-in is gone again after the import, because other code asks whether `pkg_resources` is there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from .imports import is_installed

_NAME = "pkg_resources"


@contextmanager
def pkg_resources_stand_in() -> Iterator[None]:
    """Inside the `with`, `from pkg_resources import parse_version` works, even without setuptools."""
    if is_installed(_NAME):
        yield
        return
    from packaging.version import parse

    module = ModuleType(_NAME, "Lent to tensorflow_hub by hub_magic while it is being imported.")
    module.parse_version = parse  # type: ignore[attr-defined]
    sys.modules[_NAME] = module
    try:
        yield
    finally:
        if sys.modules.get(_NAME) is module:
            del sys.modules[_NAME]
