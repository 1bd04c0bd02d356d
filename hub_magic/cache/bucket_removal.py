"""Taking entries out of a bucket: 100 objects with each request.

Each object goes only if it is the very one that was looked at, and an entry's objects go with as few requests
as can be, so that hardly a reader meets half of it; the descriptor, which tells how many files there must be,
goes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..gcs import LARGEST_BATCH, BucketFile, open_folder
from ..progress import Tally, run_all
from .bucket_names import BucketEntry, group_files
from .bucket_scan import model_of
from .entry import CachedModel


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
        return "it is gone already"
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
