"""Place an entry from elsewhere on this computer in a cache, complete before readers see it."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from ..progress import Progress
from ..small_files import LARGE
from .entry import CachedModel, is_intact, measure
from .files import open_quietly, regular_files
from .folders import delete_folder, make_folder, open_at_any_depth
from .layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from .locks import EntryLock, take_lock, take_over, write_new
from .quarantine import StaysError, check_unchanged, move_aside, remove_file
from .record import read_record

_BLOCK = 1 << 20
_UTIME_BY_NUMBER = os.utime in os.supports_fd  # not on Windows
_BESIDE = (DESCRIPTOR_SUFFIX, RECORD_SUFFIX)


def place(location: str, model: CachedModel, progress: Progress) -> str | None:
    """Copy an entry to a cache in a directory; an intact entry that is there already stays.

    Args:
        location: the cache, an existing directory.
        model: the entry, as a scan showed it.
        progress: told how many more bytes are there.

    Returns:
        Why it was not copied, or None.
    """
    target = f"{location}{os.sep}{model.folder}"
    try:
        with suppress(OSError):  # a lock that cannot be removed is still a lock
            take_over(target)
        lock = take_lock(target)
        if lock is None:
            return "another process is writing it there"
        with lock:
            if is_intact(target):
                progress(max(model.size, 0))
            else:
                copy(model if model.is_measured else measure(model), target, lock, progress)
    except InterruptedError:
        raise
    except StaysError as why:
        return str(why)
    except OSError as error:
        return f"it cannot be copied: {error.strerror or error}"
    return None


def rename(model: CachedModel, place: str, lock: EntryLock) -> bool:
    """Carry an entry over within a disk; False when both places are not on one.

    Args:
        model: the entry as it was when it was chosen.
        place: its path in the other cache.
        lock: the lock of that place.

    Raises:
        StaysError: it is locked, or has changed.
        OSError: the disk refuses.
    """
    if Path(model.path).stat().st_dev != Path(place).parent.stat().st_dev:
        return False
    source = take_lock(model.path)
    if source is None:
        raise StaysError("locked")
    with source:
        check_unchanged(model)
        _take_aside(place, lock)
        _copy_beside(model, place, lock)
        try:
            Path(model.path).rename(place)
        except OSError as error:
            _remove_beside(place)
            if error.errno != errno.EXDEV:  # one disk that is mounted twice
                raise
            return False
        finally:
            delete_folder(_old(place, lock))
        _remove_beside(model.path)
    return True


def copy(model: CachedModel, place: str, lock: EntryLock, progress: Progress) -> None:
    """Copy an entry, with its times: they tell when it was last used.

    Args:
        model: the entry as it was when it was chosen.
        place: its path in the other cache.
        lock: the lock of that place.
        progress: told how many more bytes are there.

    Raises:
        StaysError: it holds links, or is not as it was downloaded.
        OSError: the disk refuses.
    """
    record = read_record(model.path)
    digests = {file.path: file.sha256 for file in record.files} if record else {}
    files = regular_files(model.path)
    if len(files) != model.files:
        raise StaysError("it contains something that is neither a file nor a folder")
    try:
        for folder in ("", *model.folders):  # an outer folder stands before those in it
            make_folder(f"{lock.scratch}{os.sep}{folder}".rstrip(os.sep))
        for name, facts in files.items():
            digest = _copy_file(f"{model.path}/{name}", f"{lock.scratch}/{name}", facts, progress)
            if digest != digests.get(name, digest):
                raise StaysError(f"it is damaged: {name} does not match its checksum")
        _take_aside(place, lock)
        _copy_beside(model, place, lock)
        Path(lock.scratch).rename(place)
    finally:
        delete_folder(lock.scratch)
        delete_folder(_old(place, lock))


def _copy_file(source: str, target: str, facts: os.stat_result, progress: Progress) -> str:
    """Copy a file and its times to the disk itself, for the old one is removed after; return its SHA-256."""
    digest = hashlib.sha256()
    with open_quietly(source) as content, open(target, "xb", opener=open_at_any_depth) as copy:
        while block := content.read(_BLOCK):
            copy.write(block)
            digest.update(block)
            progress(len(block))
        copy.flush()
        os.fsync(copy.fileno())
        if _UTIME_BY_NUMBER:
            os.utime(copy.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    if not _UTIME_BY_NUMBER:
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return digest.hexdigest()


def _copy_beside(model: CachedModel, place: str, lock: EntryLock) -> None:
    """Copy what stands beside an entry: before the entry itself, as tensorflow_hub does."""
    for suffix in _BESIDE:
        with suppress(FileNotFoundError), open_quietly(model.path + suffix, is_linked=False) as content:
            written = f"{place}{suffix}.tmp{lock.holder.uid}"
            write_new(written, content.read(LARGE).decode(errors="surrogateescape"))
            os.replace(written, place + suffix)


def _remove_beside(entry: str) -> None:
    for suffix in _BESIDE:
        remove_file(entry + suffix)


def _take_aside(place: str, lock: EntryLock) -> None:
    """Take a damaged or empty entry out of the way."""
    if os.path.lexists(place):
        move_aside(place, _old(place, lock), keep=False)


def _old(place: str, lock: EntryLock) -> str:
    """Another name of unfinished things than the lock's own."""
    return f"{place}.{lock.holder.uid[::-1]}.tmp"
