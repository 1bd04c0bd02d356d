"""Acts that take a while, each in a thread of its own, so that the kernel stays free for cells.

A job reports its progress and can be cancelled: every act calls the job with what is done, and in that call a
cancelled job ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from ..errors import HubMagicError
from ..progress import DownloadBar

State = Literal["running", "done", "failed", "cancelled"]

# Seconds between two reports; a bar need not move more often.
_PACE = 0.1
INTERNAL_ERROR = "Internal error in hub_magic; details are in the kernel log. Please report it."


class CancelledError(BaseException):
    """The user has cancelled the act. No `Exception`, so that no handler takes it for a failure."""


class JobBar(DownloadBar):
    """The bar of a download, shown as a job."""

    def __init__(self, job: Job, title: str, total: int | None) -> None:
        super().__init__(title, total, shown=False)
        self._job = job
        job.check()

    def show(self, done: int, *, title: str = "", note: str = "") -> None:
        """Report the number of bytes done.

        Raises:
            CancelledError: the user has cancelled the act.
        """
        self._job.note = note or title
        self._job.move(done, self._total or 0)


class Job:
    """A running act. The act calls the job with the number of further things done.

    Args:
        number: the number by which the front end knows it.
        title: what is being done, in words.
        report: called with the job when it has moved or ended.
        unit: the unit of what is counted: "bytes", or things.
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
        """Count further things as done.

        Raises:
            CancelledError: the user has cancelled the act.
        """
        self.move(self.done + count, self.total)

    def move(self, done: int, total: int) -> None:
        """Set the number of things done and the total; a total of 0 means unknown.

        Raises:
            CancelledError: the user has cancelled the act.
        """
        self.check()
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self._reported >= _PACE:
            self._reported = now
            self._report(self)

    def bar(self, title: str, total: int | None) -> JobBar:
        """Return a bar for a download that this job carries out."""
        return JobBar(self, title, total)

    def check(self) -> None:
        """Do nothing, unless the user has cancelled the act.

        Raises:
            CancelledError: the user has cancelled the act.
        """
        if self._cancelled.is_set():
            raise CancelledError

    def cancel(self) -> None:
        """End the act at its next report."""
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, `timeout` seconds at most, and return whether it has come."""
        return self._ended.wait(timeout)

    def run(self, act: Callable[[Job], str]) -> None:
        """Carry the act out, and announce the text that it returns."""
        state: State = "failed"
        text = f"{self.title}: {INTERNAL_ERROR}"
        try:
            text = act(self)
            state = "done"
        except CancelledError:
            state, text = "cancelled", f"{self.title}: cancelled."
        except (HubMagicError, OSError) as error:
            text = f"{self.title}: {error}"
        finally:  # any other error goes to the thread's hook, which prints it
            self.state, self.text = state, text
            self._ended.set()
            self._report(self)

    def to_data(self) -> dict[str, Any]:
        """Return the job in the form that the front end reads."""
        names = ("number", "title", "unit", "subject", "done", "total", "state", "note", "text")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """The jobs of one browser.

    Args:
        report: called with a job when it begins, moves or ends.
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
        """Start an act and return its job.

        Args:
            title: what is being done, in words.
            act: takes the job, calls it with what is done, and returns the text to announce at the end.
            unit: the unit of what is counted: "bytes", or things.
            subject: the handle being fetched, or "".
        """
        with self._lock:
            self._last += 1
            job = Job(self._last, title, self._tell, unit=unit, subject=subject)
            self._running[job.number] = job
        self._report(job)
        # A daemon, because a kernel that shuts down does not wait for a download.
        threading.Thread(target=job.run, args=(act,), name=f"hub_magic: {title}", daemon=True).start()
        return job

    def cancel(self, number: object) -> bool:
        """End a job, and return whether there was one with this number."""
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
