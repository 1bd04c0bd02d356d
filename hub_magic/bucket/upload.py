"""Publish a new entry to a bucket so that readers see all of it or none.

tensorflow_hub takes any object under `FOLDER/` for a whole model, looks at its lock only where there is none,
and a bucket has no way to give a folder its name in one step. So the files are brought to `FOLDER.UID.tmp/`
first, while the lock is held; then the descriptor is written, whose metadata say how many files and bytes
belong to the entry, so that hub_magic knows half an entry; and then all files are copied to their names by
one request, a batch. The storage either gets the whole batch, and carries it out by itself within
milliseconds, or nothing of it: a process that is killed leaves no half. A kernel without hub_magic that looks
in those milliseconds fails with the name of a missing file, changes nothing, and succeeds at the next load.

A batch holds 100 copies. An entry with more files takes several, which are sent at once, and when they are
done another one with the graph, `saved_model.pb`: without it tensorflow_hub loads nothing at all. A process
that is killed between the two leaves an entry without a graph, which the next one with hub_magic replaces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from ..cache.entry import CachedModel
from ..cache.files import LinkedFolders, is_part
from ..cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX, read_descriptor
from ..errors import DownloadError
from ..gcs import (
    LARGEST_BATCH,
    MOST_PIECES,
    BucketFile,
    BucketFolder,
    Copying,
    copy_between,
    join,
    local_checksum,
    upload,
)
from ..progress import Progress
from ..small_files import LARGE, OddFileError, read_small_file
from .lock import BucketLock, LockTimes, look_at, wait_for_entry
from .scan import GRAPH_ENDS, BucketEntry, descriptor_metadata

_SENDERS = 8

# Sends a file to a name in the folder, telling how many bytes are done; gives the object that it is now.
Send = Callable[[str, Progress], BucketFile]


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that an entry gets.

    Attributes:
        name: relative to the entry.
        size: in bytes.
        send: sends it.
        checksum: gives its crc32c in base64; asked only where an earlier attempt left a file of that size.
        pieces: what it is sent in where it is large, so that the next attempt need not begin anew.
    """

    name: str
    size: int
    send: Send
    checksum: Callable[[], str]
    pieces: tuple[NewFile, ...] = ()


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry that a bucket gets.

    Attributes:
        files: its files.
        descriptor, record: the texts beside it; "" where there is none.
    """

    files: tuple[NewFile, ...]
    descriptor: str = ""
    record: str = ""

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


def put_entry(lock: BucketLock, before: BucketEntry, entry: NewEntry, progress: Progress) -> None:
    """Put an entry into a bucket, complete before it appears; what an earlier attempt brought is used.

    Args:
        lock: the entry's lock, which is ours.
        before: the objects that were there when the lock was taken.
        entry: what shall be there.
        progress: told of bytes that are done, in several threads.

    Raises:
        BucketError: the storage refuses, or does not answer.
        DownloadError: somebody else has taken the lock, or written the entry otherwise.
    """
    folder = lock.folder
    half = [BucketFile(f"{lock.entry}/{one.name}", one.size, one.generation) for one in before.files.values()]
    folder.delete([*half, *before.markers])
    copies, brought = _bring(lock, before, entry, progress)
    _describe(folder, lock.entry, entry)
    if lock.lost.is_set():
        raise DownloadError(
            f"Another process took over the lock of {folder.location}/{lock.entry}. Try again."
        )
    if _publish(folder, copies):
        here = look_at(folder, lock.entry).files.values()
        if sorted((one.name, one.size) for one in here) != sorted(
            (one.name, one.size) for one in entry.files
        ):
            raise DownloadError(
                f"Another process changed {folder.location}/{lock.entry} at the same time. Try again."
            )
    lock.stop()
    folder.delete([*brought, *before.scratch_files(), *before.leftovers, lock.file])


def _publish(folder: BucketFolder, copies: list[Copying]) -> int:
    """Give the files their names; how many of the names were taken."""
    if len(copies) <= LARGEST_BATCH:
        return folder.copy(copies)
    graphs = [one for one in copies if one.target.endswith(GRAPH_ENDS)]
    return folder.copy([one for one in copies if one not in graphs]) + folder.copy(graphs)


def _bring(
    lock: BucketLock, before: BucketEntry, entry: NewEntry, progress: Progress
) -> tuple[list[Copying], list[BucketFile]]:
    """Have all files in folders of unfinished things: how to copy them from there, and what we sent."""
    sent: list[BucketFile] = []

    def bring(file: NewFile) -> str:
        known = _found_before(before, file)
        if known:
            progress(file.size)
            return known
        found = file.send(f"{lock.scratch}/{file.name}", progress)
        sent.append(found)
        return found.name

    brought = {}
    going: list[NewFile] = []
    for file in entry.files:
        if file.pieces and (known := _found_before(before, file)):
            progress(file.size)
            brought[file.name] = known
        else:
            going += file.pieces or (file,)
    if len(going) <= 2:
        names = [bring(file) for file in going]
    else:
        with ThreadPoolExecutor(min(_SENDERS, len(going)), "hub_magic send") as pool:
            names = list(pool.map(bring, going))
    brought.update(zip((file.name for file in going), names, strict=True))
    for file in entry.files:
        if file.name not in brought:
            pieces = [brought[piece.name] for piece in file.pieces]
            sent.append(join(lock.folder, pieces, f"{lock.scratch}/{file.name}"))
            brought[file.name] = sent[-1].name
    return [Copying(brought[file.name], f"{lock.entry}/{file.name}") for file in entry.files], sent


def _found_before(before: BucketEntry, file: NewFile) -> str:
    """The name under which an earlier attempt left this very file; "" when none did."""
    for uid, files in before.scratch.items():
        known = files.get(file.name)
        if known and known.size == file.size and known.crc32c and known.crc32c == file.checksum():
            return f"{before.folder}.{uid}.tmp/{file.name}"
    return ""


def _describe(folder: BucketFolder, name: str, entry: NewEntry) -> None:
    """Write what stands beside an entry; its files are not there yet."""
    if entry.record:
        folder.write(name + RECORD_SUFFIX, entry.record.encode(errors="surrogateescape"), replaces=None)
    if entry.descriptor:
        described = read_descriptor(entry.descriptor)
        metadata = descriptor_metadata(described, len(entry.files), entry.size) if described else None
        text = entry.descriptor.encode(errors="surrogateescape")
        folder.write(name + DESCRIPTOR_SUFFIX, text, metadata=metadata, replaces=None)


# A larger file is sent in pieces, several at once; what is interrupted goes on with those that are missing.
_PIECE = 32 << 20


def to_bucket(target: BucketFolder, times: LockTimes, model: CachedModel, progress: Progress) -> str | None:
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
) -> str | None:
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


def put(
    target: BucketFolder, folder: str, entry: NewEntry, times: LockTimes, progress: Progress
) -> str | None:
    """Put an entry into a bucket unless it is there whole; waits for whoever is doing so."""
    before, lock = wait_for_entry(target, folder, times)
    if lock is None:
        progress(entry.size)
        return None
    with lock:
        if before.is_whole_without_lock:
            target.delete(before.scratch_files())
            progress(entry.size)
        else:
            put_entry(lock, before, entry, progress)
    return None


def new_entry(target: BucketFolder, path: str) -> NewEntry:
    """What a bucket gets for an entry of a directory.

    Args:
        target: the cache in the bucket.
        path: the entry's directory.

    Raises:
        OSError: it cannot be read, or holds what is neither a file nor a folder.
    """
    files = []
    linked = LinkedFolders(path)
    pending = [""]
    for prefix in pending:  # grows while it is read
        with os.scandir(f"{path}/{prefix}") as found:
            for item in sorted(found, key=lambda one: one.name):
                name = prefix + item.name
                if item.is_symlink() and not is_part(path, name):
                    raise OSError(0, f"{name} is a link")
                if linked.enter(item) if item.is_symlink() else item.is_dir():
                    pending.append(f"{name}/")
                elif item.is_file():
                    files.append((name, item.stat().st_size, item.path))
                else:
                    raise OSError(0, f"{name} is not a regular file (socket, device or pipe)")
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
        return read_small_file(path, LARGE).decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OddFileError as why:
        raise OSError(0, f"{os.path.basename(path)} cannot be read: {why}") from why
