"""Copy entries from one cache to another: to a bucket, from a bucket, or between two buckets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from ..bucket.download import from_bucket
from ..bucket.lock import LockTimes
from ..bucket.scan import group_files
from ..bucket.upload import between_buckets, to_bucket
from ..cache.entry import CachedModel
from ..cache.scan import CacheScan
from ..errors import SettingError
from ..facts import Fact
from ..gcs import open_folder
from ..locations import is_bucket, prepare_directory
from ..progress import Progress, Tally, no_progress, run_all, run_in_thread
from .remove import Choice

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Copied(Fact):
    """What a copy did.

    Attributes:
        source, target: the caches.
        copied: the entries that are there now.
        kept: the entries that were to be copied and were not, and why.
        there: how many entries were there already.
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
        at_once: int = _AT_ONCE,
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
        with ExitStack() as stack:
            copy = _copier(self, stack, times or LockTimes(), progress)
            reasons = run_all(
                [partial(_copy_one, copy, model) for model in self.going], progress, workers=at_once
            )
        results = list(zip(self.going, reasons, strict=True))
        return Copied(
            self.source,
            self.target,
            tuple(model for model, reason in results if not reason),
            (*self.kept, *(Choice(model, reason) for model, reason in results if reason)),
            self.there,
        )


def plan_copy(source: CacheScan, target: CacheScan) -> CopyPlan:
    """The copy of all whole entries that the target lacks.

    Raises:
        SettingError: both are directories, or one and the same place.
    """
    if source.location == target.location:
        raise SettingError(f"{source.location} is the cache itself. Name another place to copy it to.")
    if not is_bucket(source.location) and not is_bucket(target.location):
        raise SettingError(
            f"{source.location} and {target.location} are directories. Copy with cp -r, or name a bucket."
        )
    whole = {model.folder for model in target.models if not model.damage}
    going, kept = [], []
    for model in source.models:
        if model.folder in whole:
            continue
        if model.damage:
            kept.append(Choice(model, f"it is damaged here: {model.damage}"))
        else:
            going.append(model)
    there = sum(model.folder in whole for model in source.models)
    return CopyPlan(source.location, target.location, tuple(going), tuple(kept), there)


def _copier(
    plan: CopyPlan, stack: ExitStack, times: LockTimes, progress: Progress
) -> Callable[[CachedModel, Progress], str]:
    """What copies one entry; gives why it was not copied, or ""."""
    if not is_bucket(plan.source):
        return partial(to_bucket, stack.enter_context(open_folder(plan.target)), times)
    source = stack.enter_context(open_folder(plan.source))
    entries = run_in_thread(lambda _tally: group_files(source.files()), progress)
    if not is_bucket(plan.target):
        prepare_directory(plan.target)
        return partial(from_bucket, source, entries, plan.target)
    target = stack.enter_context(open_folder(plan.target))
    return partial(between_buckets, source, entries, target, times=times)


def _copy_one(copy: Callable[[CachedModel, Progress], str], model: CachedModel, tally: Tally) -> str:
    return copy(model, tally.add)
