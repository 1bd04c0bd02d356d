"""Progress: calls that report how far work is, bars that show it, and threads whose work one bar follows.

The calling thread moves the bar, where front ends expect it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self


Result = TypeVar("Result")
Progress = Callable[[int], object]  # called with the number of further bytes, or pieces, done


def no_progress(_done: int) -> None:
    """Ignore progress, for callers that show none."""


class Tally:
    """The bytes done by several threads, and the order to stop them."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._count = 0

    def add(self, count: int) -> None:
        """Count further bytes as done.

        Raises:
            InterruptedError: the work is to stop.
        """
        if self.stopped.is_set():
            raise InterruptedError
        with self._lock:
            self._count += count

    def take(self) -> int:
        """Return the number of bytes done since the last call."""
        with self._lock:
            count, self._count = self._count, 0
        return count


def run_all(tasks: Iterable[Callable[[Tally], Result]], progress: Progress, *, workers: int) -> list[Result]:
    """Return the results of the tasks, in their order. The first failure, or an interrupt, ends all of them.

    Args:
        tasks: each runs in a thread, with the tally to add its bytes to.
        progress: told in this thread the number of further bytes done.
        workers: the number of threads.
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


def run_in_thread(look: Callable[[Tally], Result], progress: Progress) -> Result:
    """Return the result of `look`, which must change nothing: an interrupt does not wait for it.

    Args:
        look: runs in its own thread, with the tally to add to.
        progress: told in this thread, ten times a second, the number of further things.
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


def is_interactive() -> bool:
    """Return whether a person can see a bar: in a terminal, or a notebook's kernel. Imports nothing."""
    return bool(sys.stderr and sys.stderr.isatty()) or in_kernel()


def in_kernel() -> bool:
    """Return whether this process is a Jupyter kernel."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_shell is None or "ipykernel" not in sys.modules:
        return False
    return getattr(get_shell(), "kernel", None) is not None


class DownloadBar:
    """A bar that appears with the first `show`. Use it in a `with`.

    Args:
        title: the name of the work.
        total: the total number of bytes; None if unknown.
        shown: whether to show anything at all.
    """

    def __init__(self, title: str, total: int | None = None, *, shown: bool) -> None:
        self._title = title
        self._total = total
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, *, title: str = "", note: str = "") -> None:
        """Show the number of bytes done.

        Args:
            done: the bytes done, counted from the beginning.
            title: a new title; the old one stays when it is "".
            note: the reason for waiting.
        """
        if not self._shown:
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                desc=title or self._title,
                total=self._total,
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
            )
        if title and title != self._title:
            self._title = title
            self._bar.set_description_str(title)
        if note != (self._bar.postfix or ""):
            self._bar.set_postfix_str(note)
        if done != self._bar.n:
            self._bar.update(done - self._bar.n)


_DELAY = 0.5  # seconds; a shorter bar could not be read


@contextmanager
def byte_bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show a bar over `total` bytes if the work takes long enough to read it.

    Yields the function to call with the number of further bytes done.
    """
    from tqdm.auto import tqdm

    with tqdm(
        total=total,
        desc=what,
        unit="B",
        unit_scale=True,
        delay=_DELAY,
        leave=False,
        disable=not is_interactive(),
    ) as bar:
        yield bar.update


def with_bar(what: str, look: Callable[[Progress], Result], *, unit: str = "") -> Result:
    """Return the result of `look`; if it takes long, a bar shows the time and counts what `look` reports.

    Args:
        what: the name of the work.
        look: takes the function to call with the number of further things; must change nothing.
        unit: the unit of these things, in the plural; "" if nothing is counted.
    """
    if not is_interactive():
        return look(no_progress)
    from tqdm.auto import tqdm

    count = f": {{n_fmt}} {unit}" if unit else ""
    with tqdm(
        desc=what, bar_format=f"{{desc}}{count}, {{elapsed}}", miniters=0, delay=_DELAY, leave=False
    ) as bar:
        return run_in_thread(lambda tally: look(tally.add), bar.update)
