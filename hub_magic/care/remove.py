"""Remove entries from a cache: a pure plan, then the act, which looks at each entry once more."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..cache.entry import CachedModel, measure
from ..cache.layout import (
    DESCRIPTOR_SUFFIX,
    LOCK_SUFFIX,
    RECORD_SUFFIX,
    read_descriptor,
    read_lock,
    read_name,
    read_small,
)
from ..cache.locks import take_lock
from ..cache.scan import CacheScan
from ..cache.selection import select
from ..facts import Fact
from ..locations import is_bucket


class StaysError(Exception):
    """The entry stays; the text says why."""


def set_aside(
    location: str,
    planned: CachedModel,
    *,
    by_use: bool = False,
    beside: tuple[str, ...] = (DESCRIPTOR_SUFFIX, RECORD_SUFFIX),
) -> str:
    """Take an entry out of the way; gives the path it has now.

    Args:
        location: the cache.
        planned: the entry as it was when it was chosen.
        by_use: whether it was chosen by when it was last used.
        beside: suffixes of the files beside it that go as well.

    Raises:
        StaysError: it is no entry, is locked, has changed since, or cannot be deleted to the end.
    """
    if not _is_entry(location, planned):
        raise StaysError("it is no entry of this cache")
    try:
        lock = take_lock(planned.path)
        if lock is None:
            raise StaysError(_locked(planned.path))
        with lock:
            check_unchanged(planned, by_use=by_use)
            Path(planned.path).rename(lock.scratch)
            for suffix in beside:
                remove_file(planned.path + suffix)
    except FileNotFoundError:
        raise StaysError("it is gone already") from None
    except OSError as error:
        raise StaysError(f"it cannot be removed: {error.strerror}") from None
    return lock.scratch


def delete_aside(path: str) -> int:
    """Delete a folder that has been renamed out of the way; gives the bytes freed.

    Links in it are taken away, never followed, and so is one that stands for the folder. What cannot be
    deleted stays, as a leftover.
    """
    if os.path.islink(path):  # noqa: PTH114
        with suppress(OSError):
            Path(path).unlink()
        return 0
    before = _size_on_disk(path)
    with suppress(OSError):
        shutil.rmtree(path)
    return before - _size_on_disk(path)


def remove_file(path: str) -> None:
    """Remove a file of the cache if it is there and no link."""
    with suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            Path(path).unlink()


def _is_entry(location: str, model: CachedModel) -> bool:
    """Whether this is a folder of the library's form, directly in that cache, or a link planned as one."""
    part = read_name(model.folder)
    if part is None or part.folder != model.folder or model.path != f"{location}{os.sep}{model.folder}":
        return False
    try:
        mode = os.lstat(model.path).st_mode
        return stat.S_ISLNK(mode) if model.link else stat.S_ISDIR(mode)
    except OSError:
        return True  # gone, or not to be looked at: the removal itself says which


def check_unchanged(planned: CachedModel, *, by_use: bool = False) -> None:
    """Make sure that an entry, now that it is locked, is the one that was chosen, and can go as a whole.

    Raises:
        StaysError: it has changed, has been used, or holds a folder that may not be written.
        OSError: it cannot be read, or is gone.
    """
    now = measure(CachedModel(planned.folder, planned.path))
    descriptor = read_descriptor(_text(planned.path + DESCRIPTOR_SUFFIX))
    handle = descriptor.handle if descriptor else ""
    downloaded = descriptor.downloaded if descriptor else None
    same_files = not planned.is_measured or (now.size, now.files) == (planned.size, planned.files)
    if not same_files or (handle, downloaded) != (planned.handle, planned.downloaded):
        raise StaysError("it has changed since the plan was made")
    if by_use and planned.last_used and now.last_used and now.last_used > planned.last_used:
        raise StaysError("it has been used since the plan was made")
    # Of a link only the link goes.
    for folder in () if planned.link else ("", *now.folders):
        path = Path(planned.path) / folder
        if not os.access(path, os.W_OK | os.X_OK):
            raise StaysError(f"it cannot be removed: {path} may not be written by you")


def _locked(entry: str) -> str:
    holder = read_lock(_text(entry + LOCK_SUFFIX))
    return f"locked by process {holder.pid} on {holder.host}" if holder else "locked"


def _text(path: str) -> str:
    return read_small(path).decode(errors="replace")


def _size_on_disk(path: str) -> int:
    """Bytes that are freed when this folder goes: of the files whose every name is in it."""
    size = 0
    names: dict[tuple[int, int], int] = {}
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                facts = os.lstat(f"{folder}{os.sep}{name}")
            except FileNotFoundError:
                continue
            inode = (facts.st_dev, facts.st_ino)
            names[inode] = names.get(inode, 0) + 1
            if names[inode] >= facts.st_nlink:
                size += facts.st_size
    return size


Loaded = Callable[[], Collection[str]]


def nothing_loaded() -> tuple[str, ...]:
    """For a process that loads no models."""
    return ()


@dataclass(frozen=True, slots=True)
class Choice(Fact):
    """An entry, and why it goes or stays."""

    model: CachedModel
    reason: str


@dataclass(frozen=True, slots=True)
class Removed(Fact):
    """What a removal did.

    Attributes:
        location: the cache.
        removed: the entries that are gone.
        kept: the entries that were to go and stayed, and why.
        expected: bytes that the plan expected to free.
        freed: bytes really freed; a file that has another name elsewhere frees none.
    """

    location: str
    removed: tuple[CachedModel, ...]
    kept: tuple[Choice, ...]
    expected: int
    freed: int


@dataclass(frozen=True, slots=True)
class Removal(Fact):
    """Which entries would go, and why. Nothing has been done yet: `execute()` does it.

    Attributes:
        location: the cache.
        going: the entries to remove.
        kept: entries that were asked for and stay, and why.
        left: bytes of the models that would be left.
        goal: bytes that the models were to take at most; -1 when nobody asked for that.
        by_use: whether it was decided by when models were last used.
        loaded: gives the paths of the entries that this process has loaded, whenever it is asked.
    """

    location: str
    going: tuple[Choice, ...]
    kept: tuple[Choice, ...] = ()
    left: int = 0
    goal: int = -1
    by_use: bool = False
    loaded: Loaded = field(default=nothing_loaded, repr=False, compare=False)
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes that this would free."""
        return sum(max(choice.model.size, 0) for choice in self.going if not choice.model.link)

    def to_data(self) -> dict[str, Any]:
        """Fields and derived properties, without what is no data."""
        data = Fact.to_data(self)
        del data["loaded"]
        return data

    def execute(self, progress: Callable[[int], object] = lambda _bytes: None) -> Removed:
        """Remove the entries; one that has changed since the plan was made, or is now in use, stays.

        Args:
            progress: told the expected bytes of each entry when it is dealt with.
        """
        if is_bucket(self.location):
            return self._execute_in_bucket(progress)
        removed, kept = [], list(self.kept)
        freed = 0
        for choice in self.going:
            try:
                freed += _remove(choice.model, self)
                removed.append(choice.model)
            except StaysError as why:
                kept.append(Choice(choice.model, str(why)))
            progress(max(choice.model.size, 0))
        return Removed(self.location, tuple(removed), tuple(kept), self.size, freed)

    def _execute_in_bucket(self, progress: Callable[[int], object]) -> Removed:
        from ..bucket.care import remove_from_bucket

        in_use = by_folder(self.loaded())
        loaded = [choice.model for choice in self.going if is_loaded(choice.model.path, in_use)]
        asked = [choice.model for choice in self.going if choice.model not in loaded]
        staying, freed = remove_from_bucket(self.location, asked, progress)
        stays = {model.folder for model, _ in staying}
        kept = (*((model, "loaded in this kernel") for model in loaded), *staying)
        return Removed(
            self.location,
            tuple(model for model in asked if model.folder not in stays),
            (*self.kept, *(Choice(model, reason) for model, reason in kept)),
            self.size,
            freed,
        )


def plan_removal(scan: CacheScan, words: Iterable[str], *, loaded: Loaded = nothing_loaded) -> Removal:
    """The removal of the entries that the words mean.

    Args:
        scan: what is in the cache.
        words: handles, names, unambiguous parts of either, or folder names.
        loaded: gives the paths of the entries that this process has loaded.

    Raises:
        NotCachedError: a word means no entry, or more than one.
    """
    reasons = protections(scan, loaded)
    asked = select(scan, words)
    going = tuple(Choice(model, "asked for") for model in asked if model.folder not in reasons)
    kept = tuple(Choice(model, reasons[model.folder]) for model in asked if model.folder in reasons)
    gone = {choice.model.folder for choice in going}
    left = sum(model.size for model in scan.models if model.is_measured and model.folder not in gone)
    return Removal(scan.location, going, kept, left, loaded=loaded)


def protections(scan: CacheScan, loaded: Loaded) -> dict[str, str]:
    """The entries that must stay, by folder, and why: locked by somebody, or loaded by this process."""
    in_use = by_folder(loaded())
    reasons = {
        problem.name.removesuffix(LOCK_SUFFIX): f"locked ({problem.reason})"
        for problem in scan.problems
        if problem.kind == "lock"
    }
    for model in scan.models:
        if model.folder in in_use and is_loaded(model.path, in_use):
            reasons.setdefault(model.folder, "loaded in this kernel")
    return reasons


def _remove(planned: CachedModel, plan: Removal) -> int:
    """Remove one entry; gives the bytes freed."""
    if is_loaded(planned.path, by_folder(plan.loaded())):
        raise StaysError("loaded in this kernel")
    return delete_aside(set_aside(plan.location, planned, by_use=plan.by_use))


def by_folder(paths: Collection[str]) -> dict[str, list[str]]:
    """Paths by the last part of each."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(os.path.basename(os.path.normpath(path)), []).append(path)  # noqa: PTH119
    return found


def is_loaded(path: str, in_use: dict[str, list[str]]) -> bool:
    """Whether one of these paths leads to the entry; a cache may be written in more than one way."""
    candidates = in_use.get(os.path.basename(path), ())  # noqa: PTH119 - a cache has thousands
    return any(Path(one).resolve() == Path(path).resolve() for one in candidates)
