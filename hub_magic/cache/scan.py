"""What is in a cache directory, read without TensorFlow and without changing anything.

Two passes, because a view wants its first rows at once: names and descriptors (`list_cache`), then the files
of each entry (`measure`). `scan_cache` does both. Links are never followed, one bad entry never spoils the
list, and what cannot be read is among the problems.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Literal

from ..errors import SettingError
from ..facts import Fact
from .entry import CachedModel, damage_in, kind_of
from .holders import holder_state
from .layout import Descriptor, Holder, Part, Role, read_descriptor, read_lock, read_name

ProblemKind = Literal[
    "no descriptor", "orphan", "half download", "lock", "leftover", "damaged", "unreadable", "link"
]

# More than any descriptor or lock that tensorflow_hub writes.
_SMALL_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Problem(Fact):
    """Something in a cache that is not as it should be.

    Attributes:
        kind: which sort of problem.
        name: the name in the cache that it is about.
        reason: what is wrong, in words.
        size: bytes that lie there for nothing; 0 where nothing can be freed.
        handle: the model's handle where it is known.
    """

    kind: ProblemKind
    name: str
    reason: str
    size: int = 0
    handle: str = ""


@dataclass(frozen=True, slots=True)
class CacheScan(Fact):
    """What was found in a cache.

    Attributes:
        location: the directory, or `gs://` location, that was looked at.
        models: its entries, in the order of their handles.
        problems: what is not as it should be, in the order of names.
        free: bytes free on the disk; -1 where there is no such number.
    """

    location: str
    models: tuple[CachedModel, ...] = ()
    problems: tuple[Problem, ...] = ()
    free: int = -1
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of all the models' files."""
        return sum(model.size for model in self.models if model.is_measured)


@dataclass(slots=True)
class _Names:
    """The names found in a cache, by what they stand for."""

    entries: list[str] = field(default_factory=list)
    files: dict[Role, dict[str, str]] = field(default_factory=lambda: {role: {} for role in Role})
    downloads: dict[str, Part] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def list_cache(location: str) -> CacheScan:
    """The entries by name, handle and lock alone; their files have not been looked at.

    A cache that does not exist yet is an empty one.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    names = _read_names(location)
    holders = {folder: _read_holder(location, name) for folder, name in names.files[Role.LOCK].items()}
    models = [_model(location, folder, names, holders) for folder in names.entries]
    models.sort(key=lambda model: (not model.handle, model.handle, model.folder))
    problems = [
        *names.problems,
        *(
            Problem("no descriptor", m.folder, "nothing says which model it is")
            for m in models
            if not m.handle
        ),
        *_orphans(location, names),
        *_lock_problems(names, holders),
        *_half_downloads(location, names, holders),
    ]
    return CacheScan(location, tuple(models), _in_order(problems), free_space(location))


def scan_cache(location: str) -> CacheScan:
    """Everything about the entries of a cache: names, sizes, kinds, ages, and what is wrong.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    listed = list_cache(location)
    problems = list(listed.problems)
    models = []
    for listed_model in listed.models:
        try:
            model = measure(listed_model)
        except OSError as error:
            model = listed_model
            problems.append(
                Problem("unreadable", model.folder, f"cannot be read: {error.strerror}", handle=model.handle)
            )
        if model.damage:
            problems.append(Problem("damaged", model.folder, model.damage, model.size, model.handle))
        models.append(model)
    return replace(listed, models=tuple(models), problems=_in_order(problems))


def measure(model: CachedModel) -> CachedModel:
    """The entry with its files looked at.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    files: dict[str, int] = {}
    folders: list[str] = []
    blocks = 0
    used = 0.0
    for relative, facts in _walk(model.path, folders):
        files[relative] = facts.st_size
        # Windows counts no blocks.
        blocks += getattr(facts, "st_blocks", -(-facts.st_size // 512))
        used = max(used, facts.st_atime)
    return replace(
        model,
        kind=kind_of(files),
        size=sum(files.values()),
        disk=blocks * 512,
        files=len(files),
        last_used=datetime.fromtimestamp(used) if used else None,  # noqa: DTZ006 - local time, as descriptors keep
        damage=damage_in(files, folders),
    )


def _walk(root: str, folders: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `root` by its relative path; the names of root's own folders go into `folders`."""
    pending = [(root, "")]
    while pending:
        directory, prefix = pending.pop()
        with os.scandir(directory) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    pending.append((item.path, f"{prefix}{item.name}/"))
                    if not prefix:
                        folders.append(item.name)
                else:
                    yield prefix + item.name, item.stat(follow_symlinks=False)


def _read_names(location: str) -> _Names:
    names = _Names()
    try:
        found = os.scandir(location)
    except FileNotFoundError:
        return names
    except OSError as error:
        raise SettingError(
            f"The cache at {location} cannot be read: {error.strerror}. Set another with %hub_cache LOCATION."
        ) from error
    with found:
        for item in found:
            part = read_name(item.name)
            if part is None:
                continue
            if item.is_symlink():
                names.problems.append(Problem("link", item.name, "is a link, which is not followed"))
            elif item.is_dir(follow_symlinks=False) != (part.role in {Role.ENTRY, Role.DOWNLOAD}):
                names.problems.append(Problem("unreadable", item.name, "is not what its name says"))
            elif part.role is Role.ENTRY:
                names.entries.append(part.folder)
            elif part.role is Role.DOWNLOAD:
                names.downloads[item.name] = part
            elif part.role is Role.LEFTOVER:
                size = item.stat(follow_symlinks=False).st_size
                names.problems.append(Problem("leftover", item.name, "a write that was never finished", size))
            else:
                names.files[part.role][part.folder] = item.name
    return names


def _model(location: str, folder: str, names: _Names, holders: dict[str, Holder | None]) -> CachedModel:
    name = names.files[Role.DESCRIPTOR].get(folder)
    descriptor = _read_descriptor(location, name) if name else None
    return CachedModel(
        folder,
        f"{location}{os.sep}{folder}",
        handle=descriptor.handle if descriptor else "",
        downloaded=descriptor.downloaded if descriptor else None,
        host=descriptor.host if descriptor else "",
        holder=holders.get(folder),
    )


def _orphans(location: str, names: _Names) -> Iterator[Problem]:
    """Descriptors and records whose entry is gone, as after a temporary-file cleaner or a crash."""
    present = {*names.entries, *names.files[Role.LOCK]}
    for role in (Role.DESCRIPTOR, Role.RECORD):
        for folder, name in names.files[role].items():
            if folder not in present:
                size = len(_read_small(location, name))
                yield Problem("orphan", name, "the model it describes is gone", size)


def _lock_problems(names: _Names, holders: dict[str, Holder | None]) -> Iterator[Problem]:
    for folder, holder in holders.items():
        name = names.files[Role.LOCK][folder]
        if holder is None:
            yield Problem("lock", name, "a lock that names no holder")
        elif holder_state(holder) == "dead":
            yield Problem("lock", name, f"left by process {holder.pid}, which is gone")
        else:
            yield Problem("lock", name, f"held by process {holder.pid} on {holder.host}")


def _half_downloads(location: str, names: _Names, holders: dict[str, Holder | None]) -> Iterator[Problem]:
    for name, part in names.downloads.items():
        holder = holders.get(part.folder)
        if holder and holder.uid == part.uid and holder_state(holder) != "dead":
            reason = f"being downloaded by process {holder.pid} on {holder.host}"
        else:
            reason = "a download that was never finished"
        try:
            size = sum(facts.st_size for _, facts in _walk(f"{location}{os.sep}{name}", []))
        except OSError:  # finished or swept in the meantime, or not ours to read
            size = 0
        yield Problem("half download", name, reason, size)


def _read_descriptor(location: str, name: str) -> Descriptor | None:
    return read_descriptor(_read_small(location, name).decode(errors="replace"))


def _read_holder(location: str, name: str) -> Holder | None:
    return read_lock(_read_small(location, name).decode(errors="replace"))


def _read_small(location: str, name: str) -> bytes:
    """The beginning of a small file; empty when it cannot be read. `os.open` is faster than `open`."""
    try:
        number = os.open(f"{location}{os.sep}{name}", os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return b""
    try:
        return os.read(number, _SMALL_FILE)
    except OSError:
        return b""
    finally:
        os.close(number)


def free_space(location: str) -> int:
    """Bytes free to this user on the disk the cache is on, or would be created on."""
    while location and not os.path.isdir(location):  # noqa: PTH112 - a string walk, no Path per step
        parent = os.path.dirname(location)  # noqa: PTH120
        if parent == location:
            return -1
        location = parent
    return shutil.disk_usage(location).free if location else -1


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.name, problem.kind)))
