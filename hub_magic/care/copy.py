"""Copy entries from one cache to another: to a bucket, from a bucket, or between two buckets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from ..bucket.lock import LockTimes
from ..cache.entry import CachedModel
from ..cache.scan import CacheScan
from ..cache.store import AT_ONCE
from ..errors import SettingError
from ..facts import Fact
from ..progress import Progress, no_progress
from ..store import open_store, scan_cache
from .remove import Choice


@dataclass(frozen=True, slots=True)
class Copied(Fact):
    """What a copy did.

    Attributes:
        source, target: the caches.
        copied: the entries that are there now.
        kept: the entries that were to be copied and were not, and why.
        there: how many entries were there already.

    Example:
        >>> plan_copy("gs://models/team").execute().size == scan_cache().size
        True
    """

    source: str
    target: str
    copied: tuple[CachedModel, ...]
    kept: tuple[Choice, ...]
    there: int
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of what was copied."""
        return sum(model.size for model in self.copied)


@dataclass(frozen=True, slots=True)
class CopyPlan(Fact):
    """What would be copied. Nothing has been done yet: `execute()` does it, and a second time the rest.

    Attributes:
        source, target: the caches.
        going: the entries that the target lacks.
        kept: entries that cannot be copied, and why.
        there: how many entries are there already.

    Example:
        >>> plan_copy("gs://models/team").going == scan_cache().models
        True
    """

    source: str
    target: str
    going: tuple[CachedModel, ...]
    kept: tuple[Choice, ...]
    there: int
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes that this would copy."""
        return sum(model.size for model in self.going)

    def execute(
        self,
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: LockTimes | None = None,
    ) -> Copied:
        """Copy the entries, several at once, each complete before it appears under its name.

        Args:
            progress: told in this thread how many more bytes are done.
            at_once: how many entries are copied at once.
            times: with others at work on the same entries; the usual one when None.

        Raises:
            HubMagicError: a cache refuses; what is copied by then stays, and the next run goes on from there.
        """
        source, target = open_store(self.source), open_store(self.target)
        reasons = source.copy_to(target, self.going, progress, at_once=at_once, times=times)
        results = list(zip(self.going, reasons, strict=True))
        return Copied(
            self.source,
            self.target,
            tuple(model for model, reason in results if not reason),
            (*self.kept, *(Choice(model, reason) for model, reason in results if reason)),
            self.there,
        )


def plan_copy(target: str | os.PathLike[str] | CacheScan, scan: CacheScan | None = None) -> CopyPlan:
    """Return the copy of all intact entries that the target lacks; its `execute()` carries it out.

    Args:
        target: the cache to copy to: a gs:// address or a directory, or its scan.
        scan: the cache to copy from; the cache in force when None.

    Raises:
        SettingError: both are directories, or the same place; or one of them cannot be listed.

    Example:
        >>> plan_copy("gs://models/team").execute().kept
        ()
    """
    source = scan_cache() if scan is None else scan
    target = target if isinstance(target, CacheScan) else scan_cache(target)
    if source.location == target.location:
        raise SettingError(f"{source.location} is the cache itself. Name another place to copy it to.")
    if not any(open_store(scan.location).is_remote for scan in (source, target)):
        raise SettingError(
            "--copy-to needs a bucket on one side. To copy between directories use cp -r or --export --all."
        )
    whole = {model.folder for model in target.models if not model.damage}
    going, kept = [], []
    for model in source.models:
        if model.folder in whole:
            continue
        if model.damage:
            kept.append(Choice(model, f"it is damaged: {model.damage}"))
        else:
            going.append(model)
    there = sum(model.folder in whole for model in source.models)
    return CopyPlan(source.location, target.location, tuple(going), tuple(kept), there)
