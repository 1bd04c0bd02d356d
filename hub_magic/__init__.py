"""TensorFlow Hub in notebooks: where models are cached, how they are read, and how a TPU worker gets them.

`%load_ext hub_magic` registers the magics; every one of them has its Python twin here. Importing this package
loads neither IPython nor TensorFlow nor a widget: each name is fetched from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .cache import CachedModel, CacheScan, Problem, list_cache, scan_cache
    from .care.copy import Copied, CopyPlan, plan_copy
    from .doctor import Diagnosis, Finding, diagnose
    from .download import Fetched, fetch, resolve
    from .errors import (
        DamagedEntryError,
        DownloadError,
        HandleError,
        HubMagicError,
        NotCachedError,
        RouteError,
        SettingError,
    )
    from .gcs import BucketAccess, check_bucket
    from .handles import Handle, parse_handle
    from .keras import use_legacy_keras
    from .loading import LoadPlan, RouteReason, loading_for, plan_load
    from .runtime import Runtime, detect_runtime
    from .settings import CacheSetting, ModeSetting, read_cache, read_mode, set_cache, set_mode

__version__ = "0.1.0"

_MODULES = {
    "cache": ("CacheScan", "CachedModel", "Problem", "list_cache", "scan_cache"),
    "doctor": ("Diagnosis", "Finding", "diagnose"),
    "download": ("Fetched", "fetch", "resolve"),
    "errors": (
        "DamagedEntryError",
        "DownloadError",
        "HandleError",
        "HubMagicError",
        "NotCachedError",
        "RouteError",
        "SettingError",
    ),
    "cache.copying": ("Copied", "CopyPlan", "plan_copy"),
    "gcs": ("BucketAccess", "check_bucket"),
    "handles": ("Handle", "parse_handle"),
    "keras": ("use_legacy_keras",),
    "loading": ("LoadPlan", "RouteReason", "loading_for", "plan_load"),
    "runtime": ("Runtime", "detect_runtime"),
    "settings": ("CacheSetting", "ModeSetting", "read_cache", "read_mode", "set_cache", "set_mode"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BucketAccess",
    "CacheScan",
    "CacheSetting",
    "CachedModel",
    "Copied",
    "CopyPlan",
    "DamagedEntryError",
    "Diagnosis",
    "DownloadError",
    "Fetched",
    "Finding",
    "Handle",
    "HandleError",
    "HubMagicError",
    "LoadPlan",
    "ModeSetting",
    "NotCachedError",
    "Problem",
    "RouteError",
    "RouteReason",
    "Runtime",
    "SettingError",
    "check_bucket",
    "detect_runtime",
    "diagnose",
    "fetch",
    "list_cache",
    "loading_for",
    "parse_handle",
    "plan_copy",
    "plan_load",
    "read_cache",
    "read_mode",
    "resolve",
    "scan_cache",
    "set_cache",
    "set_mode",
    "use_legacy_keras",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext hub_magic`."""
    from .magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%unload_ext hub_magic`: everything is as it was before."""
    from .magics.extension import unload

    unload(shell)
