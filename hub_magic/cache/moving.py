"""One entry on its way into a bucket. Each function gives why the entry was not copied, or ""."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from ..gcs import MOST_PIECES, BucketFile, BucketFolder, copy_between, local_checksum, upload
from ..progress import Progress
from .bucket_entry import NewEntry, NewFile, put_entry
from .bucket_lock import LockTimes, wait_for_entry
from .bucket_names import BucketEntry
from .entry import CachedModel
from .layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from .plain_files import open_plain

# A larger file is sent in pieces, several at once; what is interrupted goes on with those that are missing.
_PIECE = 32 << 20


def to_bucket(target: BucketFolder, times: LockTimes, model: CachedModel, progress: Progress) -> str:
    """Copy an entry of a directory into a bucket.

    Raises:
        HubMagicError: the bucket refuses.
    """
    try:
        return put(target, model.folder, new_entry(target, model.path), times, progress)
    except InterruptedError:
        raise
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def between_buckets(
    source: BucketFolder,
    entries: Mapping[str, BucketEntry],
    target: BucketFolder,
    model: CachedModel,
    progress: Progress,
    *,
    times: LockTimes,
) -> str:
    """Copy an entry of a bucket into another, without bringing it here.

    Raises:
        HubMagicError: a bucket refuses.
    """
    entry = entries.get(model.folder)
    if entry is None or not entry.is_whole:
        return "it has changed since the plan was made"

    def send(file: BucketFile, name: str, progress: Progress) -> BucketFile:
        sent = copy_between(source, file, target, name)
        progress(file.size)
        return sent

    def checksum(file: BucketFile) -> str:
        return file.crc32c

    files = tuple(
        NewFile(name, file.size, partial(send, in_entry(entry, file)), partial(checksum, file))
        for name, file in entry.files.items()
    )
    texts = (text_of(source, entry.descriptor), text_of(source, entry.record))
    return put(target, model.folder, NewEntry(files, *texts), times, progress)


def put(target: BucketFolder, folder: str, entry: NewEntry, times: LockTimes, progress: Progress) -> str:
    """Put an entry into a bucket unless it is there whole; waits for whoever is doing so."""
    before, lock = wait_for_entry(target, folder, times)
    if lock is None:
        progress(entry.size)
        return ""
    with lock:
        if before.is_whole_without_lock:
            target.delete(before.scratch_files())
            progress(entry.size)
        else:
            put_entry(lock, before, entry, progress)
    return ""


def new_entry(target: BucketFolder, path: str) -> NewEntry:
    """What a bucket gets for an entry of a directory.

    Args:
        target: the cache in the bucket.
        path: the entry's directory.

    Raises:
        OSError: it cannot be read, or holds what is neither a file nor a folder.
    """
    files = []
    pending = [""]
    for prefix in pending:  # grows while it is read
        with os.scandir(f"{path}/{prefix}") as found:
            for item in sorted(found, key=lambda one: one.name):
                name = prefix + item.name
                if item.is_symlink():
                    raise OSError(0, f"{name} is a link")
                if item.is_dir():
                    pending.append(f"{name}/")
                elif item.is_file():
                    files.append((name, item.stat().st_size, item.path))
                else:
                    raise OSError(0, f"{name} is no plain file")
    return NewEntry(
        tuple(
            NewFile(
                name,
                size,
                partial(upload, target, place),
                partial(local_checksum, place),
                _pieces(target, place, name, size),
            )
            for name, size, place in files
        ),
        _read(path + DESCRIPTOR_SUFFIX),
        _read(path + RECORD_SUFFIX),
    )


def _pieces(target: BucketFolder, place: str, name: str, size: int) -> tuple[NewFile, ...]:
    """What a large file is sent in."""
    if size <= _PIECE:
        return ()
    length = max(_PIECE, -(-size // MOST_PIECES))
    starts = range(0, size, length)
    return tuple(
        NewFile(
            f"{name}.piece{number}of{len(starts)}",
            part,
            partial(upload, target, place, start=start, size=part),
            partial(local_checksum, place, start, part),
        )
        for number, start in enumerate(starts, 1)
        for part in [min(length, size - start)]
    )


def in_entry(entry: BucketEntry, file: BucketFile) -> BucketFile:
    """The object under its name in the cache."""
    return replace(file, name=f"{entry.folder}/{file.name}")


def text_of(folder: BucketFolder, file: BucketFile | None) -> str:
    """The text of a small object; "" where there is none."""
    content = folder.read(file.name) if file else None
    return (content or b"").decode(errors="surrogateescape")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_plain) as file:
            return file.read()
    except FileNotFoundError:
        return ""
