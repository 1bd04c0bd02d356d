"""A look at a cache, with a bar where it is in a bucket: a listing there takes a request for 1000 objects."""

from __future__ import annotations

from functools import partial

from ..cache import CacheScan, list_cache, scan_cache
from ..locations import is_bucket
from ..progress import with_bar


def scan_with_bar(location: str) -> CacheScan:
    """Everything about the entries of a cache.

    Raises:
        SettingError: the location cannot be listed.
    """
    return _list_bucket(location) if is_bucket(location) else scan_cache(location)


def list_with_bar(location: str) -> CacheScan:
    """The entries by name; the files of those in a directory have not been looked at.

    Raises:
        SettingError: the location cannot be listed.
    """
    return _list_bucket(location) if is_bucket(location) else list_cache(location)


def _list_bucket(location: str) -> CacheScan:
    from ..bucket.scan import scan_bucket

    return with_bar(f"Listing {location}", partial(scan_bucket, location), unit="objects")
