"""Move a whole cache to another directory, for example out of a folder for temporary files.

On the same disk an entry is renamed. On another one it is copied, compared with what was recorded at its
download, and complete before it appears; the old one goes only then.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..cache.entry import CachedModel, measure
from ..cache.files import open_quietly, regular_files
from ..cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX
from ..cache.locks import EntryLock, take_lock
from ..cache.record import find_damage, read_record
from ..cache.scan import CacheScan
from ..errors import SettingError
from ..facts import Fact
from ..progress import Progress, no_progress
from .remove import (
    Choice,
    Loaded,
    StaysError,
    by_folder,
    check_unchanged,
    delete_aside,
    is_loaded,
    nothing_loaded,
    protections,
    remove_file,
    set_aside,
)

_BLOCK = 1 << 20
_BESIDE = (DESCRIPTOR_SUFFIX, RECORD_SUFFIX)


def rename(model: CachedModel, place: str, lock: EntryLock) -> bool:
    """Carry an entry over within a disk; False when both places are not on one.

    Args:
        model: the entry as it was when it was chosen.
        place: its path in the other cache.
        lock: the lock of that place.

    Raises:
        StaysError: it is locked, or has changed.
        OSError: the disk refuses.
    """
    if Path(model.path).stat().st_dev != Path(place).parent.stat().st_dev:
        return False
    source = take_lock(model.path)
    if source is None:
        raise StaysError("locked")
    with source:
        check_unchanged(model)
        _take_aside(place, lock)
        _copy_beside(model, place, lock)
        try:
            Path(model.path).rename(place)
        except OSError as error:
            _remove_beside(place)
            if error.errno != errno.EXDEV:  # one disk that is mounted twice
                raise
            return False
        finally:
            shutil.rmtree(_old(place, lock), ignore_errors=True)
        _remove_beside(model.path)
    return True


def copy(model: CachedModel, place: str, lock: EntryLock, progress: Progress) -> None:
    """Copy an entry, with its times: they tell when it was last used.

    Args:
        model: the entry as it was when it was chosen.
        place: its path in the other cache.
        lock: the lock of that place.
        progress: told how many more bytes are there.

    Raises:
        StaysError: it holds links, or is not as it was downloaded.
        OSError: the disk refuses.
    """
    record = read_record(model.path)
    digests = {file.path: file.sha256 for file in record.files} if record else {}
    files = regular_files(model.path)
    if len(files) != model.files:
        raise StaysError("it holds what is neither a file nor a folder")
    try:
        for name, facts in files.items():
            copied = Path(lock.scratch, name)
            copied.parent.mkdir(parents=True, exist_ok=True)
            digest = _copy_file(f"{model.path}/{name}", copied, progress)
            if digest != digests.get(name, digest):
                raise StaysError(f"it is damaged: {name} is not as it was downloaded")
            os.utime(copied, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        for folder in model.folders:
            Path(lock.scratch, folder).mkdir(parents=True, exist_ok=True)
        _take_aside(place, lock)
        _copy_beside(model, place, lock)
        Path(lock.scratch).rename(place)
    finally:
        shutil.rmtree(lock.scratch, ignore_errors=True)
        shutil.rmtree(_old(place, lock), ignore_errors=True)


def _copy_file(source: str, target: Path, progress: Progress) -> str:
    """Copy a file to the disk itself, for the old one is removed after; gives the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with open_quietly(source) as content, target.open("xb") as copy:
        while block := content.read(_BLOCK):
            copy.write(block)
            digest.update(block)
            progress(len(block))
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _copy_beside(model: CachedModel, place: str, lock: EntryLock) -> None:
    """Copy what stands beside an entry: before the entry itself, as tensorflow_hub does."""
    for suffix in _BESIDE:
        with suppress(FileNotFoundError), open_quietly(model.path + suffix, is_linked=False) as content:
            written = Path(f"{place}{suffix}.tmp{lock.holder.uid}")
            written.write_bytes(content.read())
            written.replace(place + suffix)


def _remove_beside(entry: str) -> None:
    for suffix in _BESIDE:
        remove_file(entry + suffix)


def _take_aside(place: str, lock: EntryLock) -> None:
    """Take a damaged or empty entry out of the way."""
    if os.path.lexists(place):
        Path(place).rename(_old(place, lock))


def _old(place: str, lock: EntryLock) -> str:
    """Another name of unfinished things than the lock's own."""
    return f"{place}.{lock.holder.uid[::-1]}.tmp"


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
        """
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
    scan: CacheScan, target: CacheScan, *, same_disk: bool, loaded: Loaded = nothing_loaded
) -> Move:
    """The move of all entries that nobody is at work on.

    Args:
        scan: the old cache.
        target: the new one, which may hold some of the entries already.
        same_disk: whether both are on one disk.
        loaded: gives the paths of the entries that this process has loaded.

    Raises:
        SettingError: both are one place, or the new disk has not enough space.
    """
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
            f"{target.location} has {target.free:,} bytes free, and the models take {needed:,}. "
            "Prune the cache first, or name a larger disk."
        )
    kept = tuple(Choice(model, locked[model.folder]) for model in scan.models if model.folder in locked)
    return Move(scan.location, target.location, going, kept, needed, loaded)


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
        raise StaysError(f"somebody else is at work on it at {move.target}")
    with lock:
        if os.path.isdir(place) and not find_damage(place):  # noqa: PTH112
            _check_same(model, place)
            progress(max(model.size, 0))
        elif not in_use and rename(model, place, lock):
            progress(max(model.size, 0))
            return
        else:
            copy(model, place, lock, progress)
    if in_use:
        raise StaysError("loaded in this kernel: it is copied, and the old copy left for the kernel")
    delete_aside(set_aside(move.location, model))


def _check_same(model: CachedModel, place: str) -> None:
    other = measure(CachedModel(model.folder, place))
    if (other.size, other.files) != (model.size, model.files):
        raise StaysError(f"another copy of it is at {place}")
