"""Transfer an archive's bytes over HTTP in order, across failures and several connections.

One connection fetches piece after piece. While whoever unpacks has to wait for the network, further ones join
in where the host gives ranges, each taking the next piece that nobody has: a host that holds each connection
to 20 MB/s gives several of them more. A connection that breaks off leaves its piece to the others with what
has come of it; the last one tries again, from the very byte.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ..quantities import size
from .decode import Digests
from .http import Body, Facts, PassingError, Source
from .pieces import Piece, Pieces, StoppedError
from .web import RetryPolicy, Web, retry_policy

if TYPE_CHECKING:
    from typing_extensions import Self

    from .spool import Spool

_CHUNK = 1 << 17  # larger ones cost a page fault for every 4 kB
_PIECE = 4 << 20
_WINDOW = 10  # pieces, so at most 40 MB in memory
_HUNGER = 0.05  # seconds without a byte to unpack after which another connection joins in
_PROGRESS = 1 << 16  # bytes that make a failure the first one again
_FIRST_TRIES = 3  # at a host that does not answer: a misspelt name should not take long


class Transfer:
    """The bytes of an archive. Use it in a `with`; leaving it ends every connection.

    Args:
        handle: what the user calls the archive, for messages.
        url: where it is.
        retries: how long to wait, and how often to try again.
        notice: takes a line for the user, when the host has to be asked again.
        connections: at most so many at a time.
        piece: bytes of a piece.
        spool: keeps what comes, and has what an earlier download has left; None for neither.

    Attributes:
        facts: what the host says of the archive.
        start: bytes that an earlier download has left.
        note: what it is waiting for, in words; "" while bytes come.

    Raises:
        DownloadError: the host cannot be reached or refuses; raised on entering the `with`.
    """

    facts: Facts

    def __init__(
        self,
        handle: str,
        url: str,
        *,
        retries: RetryPolicy | None = None,
        notice: Callable[[str], None],
        connections: int = 6,
        piece: int = _PIECE,
        spool: Spool | None = None,
    ) -> None:
        self.note = ""
        self.start = 0
        self._spool = spool
        self._notice = notice
        self._retries = retries or retry_policy()
        self._most_hands = connections
        self._piece = piece
        self._web = Web(self._retries, connections=connections)
        self._source = Source(handle, url, self._web, spool.kept if spool else None)
        self._pieces = Pieces(None, size=piece, window=_WINDOW)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._hands = 0
        self._threads: list[threading.Thread] = []
        self._bodies: set[Body] = set()
        self._failures = 0
        self._received_then = 0

    def __enter__(self) -> Self:
        try:
            body = self._connect()
        except BaseException:
            self._web.close()
            raise
        assert self._source.facts is not None  # noqa: S101 - set by the first answer
        self.facts = self._source.facts
        self.start = body.position
        self._pieces = Pieces(self.facts.size, size=self._piece, window=_WINDOW, start=self.start)
        if self._spool:
            if not self.start:
                self._spool.discard()
            self._spool.begin(self.facts)
        self._bodies.add(body)
        self._first = body
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(1)  # with urllib3 before 2.3 a silent connection ends only with its timeout
        if not self._threads:
            self._first.close()
        self._web.close()

    def stop(self) -> None:
        """Let every connection end, and whoever reads `chunks` in another thread."""
        self._stopped.set()
        self._pieces.stop()
        with self._lock:
            bodies = tuple(self._bodies)
        for body in bodies:
            body.abort()

    @property
    def received(self) -> int:
        """Bytes received so far over the network."""
        return self._pieces.received

    def chunks(self) -> Iterator[bytes]:
        """The archive's bytes in order.

        Raises:
            DownloadError: they cannot be had.
            RestartError: the archive changed at the host while it was fetched.
            ArchiveDamagedError: they are not those whose digest the host gives.
        """
        digests = Digests(self.facts.digests)
        self._hire(_Hand(self._first))
        for chunk in self._spool.read() if self._spool else ():
            digests.update(chunk)
            yield chunk
        hunger = 0.0
        while True:
            before = time.monotonic()
            chunks = self._pieces.read(0.1)
            hunger += time.monotonic() - before
            if chunks is None:
                break
            for chunk in chunks:
                digests.update(chunk)
                if self._spool:
                    self._spool.add(chunk)
                yield chunk
            if self._spool and not chunks:
                self._spool.look()
            if hunger > _HUNGER and self._may_hire():
                hunger = 0
                self._hire(_Hand())
        digests.check()

    def _may_hire(self) -> bool:
        if not self._pieces.has_more:
            return False
        if self._hands == 0:  # the last one ended just before another left it a piece
            return True
        return (
            self.facts.has_ranges
            and self._pieces.total is not None
            and self._hands < self._most_hands
            and self._pieces.received >= self._piece  # the first bytes may take a while with any host
        )

    def _hire(self, hand: _Hand) -> None:
        with self._lock:
            self._hands += 1
        thread = threading.Thread(target=self._work, args=(hand,), name="hub_magic download", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _leave(self) -> bool:
        """Whether this connection may be given up, because others are at work; then there will be no more."""
        with self._lock:
            if self._hands < 2:
                return False
            self._hands -= 1
            self._most_hands = self._hands
            return True

    def _work(self, hand: _Hand) -> None:
        """Fetch pieces until there are none left, or until this connection is better given up."""
        try:
            while (piece := self._pieces.claim()) is not None:
                try:
                    self._fetch(piece, hand)
                except PassingError as error:
                    self._drop(hand)
                    self._pieces.release(piece)
                    if self._leave():
                        return
                    self._wait_after(error, self._retries.tries)
            with self._lock:
                self._hands -= 1
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the reader raises it
            self._pieces.stop(error)
        finally:
            self._drop(hand)

    def _fetch(self, piece: Piece, hand: _Hand) -> None:
        """Fetch what is missing of a piece. The answer that it comes from may go on where the piece ends."""
        if hand.body is None or not hand.body.continues_at(piece.position):
            self._drop(hand)
            hand.body = self._source.open(piece.position, piece.end if self._hands > 1 else None)
            self._keep(hand.body)
        while piece.position < piece.end:
            data = hand.body.read(min(_CHUNK, piece.end - piece.position))
            if data:
                self._pieces.add(piece, data)
            elif self._pieces.total is None:
                self._pieces.end_with(piece)
            else:
                missing = self._pieces.total - piece.position
                raise hand.body.broken_off(f"it ended with {size(missing)} missing")

    def _keep(self, body: Body) -> None:
        with self._lock:
            self._bodies.add(body)
        if self._stopped.is_set():
            raise StoppedError

    def _drop(self, hand: _Hand) -> None:
        if hand.body is not None:
            hand.body.close()
            with self._lock:
                self._bodies.discard(hand.body)
            hand.body = None

    def _connect(self) -> Body:
        while True:
            try:
                return self._source.open()
            except PassingError as error:
                if error.is_answer and not self._failures:
                    self._notice(f"{str(error.failure(1)).partition('. ')[0]}. Trying again.")
                self._wait_after(error, self._retries.tries if error.is_answer else _FIRST_TRIES)

    def _wait_after(self, error: PassingError, tries: int) -> None:
        """Wait before another try, longer after each failure.

        Raises:
            DownloadError: that was the last try.
            StoppedError: nobody waits for it any more.
        """
        progress = self.received - self._received_then
        self._failures = 1 if progress >= _PROGRESS else self._failures + 1
        self._received_then = self.received
        if self._failures >= min(tries, self._retries.tries):
            raise error.failure(self._failures) from error
        self._web.failures = self._failures
        pause = self._retries.pause * 2 ** (self._failures - 1) * random.uniform(1, 1.5)  # noqa: S311
        pause = min(max(pause, error.pause), self._retries.longest)
        self.note = f"trying again in {pause:.0f} s"
        if self._stopped.wait(pause):
            raise StoppedError
        self.note = ""


class _Hand:
    """One connection at work."""

    def __init__(self, body: Body | None = None) -> None:
        self.body = body
