"""Waiting for the lock on an entry, and taking it over from the dead.

`FOLDER.lock` names its holder, and the holder's files grow in `FOLDER.UID.tmp`. tensorflow_hub sees a killed
holder only after two periods of ten minutes without growth; here a dead process is known at once.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..cache.layout import LOCK_SUFFIX, Holder, read_lock
from ..cache.locks import EntryLock, holder_state, take_lock
from .leftovers import Parts, growth, read, remove, sweep, take_away, write_new

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
