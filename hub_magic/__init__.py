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
    from .cache.other_caches import MachineScan, scan_machine
    from .cache.verify import Checked, Verification
    from .care.add import Added, AddedList, add, add_all
    from .care.copy import Copied, CopyPlan, plan_copy
    from .care.export import Export, Exported, export, export_all
    from .care.move import Move, Moved, plan_move
    from .care.prune import plan_prune
    from .care.remove import Choice, Removal, Removed, plan_removal
    from .care.repair import Repair, Repaired, plan_repair
    from .doctor import Diagnosis, Finding, diagnose
    from .download.fetching import Fetched, FetchedModels, fetch, fetch_all, resolve
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
    from .store import Store, list_cache, open_store, scan_cache, verify
    from .widget.browser import CacheBrowser, browse

__version__ = "0.1.0"

__all__ = [
    "Added",
    "AddedList",
    "BucketAccess",
    "CacheBrowser",
    "CacheScan",
    "CacheSetting",
    "CachedModel",
    "Checked",
    "Choice",
    "Copied",
    "CopyPlan",
    "DamagedEntryError",
    "Diagnosis",
    "DownloadError",
    "Export",
    "Exported",
    "Fetched",
    "FetchedModels",
    "Finding",
    "Handle",
    "HandleError",
    "HubMagicError",
    "LoadPlan",
    "MachineScan",
    "ModeSetting",
    "Move",
    "Moved",
    "NotCachedError",
    "Problem",
    "Removal",
    "Removed",
    "Repair",
    "Repaired",
    "RouteError",
    "RouteReason",
    "Runtime",
    "SettingError",
    "Store",
    "Verification",
    "add",
    "add_all",
    "browse",
    "check_bucket",
    "detect_runtime",
    "diagnose",
    "export",
    "export_all",
    "fetch",
    "fetch_all",
    "list_cache",
    "loading_for",
    "open_store",
    "parse_handle",
    "plan_copy",
    "plan_load",
    "plan_move",
    "plan_prune",
    "plan_removal",
    "plan_repair",
    "read_cache",
    "read_mode",
    "resolve",
    "scan_cache",
    "scan_machine",
    "set_cache",
    "set_mode",
    "use_legacy_keras",
    "verify",
]


def __getattr__(name: str) -> Any:
    home = _home(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import render  # noqa: F401 - from now on `print` writes a result as text

    value = getattr(home, name)
    globals()[name] = value
    return value


def _home(name: str) -> ModuleType | None:  # noqa: C901, PLR0911, PLR0912 - one case for each module
    """The module that a public name is in; None for a name that is not public."""
    match name:
        case "CacheScan" | "CachedModel" | "Problem":
            from . import cache

            return cache
        case "MachineScan" | "scan_machine":
            from .cache import other_caches

            return other_caches
        case "Checked" | "Verification":
            from .cache import verify

            return verify
        case "Added" | "AddedList" | "add" | "add_all":
            from .care import add

            return add
        case "Copied" | "CopyPlan" | "plan_copy":
            from .care import copy

            return copy
        case "Export" | "Exported" | "export" | "export_all":
            from .care import export

            return export
        case "Move" | "Moved" | "plan_move":
            from .care import move

            return move
        case "plan_prune":
            from .care import prune

            return prune
        case "Choice" | "Removal" | "Removed" | "plan_removal":
            from .care import remove

            return remove
        case "Repair" | "Repaired" | "plan_repair":
            from .care import repair

            return repair
        case "Diagnosis" | "Finding" | "diagnose":
            from . import doctor

            return doctor
        case "Fetched" | "FetchedModels" | "fetch" | "fetch_all" | "resolve":
            from .download import fetching

            return fetching
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
        case "Store" | "list_cache" | "open_store" | "scan_cache" | "verify":
            from . import store

            return store
        case "CacheBrowser" | "browse":
            from .widget import browser

            return browser
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
