"""Wait for the lock of an entry, and take over a stale one.

`FOLDER.lock` names its holder, and the holder's files grow in `FOLDER.UID.tmp`. tensorflow_hub sees a killed
holder only after two periods of ten minutes without growth; here a dead process is known at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..cache.files import open_plain
from ..cache.layout import DESCRIPTOR_SUFFIX, LOCK_SUFFIX, RECORD_SUFFIX, Holder, Role, read_lock, read_name
from ..cache.locks import EntryLock, holder_state, take_lock


@dataclass(frozen=True, slots=True)
class Parts:
    """The names that one download uses, all marked with its id.

    Attributes:
        entry: the path of the entry it is for, CACHE/FOLDER.
        uid: its id, 32 hexadecimal digits, as the lock says it.
    """

    entry: str
    uid: str

    @property
    def folder(self) -> str:
        """Where it unpacks; tensorflow_hub looks there, too, for whether a download grows."""
        return f"{self.entry}.{self.uid}.tmp"

    @property
    def old(self) -> str:
        """Where a damaged entry goes; the id is turned round, so that it is another name of the same form."""
        return f"{self.entry}.{self.uid[::-1]}.tmp"

    @property
    def lock(self) -> str:
        """The lock before it is taken."""
        return f"{self.entry}{LOCK_SUFFIX}.tmp{self.uid}"

    @property
    def descriptor(self) -> str:
        """The descriptor before it is in its place."""
        return f"{self.entry}{DESCRIPTOR_SUFFIX}.tmp{self.uid}"

    @property
    def record(self) -> str:
        """The record before it is in its place."""
        return f"{self.entry}{RECORD_SUFFIX}.tmp{self.uid}"

    def remove(self) -> None:
        """Remove all of it that is there."""
        for folder in (self.folder, self.old):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.lock, self.descriptor, self.record, self.old):
            remove(file)


def take_away(entry: str, text: str, *, is_alive: bool) -> None:
    """Remove an entry's lock with this text, and no other that has come in its place.

    Args:
        entry: the entry's path.
        text: what the lock says.
        is_alive: whether its holder may live: then what it unpacked is left to it.

    Raises:
        OSError: the lock cannot be removed.
    """
    holder = read_lock(text)
    aside = Parts(entry, uuid.uuid4().hex).lock
    try:
        os.rename(entry + LOCK_SUFFIX, aside)  # noqa: PTH104 - only one of many gets it
    except FileNotFoundError:
        return
    if read(aside) != text:
        with contextlib.suppress(OSError):
            os.link(aside, entry + LOCK_SUFFIX)
    elif holder and not is_alive:
        Parts(entry, holder.uid).remove()
    remove(aside)


def clear_dead_lock(entry: str) -> None:
    """Remove the lock on an entry, with all that its holder left, if the holder is dead; else do nothing."""
    text = read(entry + LOCK_SUFFIX)
    holder = read_lock(text or "")
    if text and holder and holder_state(holder, growth(entry + LOCK_SUFFIX, "")[0]) == "dead":
        with contextlib.suppress(OSError):  # somebody else's, or a cache that is only read
            take_away(entry, text, is_alive=False)


def sweep(entry: str, *, spare: Holder, before: float) -> None:
    """Remove what other downloads of the entry left: those known to be dead, and what is old.

    Args:
        entry: the entry's path.
        spare: whose parts stay: the one that holds the entry's lock.
        before: what was last written before this time, in seconds since the epoch, is old.
    """
    cache, _, folder = entry.rpartition(os.sep)
    with contextlib.suppress(OSError):
        for name in os.listdir(cache):  # noqa: PTH208
            part = read_name(name) if name.startswith(folder) else None
            if part is None or part.role not in {Role.DOWNLOAD, Role.LEFTOVER} or spare.uid in name:
                continue
            path = f"{cache}{os.sep}{name}"
            written, newest, _ = growth(path, path)
            holder = read_lock(read(path) or "") if part.role is Role.LEFTOVER else None
            if holder and holder_state(holder, written) == "dead":
                Parts(entry, holder.uid).remove()
                remove(path)
            elif newest < before:
                shutil.rmtree(path, ignore_errors=True)
                remove(path)


def growth(file: str, folder: str) -> tuple[float, float, int]:
    """When a file was written, when it or anything in a folder was last, and how many bytes the folder holds.

    Times in seconds since the epoch; what is not there counts as written at 0.
    """
    written = _written(file)
    newest = max(written, _written(folder))
    size = 0
    pending = [folder] if folder else []
    for directory in pending:  # grows while it is read
        with contextlib.suppress(OSError), os.scandir(directory) as found:
            for item in found:
                facts = item.stat(follow_symlinks=False)
                newest = max(newest, facts.st_mtime)
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
                else:
                    size += facts.st_size
    return written, newest, size


def read(path: str) -> str | None:
    """A small file's text; None when it is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=open_plain) as file:
            return file.read(1 << 16)
    except FileNotFoundError:
        return None
    except OSError:  # not ours to read, or no file
        return ""


def write_new(path: str, text: str) -> None:
    """Write a file that must not be there yet."""
    with open(path, "x", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def remove(path: str) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def _written(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


# tensorflow_hub's own (`LOCK_FILE_TIMEOUT_SEC` in compressed_module_resolver.py), in seconds.
LOCK_TIMEOUT = 600.0

_POLL = 0.2  # seconds
_LAST_BREATH = 2.0  # seconds without growth that confirm a death
_GLANCE = 10.0  # seconds without growth that confirm a time stamp on files of another machine


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of another's lock.

    Attributes:
        state: of its holder; "unnamed" where the lock does not say.
        quiet: seconds for which nothing has grown before our eyes.
        age: seconds since anything was written, by the file system's clock.
    """

    state: Literal["alive", "dead", "elsewhere", "unnamed"]
    quiet: float
    age: float


def may_take_over(watch: Watch, timeout: float) -> bool:
    """Whether the lock's holder can be taken for gone.

    A holder on this machine that lives may have been asleep with the machine, so for it only what was seen
    counts; time stamps speak for those elsewhere, such as a container that was replaced.
    """
    if watch.quiet >= timeout:
        return True
    if watch.state == "dead":
        return max(watch.age, watch.quiet) >= _LAST_BREATH
    return watch.state != "alive" and watch.age >= timeout and watch.quiet >= _GLANCE


def lock_entry(
    entry: str,
    *,
    is_done: Callable[[], bool],
    on_wait: Callable[[Holder | None, int], None],
    timeout: float = LOCK_TIMEOUT,
) -> EntryLock | None:
    """The lock on an entry, after waiting for those who hold it; what the dead left of the entry is swept.

    Args:
        entry: the entry's path, CACHE/FOLDER; CACHE exists.
        is_done: whether the entry is there in the meantime.
        on_wait: called while waiting, with the holder and the bytes it has so far.
        timeout: seconds without growth after which a holder that may live is taken for gone.

    Returns:
        The lock, or None when nothing is left to do.

    Raises:
        OSError: the cache cannot be written, or a dead holder's lock cannot be removed.
    """
    clock = None
    while (lock := take_lock(entry)) is None:
        clock = clock or _Clock(entry)
        _wait(entry, clock, on_wait, timeout)
        if is_done():
            return None
    try:
        sweep(entry, spare=lock.holder, before=(clock or _Clock(entry)).now() - timeout)
    except BaseException:
        lock.release()
        raise
    return lock


def _wait(entry: str, clock: _Clock, on_wait: Callable[[Holder | None, int], None], timeout: float) -> None:
    """Wait until the lock is gone, or take it away from a holder that is gone."""
    path = entry + LOCK_SUFFIX
    seen = None
    changed = 0.0
    while (text := read(path)) is not None:
        holder = read_lock(text)
        written, newest, size = growth(path, Parts(entry, holder.uid).folder if holder else "")
        moment = time.monotonic()
        if (text, newest, size) != seen:
            seen = (text, newest, size)
            changed = moment
        state = holder_state(holder, written) if holder else "unnamed"
        if may_take_over(Watch(state, moment - changed, clock.now() - newest), timeout):
            take_away(entry, text, is_alive=state == "alive")
            return
        on_wait(holder, size)
        time.sleep(_POLL)


class _Clock:
    """The time by the disk's own clock, which may be another machine's."""

    def __init__(self, entry: str) -> None:
        probe = Parts(entry, uuid.uuid4().hex).lock
        try:
            write_new(probe, "")
            self._offset = os.stat(probe).st_mtime - time.monotonic()  # noqa: PTH116
        finally:
            remove(probe)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._offset + time.monotonic()
