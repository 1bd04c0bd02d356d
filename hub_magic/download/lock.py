"""Wait for the lock of an entry, and take over a stale one.

`FOLDER.lock` names its holder, and the holder's files grow in `FOLDER.UID.tmp`. tensorflow_hub sees a killed
holder only after two periods of ten minutes without growth; here a dead process is known at once.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable

from ..cache.folders import delete_folder
from ..cache.layout import LOCK_SUFFIX, Holder, Role, read_lock, read_name
from ..cache.locks import (
    LOCK_TIMEOUT,
    EntryLock,
    Parts,
    Watch,
    growth,
    holder_state,
    may_take_over,
    read,
    remove,
    take_away,
    take_lock,
    write_new,
)
from .spool import is_kept

_POLL = 0.2  # seconds


def sweep(entry: str, *, spare: Holder, before: float) -> None:
    """Remove what other downloads of the entry left: those known to be dead, and what is old.

    Args:
        entry: the entry's path.
        spare: whose parts stay: the one that holds the entry's lock.
        before: what was last written before this time, in seconds since the epoch, is old.
    """
    cache, _, folder = entry.rpartition(os.sep)
    with contextlib.suppress(OSError):
        for name in os.listdir(cache):
            part = read_name(name) if name.startswith(folder) else None
            if part is None or part.role not in {Role.DOWNLOAD, Role.LEFTOVER} or spare.uid in name:
                continue
            path = f"{cache}{os.sep}{name}"
            written, newest, _ = growth(path, path)
            holder = read_lock(read(path) or "") if part.role is Role.LEFTOVER else None
            if holder and holder_state(holder, written) == "dead":
                Parts(entry, holder.uid).remove()
                remove(path)
            elif newest < before and not is_kept(path, newest, before):
                delete_folder(path)
                remove(path)


def lock_entry(
    entry: str,
    *,
    is_done: Callable[[], bool],
    on_wait: Callable[[Holder | None, int], None],
    timeout: float = LOCK_TIMEOUT,
) -> EntryLock | None:
    """Return the lock of an entry, after waiting for its owner; stale leftovers of the entry are removed.

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
            take_away(entry, text, keep_parts=state == "alive")
            return
        on_wait(holder, size)
        time.sleep(_POLL)


class _Clock:
    """The time by the disk's own clock, which may be another machine's."""

    def __init__(self, entry: str) -> None:
        probe = Parts(entry, uuid.uuid4().hex).lock
        try:
            write_new(probe, "")
            self._offset = os.stat(probe).st_mtime - time.monotonic()
        finally:
            remove(probe)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._offset + time.monotonic()
