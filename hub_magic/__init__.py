"""TensorFlow Hub in notebooks: where models are cached, how they are read, and how a TPU worker gets them.

`%load_ext hub_magic` registers the magics; every one of them has its Python twin here. Importing this package
loads neither IPython nor TensorFlow nor a widget: each name is fetched from its module when it is first used.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .cache import CachedModel, CacheScan, Problem
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
    from .store import list_cache, scan_cache

__version__ = "0.1.0"

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
    home = _home(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(home, name)
    globals()[name] = value
    return value


def _home(name: str) -> ModuleType | None:  # noqa: C901, PLR0911 - one case for each module
    """The module that a public name is in; None for a name that is not public."""
    match name:
        case "CacheScan" | "CachedModel" | "Problem":
            from . import cache

            return cache
        case "list_cache" | "scan_cache":
            from . import store

            return store
        case "Diagnosis" | "Finding" | "diagnose":
            from . import doctor

            return doctor
        case "Fetched" | "fetch" | "resolve":
            from .download import fetching

            return fetching
        case "Copied" | "CopyPlan" | "plan_copy":
            from .care import copy

            return copy
        case "BucketAccess" | "check_bucket":
            from . import gcs

            return gcs
        case "Handle" | "parse_handle":
            from . import handles

            return handles
        case "use_legacy_keras":
            from . import keras

            return keras
        case "LoadPlan" | "RouteReason" | "loading_for" | "plan_load":
            from . import loading

            return loading
        case "Runtime" | "detect_runtime":
            from . import runtime

            return runtime
        case "CacheSetting" | "ModeSetting" | "read_cache" | "read_mode" | "set_cache" | "set_mode":
            from . import settings

            return settings
        case _ if name in __all__:
            from . import errors

            return errors
    return None


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
