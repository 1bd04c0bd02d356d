"""Messages from the front end, and the browser's method that answers each.

A message is `{"do": WORD, "ask": NUMBER, ...}`; its answer carries the number back as `re`. A message comes
from a page, so nothing in it is trusted: rows are numbers that the kernel has assigned, and text is only ever
a handle or a size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

from ..care.remove import Removal
from ..errors import HubMagicError, NotCachedError
from ..handles import parse_handle
from ..progress import Progress, no_progress
from ..quantities import plural
from .details import details_data, removal_data, removed_line, repaired_line, verified_line
from .jobs import INTERNAL_ERROR, Job, Jobs
from .rows import Rows, shown

if TYPE_CHECKING:
    from ..cache import CachedModel, CacheScan
    from ..cache.verify import Verification
    from ..care.remove import Removed
    from ..care.repair import Repaired
    from ..download import Fetched
    from ..download.new_entry import MakeBar
    from .details import ModelDetails

Message = dict[str, Any]
Reply = dict[str, Any]
Act = Callable[[Message], Reply]

# What a page may send: the type of each value, and the most characters or items.
_TYPES: dict[str, type] = {
    "do": str,
    "ask": int,
    "revision": int,
    "rows": list,
    "handle": str,
    "size": str,
    "plan": int,
    "job": int,
    "deep": bool,
}
_LONGEST = 4096
_MOST_ROWS = 1_000_000
_MOST_NUMBER = 1 << 53  # above it a page's numbers are not exact


def within_limits(message: Message) -> Message:
    """Return the parts of a message that a page may send; parts of another type or length are left out."""
    return {key: value for key, kind in _TYPES.items() if _fits(value := message.get(key), kind)}


def _fits(value: Any, kind: type) -> bool:
    if type(value) is not kind:
        return False
    if isinstance(value, int):
        return abs(value) < _MOST_NUMBER
    return isinstance(value, (str, list)) and len(value) <= (_LONGEST if kind is str else _MOST_ROWS)


# Acts that read files, or need all sizes; the kernel's own thread stays free for cells.
_SLOW = frozenset({"describe", "plan remove", "plan prune"})


class Browser(Protocol):
    """The cache browser as a view sees it: what the view shows, and what its buttons call."""

    location: str

    @property
    def scan(self) -> CacheScan:
        """Return everything in the cache."""

    @property
    def selection(self) -> tuple[CachedModel, ...]:
        """Return the selected models."""

    def loaded(self) -> Collection[str]:
        """Return the paths of the entries that this kernel has loaded."""

    def select(self, *which: str | CachedModel, show: bool = True) -> tuple[CachedModel, ...]:
        """Select models."""

    def describe(self, which: str | CachedModel) -> ModelDetails:
        """Return the details of a model."""

    def plan_removal(self, *which: str | CachedModel) -> Removal:
        """Return what removing models would do."""

    def plan_prune(self, max_size: str) -> Removal:
        """Return what pruning to a size would remove."""

    def carry_out(self, plan: Removal, progress: Progress = no_progress) -> Removed:
        """Carry out a plan."""

    def verify(
        self, *which: str | CachedModel, deep: bool = False, progress: Progress = no_progress
    ) -> Verification:
        """Check models."""

    def repair(self, *which: str | CachedModel, bar: MakeBar | None = None) -> Repaired:
        """Repair models."""

    def fetch(self, handle: str, *, bar: MakeBar | None = None) -> Fetched:
        """Fetch a model."""

    def refresh(self) -> CacheScan:
        """Look at the cache again."""


class Messages:
    """The answers to the front end of one view.

    Args:
        browser: the object that does the work.
        send: sends a message to the front end.
        greet: called with the revision that a page knows, once the page has drawn its first rows.
        rows: the rows that the front end knows.
        jobs: the jobs for long acts.
    """

    def __init__(
        self,
        browser: Browser,
        rows: Rows,
        jobs: Jobs,
        *,
        send: Callable[[dict[str, Any]], None],
        greet: Callable[[object], None],
    ) -> None:
        self._browser = browser
        self._send = send
        self._greet = greet
        self._rows = rows
        self._jobs = jobs
        self._plans: dict[int, Removal] = {}
        self._acts: dict[str, Act] = {
            "hello": self._hello,
            "select": self._select,
            "describe": self._describe,
            "plan remove": self._plan_remove,
            "plan prune": self._plan_prune,
            "carry out": self._carry_out,
            "verify": self._verify,
            "repair": self._repair,
            "fetch": self._fetch,
            "refresh": self._refresh,
            "cancel": self._cancel,
        }

    def answer(self, message: Any) -> None:
        """Do what a message requests, and answer it."""
        if not isinstance(message, dict):
            return
        message = within_limits(message)
        act = self._acts.get(message.get("do", ""))
        if act is None:
            self._reply(message, {"error": "This view is out of date. Run the cell again."})
        elif message["do"] in _SLOW:
            threading.Thread(target=self._do, args=(act, message), name="hub_magic: ask", daemon=True).start()
        else:
            self._do(act, message)

    def _do(self, act: Act, message: Message) -> None:
        reply: Reply = {"error": INTERNAL_ERROR}
        try:
            reply = act(message)
        except (HubMagicError, OSError) as error:
            reply = {"error": shown(str(error), 1000)}
        # any other error goes on to the kernel's log, and the front end does not wait forever
        finally:
            self._reply(message, reply)

    def _reply(self, message: Message, reply: Reply) -> None:
        self._send({"re": message.get("ask"), **reply})

    def _hello(self, message: Message) -> Reply:
        self._greet(message.get("revision"))
        return {}

    def _select(self, message: Message) -> Reply:
        self._browser.select(*self._folders(message), show=False)
        return {}

    def _describe(self, message: Message) -> Reply:
        (folder,) = self._chosen(message)[:1]
        return {"details": details_data(self._browser.describe(folder))}

    def _plan_remove(self, message: Message) -> Reply:
        return self._keep(message, self._browser.plan_removal(*self._chosen(message)))

    def _plan_prune(self, message: Message) -> Reply:
        return self._keep(message, self._browser.plan_prune(str(message.get("size"))))

    def _keep(self, message: Message, plan: Removal) -> Reply:
        """Keep a plan until the user confirms it; a plan without an answer is forgotten."""
        number = message.get("ask", 0)
        self._plans = {number: plan}
        return {"plan": {"number": number, **removal_data(plan)}}

    def _carry_out(self, message: Message) -> Reply:
        plan = self._plans.pop(message.get("plan", 0), None)
        if plan is None:
            raise NotCachedError("The cache has changed. Make the plan again.")

        def act(job: Job) -> str:
            job.total = plan.size
            return removed_line(self._browser.carry_out(plan, job))

        return self._start(f"Removing {plural(len(plan.going), 'model')}", act, unit="bytes")

    def _verify(self, message: Message) -> Reply:
        folders = self._folders(message)
        deep = message.get("deep") is True

        def act(job: Job) -> str:
            models = self._browser.scan.models
            chosen = [model for model in models if not folders or model.folder in folders]
            job.total = sum(max(model.size, 0) for model in chosen) if deep else len(chosen)
            return verified_line(self._browser.verify(*folders, deep=deep, progress=job))

        what = plural(len(folders), "model") if folders else "all models"
        return self._start(f"Checking {what}", act, unit="bytes" if deep else "")

    def _fetch(self, message: Message) -> Reply:
        handle = parse_handle(str(message.get("handle", "")).strip())

        def act(job: Job) -> str:
            was_cached = self._browser.fetch(handle.text, bar=job.bar).was_cached
            return f"Already cached: {shown(handle.text)}" if was_cached else f"Fetched {shown(handle.text)}."

        return self._start(f"Fetching {shown(handle.text)}", act, unit="bytes", subject=shown(handle.name))

    def _repair(self, message: Message) -> Reply:
        folders = self._folders(message)
        what = plural(len(folders), "model") if folders else "the cache"
        return self._start(
            f"Repairing {what}",
            lambda job: repaired_line(self._browser.repair(*folders, bar=job.bar)),
            unit="bytes",
        )

    def _refresh(self, _message: Message) -> Reply:
        def act(_job: Job) -> str:
            return f"Refreshed: {plural(len(self._browser.refresh().models), 'model')}."

        return self._start("Refreshing", act)

    def _cancel(self, message: Message) -> Reply:
        self._jobs.cancel(message.get("job"))
        return {}

    def _start(self, title: str, act: Callable[[Job], str], *, unit: str = "", subject: str = "") -> Reply:
        return {"job": self._jobs.start(title, act, unit=unit, subject=subject).number}

    def _folders(self, message: Message) -> tuple[str, ...]:
        """Return the folders of the rows that a message names; rows that are gone are skipped."""
        numbers = message.get("rows")
        found = map(self._rows.folder, numbers if isinstance(numbers, list) else ())
        return tuple(folder for folder in found if folder)

    def _chosen(self, message: Message) -> tuple[str, ...]:
        folders = self._folders(message)
        if not folders:
            raise NotCachedError("The selected models are no longer in the cache.")
        return folders
