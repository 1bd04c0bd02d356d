"""Repair a cache: remove leftovers, and download damaged models again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..cache.leftovers import SWEPT
from ..cache.quarantine import StaysError
from ..cache.scan import Problem
from ..cache.verify import Checked, Verification
from ..download.fetching import fetch
from ..download.new_entry import MakeBar, adding
from ..errors import HandleError, HubMagicError
from ..facts import Fact
from ..handles import parse_handle
from ..progress import DownloadBar, is_interactive
from ..store import Store, open_store, verify


@dataclass(frozen=True, slots=True)
class Repaired(Fact):
    """What a repair did.

    Attributes:
        location: the cache.
        checked: how many entries had been checked.
        swept: locks and leftovers that are gone.
        fetched: the damaged entries that were downloaded again.
        left: what is still wrong, and why.
        freed: bytes freed by taking leftovers away.

    Example:
        >>> plan_repair().execute().freed
        0
    """

    location: str
    checked: int
    swept: tuple[Problem, ...]
    fetched: tuple[Checked, ...]
    left: tuple[Problem, ...]
    freed: int


@dataclass(frozen=True, slots=True)
class Repair(Fact):
    """What a repair would do. Nothing has been done yet: `execute()` does it.

    Attributes:
        location: the cache.
        checked: how many entries were checked.
        sweeping: locks and leftovers of the dead, to be taken away.
        fetching: damaged entries to be downloaded again.
        left: what is wrong and cannot be mended here, and why.

    Example:
        >>> plan_repair().sweeping
        ()
    """

    location: str
    checked: int
    sweeping: tuple[Problem, ...]
    fetching: tuple[Checked, ...]
    left: tuple[Problem, ...]

    def execute(self, *, bar: MakeBar | None = None) -> Repaired:
        """Sweep and download; what turns out to be somebody's work stays.

        Args:
            bar: makes the bars of the downloads; the usual ones when None.
        """
        store = open_store(self.location)
        make_bar = bar or partial(DownloadBar, shown=is_interactive())
        with make_bar(f"Clearing {self.location}", None) as shown:
            swept, freed = store.sweep(self.sweeping, adding(shown, quiet=1))
        fetched, left = [], list(self.left)
        for one in self.fetching:
            why_not = _fetch_again(store, one, bar)
            if why_not:
                left.append(_damage(one, why_not))
            else:
                fetched.append(one)
        done = {problem.name for problem in swept}
        left += [problem for problem in self.sweeping if problem.name not in done]
        return Repaired(self.location, self.checked, swept, tuple(fetched), tuple(left), freed)


def plan_repair(verification: Verification | None = None) -> Repair:
    """Return what can be repaired of what a check has found; its `execute()` carries it out.

    Args:
        verification: what the check found; a quick check of the cache in force when None.

    Raises:
        SettingError: the cache cannot be listed.

    Example:
        >>> plan_repair().fetching
        ()
    """
    verification = verify() if verification is None else verification
    store = open_store(verification.location)
    sweeping: list[Problem] = []
    fetching: list[Checked] = []
    left: list[Problem] = []
    for problem in verification.problems:
        if problem.kind in SWEPT:
            (left if store.is_at_work(problem) else sweeping).append(problem)
        elif problem.kind != "no descriptor":
            left.append(problem)
    for one in verification.damaged:
        why_not = _why_unfetchable(one)
        if why_not:
            left.append(_damage(one, why_not))
        else:
            fetching.append(one)
    checked = len(verification.checked)
    return Repair(verification.location, checked, tuple(sweeping), tuple(fetching), tuple(left))


def _why_unfetchable(one: Checked) -> str:
    """Why a damaged entry cannot be downloaded again, or ""."""
    if one.model.link:
        return f"it is a link to {one.model.link}, where it has to be repaired; or remove the link"
    try:
        handle = parse_handle(one.model.handle)
    except HandleError:
        return "its handle is unknown (no descriptor file); remove it"
    if handle.kind == "path" or handle.folder != one.model.folder:
        return "its descriptor file contains no handle; remove it"
    return ""


def _damage(one: Checked, why_not: str) -> Problem:
    reason = f"{one.damage}; {why_not}"
    return Problem("damaged", one.model.folder, reason, one.size, one.model.handle)


def _fetch_again(store: Store, one: Checked, bar: MakeBar | None) -> str | None:
    """Download a damaged entry again: return why that failed, or None. Until then the damaged copy stays."""
    try:
        with store.replacing(one.model):
            fetch(
                one.model.handle, location=store.location, notice=lambda _line: None, bar=bar, fall_back=False
            )
    except StaysError as error:
        return str(error)
    except (HubMagicError, OSError) as error:
        return f"downloading it again failed: {error}"
    return None
