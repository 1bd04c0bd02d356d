"""The channel between kernel and front end: the view, the rows it was told of, and messages both ways.

The front end counts revisions; after a gap it asks for everything. Messages are sent from any thread with
news: a kernel's sockets accept that, and so a running cell delays no message.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import anywidget
import traitlets

from ..cache import CachedModel, CacheScan, Problem
from ..cache.refresh import Survey
from ..care.remove import by_folder, is_loaded
from ..settings import read_mode
from .jobs import Job, Jobs
from .messages import Browser, Messages
from .rows import Patch, Rows, shown

_STATIC = Path(__file__).parent.parent / "static"
# Kinds of problems that the view names in other words.
_KINDS = {"partial download": "unfinished download", "orphan": "leftover", "no descriptor": "unknown model"}

Answer = Callable[[Any], object]


class CacheView(anywidget.AnyWidget):
    """The widget that draws the table.

    Rows travel in `data` when the view is opened and in messages afterwards, so that a changed size does not
    send ten thousand rows again. A page that is loaded anew asks for `data` and gets the rows of that moment.

    Args:
        snapshot: returns everything that the view shows, as JSON values.
        answer: takes a message from the front end.
    """

    _esm = _STATIC / "browser.js"
    _css = _STATIC / "browser.css"
    data = traitlets.Dict(help="what is shown; made when it is first read").tag(
        sync=True, to_json=lambda _value, view: view.snapshot()
    )

    def __init__(self, snapshot: Callable[[], dict[str, Any]], answer: Answer) -> None:
        self.snapshot = snapshot
        super().__init__()
        self.on_msg(lambda _view, content, _buffers: answer(content))


T = TypeVar("T")

# The number of rows sent with the view itself, for its first paint; the others follow in pieces.
_FIRST_ROWS = 200
_PIECE = 2500
# Seconds between two messages from a scan.
_PACE = 0.15
# Seconds that the scan leaves to the first paint.
_HEAD_START = 0.5
# Seconds after which a silent page is told everything anew: the kernel does not hear the page while a cell
# runs.
_ANEW = (1, 4, 16)
_MOST_PROBLEMS = 100


class Channel:
    """The kernel's end of one view.

    Args:
        browser: the object that acts on the front end's messages.
        survey: the known part of the cache so far.
    """

    def __init__(self, browser: Browser, survey: Survey) -> None:
        self._lock = threading.RLock()  # keeps revisions in order
        self._browser = browser
        self._survey = survey
        self._rows = Rows()
        self._rows.update(islice(survey.scan().models, _FIRST_ROWS), self._in_use())
        self._revision = 0
        self._jobs = Jobs(self._show_job)
        self._painted = threading.Event()
        self._messages = Messages(browser, self._rows, self._jobs, send=self.send, greet=self.greet)
        self.view = CacheView(self.snapshot, self._messages.answer)
        threading.Thread(target=self._follow, name="hub_magic: scan", daemon=True).start()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that the view shows."""
        with self._lock:
            return {
                "revision": self._revision,
                "header": self._header(),
                "rows": self._rows.columns(),
                "selected": self._numbers(model.folder for model in self._browser.selection),
                "jobs": [job.to_data() for job in self._jobs.running],
            }

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the front end."""
        self.view.send(message)

    def greet(self, revision: object) -> None:
        """Continue the scan after a page's first rows, and send the page what it missed.

        Messages sent before a page listens are lost, and a page may take seconds to load the view's code.

        Args:
            revision: the last revision that the page knows.
        """
        self._painted.set()
        with self._lock:
            if revision != self._revision:
                self._send_all()

    def show_survey(self, survey: Survey) -> None:
        """Show another survey of the cache in place of the last one."""
        with self._lock:
            self._survey = survey
            models = survey.scan().models
            patch = self._rows.update(models, self._in_use())
            gone = self._rows.keep({model.folder for model in models})
            self._publish(Patch(patch.new, patch.changed, gone.gone))

    def show_selection(self, folders: Iterable[str]) -> None:
        """Show these models as selected."""
        self.send({"event": "selected", "rows": self._numbers(folders)})

    def _show_job(self, job: Job) -> None:
        self.send({"event": "job", "job": job.to_data()})

    def _publish(self, patch: Patch) -> None:
        with self._lock:
            self._revision += 1
            self.send(
                {
                    "event": "patch",
                    "revision": self._revision,
                    "header": self._header(),
                    "new": patch.new,
                    "changed": patch.changed,
                    "gone": patch.gone,
                }
            )

    def _follow(self) -> None:
        """Send the rows that were not sent with the view, and sizes as they become known."""
        self._painted.wait(_HEAD_START)
        for piece in _pieces(self._survey.scan().models[_FIRST_ROWS:], _PIECE):
            self._show_models(piece, self._survey)
        survey = self._survey
        while not survey.is_done:
            self._show_models(survey.look(_PACE), survey)
        # Models measured in the meantime by others, such as the first paint or `browser.scan`.
        self._show_models(survey.scan().models, survey)
        for pause in _ANEW:
            if self._painted.wait(pause):
                break
            self._send_all()

    def _send_all(self) -> None:
        with self._lock:
            self.send({"event": "all", "data": self.snapshot()})

    def _show_models(self, models: Iterable[CachedModel], survey: Survey) -> None:
        with self._lock:
            if survey is self._survey:  # not overtaken by a refresh
                self._publish(self._rows.update(models, self._in_use()))

    def _numbers(self, folders: Iterable[str]) -> list[int]:
        return [number for folder in folders if (number := self._rows.number(folder))]

    def _in_use(self) -> set[str]:
        """Return the folders of the entries that this kernel has loaded."""
        used = by_folder(self._browser.loaded())
        return {folder for folder in used if is_loaded(f"{self._browser.location}/{folder}", used)}

    def _header(self) -> dict[str, Any]:
        scan = self._survey.scan()
        return {
            "location": shown(self._browser.location, 1000),
            "mode": shown(read_mode().value),
            "count": len(scan.models),
            "looked": self._survey.looked_at,
            "free": scan.free,
            "disk": _disk(scan),
            "problems": [_problem(problem) for problem in _lasting(scan)[:_MOST_PROBLEMS]],
            "troubles": len(_lasting(scan)),
        }


def _pieces(items: Iterable[T], length: int) -> Iterator[list[T]]:
    rest = iter(items)
    while piece := list(islice(rest, length)):
        yield piece


def _disk(scan: CacheScan) -> int:
    """Return the size of the whole disk in bytes; -1 if there is no such number, or no cache yet."""
    try:
        return shutil.disk_usage(scan.location).total
    except OSError:
        return -1


def _lasting(scan: CacheScan) -> list[Problem]:
    """Return the problems that no row of the table shows."""
    return [problem for problem in scan.problems if problem.kind != "damaged"]


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "kind": _KINDS.get(problem.kind, problem.kind),
        "where": shown(problem.title),
        "reason": shown(problem.reason),
        "size": problem.size,
    }
