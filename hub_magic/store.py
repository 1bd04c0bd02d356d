"""A cache, wherever it is: in a directory or in a bucket.

`open_store` is the place that asks which of the two a location is; what follows is the same to its caller:

    >>> with TemporaryDirectory() as folder:
    ...     open_store(folder).scan().models
    ()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from .bucket.care import check_in_bucket
from .bucket.scan import scan_bucket
from .cache.entry import CachedModel
from .cache.refresh import rescan_directory
from .cache.scan import CacheScan, list_directory, scan_directory
from .cache.verify import Verification, check_in_directory, verification
from .locations import is_bucket
from .progress import Progress, no_progress


class Store(Protocol):
    """What can be asked of a cache.

    Attributes:
        location: the directory, or the bucket's gs:// address.
    """

    @property
    def location(self) -> str:
        """The directory, or the bucket's gs:// address."""

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


@dataclass(frozen=True)
class DirectoryStore:
    """A cache in a directory."""

    location: str

    def names(self, progress: Progress = no_progress) -> CacheScan:  # noqa: ARG002 - it takes no time
        """Return the entries by name; see `Store`."""
        return list_directory(self.location)

    def scan(self, progress: Progress = no_progress) -> CacheScan:  # noqa: ARG002 - it takes little time
        """Return everything about the entries; see `Store`."""
        return scan_directory(self.location)

    def rescan(self, before: CacheScan) -> CacheScan:
        """Return what is in the cache now; see `Store`."""
        return rescan_directory(before)

    def verify(
        self,
        scan: CacheScan,
        models: Iterable[CachedModel] | None = None,
        *,
        deep: bool = False,
        progress: Progress = no_progress,
    ) -> Verification:
        """Return what a check finds; see `Store`."""
        chosen = scan.models if models is None else tuple(models)
        results = check_in_directory(chosen, progress, deep=deep)
        return verification(scan, results, None if models is None else chosen, deep=deep)


@dataclass(frozen=True)
class BucketStore:
    """A cache in Google Cloud Storage. One listing gives names and sizes."""

    location: str

    def names(self, progress: Progress = no_progress) -> CacheScan:
        """Return the entries; see `Store`."""
        return scan_bucket(self.location, progress)

    scan = names

    def rescan(self, before: CacheScan) -> CacheScan:  # noqa: ARG002 - a listing tells everything
        """Return what is in the cache now; see `Store`."""
        return scan_bucket(self.location)

    def verify(
        self,
        scan: CacheScan,
        models: Iterable[CachedModel] | None = None,
        *,
        deep: bool = False,
        progress: Progress = no_progress,
    ) -> Verification:
        """Return what a check finds; see `Store`."""
        chosen = scan.models if models is None else tuple(models)
        results = check_in_bucket(self.location, chosen, progress, deep=deep)
        return verification(scan, results, None if models is None else chosen, deep=deep)


def open_store(location: str) -> Store:
    """Return the store of a location, a directory or a gs:// address. Nothing is asked of it yet."""
    return BucketStore(location) if is_bucket(location) else DirectoryStore(location)


def list_cache(location: str) -> CacheScan:
    """Return the entries by name, handle and lock alone; files in a directory have not been looked at.

    A cache that does not exist yet is an empty one.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    return open_store(location).names()


def scan_cache(location: str) -> CacheScan:
    """Return everything about the entries of a cache: names, sizes, kinds, ages, and what is wrong.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    return open_store(location).scan()


def rescan(before: CacheScan) -> CacheScan:
    """Return what is in the cache now, with what the last scan found of all entries that have not changed.

    When they were last used is as it was; `with_last_use` looks at that.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    return open_store(before.location).rescan(before)


def verify(
    scan: CacheScan,
    models: Iterable[CachedModel] | None = None,
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> Verification:
    """Check entries of a cache.

    Args:
        scan: what is in the cache; names are enough (`list_cache`).
        models: the entries to check; all of them when None.
        deep: whether to read every file to its end. Several entries are read at once.
        progress: told in this thread how many more are done: entries; bytes when it is deep.
    """
    return open_store(scan.location).verify(scan, models, deep=deep, progress=progress)
