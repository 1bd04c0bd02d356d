"""Each verb of `%hub_cache`, from parsed arguments to the call and its result.

The magics and the command call the same functions, with the same arguments under the same names.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import CacheScan
from ..cache.selection import find_duplicates, select
from ..care.copy import Copied, CopyPlan, plan_copy
from ..care.prune import plan_prune
from ..care.remove import Removal, Removed, plan_removal
from ..errors import HandleError
from ..facts import Fact
from ..handles import parse_handle
from ..locations import is_bucket, read_location
from ..progress import byte_bar, with_bar
from ..quantities import parse_period, parse_size
from ..settings import read_cache
from ..store import list_cache, scan_cache

if TYPE_CHECKING:
    from ..cache.other_caches import MachineScan
    from ..cache.verify import Verification
    from ..care.repair import Repair, Repaired
    from ..download.fetching import FetchedModels


def scan_with_bar(location: str) -> CacheScan:
    """Everything about the entries of a cache.

    Raises:
        SettingError: the location cannot be listed.
    """
    return _list_bucket(location) if is_bucket(location) else scan_cache(location)


def list_with_bar(location: str) -> CacheScan:
    """The entries by name; the files of those in a directory have not been looked at.

    Raises:
        SettingError: the location cannot be listed.
    """
    return _list_bucket(location) if is_bucket(location) else list_cache(location)


def _list_bucket(location: str) -> CacheScan:
    from ..bucket.scan import scan_bucket

    return with_bar(f"Listing {location}", partial(scan_bucket, location), unit="objects")


Show = Callable[[Fact], object]


def list_models(arguments: Namespace, _show: Show) -> CacheScan | MachineScan:
    """`--list`, and `--list --all`."""
    if not arguments.all:
        return _scan()
    from ..cache.other_caches import scan_machine

    return scan_machine(_scan(), os.environ)


def fetch(arguments: Namespace, _show: Show) -> FetchedModels:
    """`--fetch HANDLE...`."""
    from ..download import fetch_all

    for handle in arguments.fetch:
        _check_path(handle)
    return fetch_all(arguments.fetch)


def resolve(arguments: Namespace, _show: Show) -> str:
    """`--resolve HANDLE`."""
    from ..download import resolve as resolve_handle

    _check_path(arguments.resolve)
    return resolve_handle(arguments.resolve)


def remove(arguments: Namespace, show: Show) -> Removal | Removed:
    """`--remove HANDLE...`."""
    plan = plan_removal(_scan(), arguments.remove, loaded=loaded_here)
    return _carry_out(plan, show, only_plan=arguments.dry_run)


def prune(arguments: Namespace, show: Show) -> Removal | Removed:
    """`--prune`, with its rules."""
    scan = _scan()
    plan = plan_prune(
        scan,
        max_size=parse_size(arguments.max_size) if arguments.max_size else None,
        older_than=parse_period(arguments.older_than) if arguments.older_than else None,
        keep=arguments.keep or (),
        keep_newest=arguments.keep_newest,
        duplicates=find_duplicates(scan) if arguments.duplicates else None,
        loaded=loaded_here,
    )
    return _carry_out(plan, show, only_plan=arguments.dry_run)


def verify_models(arguments: Namespace, _show: Show) -> Verification:
    """`--verify`, with or without `--deep`."""
    return _verify(arguments.verify, deep=arguments.deep)


def repair(arguments: Namespace, _show: Show) -> Repair | Repaired:
    """`--repair`. A model that is named is read to its end: somebody has a reason to name it."""
    from ..care.repair import plan_repair

    plan = plan_repair(_verify(arguments.repair, deep=arguments.deep or bool(arguments.repair)))
    return plan if arguments.dry_run else plan.execute()


def location() -> str:
    """Where the cache is. A variable may hold a relative path, and a plan may be carried out elsewhere."""
    value = read_cache().value
    return value if is_bucket(value) else os.path.abspath(value)  # noqa: PTH100 - links stay as the user wrote them


def loaded_here() -> Collection[str]:
    """The paths of the entries that this process has loaded."""
    from ..download import loaded_folders

    return loaded_folders()


def _check_path(text: str) -> None:
    """Make sure that a handle which is a path leads somewhere.

    Raises:
        HandleError: it does not, or the handle is not well-formed.
    """
    if parse_handle(text).kind == "path" and not Path(text).exists():
        from ..download.messages import explain_path

        raise HandleError(explain_path(text) or f"{text!r} does not exist.")


def _scan() -> CacheScan:
    return scan_with_bar(location())


def _verify(words: Sequence[str], *, deep: bool) -> Verification:
    from ..store import verify

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
    """`--copy-to LOCATION`: the models that are not there yet."""
    target = read_location(arguments.copy_to, os.environ)
    value = read_cache().value
    source = value.rstrip("/") if is_bucket(value) else os.path.abspath(value)  # noqa: PTH100 - links stay
    plan = plan_copy(scan_with_bar(source), scan_with_bar(target))
    if arguments.dry_run or not plan.going:
        return plan
    show(plan)
    with byte_bar("Copying", plan.size) as progress:
        return plan.execute(progress)
