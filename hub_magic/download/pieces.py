"""Reorder buffer: pieces arrive from several connections, one reader consumes them in order."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import dataclass, field

_RETRIES = 0.5  # seconds; on Windows only a wait with an end can be interrupted


@dataclass
class Piece:
    """A part of the archive on its way.

    Attributes:
        index: its place among the pieces.
        end: the position after its last byte; where the archive's size is not known, at the most.
        position: the next byte to come.
        chunks: what has come and was not read yet.
    """

    index: int
    end: int
    position: int
    chunks: deque[bytes] = field(default_factory=deque)


class StoppedError(Exception):
    """Nobody waits for the pieces any more."""


class Pieces:
    """All the pieces. Every method may be called from any thread; `read` from one only.

    Args:
        total: the archive's bytes; None when they are not known.
        size: bytes of a piece.
        window: how many pieces may be on their way or lie ready.
        start: the first byte that is fetched.

    Attributes:
        total: as given, or as it turned out at the end.
        received: bytes that have come.
    """

    def __init__(self, total: int | None, *, size: int, window: int, start: int = 0) -> None:
        self.total = total
        self.received = 0
        self._size = size
        self._window = window
        self._news = threading.Condition()
        self._open: dict[int, Piece] = {}
        self._released: list[int] = []  # a heap of pieces that nobody fetches any more
        self._start = start
        self._next = self._reading = start // size
        self._end: BaseException | None = None

    @property
    def has_more(self) -> bool:
        """Whether there are pieces that nobody fetches yet."""
        return bool(self._released) or not self._is_beyond(self._next)

    def claim(self) -> Piece | None:
        """The first piece that nobody fetches, as soon as there is room for it; None when there is none left.

        Raises:
            StoppedError: nobody waits for it any more.
        """
        with self._news:
            while True:
                self._check_end()
                index = self._released[0] if self._released else self._next
                if self._is_beyond(index):
                    return None
                if index < self._reading + self._window:
                    break
                self._news.wait(_RETRIES)
            if self._released:
                return self._open[heapq.heappop(self._released)]
            self._next += 1
            start = index * self._size
            end = start + self._size if self.total is None else min(start + self._size, self.total)
            self._open[index] = Piece(index, end, max(start, self._start))
            self._news.notify_all()
            return self._open[index]

    def release(self, piece: Piece) -> None:
        """Leave a piece, with what has come of it, to somebody else."""
        with self._news:
            heapq.heappush(self._released, piece.index)
            self._news.notify_all()

    def add(self, piece: Piece, data: bytes) -> None:
        """More of a piece has come.

        Raises:
            StoppedError: nobody waits for it any more.
        """
        with self._news:
            self._check_end()
            piece.chunks.append(data)
            piece.position += len(data)
            self.received += len(data)
            self._news.notify_all()

    def end_with(self, piece: Piece) -> None:
        """The archive, whose size was not known, ends with what has come of this piece."""
        with self._news:
            self.total = piece.end = piece.position
            self._news.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """Let everybody end; the reader with this error."""
        with self._news:
            self._end = self._end or error or StoppedError()
            self._news.notify_all()

    def read(self, timeout: float) -> list[bytes] | None:
        """What comes next, in order; nothing when nothing came in time, None at the end.

        Raises:
            BaseException: the one given to `stop`.
        """
        with self._news:
            if not self._find():
                self._news.wait(timeout)
            piece = self._find()
            # What came before a failure is read first: the next download can go on after it.
            if self._end is not None and (piece is None or isinstance(self._end, StoppedError)):
                raise self._end
            if piece is None:
                return None if self._is_beyond(self._reading) else []
            chunks = list(piece.chunks)
            piece.chunks.clear()
            return chunks

    def _find(self) -> Piece | None:
        """The piece being read, when there is something of it to read."""
        while (piece := self._open.get(self._reading)) is not None:
            if piece.chunks:
                return piece
            if piece.position < piece.end:
                return None
            del self._open[self._reading]
            self._reading += 1
            self._news.notify_all()
        return None

    def _is_beyond(self, index: int) -> bool:
        return self.total is not None and index * self._size >= self.total

    def _check_end(self) -> None:
        if self._end is not None:
            raise StoppedError
