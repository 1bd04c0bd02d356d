"""Verify, repair and remove entries of a cache in a bucket.

A listing tells names, sizes and how many files there must be, which is all that a quick check looks at. For a
deep check an entry is copied to this machine and checked as any other; the way is part of the check, because
every object's checksum is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from ..cache.entry import CachedModel
from ..cache.scan import Problem, list_directory
from ..cache.verify import Checked, check_in_directory
from ..gcs import LARGEST_BATCH, BucketFile, BucketFolder, open_folder
from ..progress import Progress, Tally, no_progress, run_all
from .download import from_bucket
from .lock import LockTimes, release_dead_lock
from .scan import BucketEntry, describe_unknown, group_files, model_of


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
        (found,) = check_in_directory(list_directory(here).models, no_progress, deep=True)
        return replace(found, model=model) if isinstance(found, Checked) else found


def remove_from_bucket(
    location: str, models: Sequence[CachedModel], progress: Callable[[int], object]
) -> tuple[list[tuple[CachedModel, str]], int]:
    """Remove entries that are still as they were when they were chosen.

    Args:
        location: the cache.
        models: the entries, as a scan showed them.
        progress: told in this thread, again and again, how many more bytes are gone.

    Returns:
        The entries that stay and why, and the bytes freed.

    Raises:
        SettingError: the bucket refuses.
    """
    (done,) = run_all([partial(_remove, location, models)], progress, workers=1)
    return done


def _remove(
    location: str, models: Sequence[CachedModel], tally: Tally
) -> tuple[list[tuple[CachedModel, str]], int]:
    with open_folder(location) as folder:
        entries = group_files(folder.files())
        staying = []
        going: list[BucketEntry] = []
        for model in models:
            entry = entries.get(model.folder)
            reason = _why_not(location, model, entry)
            if entry is None or reason:
                staying.append((model, reason))
            else:
                going.append(entry)
        for batch in _batches(going):
            folder.delete(batch, tally.add)
    return staying, sum(entry.size for entry in going)


def _why_not(location: str, planned: CachedModel, entry: BucketEntry | None) -> str:
    """Why an entry stays, or ""."""
    if entry is None or not entry.exists:
        return "it had already been deleted"
    if entry.lock:
        return "it is locked"
    now = model_of(location, entry)
    # A handle may have become known since, by a word of the user's.
    if (now.size, now.files, now.downloaded) != (planned.size, planned.files, planned.downloaded):
        return "it has changed since the plan was made"
    return ""


def _batches(entries: Sequence[BucketEntry]) -> Iterator[list[BucketFile]]:
    """The objects of all entries, cut between entries where they fit into one request."""
    batch: list[BucketFile] = []
    for entry in entries:
        files = entry.all_files
        if batch and len(batch) + len(files) > LARGEST_BATCH:
            yield batch
            batch = []
        batch += files
    if batch:
        yield batch
