"""An iterator that runs ahead of its reader, in a thread of its own.

Decompressing takes as long as hashing and writing together; both leave the interpreter's lock, so on two
cores they overlap.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_RETRIES = 0.1  # seconds between two looks at whether the other side is still there


class Ahead(Iterator[bytes]):
    """The items of `source`, made while the earlier ones are used.

    Use it in a `with`, and end whatever `source` waits for before leaving it: the thread is waited for.

    Args:
        source: what to iterate over.
        tick: called in the reader's thread before each item, and ten times a second while it waits.
        items: how many may lie ready.
    """

    def __init__(self, source: Iterator[bytes], tick: Callable[[], None], *, items: int = 16) -> None:
        self._source = source
        self._tick = tick
        self._ready: queue.Queue[bytes | BaseException] = queue.Queue(items)
        self._is_left = threading.Event()
        self._end: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hub_magic unpack", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_left.set()
        self._thread.join()

    def __next__(self) -> bytes:
        while self._end is None:
            self._tick()
            try:
                item = self._ready.get(timeout=_RETRIES)
            except queue.Empty:
                continue
            if not isinstance(item, BaseException):
                return item
            self._end = item
        raise self._end

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
            self._put(StopIteration())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the reader gets it
            self._put(error)

    def _put(self, item: bytes | BaseException) -> bool:
        """Whether there was still a reader to take it."""
        while not self._is_left.is_set():
            try:
                self._ready.put(item, timeout=_RETRIES)
            except queue.Full:
                continue
            return True
        return False
