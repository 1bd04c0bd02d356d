"""Scan a cache directory without TensorFlow and without changing anything.

Two passes, because a view wants its first rows at once: names and descriptors (`list_cache`), then the files
of each entry (`measure`). `scan_cache` does both. Links are followed where TensorFlow follows them: in an
entry, and to a model's folder. One bad entry never spoils the list, and what cannot be read is among the
problems.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import ClassVar, Literal, ParamSpec, TypeVar

from ..facts import Fact
from .entry import CachedModel, folder_size, measure
from .layout import RECORD_SUFFIX, Holder, Names, read_names
from .locks import holder_state
from .record import why_skipped

Given = ParamSpec("Given")
Got = TypeVar("Got")


def without_collector(act: Callable[Given, Got]) -> Callable[Given, Got]:
    """Put the collector off while the function runs.

    With each model of a scan it would look again at all those before: a tenth of the time for 10,000.
    """

    @wraps(act)
    def acting(*args: Given.args, **kwargs: Given.kwargs) -> Got:
        was_on = gc.isenabled()
        gc.disable()
        try:
            return act(*args, **kwargs)
        finally:
            if was_on:
                gc.enable()

    return acting


ProblemKind = Literal[
    "no descriptor",
    "orphan",
    "partial download",
    "lock",
    "leftover",
    "damaged",
    "unreadable",
    "link",
    "skipped",
]


@dataclass(frozen=True, slots=True)
class Problem(Fact):
    """Something in a cache that is not as it should be.

    Attributes:
        kind: which sort of problem.
        name: the name in the cache that it is about.
        reason: what is wrong, in words.
        size: bytes that lie there for nothing; 0 where nothing can be freed.
        handle: the model's handle where it is known.

    Example:
        >>> scan_cache().problems
        ()
    """

    kind: ProblemKind
    name: str
    reason: str
    size: int = 0
    handle: str = ""

    @property
    def title(self) -> str:
        """The name of the problem's entry: its handle, or what it is called in the cache."""
        return self.handle or self.name


@dataclass(frozen=True, slots=True)
class CacheScan(Fact):
    """What was found in a cache.

    Attributes:
        location: the directory, or `gs://` location, that was looked at.
        models: its entries, in the order of their handles.
        problems: what is not as it should be, in the order of names.
        free: bytes free on the disk, whoever uses it; -1 where there is no such number.
        taken: when the look at it began, in local time; None where it was put together by hand.

    Example:
        >>> scan_cache().size == sum(model.size for model in scan_cache().models)
        True
    """

    location: str
    models: tuple[CachedModel, ...] = ()
    problems: tuple[Problem, ...] = ()
    free: int = field(default=-1, compare=False)
    taken: datetime | None = field(default=None, compare=False)
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of all the models' files."""
        return sum(model.size for model in self.models if model.is_measured)


@without_collector
def list_directory(location: str) -> CacheScan:
    """The entries by name, handle and lock alone; their files have not been looked at.

    A cache that does not exist yet is an empty one.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    taken = datetime.now()  # noqa: DTZ005 - local time, as descriptors keep
    names = read_names(location)
    holders = names.holders()
    models = [read_model(names, folder, holders) for folder in names.entries]
    return listed(names, models, holders, taken)


def listed(
    names: Names,
    models: list[CachedModel],
    holders: dict[str, Holder | None],
    taken: datetime,
    found: Iterable[Problem] = (),
) -> CacheScan:
    """The scan of these names and entries, with the problems that names alone show beside those found."""
    models.sort(key=_by_handle)
    problems = [
        *found,
        *(Problem("link", name, _about_link(names, name)) for name in names.links),
        *(Problem("unreadable", name, "has the wrong type for its name") for name in names.impostors),
        *(Problem("leftover", name, "an unfinished write", size) for name, size in names.leftovers.items()),
        *(
            Problem("no descriptor", model.folder, "its handle is unknown (no descriptor file)")
            for model in models
            if not model.handle and names.descriptors.get(model.folder) not in names.skipped
        ),
        *(skipped_file(name, why) for name, why in names.skipped.items()),
        *_orphans(names),
        *_lock_problems(names, holders),
        *_half_downloads(names, holders),
    ]
    return CacheScan(names.location, tuple(models), in_order(problems), free_space(names.location), taken)


@without_collector
def scan_directory(location: str) -> CacheScan:
    """Everything about the entries of a cache: names, sizes, kinds, ages, and what is wrong.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    found = list_directory(location)
    models, problems = [], list(found.problems)
    for model in found.models:
        measured, wrong = inspect(model)
        models.append(measured)
        problems += wrong
    return CacheScan(location, tuple(models), in_order(problems), found.free, found.taken)


def inspect(model: CachedModel) -> tuple[CachedModel, tuple[Problem, ...]]:
    """The entry with its files looked at, and what is wrong with it and its record."""
    try:
        measured = measure(model)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return model, (Problem("unreadable", model.folder, reason, handle=model.handle),)
    why = why_skipped(model.path)
    skipped = (skipped_file(model.folder + RECORD_SUFFIX, why, model.handle),) if why else ()
    return measured, (*filter(None, [damage_problem(measured)]), *skipped)


def damage_problem(model: CachedModel) -> Problem | None:
    """What is wrong with the files of an entry, as a problem."""
    if not model.damage:
        return None
    return Problem("damaged", model.folder, model.damage, model.size, model.handle)


def _about_link(names: Names, name: str) -> str:
    leads_on = os.path.exists(f"{names.location}/{name}")
    return "is a link, which is not followed" if leads_on else "is a link that leads nowhere"


def read_model(names: Names, folder: str, holders: dict[str, Holder | None]) -> CachedModel:
    """An entry by what its descriptor and its lock say."""
    path = f"{names.location}{os.sep}{folder}"
    descriptor = names.descriptor(folder)
    link = os.path.realpath(path) if folder in names.linked else ""
    if descriptor is None:
        return CachedModel(folder, path, holder=holders.get(folder), link=link)
    return CachedModel(
        folder,
        path,
        descriptor.handle,
        downloaded=descriptor.downloaded,
        host=descriptor.host,
        holder=holders.get(folder),
        link=link,
    )


def _by_handle(model: CachedModel) -> tuple[bool, str, str]:
    return (not model.handle, model.handle, model.folder)


def _orphans(names: Names) -> Iterator[Problem]:
    """Descriptors and records whose entry is gone, as after a temporary-file cleaner or a crash."""
    present = {*names.entries, *names.locks, *names.links}
    for found in (names.descriptors, names.records):
        for folder in found.keys() - present:
            yield Problem(
                "orphan",
                found[folder],
                "the model it describes no longer exists",
                _size(f"{names.location}/{found[folder]}"),
            )


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def skipped_file(name: str, why: str, handle: str = "") -> Problem:
    """Return the problem of a small file that is not what its name says."""
    return Problem("skipped", name, f"skipped: {why}", handle=handle)


def _lock_problems(names: Names, holders: dict[str, Holder | None]) -> Iterator[Problem]:
    for folder, holder in holders.items():
        name = names.locks[folder]
        if holder is None:
            why = names.unreadable_locks.get(name)
            words = f"a lock that cannot be read: {why}" if why else "a lock that names no owner"
            yield Problem("lock", name, words)
        elif holder_state(holder) == "dead":
            yield Problem("lock", name, f"stale: process {holder.pid} is gone")
        else:
            yield Problem("lock", name, f"held by process {holder.pid} on {holder.host}")


def _half_downloads(names: Names, holders: dict[str, Holder | None]) -> Iterator[Problem]:
    for name, part in names.downloads.items():
        holder = holders.get(part.folder)
        if holder and holder.uid == part.uid and holder_state(holder) != "dead":
            reason = f"being downloaded by process {holder.pid} on {holder.host}"
        else:
            reason = "an unfinished download"
        yield Problem("partial download", name, reason, folder_size(f"{names.location}{os.sep}{name}"))


def free_space(location: str) -> int:
    """Bytes free to this user on the disk the cache is on, or would be created on."""
    while location and not os.path.isdir(location):
        parent = os.path.dirname(location)
        if parent == location:
            return -1
        location = parent
    return shutil.disk_usage(location).free if location else -1


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Problems in the order of their names."""
    return tuple(sorted(problems, key=lambda problem: (problem.name, problem.kind)))
