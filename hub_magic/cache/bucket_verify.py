"""Whether the entries of a cache in a bucket are whole, and taking away what the dead have left there.

A listing tells names, sizes and how many files there must be, which is all that a quick check looks at. For a
deep check an entry is copied to this machine and checked as any other; the way is part of the check, because
every object's checksum is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..gcs import BucketFile, BucketFolder, open_folder
from ..progress import Progress, Tally, run_all
from .bucket_lock import LockTimes, release_dead_lock
from .bucket_names import BucketEntry, group_files
from .bucket_scan import describe_unknown
from .entry import CachedModel
from .into_directory import from_bucket
from .scan import Problem, list_cache
from .verify import Checked, verify


def check_in_bucket(
    location: str, models: Iterable[CachedModel], progress: Progress, *, deep: bool
) -> list[Checked | Problem]:
    """Check entries of a bucket; deeply one after the other, so that this disk need hold one only.

    Raises:
        SettingError: the bucket refuses.
    """
    if not deep:
        return [_as_listed(model, progress) for model in models]

    def check(tally: Tally) -> list[Checked | Problem]:
        with open_folder(location) as folder:
            entries = group_files(folder.files())
            return [_check_deeply(folder, entries, model, tally.add) for model in models]

    (checked,) = run_all([check], progress, workers=1)
    return checked


def sweep_bucket(
    location: str, planned: Sequence[Problem], times: LockTimes
) -> tuple[tuple[Problem, ...], int]:
    """Take away the locks of the dead and what they have left; gives what is gone, and the bytes freed.

    Raises:
        SettingError: the bucket refuses.
    """
    with open_folder(location) as folder:
        entries = group_files(folder.files())
        folders = {problem.name[:40] for problem in planned}
        chosen = [entry for name, entry in entries.items() if name in folders]
        free = [entry for entry in chosen if release_dead_lock(folder, entry, times)]
        litter = [file for entry in free for file in _litter(entry)]
        folder.delete(litter)
        gone = {entry.folder for entry in free}
        swept = tuple(problem for problem in planned if problem.name[:40] in gone)
        return swept, sum(file.size for file in litter)


def learn_handles(location: str) -> None:
    """Have listings tell the handles that only descriptors do.

    Raises:
        SettingError: the bucket refuses.
    """
    with open_folder(location) as folder:
        describe_unknown(folder, group_files(folder.files()).values())


def _as_listed(model: CachedModel, progress: Progress) -> Checked:
    progress(1)
    return Checked(model, model.damage, max(model.size, 0))


def _litter(entry: BucketEntry) -> list[BucketFile]:
    """What is unfinished of an entry that nobody holds, or describes one that is gone."""
    beside = [] if entry.exists else [file for file in (entry.descriptor, entry.record) if file]
    return [*entry.scratch_files(), *entry.leftovers, *beside]


def _check_deeply(
    folder: BucketFolder, entries: dict[str, BucketEntry], model: CachedModel, progress: Progress
) -> Checked | Problem:
    if model.damage:
        progress(max(model.size, 0))
        return Checked(model, model.damage, max(model.size, 0))
    with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
        why_not = from_bucket(folder, entries, here, model, progress)
        if why_not:
            return Problem("unreadable", model.folder, why_not, handle=model.handle)
        checked = next(iter(verify(list_cache(here), deep=True).checked))
        return replace(checked, model=model)
