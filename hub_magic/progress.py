"""Progress: who is told how far work is, bars that show it, and threads whose work one bar follows.

The calling thread moves the bar: front ends expect it there.
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


def has_audience() -> bool:
    """Whether somebody sees a bar: a terminal, or a notebook behind a kernel. Imports nothing."""
    return bool(sys.stderr and sys.stderr.isatty()) or in_kernel()


def in_kernel() -> bool:
    """Whether this process is a Jupyter kernel."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_shell is None or "ipykernel" not in sys.modules:
        return False
    return getattr(get_shell(), "kernel", None) is not None


class DownloadBar:
    """A bar, which appears with the first `show`. Use it in a `with`.

    Args:
        title: what is under way.
        total: bytes there will be; None when that is not known.
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
        """So many bytes there are.

        Args:
            done: bytes, counted from the beginning.
            title: a new title; the old one stays when it is "".
            note: what it waits for.
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


_DELAY = 0.5  # seconds, which is too short for a bar to be read


@contextmanager
def byte_bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar over that many bytes, which shows up only when it takes long enough to be read.

    Gives the function that is told how many more are done.
    """
    from tqdm.auto import tqdm

    with tqdm(
        total=total,
        desc=what,
        unit="B",
        unit_scale=True,
        delay=_DELAY,
        leave=False,
        disable=not has_audience(),
    ) as bar:
        yield bar.update


def with_bar(what: str, look: Callable[[Progress], Result], *, unit: str = "") -> Result:
    """What `look` gives; when that takes long enough, a bar shows the time, and counts what `look` tells.

    Args:
        what: what is under way.
        look: is told whom to tell how many more there are. It must change nothing: see `run_aside`.
        unit: what these are, in the plural; "" where nothing is counted.
    """
    if not has_audience():
        return look(no_progress)
    from tqdm.auto import tqdm

    count = f": {{n_fmt}} {unit}" if unit else ""
    with tqdm(
        desc=what, bar_format=f"{{desc}}{count}, {{elapsed}}", miniters=0, delay=_DELAY, leave=False
    ) as bar:
        return run_aside(lambda tally: look(tally.add), bar.update)
