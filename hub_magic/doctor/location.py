"""Checks of the cache's location: it exists, who owns it, how long it lasts, how much room is left."""

from __future__ import annotations

import os
import re
import shlex
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..cache.scan import free_space
from ..download.messages import owner_of
from ..quantities import size
from .context import Surroundings
from .diagnosis import Finding

# The folders of systemd-tmpfiles (`man tmpfiles.d`): a file hides files of its name in later folders.
_FOLDERS = ("etc/tmpfiles.d", "run/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d")
_CLEANED = frozenset("dDevqQ")
_SPARED = frozenset("xX")


@dataclass(frozen=True, slots=True)
class Cleaner:
    """The program or event that removes files from a directory.

    Attributes:
        path: the directory that is cleaned.
        age: the age at which files are removed, as tmpfiles.d writes it ("10d"); "" for a restart only.
        said_by: the file that says so; "" if only the directory's purpose does.
    """

    path: str
    age: str
    said_by: str


def nearest(location: str) -> Path:
    """Return the location, or the nearest folder above it that exists."""
    path = Path(location)
    return next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), path)


def file_system(location: str, root: Path) -> str:
    """Return the type of the location's file system: "ext4", "tmpfs"; "" if unknown."""
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    here = os.path.realpath(location)
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4])
        if is_below(here, point) and len(point) >= len(found[0]):  # the last of several mounts is on top
            found = (point, after.split()[0])
    return found[1]


def cleaner_of(location: str, root: Path) -> Cleaner | None:
    """Return the cleaner of the location; None if none is known."""
    here = os.path.realpath(location)
    folders = (here, *map(str, Path(here).parents))
    rules = [rule for rule in _rules(root) if any(fnmatchcase(folder, rule[1]) for folder in folders)]
    longest = max(rules, key=lambda rule: len(rule[1]), default=None)
    if longest:
        kind, path, age, said_by = longest
        if kind in _SPARED:
            return None
        if age or kind == "D":
            return Cleaner(path, age, said_by)
    temporary = os.path.realpath(tempfile.gettempdir())
    return Cleaner(temporary, "", "") if is_below(here, temporary) else None


def is_below(path: str, folder: str) -> bool:
    """Return whether a path is the folder, or in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _rules(root: Path) -> list[tuple[str, str, str, str]]:
    """Return rules for directories that are cleaned or spared: type, pattern of paths, age, and the file."""
    files: dict[str, Path] = {}
    for folder in reversed(_FOLDERS):
        files.update((path.name, path) for path in (root / folder).glob("*.conf"))
    found = []
    for _, path in sorted(files.items()):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            fields = [field.strip("\"'") for field in line.split()]
            if len(fields) > 1 and fields[0][:1] in _CLEANED | _SPARED and fields[1].startswith("/"):
                age = fields[5] if len(fields) > 5 and fields[5] != "-" else ""
                name = f"/{path.relative_to(root)}"
                found.append((fields[0][0], fields[1].rstrip("/") or "/", age, name))
    return found


_IN_MEMORY = ("tmpfs", "ramfs")
# Hosts that discard the whole machine, with all its disks.
_THROWN_AWAY = ("colab", "kaggle")
_HOMES = ("~/.cache/tfhub_modules", "~/tfhub_modules")
# Bytes: less than most models need, and less than any model needs.
_LITTLE = 1_000_000_000
_NOTHING = 100_000_000


def check_location(here: Surroundings, cached: int) -> Iterator[Finding]:
    """Yield the findings about a cache on disk.

    Args:
        here: the context of the checks.
        cached: the bytes of the models in the cache.
    """
    place = _place(here)
    yield place
    if place.state == "problem":
        return
    yield _lasting(here, cached)
    if room := _room(here, cached):
        yield room


def better_place(location: str) -> str:
    """Return a location for the cache in the user's home, other than this one."""
    return next(home for home in _HOMES if os.path.expanduser(home) != location)


def _place(here: Surroundings) -> Finding:
    name, location = "cache", here.cache
    elsewhere = here.fixes.cache_at(better_place(location))
    existing = nearest(location)
    if not os.path.isdir(existing):  # Path.is_* raises where access is denied
        what = "is a file" if os.path.exists(existing) else "is a link that leads nowhere"
        return Finding(name, "problem", f"{location} cannot be the cache: {existing} {what}", elsewhere)
    owner = owner_of(str(existing))
    whose = f" (owned by {owner})" if owner else ""
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        if str(existing) == location and os.access(existing, os.R_OK | os.X_OK):
            found = f"{location}{whose} is not writable: cached models load, but none can be added"
        else:
            found = f"{location} cannot be the cache: you cannot read and write {existing}{whose}"
        fix = elsewhere if owner or _is_read_only(existing) else _open_up(here, existing)
        return Finding(name, "problem", found, fix)
    if str(existing) != location:
        return Finding(name, "fine", f"{location}, which the first download will create")
    if owner:
        found = f"{location} is owned by {owner}; you can write to it, too"
        if not _is_shared(existing):
            return Finding(name, "warning", found, elsewhere)
        if existing.stat().st_mode & stat.S_ISVTX:
            found += ", but not remove files of others"
        return Finding(name, "fine", found)
    return Finding(name, "fine", f"{location}, owned by you")


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if hasattr(os, "statvfs") else False


def _is_shared(folder: Path) -> bool:
    """Return whether the folder is writable for a group or everybody."""
    return bool(folder.stat().st_mode & 0o022)


def _open_up(here: Surroundings, folder: Path) -> str:
    return here.fixes.run(f"chmod u+rwx {shlex.quote(str(folder))}")


def _lasting(here: Surroundings, cached: int) -> Finding:
    name, location = "cache location", here.cache
    fix = here.fixes.cache_at(better_place(location), moving=cached > 0)
    if file_system(location, here.root) in _IN_MEMORY:
        return Finding(
            name, "warning", f"{location} is in memory (tmpfs): models use RAM and are lost at reboot", fix
        )
    cleaner = cleaner_of(location, here.root)
    if cleaner is None:
        return Finding(name, "fine", "no cleaner is known to delete files from it")
    if cleaner.age:
        found = f"files in {cleaner.path} unused for {cleaner.age} are deleted ({cleaner.said_by})"
        return Finding(name, "warning", f"{found}, which damages models", fix)
    if here.runtime.host in _THROWN_AWAY:
        return Finding(name, "fine", f"it lasts as long as this {here.runtime.host.capitalize()} session")
    by = f" ({cleaner.said_by})" if cleaner.said_by else ""
    found = f"{cleaner.path} may be emptied at reboot or by a cleaner{by}"
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
    if free_space(os.path.expanduser(home)) >= _LITTLE:
        fix = here.fixes.cache_at(home, moving=cached > 0)
    else:
        fix = here.fixes.care("prune --max-size", f"{cached // 2_000_000}MB") if cached >= 2_000_000 else ""
    if free < _NOTHING:
        return Finding(name, "problem", f"only {found}, too little for any model", fix)
    return Finding(name, "warning", f"only {found}", fix)
