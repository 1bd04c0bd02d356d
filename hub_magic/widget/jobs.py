"""Acts that take a while, each in a thread of its own, so that the kernel stays free for cells.

A job tells how far it is and can be cancelled: every act calls back with what it has done, and that call is
where a cancelled job ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from ..errors import HubMagicError
from ..progress import DownloadBar

State = Literal["running", "done", "failed", "cancelled"]

# Seconds between two reports, which is as often as a bar need move.
_PACE = 0.1
INTERNAL_ERROR = "Internal error in hub_magic; details are in the kernel log. Please report it."


class CancelledError(BaseException):
    """The user wants the act no more. No `Exception`, so that nothing on the way takes it for a failure."""


class JobBar(DownloadBar):
    """The bar of a download, for which a job stands."""

    def __init__(self, job: Job, title: str, total: int | None) -> None:
        super().__init__(title, total, shown=False)
        self._job = job
        job.check()

    def show(self, done: int, *, title: str = "", note: str = "") -> None:
        """So many bytes there are.

        Raises:
            CancelledError: the user wants the act no more.
        """
        self._job.note = note or title
        self._job.move(done, self._total or 0)


class Job:
    """An act under way. It is called with what more has been done, and given to the act for that.

    Args:
        number: by which the front end knows it.
        title: what is being done, in words.
        report: told of the job when it has moved or ended.
        unit: what is counted: "bytes", or things.
        subject: the handle being fetched, or "".
    """

    def __init__(
        self, number: int, title: str, report: Callable[[Job], object], *, unit: str = "", subject: str = ""
    ) -> None:
        self.number = number
        self.title = title
        self.unit = unit
        self.subject = subject
        self.done = 0
        self.total = 0
        self.state: State = "running"
        self.note = ""
        self.text = ""
        self._report = report
        self._reported = 0.0
        self._cancelled = threading.Event()
        self._ended = threading.Event()

    def __call__(self, count: int) -> None:
        """So many more are done.

        Raises:
            CancelledError: the user wants the act no more.
        """
        self.move(self.done + count, self.total)

    def move(self, done: int, total: int) -> None:
        """So many are done of so many; a total of 0 is not known.

        Raises:
            CancelledError: the user wants the act no more.
        """
        self.check()
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self._reported >= _PACE:
            self._reported = now
            self._report(self)

    def bar(self, title: str, total: int | None) -> JobBar:
        """A bar for a download that this job carries out."""
        return JobBar(self, title, total)

    def check(self) -> None:
        """Do nothing, unless the user wants the act no more.

        Raises:
            CancelledError: the user wants the act no more.
        """
        if self._cancelled.is_set():
            raise CancelledError

    def cancel(self) -> None:
        """Have the act end at its next report."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come, after so many seconds at most."""
        return self._ended.wait(timeout)

    def run(self, act: Callable[[Job], str]) -> None:
        """Carry the act out; what it returns is announced."""
        state: State = "failed"
        text = f"{self.title}: {INTERNAL_ERROR}"
        try:
            text = act(self)
            state = "done"
        except CancelledError:
            state, text = "cancelled", f"{self.title}: cancelled."
        except (HubMagicError, OSError) as error:
            text = f"{self.title}: {error}"
        finally:  # any other error goes on to the thread's hook, which prints it
            self.state, self.text = state, text
            self._ended.set()
            self._report(self)

    def to_data(self) -> dict[str, Any]:
        """The job as the front end takes it."""
        names = ("number", "title", "unit", "subject", "done", "total", "state", "note", "text")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """The jobs of one browser.

    Args:
        report: told of a job when it begins, moves or ends.
    """

    def __init__(self, report: Callable[[Job], object]) -> None:
        self._report = report
        self._running: dict[int, Job] = {}
        self._last = 0
        self._lock = threading.Lock()

    @property
    def running(self) -> tuple[Job, ...]:
        """The jobs that have not ended, oldest first."""
        with self._lock:
            return tuple(self._running.values())

    def start(self, title: str, act: Callable[[Job], str], *, unit: str = "", subject: str = "") -> Job:
        """Begin an act.

        Args:
            title: what is being done, in words.
            act: takes the job, calls it with what has been done, and gives what is announced at the end.
            unit: what is counted: "bytes", or things.
            subject: the handle being fetched, or "".
        """
        with self._lock:
            self._last += 1
            job = Job(self._last, title, self._tell, unit=unit, subject=subject)
            self._running[job.number] = job
        self._report(job)
        # As a daemon, for a kernel that is shut down does not wait for a download.
        threading.Thread(target=job.run, args=(act,), name=f"hub_magic: {title}", daemon=True).start()
        return job

    def cancel(self, number: object) -> bool:
        """Have a job end; whether there was one with this number."""
        with self._lock:
            job = self._running.get(number) if type(number) is int else None
        if job:
            job.cancel()
        return job is not None

    def _tell(self, job: Job) -> None:
        if job.state != "running":
            with self._lock:
                self._running.pop(job.number, None)
        self._report(job)
