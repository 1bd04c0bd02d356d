"""Each thing that can be done with a cache: from parsed arguments to the call, and what it gave.

The magics and the command call the same functions, with the same arguments under the same names.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Collection

from ..cache import CacheScan, scan_cache
from ..cache.duplicates import find_duplicates
from ..cache.prune import plan_prune
from ..cache.quantities import parse_period, parse_size
from ..cache.removal import Removal, Removed, plan_removal
from ..facts import Fact
from ..locations import is_bucket
from ..settings import read_cache
from .bars import byte_bar

Show = Callable[[Fact], object]


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


def location() -> str:
    """Where the cache is. A variable may hold a relative path, and a plan may be carried out elsewhere."""
    value = read_cache().value
    return value if is_bucket(value) else os.path.abspath(value)  # noqa: PTH100 - links stay as the user wrote them


def loaded_here() -> Collection[str]:
    """The paths of the entries that this process has loaded."""
    found: Collection[str] = getattr(sys.modules.get("hub_magic.download"), "loaded_folders", tuple)()
    return found


def _scan() -> CacheScan:
    return scan_cache(location())


def _carry_out(plan: Removal, show: Show, *, only_plan: bool) -> Removal | Removed:
    if only_plan:
        return plan
    if plan.going:
        show(plan)
    with byte_bar("Removing", plan.size) as progress:
        return plan.execute(progress)
