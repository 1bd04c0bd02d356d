"""One entry on its way between two caches. Each function gives why the entry was not copied, or ""."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..gcs import BucketFile, BucketFolder, Progress
from .bucket_entry import NewEntry, NewFile, local_checksum, put_entry
from .bucket_lock import Patience, wait_for_entry
from .bucket_names import BucketEntry
from .entry import CachedModel
from .layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from .locks import take_lock
from .plain_files import open_plain


def to_bucket(target: BucketFolder, patience: Patience, model: CachedModel, progress: Progress) -> str:
    """Copy an entry of a directory into a bucket.

    Raises:
        HubMagicError: the bucket refuses.
    """
    try:
        return put(target, model.folder, new_entry(target, model.path), patience, progress)
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
    patience: Patience,
) -> str:
    """Copy an entry of a bucket into another, without bringing it here.

    Raises:
        HubMagicError: a bucket refuses.
    """
    entry = entries.get(model.folder)
    if entry is None or not entry.is_whole:
        return "it has changed since the plan was made"

    def send(file: BucketFile, name: str, progress: Progress) -> BucketFile:
        sent = target.copy_from(source, file, name)
        progress(file.size)
        return sent

    def checksum(file: BucketFile) -> str:
        return file.crc32c

    files = tuple(
        NewFile(name, file.size, partial(send, _in_entry(entry, file)), partial(checksum, file))
        for name, file in entry.files.items()
    )
    texts = (_text(source, entry.descriptor), _text(source, entry.record))
    return put(target, model.folder, NewEntry(files, *texts), patience, progress)


def from_bucket(
    source: BucketFolder,
    entries: Mapping[str, BucketEntry],
    target: str,
    model: CachedModel,
    progress: Progress,
) -> str:
    """Copy an entry of a bucket into a directory.

    Raises:
        HubMagicError: the bucket refuses.
    """
    entry = entries.get(model.folder)
    if entry is None or not entry.is_whole:
        return "it has changed since the plan was made"
    if not all(is_plain(name) for name in entry.files):
        return "it holds an object whose name is none for a file"
    path = os.path.join(target, model.folder)  # noqa: PTH118 - strings, as everywhere in a cache
    try:
        lock = take_lock(path)
        if lock is None:
            return "somebody else is downloading it there"
        with lock:
            if os.path.isdir(path) and os.listdir(path):  # noqa: PTH112, PTH208
                return ""
            try:
                for name, file in entry.files.items():
                    place = Path(lock.scratch) / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    source.download(_in_entry(entry, file), str(place), progress)
                # As tensorflow_hub does, first the descriptor: an entry is there when its folder is.
                for suffix, beside in ((DESCRIPTOR_SUFFIX, entry.descriptor), (RECORD_SUFFIX, entry.record)):
                    if text := _text(source, beside):
                        _write(path + suffix, text, lock.holder.uid)
                Path(lock.scratch).replace(path)
            finally:
                shutil.rmtree(lock.scratch, ignore_errors=True)
    except InterruptedError:
        raise
    except OSError as error:
        return f"it cannot be written: {error.strerror or error}"
    return ""


def put(target: BucketFolder, folder: str, entry: NewEntry, patience: Patience, progress: Progress) -> str:
    """Put an entry into a bucket unless it is there whole; waits for whoever is doing so."""
    before, lock = wait_for_entry(target, folder, patience)
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
            NewFile(name, size, partial(target.upload, place), partial(local_checksum, place))
            for name, size, place in files
        ),
        _read(path + DESCRIPTOR_SUFFIX),
        _read(path + RECORD_SUFFIX),
    )


def is_plain(name: str) -> bool:
    """Whether an object's name is that of a file below a folder, on any system."""
    parts = name.split("/")
    return not {"", ".", ".."}.intersection(parts) and not set("\\:\0").intersection(name)


def _in_entry(entry: BucketEntry, file: BucketFile) -> BucketFile:
    """The object under its name in the cache."""
    return replace(file, name=f"{entry.folder}/{file.name}")


def _text(folder: BucketFolder, file: BucketFile | None) -> str:
    content = folder.read(file.name) if file else None
    return (content or b"").decode(errors="surrogateescape")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_plain) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str, uid: str) -> None:
    """Write a small file in one step; what a crash leaves has the name of a leftover."""
    written = Path(f"{path}.tmp{uid}")
    written.write_text(text, encoding="utf-8", errors="surrogateescape")
    written.replace(path)
