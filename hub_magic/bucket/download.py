"""Copy an entry from a bucket into a directory, where readers see all of it or none.

Files come to a folder whose name is made of the bucket's and the entry's. So when a copy is interrupted or
killed, the next one finds what is there, and goes on in the middle of a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..cache.entry import CachedModel, is_intact
from ..cache.folders import delete_folder
from ..cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from ..cache.locks import EntryLock, remove, take_lock, take_over, write_new
from ..cache.quarantine import move_aside
from ..gcs import BucketFolder, download
from ..progress import Progress
from .scan import BucketEntry
from .upload import in_entry, text_of


def from_bucket(
    source: BucketFolder,
    entries: Mapping[str, BucketEntry],
    target: str,
    model: CachedModel,
    progress: Progress,
) -> str | None:
    """Copy an entry of a bucket into a directory; return why it was not copied, or None.

    Raises:
        HubMagicError: the bucket refuses; the next copy goes on from there.
    """
    entry = entries.get(model.folder)
    if entry is None or not entry.is_whole:
        return "it has changed since the plan was made"
    if not all(is_plain(name) for name in entry.files):
        return "it contains an object whose name is not a valid file name"
    path = os.path.join(target, model.folder)
    try:
        lock = _take_lock(path, f"{source.location}/{model.folder}")
        if lock is None:
            return "another process is downloading it there"
        with lock:
            if is_intact(path):
                progress(entry.size)
                return None
            try:
                _bring(source, entry, lock, progress)
            except InterruptedError:
                raise
            except OSError:  # the disk, which may be full
                delete_folder(lock.scratch)
                raise
    except InterruptedError:
        raise
    except OSError as error:
        return f"it cannot be written: {error.strerror or error}"
    return None


def is_plain(name: str) -> bool:
    """Whether an object's name is that of a file below a folder, on any system."""
    parts = name.split("/")
    return not {"", ".", ".."}.intersection(parts) and not set("\\:\0").intersection(name)


def _take_lock(path: str, source: str) -> EntryLock | None:
    """The lock of an entry, taken away from a holder that is dead; None when somebody may hold it."""
    uid = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()
    if not _is_free_or_ours(f"{path}.{uid}.tmp"):
        uid = ""
    lock = take_lock(path, uid)
    if lock is None and take_over(path, keep_parts=True):
        lock = take_lock(path, uid)
    return lock


def _is_free_or_ours(path: str) -> bool:
    """Whether there is nothing of that name, or a folder of this user's and no link.

    Anybody could have guessed the name, and a cache may be in a directory that all may write.
    """
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(facts.st_mode) and (not hasattr(os, "getuid") or facts.st_uid == os.getuid())


def _bring(source: BucketFolder, entry: BucketEntry, lock: EntryLock, progress: Progress) -> None:
    scratch = Path(lock.scratch)
    with suppress(FileExistsError):
        scratch.mkdir()
    if not _is_free_or_ours(lock.scratch):
        raise PermissionError(errno.EPERM, f"{scratch.name} is owned by another user")
    for left in [left for left in scratch.rglob("*") if not left.is_dir() or left.is_symlink()]:
        if left.is_symlink() or left.relative_to(scratch).as_posix() not in entry.files:
            left.unlink()
    for name, file in entry.files.items():
        place = scratch / name
        place.parent.mkdir(parents=True, exist_ok=True)
        download(source, in_entry(entry, file), str(place), progress)
    # As tensorflow_hub does, first the descriptor: an entry is there when its folder is.
    for suffix, beside in ((DESCRIPTOR_SUFFIX, entry.descriptor), (RECORD_SUFFIX, entry.record)):
        if text := text_of(source, beside):
            _write(lock.entry + suffix, text, lock.holder.uid)
    damaged = Path(f"{lock.entry}.{uuid.uuid4().hex}.tmp")
    if os.path.lexists(lock.entry):
        move_aside(lock.entry, str(damaged), keep=False)
    scratch.rename(lock.entry)
    delete_folder(str(damaged))


def _write(path: str, text: str, uid: str) -> None:
    """Write a small file in one step; what a crash leaves has the name of a leftover."""
    written = f"{path}.tmp{uid}"
    remove(written)  # an earlier attempt with the same id may have left one
    write_new(written, text)
    os.replace(written, path)
