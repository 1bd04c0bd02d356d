"""A cache, wherever it is: in a directory or in a bucket.

`open_store` is the one place that asks which of the two a location is. The rest is the same to its caller:

    >>> with TemporaryDirectory() as folder:
    ...     open_store(folder).scan().models
    ()
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from .bucket.lock import LockTimes
from .bucket.store import BucketStore
from .cache.entry import CachedModel
from .cache.scan import CacheScan, Problem
from .cache.store import AT_ONCE, DirectoryStore, InUse, Kept, Target, never_in_use
from .cache.verify import Verification
from .locations import absolute, is_bucket
from .progress import Progress, no_progress
from .settings import read_cache


class Store(Protocol):
    """Everything that can be asked of a cache, and done to it.

    Example:
        >>> open_store("gs://models/team").is_remote
        True
    """

    @property
    def location(self) -> str:
        """The directory, or the bucket's gs:// address."""

    @property
    def is_remote(self) -> bool:
        """Whether a service keeps the files: a look costs requests, and every worker reads them by itself."""

    def names(self, progress: Progress = no_progress) -> CacheScan:
        """Return the entries by name, handle and lock; their files may not have been looked at.

        Args:
            progress: told how many more objects of a bucket are listed.

        Raises:
            SettingError: the location cannot be listed.
        """

    def scan(self, progress: Progress = no_progress) -> CacheScan:
        """Return everything about the entries: names, sizes, kinds, ages, and what is wrong.

        Args:
            progress: told how many more objects of a bucket are listed.

        Raises:
            SettingError: the location cannot be listed.
        """

    def rescan(self, before: CacheScan) -> CacheScan:
        """Return what is in the cache now, at the cost of what has changed since an earlier scan.

        Raises:
            SettingError: the location cannot be listed.
        """

    def verify(
        self,
        scan: CacheScan,
        models: Iterable[CachedModel] | None = None,
        *,
        deep: bool = False,
        progress: Progress = no_progress,
    ) -> Verification:
        """Return what a check of these entries finds; of all of them when `models` is None.

        Args:
            scan: what is in the cache; names are enough.
            models: the entries to check.
            deep: whether to read every file to its end.
            progress: told how many more are done: entries, or bytes when it is deep.
        """

    def read(self, model: CachedModel, name: str) -> bytes:
        """Return the content of an entry's file.

        Args:
            model: the entry.
            name: the file's path relative to the entry, with `/` between parts.

        Raises:
            OSError: there is no such file, or it cannot be read.
            SettingError: the bucket refuses.
        """

    def lock(self, folder: str) -> AbstractContextManager[bool]:
        """Hold the lock of an entry inside a `with`, which yields False where another process holds it.

        A stale lock is taken over.

        Args:
            folder: the entry's folder name, 40 hexadecimal digits; the entry need not exist.

        Raises:
            OSError: the directory cannot be written.
            SettingError: the bucket refuses.
        """

    def put(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: LockTimes | None = None,
    ) -> list[str | None]:
        """Copy entries from this computer's disk into the cache: readers see all of an entry or none.

        An intact entry that is in the cache already stays.

        Args:
            models: entries of a cache in a directory.
            progress: told in this thread how many more bytes are done.
            at_once: how many entries are copied at the same time.
            times: for other processes that write the same entries; the usual ones when None.

        Returns:
            For each entry why it was not copied, or None.

        Raises:
            HubMagicError: the bucket refuses. What is copied by then stays, and the next call resumes.
        """

    def copy_to(
        self,
        target: Target,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: LockTimes | None = None,
    ) -> list[str | None]:
        """Copy entries of this cache to another one; arguments, result and errors are those of `put`."""

    def on_disk(
        self, models: Sequence[CachedModel], progress: Progress = no_progress
    ) -> AbstractContextManager[tuple[CachedModel, ...]]:
        """Yield these entries as they are on this computer's disk, inside a `with`.

        Raises:
            SettingError: one of them cannot be fetched.
        """

    def remove(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        by_use: bool = False,
        in_use: InUse = never_in_use,
    ) -> tuple[list[Kept], int]:
        """Remove entries that are unchanged since they were chosen, each from readers' sight in one step.

        Args:
            models: the entries, as a scan showed them.
            progress: told in this thread how many more bytes are dealt with.
            by_use: whether an entry that has been used since the scan stays.
            in_use: whether this process uses an entry, which then stays.

        Returns:
            The entries that stay and why, and the bytes freed.

        Raises:
            SettingError: the bucket refuses.
        """

    def is_at_work(self, problem: Problem) -> bool:
        """Return whether the lock owner of that problem's entry may be alive."""

    def sweep(
        self, problems: Sequence[Problem], progress: Progress = no_progress
    ) -> tuple[tuple[Problem, ...], int]:
        """Remove leftovers: stale locks, partial downloads and orphaned files.

        Args:
            problems: what a scan found; with each goes everything that was left at its entry.
            progress: told how many more bytes are done.

        Returns:
            What is gone, and the bytes freed.

        Raises:
            SettingError: the cache cannot be listed, or the bucket refuses.
        """

    def replacing(self, model: CachedModel) -> AbstractContextManager[None]:
        """Make way for a new copy of a damaged entry inside a `with`.

        Where the block fails, the damaged copy is in its place again, if the store can do that.

        Raises:
            StaysError: the entry cannot be replaced.
            SettingError: the bucket refuses.
        """


def open_store(location: str) -> Store:
    """Return the store of a location, a directory or a gs:// address. Nothing is asked of it yet.

    >>> open_store("gs://bucket/models").is_remote
    True
    """
    return BucketStore(location) if is_bucket(location) else DirectoryStore(location)


def in_force(location: str | os.PathLike[str] | None) -> str:
    """Return a location without a relative part; that of the cache in force when None."""
    return absolute(read_cache().value if location is None else os.fspath(location))


def list_cache(location: str | os.PathLike[str] | None = None) -> CacheScan:
    """Return the entries by name, handle and lock alone; files in a directory have not been looked at.

    A cache that does not exist yet is an empty one.

    Args:
        location: a directory or a gs:// address; the cache in force when None.

    Raises:
        SettingError: the location is no directory, or may not be listed.

    Example:
        >>> [model.handle for model in list_cache().models]
        ['https://host.example/team/model/1']
    """
    return open_store(in_force(location)).names()


def scan_cache(location: str | os.PathLike[str] | None = None) -> CacheScan:
    """Return everything about the entries of a cache: names, sizes in bytes, kinds, ages, and what is wrong.

    Args:
        location: a directory or a gs:// address; the cache in force when None.

    Raises:
        SettingError: the location is no directory, or may not be listed.

    Example:
        >>> scan_cache().models[0].files
        2
    """
    return open_store(in_force(location)).scan()


def rescan(before: CacheScan) -> CacheScan:
    """Return what is in the cache now, with what the last scan found of all entries that have not changed.

    When they were last used is as it was; `with_last_use` looks at that.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    return open_store(before.location).rescan(before)


def verify(
    scan: CacheScan | None = None,
    models: Iterable[CachedModel] | None = None,
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> Verification:
    """Check entries of a cache.

    Args:
        scan: what is in the cache; names are enough (`list_cache`). The cache in force when None.
        models: the entries to check; all of them when None.
        deep: whether to read every file to its end. Several entries are read at once.
        progress: told in this thread how many more are done: entries; bytes when it is deep.

    Raises:
        SettingError: the cache cannot be listed.

    Example:
        >>> verify(deep=True).damaged
        ()
    """
    known = list_cache() if scan is None else scan
    return open_store(known.location).verify(known, models, deep=deep, progress=progress)
