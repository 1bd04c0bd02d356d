"""Checks of the cached models: damage, locks and leftovers, duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..cache import CacheScan, Problem
from ..cache.selection import find_duplicates
from ..cache.verify import Verification
from ..care.repair import plan_repair
from ..errors import SettingError
from ..quantities import plural, size
from ..store import list_cache, verify
from .context import Fixes, Surroundings
from .diagnosis import Finding

_NAMED = 3  # the number of models named in a finding


def check_entries(here: Surroundings) -> tuple[tuple[Finding, ...], int]:
    """Return the findings about the entries of a cache on disk, and the bytes of its models."""
    try:
        scan = list_cache(here.cache)
    except SettingError as error:
        return (Finding("models", "unknown", str(error)),), 0
    checked = verify(scan)
    return tuple(_judge(here.fixes, scan, checked)), sum(one.size for one in checked.checked)


def _judge(fixes: Fixes, scan: CacheScan, checked: Verification) -> Iterator[Finding]:
    yield _models(fixes, checked)
    plan = plan_repair(checked)
    yield _locks(fixes, [one for one in plan.sweeping if one.kind == "lock"], plan.left)
    yield _leftovers(fixes, [one for one in plan.sweeping if one.kind != "lock"])
    yield from _unreadable([one for one in plan.left if one.kind in {"unreadable", "link"}])
    yield _duplicates(fixes, scan, checked)


def _models(fixes: Fixes, checked: Verification) -> Finding:
    total = sum(one.size for one in checked.checked)
    count = f"{plural(len(checked.checked), 'model')}, {size(total)}"
    damaged = checked.damaged
    if not damaged:
        found = f"{count}; all OK by file names and sizes" if checked.checked else "empty"
        return Finding("models", "fine", found)
    named = [f"{one.model.title} ({one.damage})" for one in damaged]
    found = f"{count}; {len(damaged)} damaged, and tensorflow_hub would keep loading them: {_some(named)}"
    nameless = [one.model.folder for one in damaged if not one.model.handle]
    fix = fixes.care("repair") if len(nameless) < len(damaged) else fixes.care("remove", *nameless)
    return Finding("models", "problem", found, fix)


def _locks(fixes: Fixes, stale: Sequence[Problem], left: Sequence[Problem]) -> Finding:
    if stale:
        count = plural(len(stale), "stale lock")
        found = f"{count}: tensorflow_hub waits 20 minutes for a process that is gone"
        return Finding(
            "locks", "problem", f"{found} ({_some([one.reason for one in stale])})", fixes.care("repair")
        )
    held = [one.reason for one in left if one.kind == "lock"]
    if held:
        return Finding("locks", "fine", f"{plural(len(held), 'download')} in progress: {_some(held)}")
    return Finding("locks", "fine", "none")


def _leftovers(fixes: Fixes, left: Sequence[Problem]) -> Finding:
    if not left:
        return Finding("leftovers", "fine", "none")
    count = plural(len(left), "leftover")
    found = f"{size(sum(one.size for one in left))} in {count} of interrupted downloads"
    return Finding(
        "leftovers", "warning", f"{found}: {_some([one.name for one in left])}", fixes.care("repair")
    )


def _unreadable(found: Sequence[Problem]) -> Iterator[Finding]:
    if found:
        named = [f"{one.title} ({one.reason})" for one in found]
        yield Finding("unreadable", "warning", f"{plural(len(found), 'name')}: {_some(named)}")


def _duplicates(fixes: Fixes, scan: CacheScan, checked: Verification) -> Finding:
    """Compare only the spellings of handles; only the files tell whether two hosts' models are the same."""
    groups = find_duplicates(scan)
    if not groups:
        return Finding("duplicates", "fine", "none, comparing handles")
    sizes = {one.model.folder: one.size for one in checked.checked}
    extra = sum(sum(sorted(sizes.get(model.folder, 0) for model in group)[:-1]) for group in groups)
    named = [" = ".join(model.handle for model in group) for group in groups]
    found = f"{plural(len(groups), 'model')} cached more than once, {size(extra)} extra: {_some(named)}"
    return Finding("duplicates", "warning", found, fixes.care("prune --duplicates"))


def _some(words: Sequence[str]) -> str:
    more = len(words) - _NAMED
    return "; ".join(words[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
