"""List a cache in a bucket: its entries, without reading any object.

The names are those of a cache in a directory. What a directory's scan reads from a descriptor or a lock,
hub_magic also writes as custom metadata of that object, which a listing gives along. An object that
tensorflow_hub wrote by itself has none: its entry's handle is not known until somebody reads the descriptor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..cache.entry import CachedModel, damage_in, kind_of
from ..cache.layout import (
    DESCRIPTOR_SUFFIX,
    GRAPHS,
    LOCK_SUFFIX,
    Descriptor,
    Holder,
    Role,
    lock_text,
    read_descriptor,
    read_lock,
    read_name,
)
from ..cache.locks import holder_state
from ..cache.scan import CacheScan, Problem, in_order
from ..gcs import BucketFile, BucketFolder, open_folder
from ..progress import Progress, no_progress
from ..small_files import SMALL, OddFileError, parse_number, parse_time

_FORM = "hub_magic"  # tells our metadata from anybody else's

# The ends of graphs' names: graphs come last, and go first.
GRAPH_ENDS = tuple(f"/{name}" for name in GRAPHS)


@dataclass(slots=True)
class BucketEntry:
    """All objects of one entry.

    Attributes:
        folder: its folder name, 40 hexadecimal digits.
        files: its files; names relative to the entry, markers of folders left out.
        markers: objects that only mark folders.
        descriptor, record, lock: the objects beside it.
        scratch: what downloads have brought so far, by their ids; names relative to the download's folder.
        leftovers: writes that were never finished.
    """

    folder: str
    files: dict[str, BucketFile] = field(default_factory=dict)
    markers: list[BucketFile] = field(default_factory=list)
    descriptor: BucketFile | None = None
    record: BucketFile | None = None
    lock: BucketFile | None = None
    scratch: dict[str, dict[str, BucketFile]] = field(default_factory=dict)
    leftovers: list[BucketFile] = field(default_factory=list)

    @property
    def exists(self) -> bool:
        """Whether tensorflow_hub would take it for a model: it asks only whether there is any file."""
        return bool(self.files)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files.values())

    @property
    def damage(self) -> str:
        """Why it cannot be whole, or "".

        Files come one after the other. How many there must be, and how large, the descriptor says where
        hub_magic wrote it; where tensorflow_hub did, the entry counts as unfinished while its lock is there.
        """
        if not self.files:
            return "it holds no files"
        wanted = self._metadata(self.descriptor)
        if wanted:
            count, size = wanted.get("files", "?"), wanted.get("bytes", "?")
            if (count, size) != (str(len(self.files)), str(self.size)):
                return f"{len(self.files)} of {count} files are present, {self.size} of {size} bytes"
            return ""
        sizes = {name: file.size for name, file in self.files.items()}
        return damage_in(sizes, self.folders)

    @property
    def is_whole(self) -> bool:
        """Whether it may be loaded."""
        return not self.damage and (self.lock is None or bool(self._metadata(self.descriptor)))

    @property
    def is_whole_without_lock(self) -> bool:
        """Whether it may be loaded by whoever holds its lock, and so knows that nobody else is at work.

        tensorflow_hub moves files one by one, so what it has left in its folder may belong here.
        """
        return not self.damage and (bool(self._metadata(self.descriptor)) or not self.scratch)

    @property
    def folders(self) -> tuple[str, ...]:
        """Its folders, relative to it."""
        found = {name[:at] for name in self.files for at, letter in enumerate(name) if letter == "/"}
        return tuple(sorted(found))

    @property
    def described(self) -> Descriptor | None:
        """What its descriptor's metadata say; None where only the descriptor's text does."""
        found = self._metadata(self.descriptor)
        if "handle" not in found:
            return None
        time = parse_time(found.get("downloaded", ""))
        if time is None and self.descriptor:
            time = _local(self.descriptor.created)
        try:
            pid = parse_number(found.get("pid", ""))
        except OddFileError:
            pid = 0
        return Descriptor(found["handle"], time, found.get("host", ""), pid)

    @property
    def holder(self) -> Holder | None:
        """Who holds its lock, where the lock's metadata say so."""
        return read_lock(self._metadata(self.lock).get("holder", ""))

    @property
    def all_files(self) -> tuple[BucketFile, ...]:
        """All that goes with the entry, by its names in the cache: the graph first, the descriptor last."""
        files = [_under(self.folder, file) for file in self.files.values()]
        files.sort(key=lambda file: not file.name.endswith(GRAPH_ENDS))
        beside = [file for file in (self.record, self.descriptor) if file]
        return (*files, *self.markers, *beside)

    def scratch_files(self) -> tuple[BucketFile, ...]:
        """What unfinished downloads have left, names relative to the cache."""
        return tuple(
            _under(f"{self.folder}.{uid}.tmp", file)
            for uid, files in self.scratch.items()
            for file in files.values()
        )

    def _metadata(self, file: BucketFile | None) -> Mapping[str, str]:
        return file.metadata if file and file.metadata.get("written-by") == _FORM else {}


def group_files(files: Iterable[BucketFile]) -> dict[str, BucketEntry]:
    """The entries that a listing of a cache shows, by folder; what has another form is passed by."""
    entries: dict[str, BucketEntry] = {}
    for file in files:
        head, slash, rest = file.name.partition("/")
        part = read_name(head)
        if part is None:
            continue
        entry = entries.get(part.folder)
        if entry is None:
            entry = entries[part.folder] = BucketEntry(part.folder)
        if slash:
            _place_inside(entry, part.role, part.uid, rest, file)
        elif part.role is Role.DESCRIPTOR:
            entry.descriptor = file
        elif part.role is Role.RECORD:
            entry.record = file
        elif part.role is Role.LOCK:
            entry.lock = file
        elif part.role is Role.LEFTOVER:
            entry.leftovers.append(file)
    return entries


def descriptor_metadata(descriptor: Descriptor, files: int, size: int) -> dict[str, str]:
    """The metadata of a descriptor, from which listings know the entry.

    Args:
        descriptor: what its text says.
        files: how many files the entry has.
        size: their bytes.
    """
    return {
        "written-by": _FORM,
        "handle": descriptor.handle,
        "downloaded": descriptor.downloaded.isoformat() if descriptor.downloaded else "",
        "host": descriptor.host,
        "pid": str(descriptor.pid),
        "files": str(files),
        "bytes": str(size),
    }


def lock_metadata(holder: Holder) -> dict[str, str]:
    """The metadata of a lock."""
    return {"written-by": _FORM, "holder": lock_text(holder)}


def _place_inside(entry: BucketEntry, role: Role, uid: str, rest: str, file: BucketFile) -> None:
    """Put an object that lies in a folder of the cache where it belongs."""
    if role is Role.ENTRY and (not rest or rest.endswith("/")):
        entry.markers.append(file)
    elif role is Role.ENTRY:
        entry.files[rest] = _renamed(file, rest)
    elif role is Role.DOWNLOAD:
        entry.scratch.setdefault(uid, {})[rest] = _renamed(file, rest)


def _under(folder: str, file: BucketFile) -> BucketFile:
    return _renamed(file, f"{folder}/{file.name}")


def _renamed(file: BucketFile, name: str) -> BucketFile:
    return replace(file, name=name)


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
        if entry.descriptor and entry.descriptor.size > SMALL:
            return
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
            Problem("orphan", file.name, "the model it describes no longer exists", file.size)
            for file in (entry.descriptor, entry.record)
            if file
        ]
    if entry.lock:
        found.append(Problem("lock", entry.folder + LOCK_SUFFIX, _who_holds(entry)))
    for uid, files in entry.scratch.items():
        size = sum(file.size for file in files.values())
        is_held = entry.lock is not None and (entry.holder is None or entry.holder.uid == uid)
        reason = "a download that may be in progress" if is_held else "an unfinished download"
        found.append(Problem("partial download", f"{entry.folder}.{uid}.tmp", reason, size, handle))
    found += [Problem("leftover", file.name, "an unfinished write", file.size) for file in entry.leftovers]
    return found


def _nameless(entry: BucketEntry) -> Problem:
    if entry.descriptor is None:
        return Problem("no descriptor", entry.folder, "its handle is unknown (no descriptor file)")
    reason = "its handle has not been read from its descriptor file; run %hub_cache --verify --repair"
    return Problem("no descriptor", entry.folder, reason)


def _who_holds(entry: BucketEntry) -> str:
    holder = entry.holder
    if holder is None:
        since = _local(entry.lock.created) if entry.lock else None
        return f"held since {since:%Y-%m-%d %H:%M}" if since else "held by an unknown process"
    if holder_state(holder) == "dead":
        return f"stale: process {holder.pid} is gone"
    return f"held by process {holder.pid} on {holder.host}"


def _local(time: datetime | None) -> datetime | None:
    return time.astimezone().replace(tzinfo=None) if time else None
