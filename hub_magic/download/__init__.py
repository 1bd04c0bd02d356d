"""Downloads with progress, resumption, integrity checks, locks, and offline mode.

`install` is imported with every `%load_ext`, so the rest comes when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .resolver import install, loaded_folders, uninstall

if TYPE_CHECKING:
    from .fetching import Fetched, fetch, fetch_all, resolve

__all__ = ["Fetched", "fetch", "fetch_all", "install", "loaded_folders", "resolve", "uninstall"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import fetching as home

    value = getattr(home, name)
    globals()[name] = value
    return value
