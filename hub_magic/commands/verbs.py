"""Each verb of `%hub_cache`, from parsed arguments to the call and its result.

The magics and the command call the same functions, with the same arguments under the same names.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import CacheScan
from ..cache.selection import select
from ..care.copy import Copied, CopyPlan, plan_copy
from ..care.prune import plan_prune
from ..care.remove import Removal, Removed, plan_removal
from ..errors import HandleError
from ..facts import Fact
from ..handles import parse_handle
from ..locations import absolute, read_location
from ..progress import Progress, byte_bar, no_progress, with_bar
from ..settings import read_cache
from ..store import Store, open_store, verify

if TYPE_CHECKING:
    from ..cache.other_caches import MachineScan
    from ..cache.verify import Verification
    from ..care.repair import Repair, Repaired
    from ..download.fetching import FetchedModels


def scan_with_bar(location: str) -> CacheScan:
    """Return the entries of a cache, measured.

    Raises:
        SettingError: the location cannot be listed.
    """
    store = open_store(location)
    return _with_bar(store, store.scan)


def list_with_bar(location: str) -> CacheScan:
    """Return the entries by name; the files of those in a directory are not yet measured.

    Raises:
        SettingError: the location cannot be listed.
    """
    store = open_store(location)
    return _with_bar(store, store.names)


def _with_bar(store: Store, look: Callable[[Progress], CacheScan]) -> CacheScan:
    if not store.is_remote:  # it takes less time than to import tqdm
        return look(no_progress)
    return with_bar(f"Listing {store.location}", look, unit="objects")


Show = Callable[[Fact], object]


def list_models(arguments: Namespace, _show: Show) -> CacheScan | MachineScan:
    """List the cache (`--list`), or all caches (`--list --all`)."""
    if not arguments.all:
        return _scan()
    from ..cache.other_caches import scan_machine

    return scan_machine(_scan())


def fetch(arguments: Namespace, _show: Show) -> FetchedModels:
    """Fetch models (`--fetch HANDLE...`)."""
    from ..download import fetch_all

    for handle in arguments.fetch:
        _check_path(handle)
    return fetch_all(arguments.fetch)


def resolve(arguments: Namespace, _show: Show) -> str:
    """Return the path of a model's files (`--resolve HANDLE`)."""
    from ..download import resolve as resolve_handle

    _check_path(arguments.resolve)
    return resolve_handle(arguments.resolve)


def remove(arguments: Namespace, show: Show) -> Removal | Removed:
    """Remove models (`--remove HANDLE...`)."""
    plan = plan_removal(arguments.remove, _scan(), loaded=loaded_here)
    return _carry_out(plan, show, only_plan=arguments.dry_run)


def prune(arguments: Namespace, show: Show) -> Removal | Removed:
    """Prune the cache by rules (`--prune`)."""
    plan = plan_prune(
        _scan(),
        max_size=arguments.max_size,
        older_than=arguments.older_than,
        keep=arguments.keep or (),
        keep_newest=arguments.keep_newest,
        duplicates=arguments.duplicates,
        loaded=loaded_here,
    )
    return _carry_out(plan, show, only_plan=arguments.dry_run)


def verify_models(arguments: Namespace, _show: Show) -> Verification:
    """Check that models are intact (`--verify`, with or without `--deep`)."""
    return _verify(arguments.verify, deep=arguments.deep)


def repair(arguments: Namespace, _show: Show) -> Repair | Repaired:
    """Repair models (`--repair`). Every byte of a named model is read: the user has a reason to name it."""
    from ..care.repair import plan_repair

    plan = plan_repair(_verify(arguments.repair, deep=arguments.deep or bool(arguments.repair)))
    return plan if arguments.dry_run else plan.execute()


def location() -> str:
    """Return the cache's absolute location: a variable may be relative, and a plan may run elsewhere."""
    return absolute(read_cache().value)


def loaded_here() -> Collection[str]:
    """Return the paths of the entries that this process has loaded."""
    from ..download import loaded_folders

    return loaded_folders()


def _check_path(text: str) -> None:
    """Check that a handle which is a path leads to a file or folder.

    Raises:
        HandleError: it does not, or the handle is not well-formed.
    """
    if parse_handle(text).kind == "path" and not Path(text).exists():
        raise HandleError(
            f"{text!r} is not a local path. Use the full URL, e.g. https://tfhub.dev/google/yamnet/1."
        )


def _scan() -> CacheScan:
    return scan_with_bar(location())


def _verify(words: Sequence[str], *, deep: bool) -> Verification:

    scan = _scan() if deep else list_with_bar(location())
    chosen = select(scan, words) if words else scan.models
    if not deep:
        return verify(scan, chosen if words else None)
    with byte_bar("Verifying", sum(max(model.size, 0) for model in chosen)) as progress:
        return verify(scan, chosen if words else None, deep=True, progress=progress)


def _carry_out(plan: Removal, show: Show, *, only_plan: bool) -> Removal | Removed:
    if only_plan:
        return plan
    if plan.going:
        show(plan)
    with byte_bar("Removing", plan.size) as progress:
        return plan.execute(progress)


def copy_to(arguments: Namespace, show: Callable[[Fact], object]) -> CopyPlan | Copied:
    """Copy the models that are not there yet (`--copy-to LOCATION`)."""
    target = read_location(arguments.copy_to, os.environ)
    plan = plan_copy(scan_with_bar(target), _scan())
    if arguments.dry_run or not plan.going:
        return plan
    show(plan)
    with byte_bar("Copying", plan.size) as progress:
        return plan.execute(progress)
