"""Repair a cache: remove leftovers, and download damaged models again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..cache.layout import LOCK_SUFFIX, Role, read_lock, read_name
from ..cache.locks import (
    LOCK_TIMEOUT,
    Parts,
    Watch,
    growth,
    holder_state,
    may_take_over,
    read,
    remove,
    take_away,
    take_lock,
)
from ..cache.record import find_damage
from ..cache.scan import Problem, ProblemKind
from ..cache.verify import Checked, Verification
from ..download.fetching import fetch
from ..download.new_entry import MakeBar
from ..errors import HandleError, HubMagicError
from ..facts import Fact
from ..handles import parse_handle
from ..locations import is_bucket
from ..progress import DownloadBar, has_audience
from ..store import list_cache
from .remove import StaysError, delete_aside, set_aside

SWEPT: tuple[ProblemKind, ...] = ("lock", "half download", "leftover", "orphan")

_ROUNDS = 3  # taking a lock away may show what it covered
_POLL = 0.2  # seconds
_RETRIES = 12.0  # seconds in which a lock of the dead must show that it is one
_YOUNG = 2.0  # seconds in which a file may still be on its way to its name


def sweep(location: str, planned: Iterable[Problem]) -> tuple[tuple[Problem, ...], int]:
    """Take away what the dead left.

    Args:
        location: the cache.
        planned: problems of the kinds in `SWEPT`; with each goes all that was left at its entry.

    Returns:
        What is gone, and the bytes freed.

    Raises:
        SettingError: the cache cannot be listed.
    """
    known = {problem.name: problem for problem in planned}
    folders = {name[:40] for name in known}
    freed = 0
    for count in range(_ROUNDS):
        found = [
            problem
            for problem in list_cache(location).problems
            if problem.kind in SWEPT and problem.name[:40] in folders and not is_at_work(location, problem)
        ]
        if not found:
            break
        if count and any(problem.kind == "leftover" for problem in found):
            time.sleep(_YOUNG)
        known.update((problem.name, problem) for problem in found)
        freed += _take_locks_away(location, [problem.name for problem in found if problem.kind == "lock"])
        for folder in sorted({problem.name[:40] for problem in found}):
            freed += _sweep_entry(location, folder)
    left = {problem.name for problem in list_cache(location).problems}
    return tuple(problem for name, problem in sorted(known.items()) if name not in left), freed


def is_at_work(location: str, problem: Problem) -> bool:
    """Whether somebody may still be at work at that entry: the holder of its lock may be alive."""
    path = f"{location}{os.sep}{problem.name[:40]}{LOCK_SUFFIX}"
    text = read(path)
    if text is None:
        return False
    return _may_live(_look(path, text, time.time()))


def _take_locks_away(location: str, names: Iterable[str]) -> int:
    """Take away the locks of the dead, with what their holders unpacked; gives the bytes freed.

    All of them are watched for as long as it takes to be sure.
    """
    freed = 0
    paths = [f"{location}{os.sep}{name}" for name in names]
    first = {path: _state(path) for path in paths}
    began = time.monotonic()
    watched = set(paths)
    while watched and (quiet := time.monotonic() - began) < _RETRIES:
        for path in tuple(watched):
            text = first[path][0]
            if text is None or _state(path) != first[path]:
                watched.discard(path)
                continue
            watch = _look(path, text, time.time(), quiet)
            if _may_live(watch):
                watched.discard(path)
            elif may_take_over(watch, LOCK_TIMEOUT):
                watched.discard(path)
                with suppress(OSError):
                    take_away(path.removesuffix(LOCK_SUFFIX), text, keep_parts=False)
                    freed += first[path][2]
        if watched:
            time.sleep(_POLL)
    return freed


def _may_live(watch: Watch) -> bool:
    return watch.state == "alive" or (watch.state != "dead" and watch.age < LOCK_TIMEOUT)


def _look(path: str, text: str, now: float, quiet: float = 0) -> Watch:
    holder = read_lock(text)
    written, newest, _ = growth(path, _folder_of(path, text))
    return Watch(holder_state(holder, written) if holder else "unnamed", quiet, now - newest)


def _state(path: str) -> tuple[str | None, float, int]:
    """What a lock says, when its holder wrote last, and how many bytes; the same while nobody works."""
    text = read(path)
    _, newest, size = growth(path, _folder_of(path, text or ""))
    return text, newest, size


def _folder_of(path: str, text: str) -> str:
    """Where the holder of a lock with this text unpacks; "" when it names none."""
    holder = read_lock(text)
    return Parts(path.removesuffix(LOCK_SUFFIX), holder.uid).folder if holder else ""


def _sweep_entry(location: str, folder: str) -> int:
    """Take away what is unfinished of one entry, or describes one that is gone; gives the bytes freed."""
    entry = f"{location}{os.sep}{folder}"
    freed = 0
    with suppress(OSError):
        lock = take_lock(entry)
        if lock is None:
            return 0
        with lock:
            is_gone = not os.path.lexists(entry)
            for name in os.listdir(location):  # noqa: PTH208 - names alone
                part = read_name(name) if name.startswith(folder) else None
                path = f"{location}{os.sep}{name}"
                if part is None or os.path.islink(path):  # noqa: PTH114
                    continue
                if part.role is Role.DOWNLOAD:
                    freed += delete_aside(path)
                elif _is_litter(path, part.role, is_gone=is_gone):
                    freed += os.lstat(path).st_size
                    remove(path)
    return freed


def _is_litter(path: str, role: Role, *, is_gone: bool) -> bool:
    """Whether a file beside an entry, whose lock is ours, belongs to nobody."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False  # not what its name says
    if role in {Role.DESCRIPTOR, Role.RECORD}:
        return is_gone
    if role is not Role.LEFTOVER:
        return False
    if f"{LOCK_SUFFIX}.tmp" not in path:
        return True  # only a holder of the lock writes those
    # Somebody may be about to ask for the lock that we hold.
    holder = read_lock(read(path) or "")
    written = os.lstat(path).st_mtime
    if holder and holder_state(holder, written) == "dead":
        return True
    return time.time() - written > (LOCK_TIMEOUT if holder else _YOUNG)


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
    if one.model.link:
        return f"it is a link to {one.model.link}, where it has to be mended; or remove the link"
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
        fetch(one.model.handle, location=location, notice=lambda _line: None, bar=bar, fall_back=False)
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
    from ..download.new_entry import adding
    from ..progress import run_all

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
