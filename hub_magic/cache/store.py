"""A cache in a directory, as a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ..locations import prepare_location
from ..progress import Progress, Tally, no_progress, run_all
from .entry import CachedModel
from .files import open_quietly
from .leftovers import is_at_work, sweep
from .locks import locked_in_directory
from .placement import place
from .quarantine import StaysError, delete_quarantined, quarantine, replacing
from .refresh import rescan_directory
from .scan import CacheScan, Problem, list_directory, scan_directory
from .verify import Verification, check_in_directory, verification

AT_ONCE = 16  # entries that are copied at the same time
LOADED = "loaded in this kernel"

Kept = tuple[CachedModel, str]  # an entry that stays, and why
InUse = Callable[[CachedModel], bool]


def never_in_use(_model: CachedModel) -> bool:
    """Return False, for a process that loads no models."""
    return False


class Target(Protocol):
    """Another cache, as a copy to it sees it."""

    @property
    def location(self) -> str:
        """The directory, or the bucket's gs:// address."""

    @property
    def is_remote(self) -> bool:
        """Whether a service keeps the files."""

    def put(
        self, models: Sequence[CachedModel], progress: Progress, *, at_once: int, times: Any
    ) -> list[str | None]:
        """Copy entries from this computer's disk into the cache."""


@dataclass(frozen=True)
class DirectoryStore:
    """A cache in a directory."""

    location: str
    is_remote = False

    def names(self, progress: Progress = no_progress) -> CacheScan:  # noqa: ARG002 - it takes no time
        """Return the entries by name; see `hub_magic.store.Store`."""
        return list_directory(self.location)

    def scan(self, progress: Progress = no_progress) -> CacheScan:  # noqa: ARG002 - it takes little time
        """Return everything about the entries; see `hub_magic.store.Store`."""
        return scan_directory(self.location)

    def rescan(self, before: CacheScan) -> CacheScan:
        """Return what is in the cache now; see `hub_magic.store.Store`."""
        return rescan_directory(before)

    def verify(
        self,
        scan: CacheScan,
        models: Iterable[CachedModel] | None = None,
        *,
        deep: bool = False,
        progress: Progress = no_progress,
    ) -> Verification:
        """Return what a check finds; see `hub_magic.store.Store`."""
        chosen = scan.models if models is None else tuple(models)
        results = check_in_directory(chosen, progress, deep=deep)
        return verification(scan, results, None if models is None else chosen, deep=deep)

    def read(self, model: CachedModel, name: str) -> bytes:
        """Return the content of a file; see `hub_magic.store.Store`."""
        with open_quietly(f"{model.path}/{name}") as file:
            return file.read()

    def lock(self, folder: str) -> AbstractContextManager[bool]:
        """Hold the lock of an entry; see `hub_magic.store.Store`."""
        return locked_in_directory(f"{self.location}{os.sep}{folder}")

    def put(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: Any = None,  # noqa: ARG002 - a directory's locks have times of their own
    ) -> list[str | None]:
        """Copy entries into the cache; see `hub_magic.store.Store`."""
        prepare_location(self.location)
        return copy_each(partial(place, self.location), models, progress, at_once)

    def copy_to(
        self,
        target: Target,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: Any = None,
    ) -> list[str | None]:
        """Copy entries to another cache; see `hub_magic.store.Store`."""
        return target.put(models, progress, at_once=at_once, times=times)

    @contextmanager
    def on_disk(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,  # noqa: ARG002 - they are there
    ) -> Iterator[tuple[CachedModel, ...]]:
        """Yield these entries; see `hub_magic.store.Store`."""
        yield tuple(models)

    def remove(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        by_use: bool = False,
        in_use: InUse = never_in_use,
    ) -> tuple[list[Kept], int]:
        """Remove entries; see `hub_magic.store.Store`."""
        kept: list[Kept] = []
        freed = 0
        for model in models:
            if in_use(model):
                kept.append((model, LOADED))
            else:
                try:
                    freed += delete_quarantined(quarantine(self.location, model, by_use=by_use))
                except StaysError as why:
                    kept.append((model, str(why)))
            progress(max(model.size, 0))
        return kept, freed

    def is_at_work(self, problem: Problem) -> bool:
        """Return whether a lock owner may be alive; see `hub_magic.store.Store`."""
        return is_at_work(self.location, problem)

    def sweep(
        self,
        problems: Sequence[Problem],
        progress: Progress = no_progress,  # noqa: ARG002 - it takes little time
    ) -> tuple[tuple[Problem, ...], int]:
        """Remove leftovers; see `hub_magic.store.Store`."""
        return sweep(self.location, problems)

    def replacing(self, model: CachedModel) -> AbstractContextManager[None]:
        """Make way for a new copy; see `hub_magic.store.Store`."""
        return replacing(self.location, model)


def copy_each(
    copy: Callable[[CachedModel, Progress], str | None],
    models: Sequence[CachedModel],
    progress: Progress,
    at_once: int,
) -> list[str | None]:
    """Copy entries, several at the same time; return why each was not copied."""

    def task(model: CachedModel, tally: Tally) -> str | None:
        return copy(model, tally.add)

    return run_all([partial(task, model) for model in models], progress, workers=at_once)
