"""Each verb of `%hub_cache`, from parsed arguments to the call and its result.

The magics and the command call the same functions, with the same arguments under the same names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import CacheScan
from ..cache.selection import select
from ..care.copy import Copied, CopyPlan, plan_copy
from ..care.prune import plan_prune
from ..care.remove import Removal, Removed, plan_removal
from ..errors import HandleError, HubMagicError
from ..facts import Fact
from ..handles import parse_handle
from ..locations import absolute, read_location
from ..progress import Progress, byte_bar, no_progress, with_bar
from ..quantities import parse_seconds
from ..settings import read_cache
from ..store import Store, open_store, verify
from .line import CacheLine
from .sources import handle_of, handles_of

if TYPE_CHECKING:
    from ..cache.other_caches import MachineScan
    from ..cache.verify import Verification
    from ..cache.wanted import WantedModels
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


def list_models(
    *, sources: Sequence[str] = (), everything: bool = False
) -> CacheScan | MachineScan | WantedModels:
    """List the cache (`--list`), all caches (`--list --all`), or what code names (`--list FILE`)."""
    if sources:
        from ..cache.wanted import find_wanted

        return find_wanted(_scan(), sources, handles_of(sources))
    if not everything:
        return _scan()
    from ..cache.other_caches import scan_machine

    return scan_machine(_scan())


def fetch(words: Sequence[str], *, force: bool = False, timeout: str | None = None) -> FetchedModels:
    """Fetch models (`--fetch HANDLE...`). One that fails does not keep the others from being fetched."""
    from ..download.fetching import NotFetched, fetch_all, try_all

    seconds = None if timeout is None else parse_seconds(timeout, "--timeout")
    handles = handles_of(words)
    if len(handles) == 1:
        _check_path(handles[0])
        return fetch_all(handles, force=force, timeout=seconds)
    good, bad = [], []
    for handle in handles:
        try:
            _check_path(handle)
            good.append(handle)
        except HubMagicError as error:
            bad.append(NotFetched(handle, str(error)))
    models = try_all(good, force=force, timeout=seconds)
    models.failed += tuple(bad)
    return models


def resolve(handle: str) -> str:
    """Return the path of a model's files (`--resolve HANDLE`)."""
    from ..download import resolve as resolve_handle

    handle = handle_of(handle)
    _check_path(handle)
    return resolve_handle(handle)


def remove(words: Sequence[str], show: Show, *, dry_run: bool = False) -> Removal | Removed:
    """Remove models (`--remove HANDLE...`)."""
    plan = plan_removal(words, _scan())
    return _carry_out(plan, show, only_plan=dry_run)


def prune(line: CacheLine, show: Show) -> Removal | Removed:
    """Prune the cache by rules (`--prune`)."""
    plan = plan_prune(
        _scan(),
        max_size=line.max_size,
        older_than=line.older_than,
        keep=line.keep or (),
        keep_newest=line.keep_newest,
        duplicates=line.duplicates,
    )
    return _carry_out(plan, show, only_plan=line.dry_run)


def verify_models(words: Sequence[str], *, deep: bool = False) -> Verification:
    """Check that models are intact (`--verify`, with or without `--deep`)."""
    scan = _scan() if deep else list_with_bar(location())
    chosen = select(scan, words) if words else scan.models
    if not deep:
        return verify(scan, chosen if words else None)
    with byte_bar("Verifying", sum(max(model.size, 0) for model in chosen)) as progress:
        return verify(scan, chosen if words else None, deep=True, progress=progress)


def repair(words: Sequence[str], *, deep: bool = False, dry_run: bool = False) -> Repair | Repaired:
    """Repair models (`--repair`). Every byte of a named model is read: the user has a reason to name it."""
    from ..care.repair import plan_repair

    plan = plan_repair(verify_models(words, deep=deep or bool(words)))
    return plan if dry_run else plan.execute()


def location() -> str:
    """Return the cache's absolute location: a variable may be relative, and a plan may run elsewhere."""
    return absolute(read_cache().value)


def _check_path(text: str) -> None:
    """Check that a handle which is a path leads to a file or folder.

    Raises:
        HandleError: it does not, or the handle is not well-formed.
    """
    if parse_handle(text).kind == "path" and not Path(text).exists():
        from ..download.messages import explain_path

        raise HandleError(explain_path(text) or f"{text!r} does not exist.")


def _scan() -> CacheScan:
    return scan_with_bar(location())


def _carry_out(plan: Removal, show: Show, *, only_plan: bool) -> Removal | Removed:
    if only_plan:
        return plan
    if plan.going:
        show(plan)
    with byte_bar("Removing", plan.size) as progress:
        return plan.execute(progress)


def copy_to(text: str, show: Show, *, dry_run: bool = False) -> CopyPlan | Copied:
    """Copy the models that are not there yet (`--copy-to LOCATION`)."""
    target = read_location(text, os.environ)
    plan = plan_copy(scan_with_bar(target), _scan())
    if dry_run or not plan.going:
        return plan
    show(plan)
    with byte_bar("Copying", plan.size) as progress:
        return plan.execute(progress)
