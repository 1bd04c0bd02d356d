"""Remove leftovers of a cache: stale locks, partial downloads and orphaned files."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress

from .layout import LOCK_SUFFIX, Role, read_lock, read_name
from .locks import (
    LOCK_TIMEOUT,
    Parts,
    Watch,
    growth,
    holder_state,
    may_take_over,
    read,
    remove,
    take_away,
    take_lock,
)
from .quarantine import delete_quarantined
from .scan import Problem, ProblemKind, list_directory

SWEPT: tuple[ProblemKind, ...] = ("lock", "partial download", "leftover", "orphan")

_ROUNDS = 3  # removing a lock may uncover other leftovers
_POLL = 0.2  # seconds
_RETRIES = 12.0  # seconds in which a stale lock must turn out to be stale
_YOUNG = 2.0  # seconds in which a file may still be on its way to its name


def sweep(location: str, planned: Iterable[Problem]) -> tuple[tuple[Problem, ...], int]:
    """Remove leftovers whose owners are gone.

    Args:
        location: the cache.
        planned: problems of the kinds in `SWEPT`; with each goes all that was left at its entry.

    Returns:
        What is gone, and the bytes freed.

    Raises:
        SettingError: the cache cannot be listed.
    """
    known = {problem.name: problem for problem in planned}
    folders = {name[:40] for name in known}
    freed = 0
    for count in range(_ROUNDS):
        found = [
            problem
            for problem in list_directory(location).problems
            if problem.kind in SWEPT and problem.name[:40] in folders and not is_at_work(location, problem)
        ]
        if not found:
            break
        if count and any(problem.kind == "leftover" for problem in found):
            time.sleep(_YOUNG)
        known.update((problem.name, problem) for problem in found)
        freed += _take_locks_away(location, [problem.name for problem in found if problem.kind == "lock"])
        for folder in sorted({problem.name[:40] for problem in found}):
            freed += _sweep_entry(location, folder)
    left = {problem.name for problem in list_directory(location).problems}
    return tuple(problem for name, problem in sorted(known.items()) if name not in left), freed


def is_at_work(location: str, problem: Problem) -> bool:
    """Return whether the lock owner of that problem's entry may be alive."""
    path = f"{location}{os.sep}{problem.name[:40]}{LOCK_SUFFIX}"
    text = read(path)
    if text is None:
        return False
    return _may_live(_look(path, text, time.time()))


def _take_locks_away(location: str, names: Iterable[str]) -> int:
    """Remove stale locks with the partial downloads of their owners; return the bytes freed.

    All locks are watched until each is known to be stale or in use.
    """
    freed = 0
    paths = [f"{location}{os.sep}{name}" for name in names]
    first = {path: _state(path) for path in paths}
    began = time.monotonic()
    watched = set(paths)
    while watched and (quiet := time.monotonic() - began) < _RETRIES:
        for path in tuple(watched):
            text = first[path][0]
            if text is None or _state(path) != first[path]:
                watched.discard(path)
                continue
            watch = _look(path, text, time.time(), quiet)
            if _may_live(watch):
                watched.discard(path)
            elif may_take_over(watch, LOCK_TIMEOUT):
                watched.discard(path)
                with suppress(OSError):
                    take_away(path.removesuffix(LOCK_SUFFIX), text, keep_parts=False)
                    freed += first[path][2]
        if watched:
            time.sleep(_POLL)
    return freed


def _may_live(watch: Watch) -> bool:
    return watch.state == "alive" or (watch.state != "dead" and watch.age < LOCK_TIMEOUT)


def _look(path: str, text: str, now: float, quiet: float = 0) -> Watch:
    holder = read_lock(text)
    written, newest, _ = growth(path, _folder_of(path, text))
    return Watch(holder_state(holder, written) if holder else "unnamed", quiet, now - newest)


def _state(path: str) -> tuple[str | None, float, int]:
    """What a lock says, when its holder wrote last, and how many bytes; the same while nobody works."""
    text = read(path)
    _, newest, size = growth(path, _folder_of(path, text or ""))
    return text, newest, size


def _folder_of(path: str, text: str) -> str:
    """Where the holder of a lock with this text unpacks; "" when it names none."""
    holder = read_lock(text)
    return Parts(path.removesuffix(LOCK_SUFFIX), holder.uid).folder if holder else ""


def _sweep_entry(location: str, folder: str) -> int:
    """Take away what is unfinished of one entry, or describes one that is gone; gives the bytes freed."""
    entry = f"{location}{os.sep}{folder}"
    freed = 0
    with suppress(OSError):
        lock = take_lock(entry)
        if lock is None:
            return 0
        with lock:
            is_gone = not os.path.lexists(entry)
            for name in os.listdir(location):
                part = read_name(name) if name.startswith(folder) else None
                path = f"{location}{os.sep}{name}"
                if part is None or os.path.islink(path):
                    continue
                if part.role is Role.DOWNLOAD:
                    freed += delete_quarantined(path)
                elif _is_litter(path, part.role, is_gone=is_gone):
                    freed += os.lstat(path).st_size
                    remove(path)
    return freed


def _is_litter(path: str, role: Role, *, is_gone: bool) -> bool:
    """Whether a file beside an entry, whose lock is ours, belongs to nobody."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False  # not what its name says
    if role in {Role.DESCRIPTOR, Role.RECORD}:
        return is_gone
    if role is not Role.LEFTOVER:
        return False
    if f"{LOCK_SUFFIX}.tmp" not in path:
        return True  # only a holder of the lock writes those
    # Somebody may be about to ask for the lock that we hold.
    holder = read_lock(read(path) or "")
    written = os.lstat(path).st_mtime
    if holder and holder_state(holder, written) == "dead":
        return True
    return time.time() - written > (LOCK_TIMEOUT if holder else _YOUNG)
