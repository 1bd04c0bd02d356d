"""A cache in Google Cloud Storage, as a store. One listing gives names and sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from ..cache.entry import CachedModel
from ..cache.scan import CacheScan, Problem, scan_directory
from ..cache.store import AT_ONCE, LOADED, DirectoryStore, InUse, Kept, Target, copy_each, never_in_use
from ..cache.verify import Verification, verification
from ..errors import SettingError
from ..gcs import open_folder
from ..locations import prepare_location
from ..progress import Progress, Tally, no_progress, run_all, run_in_thread
from .care import check_in_bucket, learn_handles, remove_from_bucket, sweep_bucket
from .download import from_bucket
from .lock import LockTimes, locked_in_bucket
from .scan import group_files, scan_bucket
from .upload import between_buckets, to_bucket


@dataclass(frozen=True)
class BucketStore:
    """A cache in Google Cloud Storage. One listing gives names and sizes."""

    location: str
    is_remote = True

    def names(self, progress: Progress = no_progress) -> CacheScan:
        """Return the entries; see `hub_magic.store.Store`."""
        return scan_bucket(self.location, progress)

    scan = names

    def rescan(self, before: CacheScan) -> CacheScan:  # noqa: ARG002 - a listing tells everything
        """Return what is in the cache now; see `hub_magic.store.Store`."""
        return scan_bucket(self.location)

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
        results = check_in_bucket(self.location, chosen, progress, deep=deep)
        return verification(scan, results, None if models is None else chosen, deep=deep)

    def read(self, model: CachedModel, name: str) -> bytes:
        """Return the content of a file; see `hub_magic.store.Store`."""
        with open_folder(self.location) as folder:
            content = folder.read(f"{model.folder}/{name}")
        if content is None:
            raise FileNotFoundError(f"{model.path}/{name}")
        return content

    def lock(self, folder: str) -> AbstractContextManager[bool]:
        """Hold the lock of an entry; see `hub_magic.store.Store`."""
        return locked_in_bucket(self.location, folder, LockTimes())

    def put(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: LockTimes | None = None,
    ) -> list[str | None]:
        """Copy entries into the cache; see `hub_magic.store.Store`."""
        with open_folder(self.location) as folder:
            return copy_each(partial(to_bucket, folder, times or LockTimes()), models, progress, at_once)

    def copy_to(
        self,
        target: Target,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        at_once: int = AT_ONCE,
        times: LockTimes | None = None,
    ) -> list[str | None]:
        """Copy entries to another cache; see `hub_magic.store.Store`."""
        with ExitStack() as stack:
            folder = stack.enter_context(open_folder(self.location))
            entries = run_in_thread(lambda _tally: group_files(folder.files()), progress)
            if target.is_remote:  # the storage copies by itself
                theirs = stack.enter_context(open_folder(target.location))
                copy = partial(between_buckets, folder, entries, theirs, times=times or LockTimes())
                return copy_each(copy, models, progress, at_once)
            prepare_location(target.location)
            return copy_each(
                partial(from_bucket, folder, entries, target.location), models, progress, at_once
            )

    @contextmanager
    def on_disk(
        self, models: Sequence[CachedModel], progress: Progress = no_progress
    ) -> Iterator[tuple[CachedModel, ...]]:
        """Yield these entries in a temporary directory; see `hub_magic.store.Store`."""
        with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
            reasons = self.copy_to(DirectoryStore(here), models, progress)
            for model, reason in zip(models, reasons, strict=True):
                if reason:
                    raise SettingError(f"{model.title}: {reason}. Try again.")
            yield scan_directory(here).models

    def remove(
        self,
        models: Sequence[CachedModel],
        progress: Progress = no_progress,
        *,
        by_use: bool = False,  # noqa: ARG002 - a bucket does not tell when objects were read
        in_use: InUse = never_in_use,
    ) -> tuple[list[Kept], int]:
        """Remove entries; see `hub_magic.store.Store`."""
        loaded: list[Kept] = [(model, LOADED) for model in models if in_use(model)]
        free = [model for model in models if not in_use(model)]
        staying, freed = remove_from_bucket(self.location, free, progress)
        return [*loaded, *staying], freed

    def is_at_work(self, problem: Problem) -> bool:  # noqa: ARG002 - `sweep` looks at the lock itself
        """Return False: a listing does not tell; see `hub_magic.store.Store`."""
        return False

    def sweep(
        self, problems: Sequence[Problem], progress: Progress = no_progress
    ) -> tuple[tuple[Problem, ...], int]:
        """Remove leftovers, and learn the handles that only descriptors tell; see `hub_magic.store.Store`."""

        def work(_tally: Tally) -> tuple[tuple[Problem, ...], int]:
            learn_handles(self.location)
            return sweep_bucket(self.location, problems, LockTimes())

        return run_all([work], progress, workers=1)[0]

    @contextmanager
    def replacing(self, model: CachedModel) -> Iterator[None]:
        """Make way for a new copy; see `hub_magic.store.Store`."""
        if not model.damage:  # only its files show the damage, so a download would take it for intact
            remove_from_bucket(self.location, [model], no_progress)
        yield
