"""Progress: who is told how far work is, bars that show it, and threads whose work one bar follows.

The calling thread moves the bar: front ends expect it there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[int], object]  # is told how many more bytes, or pieces, are done


def no_progress(_done: int) -> None:
    """For callers that show nothing."""


class Tally:
    """Bytes done by several threads, and their order to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._count = 0

    def add(self, count: int) -> None:
        """So many more are done.

        Raises:
            InterruptedError: the work is to be given up.
        """
        if self.stopped.is_set():
            raise InterruptedError
        with self._lock:
            self._count += count

    def take(self) -> int:
        """How many are done since the last look."""
        with self._lock:
            count, self._count = self._count, 0
        return count


def run_all(tasks: Iterable[Callable[[Tally], Result]], progress: Progress, *, workers: int) -> list[Result]:
    """The results of the tasks, in their order. The first failure, or an interrupt, ends all of them.

    Args:
        tasks: each is called in a thread, with the tally to add its bytes to.
        progress: told in this thread how many more bytes are done.
        workers: how many run at once.
    """
    tally = Tally()
    with ThreadPoolExecutor(workers, "hub_magic work") as pool:
        pending: list[Future[Result]] = [pool.submit(task, tally) for task in tasks]
        left = set(pending)
        try:
            while left:
                done, left = wait(left, timeout=0.1, return_when=FIRST_EXCEPTION)
                progress(tally.take())
                for one in done:
                    one.result()
        except BaseException:
            tally.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [one.result() for one in pending]


def run_aside(look: Callable[[Tally], Result], progress: Progress) -> Result:
    """What `look` gives, which an interrupt does not wait for: it must change nothing.

    Args:
        look: is called in a thread of its own, with the tally to add to.
        progress: told in this thread, ten times a second, how many more there are.
    """
    tally = Tally()
    found: Future[Result] = Future()

    def work() -> None:
        try:
            found.set_result(look(tally))
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            found.set_exception(error)

    threading.Thread(target=work, name="hub_magic look", daemon=True).start()
    try:
        while not wait([found], timeout=0.1).done:
            progress(tally.take())
    finally:
        tally.stopped.set()
    return found.result()
