"""The place of the cache: whether it is there, whose it is, how long it lasts, and how much room is left."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from ..cache.scan import free_space
from ..download.explain import owner_of
from ..quantities import size
from .finding import Finding
from .places import cleaner_of, file_system, nearest
from .surroundings import Surroundings

_IN_MEMORY = ("tmpfs", "ramfs")
# Machines that are thrown away as a whole, whatever is on their disks.
_THROWN_AWAY = ("colab", "kaggle")
_HOMES = ("~/.cache/tfhub_modules", "~/tfhub_modules")
# Bytes: less than most models take, and less than any takes.
_LITTLE = 1_000_000_000
_NOTHING = 100_000_000


def check_location(here: Surroundings, cached: int) -> Iterator[Finding]:
    """What is to be said of a cache on disk.

    Args:
        here: where the checks are made.
        cached: bytes of the models in it.
    """
    place = _place(here)
    yield place
    if place.state == "problem":
        return
    yield _lasting(here, cached)
    if room := _room(here, cached):
        yield room


def better_place(location: str) -> str:
    """A place for the cache in the user's home, other than this one."""
    return next(home for home in _HOMES if os.path.expanduser(home) != location)  # noqa: PTH111


def _place(here: Surroundings) -> Finding:
    name, location = "cache", here.cache
    elsewhere = here.fixes.cache_at(better_place(location))
    existing = nearest(location)
    if not os.path.isdir(existing):  # noqa: PTH112 - Path raises where it may not look
        what = "is a file" if os.path.exists(existing) else "is a link that leads nowhere"  # noqa: PTH110
        return Finding(name, "problem", f"{location} cannot be the cache: {existing} {what}", elsewhere)
    owner = owner_of(str(existing))
    whose = f" belongs to {owner} and" if owner else ""
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        if str(existing) == location and os.access(existing, os.R_OK | os.X_OK):
            found = f"{location}{whose} may not be written: what it holds loads, and nothing can be added"
        else:
            found = f"{location} cannot be the cache: {existing}{whose} may not be used by you"
        fix = elsewhere if owner or _is_read_only(existing) else _open_up(here, existing)
        return Finding(name, "problem", found, fix)
    if str(existing) != location:
        return Finding(name, "fine", f"{location}, which the first download will make")
    if owner:
        found = f"{location} belongs to {owner}; you may write there, too"
        if not _is_shared(existing):
            return Finding(name, "warning", found, elsewhere)
        if existing.stat().st_mode & stat.S_ISVTX:
            found += ", but not take away what is not yours"
        return Finding(name, "fine", found)
    return Finding(name, "fine", f"{location}, which is yours")


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if hasattr(os, "statvfs") else False


def _is_shared(folder: Path) -> bool:
    """Whether its owner lets a group, or everybody, write there."""
    return bool(folder.stat().st_mode & 0o022)


def _open_up(here: Surroundings, folder: Path) -> str:
    return here.fixes.run(f"chmod u+rwx {shlex.quote(str(folder))}")


def _lasting(here: Surroundings, cached: int) -> Finding:
    name, location = "cache lasts", here.cache
    fix = here.fixes.cache_at(better_place(location), moving=cached > 0)
    if file_system(location, here.root) in _IN_MEMORY:
        return Finding(
            name, "warning", f"{location} is in memory (tmpfs): models take RAM, and go with it", fix
        )
    cleaner = cleaner_of(location, here.root)
    if cleaner is None:
        return Finding(name, "fine", "nobody is known to clean it")
    if cleaner.age:
        found = f"{cleaner.path} loses what nobody used for {cleaner.age} ({cleaner.said_by})"
        return Finding(name, "warning", f"{found}, which leaves models half empty", fix)
    if here.runtime.host in _THROWN_AWAY:
        return Finding(name, "fine", f"it lasts as long as this {here.runtime.host.capitalize()} session")
    by = f" ({cleaner.said_by})" if cleaner.said_by else ""
    found = f"{cleaner.path} is for temporary files{by}: a restart or a cleaner takes the models away"
    return Finding(name, "warning", found, fix)


def _room(here: Surroundings, cached: int) -> Finding | None:
    name, location = "free disk", here.cache
    free = free_space(location)
    if free < 0:
        return None
    found = f"{size(free)} free at {location}"
    if free >= _LITTLE:
        return Finding(name, "fine", found)
    home = better_place(location)
    if free_space(os.path.expanduser(home)) >= _LITTLE:  # noqa: PTH111
        fix = here.fixes.cache_at(home, moving=cached > 0)
    else:
        fix = here.fixes.care("prune --max-size", f"{cached // 2_000_000}MB") if cached >= 2_000_000 else ""
    if free < _NOTHING:
        return Finding(name, "problem", f"only {found}, too little for any model", fix)
    return Finding(name, "warning", f"only {found}", fix)
