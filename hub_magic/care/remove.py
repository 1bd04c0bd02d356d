"""Remove entries from a cache: a pure plan, then the act, which looks at each entry once more."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..cache.entry import CachedModel
from ..cache.layout import LOCK_SUFFIX
from ..cache.scan import CacheScan
from ..cache.selection import select
from ..download.resolver import loaded_folders
from ..facts import Fact
from ..store import open_store, scan_cache

Loaded = Callable[[], Collection[str]]


def nothing_loaded() -> tuple[str, ...]:
    """For a process that loads no models."""
    return ()


@dataclass(frozen=True, slots=True)
class Choice(Fact):
    """An entry, and why it goes or stays.

    Example:
        >>> plan_removal(["team/model"]).going[0].model.name
        'model'
    """

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

    Example:
        >>> removed = plan_removal(["team/model"]).execute()
        >>> removed.freed == removed.expected
        True
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

    Example:
        >>> plan_removal(["team/model"]).size == scan_cache().size
        True
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
        models = [choice.model for choice in self.going]

        def is_in_use(model: CachedModel) -> bool:
            return is_loaded(model.path, by_folder(self.loaded()))

        kept, freed = open_store(self.location).remove(models, progress, by_use=self.by_use, in_use=is_in_use)
        staying = {model.folder for model, _ in kept}
        return Removed(
            self.location,
            tuple(model for model in models if model.folder not in staying),
            (*self.kept, *(Choice(model, reason) for model, reason in kept)),
            self.size,
            freed,
        )


def plan_removal(
    words: Iterable[str], scan: CacheScan | None = None, *, loaded: Loaded = loaded_folders
) -> Removal:
    """Return the removal of the entries that these words mean; its `execute()` carries it out.

    Locked entries, and those that this process has loaded, are kept.

    Args:
        words: handles, names, unambiguous parts of either, or folder names.
        scan: what is in the cache; the cache in force when None.
        loaded: returns the paths of the entries that this process has loaded.

    Raises:
        NotCachedError: a word means no entry, or more than one.
        SettingError: the cache cannot be listed.

    Example:
        >>> plan_removal(["team/model"]).execute().freed > 0
        True
    """
    scan = scan_cache() if scan is None else scan
    reasons = protections(scan, loaded)
    asked = select(scan, words)
    going = tuple(Choice(model, "requested") for model in asked if model.folder not in reasons)
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


def by_folder(paths: Collection[str]) -> dict[str, list[str]]:
    """Paths by the last part of each."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(os.path.basename(os.path.normpath(path)), []).append(path)
    return found


def is_loaded(path: str, in_use: dict[str, list[str]]) -> bool:
    """Whether one of these paths leads to the entry; a cache may be written in more than one way."""
    candidates = in_use.get(os.path.basename(path), ())  # a cache has thousands
    return any(Path(one).resolve() == Path(path).resolve() for one in candidates)
