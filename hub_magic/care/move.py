"""Move a whole cache to another directory, for example out of a folder for temporary files.

On the same disk an entry is renamed. On another one it is copied, compared with what was recorded at its
download, and complete before it appears; the old one goes only then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..cache.entry import CachedModel, measure
from ..cache.locks import take_lock
from ..cache.placement import copy, rename
from ..cache.quarantine import StaysError, delete_quarantined, quarantine
from ..cache.record import find_damage
from ..cache.scan import CacheScan
from ..download.resolver import loaded_folders
from ..errors import SettingError
from ..facts import Fact
from ..locations import prepare_location
from ..progress import Progress, no_progress
from ..quantities import size
from ..store import open_store, scan_cache
from .remove import Choice, Loaded, by_folder, is_loaded, nothing_loaded, protections


@dataclass(frozen=True, slots=True)
class Moved(Fact):
    """What a move did.

    Attributes:
        location: the old cache.
        target: the new one.
        moved: the entries that are there now, and only there.
        kept: the entries that are still in the old cache because they are in use, or others.
        failed: the entries that the disk refused to move, and why.
        is_kept: whether the new location has been saved for the sessions to come.

    Example:
        >>> moved = plan_move("another-directory").execute()
        >>> len(moved.moved), scan_cache().models
        (1, ())
    """

    location: str
    target: str
    moved: tuple[CachedModel, ...]
    kept: tuple[Choice, ...]
    failed: tuple[Choice, ...]
    is_kept: bool = False
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of what was moved."""
        return sum(max(model.size, 0) for model in self.moved)


@dataclass(frozen=True, slots=True)
class Move(Fact):
    """What would be moved. Nothing has been done yet: `execute()` does it, and a second time the rest.

    Attributes:
        location: the old cache.
        target: the new one.
        going: the entries that would be moved.
        kept: entries that stay, and why.
        needed: bytes that the new cache's disk must take; 0 on the same disk.
        loaded: gives the paths of the entries that this process has loaded, whenever it is asked.

    Example:
        >>> plan_move("another-directory").going == scan_cache().models
        True
    """

    location: str
    target: str
    going: tuple[CachedModel, ...]
    kept: tuple[Choice, ...]
    needed: int
    loaded: Loaded = field(default=nothing_loaded, repr=False, compare=False)
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes that this would move."""
        return sum(max(model.size, 0) for model in self.going)

    def to_data(self) -> dict[str, Any]:
        """Fields and derived properties, without what is no data."""
        data = Fact.to_data(self)
        del data["loaded"]
        return data

    def execute(self, progress: Progress = no_progress) -> Moved:
        """Move the entries, one after the other.

        Args:
            progress: told how many more bytes are done.

        Raises:
            SettingError: the new directory cannot be made or written.
        """
        prepare_location(self.target)
        moved: list[CachedModel] = []
        kept = list(self.kept)
        failed: list[Choice] = []
        for model in self.going:
            try:
                _move(self, model, progress)
                moved.append(model)
            except StaysError as why:
                kept.append(Choice(model, str(why)))
            except OSError as error:
                failed.append(Choice(model, f"it cannot be moved: {error.strerror or error}"))
        return Moved(self.location, self.target, tuple(moved), tuple(kept), tuple(failed))


def plan_move(
    target: str | os.PathLike[str] | CacheScan,
    scan: CacheScan | None = None,
    *,
    same_disk: bool | None = None,
    loaded: Loaded = loaded_folders,
) -> Move:
    """Return the move of all entries that are not locked; its `execute()` carries it out.

    Args:
        target: the new directory, or its scan; it may hold some of the entries already.
        scan: the old cache; the cache in force when None.
        same_disk: whether both are on one disk; the disks tell when None.
        loaded: returns the paths of the entries that this process has loaded.

    Raises:
        SettingError: both are the same place, one is a bucket, or the new disk has not enough space.

    Example:
        >>> plan_move("another-directory").needed
        0
    """
    scan = scan_cache() if scan is None else scan
    target = target if isinstance(target, CacheScan) else scan_cache(target)
    for one in (scan, target):
        if open_store(one.location).is_remote:
            raise SettingError(f"{one.location} is in a bucket. Copy it with plan_copy, or --copy-to.")
    if same_disk is None:
        same_disk = _device(scan.location) == _device(target.location)
    if os.path.realpath(scan.location) == os.path.realpath(target.location):
        raise SettingError(f"{target.location} is the cache itself. Name another directory to move it to.")
    locked = protections(scan, nothing_loaded)
    in_use = by_folder(loaded())
    there = {model.folder for model in target.models}
    locked.update(
        {model.folder: f"a link to {model.link}, which stays" for model in scan.models if model.link}
    )
    going = tuple(model for model in scan.models if model.folder not in locked)
    needed = sum(
        max(model.size, 0)
        for model in going
        if model.folder not in there and not (same_disk and not is_loaded(model.path, in_use))
    )
    if 0 <= target.free < needed:
        raise SettingError(
            f"Not enough disk space at {target.location}: needs {size(needed)}, {size(target.free)} free. "
            "Prune the cache first, or choose a larger disk."
        )
    kept = tuple(Choice(model, locked[model.folder]) for model in scan.models if model.folder in locked)
    return Move(scan.location, target.location, going, kept, needed, loaded)


def _device(location: str) -> int:
    path = Path(location)
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return existing.stat().st_dev


def _move(move: Move, model: CachedModel, progress: Progress) -> None:
    """Move one entry.

    Raises:
        StaysError: it stays, and why.
        OSError: the disk refuses.
    """
    in_use = is_loaded(model.path, by_folder(move.loaded()))
    place = f"{move.target}{os.sep}{model.folder}"
    lock = take_lock(place)
    if lock is None:
        raise StaysError(f"another process is writing it at {move.target}")
    with lock:
        if os.path.isdir(place) and not find_damage(place):
            _check_same(model, place)
            progress(max(model.size, 0))
        elif not in_use and rename(model, place, lock):
            progress(max(model.size, 0))
            return
        else:
            copy(model, place, lock, progress)
    if in_use:
        raise StaysError("loaded in this kernel: it was copied, and the old copy stays")
    delete_quarantined(quarantine(move.location, model))


def _check_same(model: CachedModel, place: str) -> None:
    other = measure(CachedModel(model.folder, place))
    if (other.size, other.files) != (model.size, model.files):
        raise StaysError(f"another copy of it is at {place}")
