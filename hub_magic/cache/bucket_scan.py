"""What is in a cache in a bucket, from listings alone: one request for 1000 objects, none for an entry."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from ..gcs import BucketFolder, open_folder
from ..progress import Progress, no_progress
from .bucket_names import BucketEntry, descriptor_metadata, group_files
from .entry import CachedModel, kind_of
from .holders import holder_state
from .layout import DESCRIPTOR_SUFFIX, LOCK_SUFFIX, read_descriptor
from .scan import CacheScan, Problem, in_order

_READERS = 16


def scan_bucket(location: str, progress: Progress = no_progress) -> CacheScan:
    """Everything about the entries of a cache in a bucket.

    Args:
        location: the cache.
        progress: told how many more objects there are.

    Raises:
        SettingError: it may not be listed, or does not answer.
    """
    with open_folder(location) as folder:
        return scan_of(location, group_files(folder.files(progress=progress)).values())


def scan_of(location: str, entries: Iterable[BucketEntry]) -> CacheScan:
    """The scan that these entries make."""
    taken = datetime.now()  # noqa: DTZ005 - local time, as descriptors keep
    models: list[CachedModel] = []
    problems: list[Problem] = []
    for entry in entries:
        if entry.exists:
            models.append(model_of(location, entry))
        problems += _problems(entry)
    models.sort(key=lambda model: (not model.handle, model.handle, model.folder))
    return CacheScan(location, tuple(models), in_order(problems), taken=taken)


def model_of(location: str, entry: BucketEntry) -> CachedModel:
    """An entry as a scan shows it. When an object was last read a bucket does not tell."""
    described = entry.described
    sizes = {name: file.size for name, file in entry.files.items()}
    created = max((file.created for file in entry.files.values() if file.created), default=None)
    return CachedModel(
        entry.folder,
        f"{location}/{entry.folder}",
        described.handle if described else "",
        kind_of(sizes),
        entry.size,
        entry.size,
        len(sizes),
        described.downloaded if described else _local(created),
        described.host if described else "",
        None,
        entry.damage,
        entry.holder,
        entry.folders,
    )


def describe_unknown(folder: BucketFolder, entries: Iterable[BucketEntry]) -> None:
    """Read the descriptors that tensorflow_hub wrote by itself, and write what they say into their metadata.

    From then on listings tell it; until then each takes two requests.

    Args:
        folder: the cache.
        entries: the entries to look at; those that listings know are passed by.
    """
    unknown = [entry for entry in entries if entry.exists and entry.descriptor and entry.described is None]

    def describe(entry: BucketEntry) -> None:
        name = entry.folder + DESCRIPTOR_SUFFIX
        found = read_descriptor((folder.read(name) or b"").decode(errors="replace"))
        if found and entry.descriptor and entry.is_whole:
            metadata = descriptor_metadata(found, len(entry.files), entry.size)
            folder.describe(name, metadata, generation=entry.descriptor.generation)

    with ThreadPoolExecutor(_READERS, "hub_magic names") as pool:
        list(pool.map(describe, unknown))


def _problems(entry: BucketEntry) -> list[Problem]:
    found = []
    described = entry.described
    handle = described.handle if described else ""
    if entry.exists and entry.damage:
        found.append(Problem("damaged", entry.folder, entry.damage, entry.size, handle))
    if entry.exists and described is None:
        found.append(_nameless(entry))
    if not entry.exists and entry.lock is None:
        found += [
            Problem("orphan", file.name, "the model it describes is gone", file.size)
            for file in (entry.descriptor, entry.record)
            if file
        ]
    if entry.lock:
        found.append(Problem("lock", entry.folder + LOCK_SUFFIX, _who_holds(entry)))
    for uid, files in entry.scratch.items():
        size = sum(file.size for file in files.values())
        is_held = entry.lock is not None and (entry.holder is None or entry.holder.uid == uid)
        reason = "a download that may be under way" if is_held else "a download that was never finished"
        found.append(Problem("half download", f"{entry.folder}.{uid}.tmp", reason, size, handle))
    found += [
        Problem("leftover", file.name, "a write that was never finished", file.size)
        for file in entry.leftovers
    ]
    return found


def _nameless(entry: BucketEntry) -> Problem:
    if entry.descriptor is None:
        return Problem("no descriptor", entry.folder, "nothing says which model it is")
    reason = "only its descriptor says which model it is; %hub_cache --verify --repair reads it once for all"
    return Problem("no descriptor", entry.folder, reason)


def _who_holds(entry: BucketEntry) -> str:
    holder = entry.holder
    if holder is None:
        since = _local(entry.lock.created) if entry.lock else None
        return f"held since {since:%Y-%m-%d %H:%M}" if since else "held by somebody"
    if holder_state(holder) == "dead":
        return f"left by process {holder.pid}, which is gone"
    return f"held by process {holder.pid} on {holder.host}"


def _local(time: datetime | None) -> datetime | None:
    return time.astimezone().replace(tzinfo=None) if time else None
