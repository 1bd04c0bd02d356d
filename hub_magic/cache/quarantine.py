"""Quarantine an entry: rename it in one step, holding its lock, and only if it is unchanged since planned."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .entry import CachedModel, measure
from .folders import delete_folder, is_writable_folder, list_folder
from .layout import (
    DESCRIPTOR_SUFFIX,
    GRAPHS,
    LOCK_SUFFIX,
    RECORD_SUFFIX,
    descriptor_at,
    read_lock,
    read_name,
)
from .locks import read, take_lock
from .record import find_damage


class StaysError(Exception):
    """The entry stays; the text says why."""


def move_aside(entry: str, aside: str, *, keep: bool) -> None:
    """Rename an entry out of readers' sight; the caller holds its lock.

    A folder in a lower layer of an overlay, as in a container image, cannot be renamed (EXDEV). It is copied
    first if the caller may need it again, and then deleted in place: the graph first, without which no reader
    takes the rest for a model.

    Args:
        entry: the entry's path.
        aside: its new path, on the same disk.
        keep: whether the caller needs it there.

    Raises:
        OSError: the disk refuses.
    """
    try:
        os.rename(entry, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    if keep:
        shutil.copytree(entry, aside, symlinks=True)
    for graph in GRAPHS:
        with suppress(FileNotFoundError):
            Path(entry, graph).unlink()
    delete_folder(entry)
    if os.path.lexists(entry):
        raise OSError(errno.ENOTEMPTY, "it cannot be deleted")


def quarantine(
    location: str,
    planned: CachedModel,
    *,
    by_use: bool = False,
    beside: tuple[str, ...] = (DESCRIPTOR_SUFFIX, RECORD_SUFFIX),
    keep: bool = False,
) -> str:
    """Take an entry out of the way; gives the path it has now.

    Args:
        location: the cache.
        planned: the entry as it was when it was chosen.
        by_use: whether it was chosen by when it was last used.
        beside: suffixes of the files beside it that go as well.
        keep: whether the caller may put it back.

    Raises:
        StaysError: it is no entry, is locked, has changed since, or cannot be deleted to the end.
    """
    if not _is_entry(location, planned):
        raise StaysError("it is not an entry of this cache")
    try:
        lock = take_lock(planned.path)
        if lock is None:
            raise StaysError(_locked(planned.path))
        with lock:
            check_unchanged(planned, by_use=by_use)
            move_aside(planned.path, lock.scratch, keep=keep)
            for suffix in beside:
                remove_file(planned.path + suffix)
    except FileNotFoundError:
        raise StaysError("it had already been deleted") from None
    except OSError as error:
        raise StaysError(f"it cannot be removed: {error.strerror}") from None
    return lock.scratch


def delete_quarantined(path: str) -> int:
    """Delete a folder that has been renamed out of the way; gives the bytes freed.

    Links in it are taken away, never followed. What cannot be deleted stays, as a leftover.
    """
    if os.path.islink(path):
        with suppress(OSError):
            Path(path).unlink()
        return 0
    before = _size_on_disk(path)
    delete_folder(path)
    return before - _size_on_disk(path)


def remove_file(path: str) -> None:
    """Remove a file of the cache if it is there and no link."""
    with suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            Path(path).unlink()


def _is_entry(location: str, model: CachedModel) -> bool:
    """Whether this is a folder of the library's form, directly in that cache, and no link."""
    part = read_name(model.folder)
    if part is None or part.folder != model.folder or model.path != f"{location}{os.sep}{model.folder}":
        return False
    try:
        mode = os.lstat(model.path).st_mode
        return stat.S_ISLNK(mode) if model.link else stat.S_ISDIR(mode)
    except OSError:
        return True  # gone, or not to be looked at: the removal itself says which


def check_unchanged(planned: CachedModel, *, by_use: bool = False) -> None:
    """Make sure that an entry, now that it is locked, is the one that was chosen, and can go as a whole.

    Raises:
        StaysError: it has changed, has been used, or holds a folder that may not be written.
        OSError: it cannot be read, or is gone.
    """
    now = measure(CachedModel(planned.folder, planned.path))
    descriptor = descriptor_at(planned.path + DESCRIPTOR_SUFFIX)
    handle = descriptor.handle if descriptor else ""
    downloaded = descriptor.downloaded if descriptor else None
    same_files = not planned.is_measured or (now.size, now.files) == (planned.size, planned.files)
    if not same_files or (handle, downloaded) != (planned.handle, planned.downloaded):
        raise StaysError("it has changed since the plan was made")
    if by_use and planned.last_used and now.last_used and now.last_used > planned.last_used:
        raise StaysError("it has been used since the plan was made")
    # Of a link only the link goes.
    for folder in () if planned.link else ("", *now.folders):
        path = f"{planned.path}{os.sep}{folder}".rstrip(os.sep)
        if not is_writable_folder(path):
            raise StaysError(f"it cannot be removed: you have no write permission for {path}")


def _locked(entry: str) -> str:
    holder = read_lock(read(entry + LOCK_SUFFIX) or "")
    return f"locked by process {holder.pid} on {holder.host}" if holder else "locked"


def _size_on_disk(path: str) -> int:
    """Bytes that are freed when this folder goes: of the files whose every name is in it."""
    size = 0
    names: dict[tuple[int, int], int] = {}
    pending = [path]
    for folder in pending:  # grows while it is read
        with suppress(OSError):
            for name, facts in list_folder(folder):
                if stat.S_ISDIR(facts.st_mode):
                    pending.append(f"{folder}{os.sep}{name}")
                    continue
                inode = (facts.st_dev, facts.st_ino)
                names[inode] = names.get(inode, 0) + 1
                if names[inode] >= facts.st_nlink:
                    size += facts.st_size
    return size


@contextmanager
def replacing(location: str, model: CachedModel) -> Iterator[None]:
    """Make way for a new copy of a damaged entry; where the block fails, the old copy is in its place again.

    Raises:
        StaysError: the entry cannot be quarantined.
    """
    # A download replaces an entry that looks damaged, and takes any other one for intact.
    aside = "" if find_damage(model.path) else quarantine(location, model, beside=(), keep=True)
    if aside:
        with suppress(OSError):
            os.utime(aside)  # or the download takes the old folder for a stale one, and removes the last copy
    try:
        yield
    except BaseException:
        if aside:
            _put_back(aside, model.path)
        raise
    if aside:
        delete_quarantined(aside)


def _put_back(aside: str, entry: str) -> None:
    """Give a quarantined entry its name again, unless there is one by now."""
    with suppress(OSError):
        lock = take_lock(entry)
        if lock:
            with lock:
                if not os.path.lexists(entry):
                    Path(aside).rename(entry)
