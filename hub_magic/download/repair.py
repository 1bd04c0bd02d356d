"""Mending a cache: what the dead left is taken away, and what is damaged is downloaded again."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..cache.aside import StaysError, delete_aside, set_aside
from ..cache.locks import take_lock
from ..cache.record import find_damage
from ..cache.scan import Problem
from ..cache.verify import Checked, Verification
from ..errors import HandleError, HubMagicError
from ..facts import Fact
from ..handles import parse_handle
from ..locations import is_bucket
from ..progress import DownloadBar, has_audience
from .fetching import fetch
from .new_entry import MakeBar
from .sweep import SWEPT, is_at_work, sweep


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
        swept, freed = _sweep(self.location, self.sweeping, bar)
        fetched, left = [], list(self.left)
        for one in self.fetching:
            why_not = _fetch_again(self.location, one, bar)
            if why_not:
                left.append(_damage(one, why_not))
            else:
                fetched.append(one)
        done = {problem.name for problem in swept}
        left += [problem for problem in self.sweeping if problem.name not in done]
        return Repaired(self.location, self.checked, swept, tuple(fetched), tuple(left), freed)


def plan_repair(verification: Verification) -> Repair:
    """What can be mended of what a check has found. Reads locks, and changes nothing."""
    sweeping: list[Problem] = []
    fetching: list[Checked] = []
    left: list[Problem] = []
    for problem in verification.problems:
        if problem.kind in SWEPT:
            (left if is_at_work(verification.location, problem) else sweeping).append(problem)
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
    try:
        handle = parse_handle(one.model.handle)
    except HandleError:
        return "nothing says where it came from; remove it"
    if handle.kind == "path" or handle.folder != one.model.folder:
        return "its descriptor does not say where it came from; remove it"
    return ""


def _damage(one: Checked, why_not: str) -> Problem:
    reason = f"{one.damage}; {why_not}"
    return Problem("damaged", one.model.folder, reason, one.size, one.model.handle)


def _fetch_again(location: str, one: Checked, bar: MakeBar | None) -> str:
    """Download a damaged entry again: why that failed, or ""; until it is there, the damaged copy stays."""
    entry = one.model.path
    if is_bucket(location):
        return _fetch_into_bucket_again(location, one)
    aside = ""
    try:
        if not find_damage(entry):  # a download would take it for whole
            aside = set_aside(location, one.model, beside=())
        fetch(one.model.handle, location=location, notice=lambda _line: None, bar=bar)
    except StaysError as error:
        return str(error)
    except (HubMagicError, OSError) as error:
        _put_back(aside, entry)
        return f"downloading it again failed: {error}"
    except BaseException:
        _put_back(aside, entry)
        raise
    if aside:
        delete_aside(aside)
    return ""


def _sweep(
    location: str, planned: tuple[Problem, ...], bar: MakeBar | None
) -> tuple[tuple[Problem, ...], int]:
    """Take away what the dead left; in a bucket, also learn the handles that its listings do not tell."""
    if not is_bucket(location):
        return sweep(location, planned)
    from ..bucket.care import learn_handles, sweep_bucket
    from ..bucket.lock import LockTimes
    from ..progress import run_all
    from .into_bucket import adding

    def work(_tally: object) -> tuple[tuple[Problem, ...], int]:
        learn_handles(location)
        return sweep_bucket(location, planned, LockTimes())

    with (bar or partial(DownloadBar, shown=has_audience()))(f"Clearing {location}", None) as shown:
        return run_all([work], adding(shown, quiet=1), workers=1)[0]


def _fetch_into_bucket_again(location: str, one: Checked) -> str:
    from ..bucket.care import remove_from_bucket

    try:
        if (
            not one.model.damage
        ):  # only a look into its files has shown it, so a fetch would take it for whole
            remove_from_bucket(location, [one.model], lambda _bytes: None)
        fetch(one.model.handle, location=location, notice=lambda _line: None)
    except HubMagicError as error:
        return f"downloading it again failed: {error}"
    return ""


def _put_back(aside: str, entry: str) -> None:
    """Give a damaged entry its name again, unless there is one by now."""
    if not aside:
        return
    with suppress(OSError):
        lock = take_lock(entry)
        if lock:
            with lock:
                if not os.path.lexists(entry):
                    Path(aside).rename(entry)
