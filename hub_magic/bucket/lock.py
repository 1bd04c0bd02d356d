"""The lock of an entry in a bucket: an object with tensorflow_hub's name for it and the same text.

It comes into being only where there is none (generation 0), which the storage decides, so one of many
machines gets it. The holder writes its metadata anew every few seconds: whoever waits sees the metageneration
grow, and takes a lock that stands still for a dead holder's, without trusting any clock but its own. A lock
of tensorflow_hub's has no such beat; it counts as dead by the library's own rule, when nothing has come for
ten minutes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from ..cache.layout import LOCK_SUFFIX, Holder, lock_text
from ..cache.locks import holder_state
from ..gcs import BucketFile, BucketFolder, open_folder
from ..gcs.identity import BucketError
from .scan import BucketEntry, group_files, lock_metadata

if TYPE_CHECKING:
    from typing_extensions import Self

Waiting = Callable[[BucketEntry], object]


@dataclass(frozen=True, slots=True)
class LockTimes:
    """How long to wait for others, in seconds.

    Attributes:
        beat: between two signs of life of a holder.
        silent: without one after which a holder is dead.
        gone: without one after which it is, where its process is none of this machine's: another container
            may carry this machine's name.
        library: without growth of its download after which a holder without hub_magic is.
        pause: between two looks.
    """

    beat: float = 3
    silent: float = 45
    gone: float = 7
    library: float = 600
    pause: float = 2


class BucketLock:
    """A lock that this process holds; leaving its `with` gives it back.

    Attributes:
        folder: the cache.
        entry: the entry's folder name.
        holder: what the lock says.
        lost: set when somebody else has taken the lock away.
    """

    def __init__(
        self, folder: BucketFolder, entry: str, holder: Holder, generation: int, beat: float
    ) -> None:
        self.folder = folder
        self.entry = entry
        self.holder = holder
        self.lost = threading.Event()
        self._generation = generation
        self._left = threading.Event()
        self._thread = threading.Thread(
            target=self._show_life, args=(beat,), name="hub_magic lock", daemon=True
        )

    @property
    def scratch(self) -> str:
        """The folder, beside the entry, of what is unfinished; tensorflow_hub looks there for growth, too."""
        return f"{self.entry}.{self.holder.uid}.tmp"

    @property
    def file(self) -> BucketFile:
        """The lock's object."""
        return BucketFile(self.entry + LOCK_SUFFIX, 0, self._generation)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self._left.is_set():
            self.stop()
            with suppress(BucketError):  # it is found dead soon
                self.folder.remove(self.file)

    def stop(self) -> None:
        """Show no more signs of life: whoever calls this deletes the lock with other objects."""
        self._left.set()
        self._thread.join()

    def _show_life(self, beat: float) -> None:
        count = 0
        while not self._left.wait(beat):
            count += 1
            metadata = {**lock_metadata(self.holder), "beat": str(count)}
            with suppress(BucketError):  # a storage that is out of order for a moment
                if not self.folder.describe(self.file.name, metadata, generation=self._generation):
                    self.lost.set()
                    return


def take_bucket_lock(folder: BucketFolder, entry: str, times: LockTimes) -> BucketLock | None:
    """The lock of an entry, to be entered with `with`; None when somebody holds it.

    Raises:
        BucketError: the bucket may not be written.
    """
    holder = Holder(socket.gethostname(), os.getpid(), uuid.uuid4().hex)
    generation = folder.write(
        entry + LOCK_SUFFIX, lock_text(holder).encode(), metadata=lock_metadata(holder), replaces=0
    )
    return None if generation is None else BucketLock(folder, entry, holder, generation, times.beat)


def wait_for_entry(
    folder: BucketFolder, entry: str, times: LockTimes, on_wait: Waiting = lambda _entry: None
) -> tuple[BucketEntry, BucketLock | None]:
    """The entry as it is once it is whole; or, while it is not, as it was when we got its lock.

    Args:
        folder: the cache.
        entry: the entry's folder name.
        times: how long holders may keep still.
        on_wait: called at each look at an entry that somebody else is at work on.

    Raises:
        BucketError: the bucket may not be listed or written.
    """
    seen: tuple[object, ...] = ()
    since = time.monotonic()
    while True:
        found = look_at(folder, entry)
        if found.is_whole:
            return found, None
        if found.lock is None:
            lock = take_bucket_lock(folder, entry, times)
            if lock is not None:
                return _looked_at_with(lock), lock
            continue
        signs = _signs(found)
        if signs != seen:
            seen, since = signs, time.monotonic()
        if _is_dead(found, time.monotonic() - since, times):
            folder.remove(found.lock)
            continue
        on_wait(found)
        time.sleep(times.pause)


@contextmanager
def locked_in_bucket(location: str, entry: str, times: LockTimes) -> Iterator[bool]:
    """Hold the lock of an entry inside a `with`; yield False where another process holds it.

    Raises:
        SettingError: the bucket refuses.
    """
    with open_folder(location) as folder:
        found = look_at(folder, entry)
        lock = take_bucket_lock(folder, entry, times) if release_dead_lock(folder, found, times) else None
        if lock is None:
            yield False
            return
        with lock:
            yield True


def release_dead_lock(folder: BucketFolder, entry: BucketEntry, times: LockTimes) -> bool:
    """Delete an entry's lock if its holder is dead; whether nobody holds it now.

    Dead is a process of this machine that is gone, and whoever has written nothing for as long as
    tensorflow_hub would wait for it, by this machine's clock.
    """
    if entry.lock is None:
        return True
    holder = entry.holder
    written = [file.updated for file in (entry.lock, *entry.scratch_files()) if file.updated]
    silent = time.time() - max(written).timestamp() if written else 0.0
    is_gone = holder is not None and holder_state(holder) == "dead"
    if silent >= (times.gone if is_gone else times.library):
        return folder.remove(entry.lock)
    return False


def look_at(folder: BucketFolder, entry: str) -> BucketEntry:
    """All objects of one entry, as one request lists them."""
    return group_files(folder.files(entry)).get(entry) or BucketEntry(entry)


def _looked_at_with(lock: BucketLock) -> BucketEntry:
    try:
        return look_at(lock.folder, lock.entry)
    except BaseException:
        lock.folder.remove(lock.file)
        raise


def _signs(entry: BucketEntry) -> tuple[object, ...]:
    """What changes while a holder lives."""
    lock = entry.lock
    growth = sorted((file.name, file.size) for file in entry.scratch_files())
    return (lock.generation, lock.metageneration, tuple(growth), len(entry.files)) if lock else ()


def _is_dead(entry: BucketEntry, still: float, times: LockTimes) -> bool:
    """Whether the holder of a lock is dead, after so many seconds without a sign of it."""
    holder = entry.holder
    if holder is None:
        return still >= times.library
    return still >= (times.gone if holder_state(holder) == "dead" else times.silent)
