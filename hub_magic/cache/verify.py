"""Whether the entries of a cache are whole.

Quick: the files that the format demands are there and not empty, no shard is missing, `saved_model.pb` does
not end too early, and every file has the size recorded at its download. Deep: every file has the digest
recorded at its download, and every tensor of the checkpoint is read by TensorFlow, which compares checksums.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..facts import Fact
from ..locations import is_bucket
from ..progress import Progress, no_progress
from .entry import CachedModel, damage_in
from .protobuf import NotReadableError
from .record import EntryRecord, read_record
from .savedmodel import read_outline
from .scan import CacheScan, Problem

GRAPH = "saved_model.pb"
VARIABLES = "variables/variables.index"


@dataclass(frozen=True, slots=True)
class Checked(Fact):
    """An entry that was checked.

    Attributes:
        model: the entry.
        damage: why it cannot be whole; "" when nothing was found.
        size: bytes of its files.
        recorded: files that were compared with what was recorded at the download; 0 without a record.
        tensors: tensors that were read; 0 in a quick check.
        unread: why the tensors were not read in a deep check; "" when they were, or there are none.
    """

    model: CachedModel
    damage: str
    size: int = 0
    recorded: int = 0
    tensors: int = 0
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Verification(Fact):
    """What a check of a cache found.

    Attributes:
        location: the cache.
        is_deep: whether the files were read to their ends.
        checked: the entries that were checked.
        problems: what else is not as it should be: locks, leftovers, what could not be read.
    """

    location: str
    is_deep: bool
    checked: tuple[Checked, ...]
    problems: tuple[Problem, ...]
    derived: ClassVar[tuple[str, ...]] = ("damaged",)

    @property
    def damaged(self) -> tuple[Checked, ...]:
        """The entries that cannot be whole."""
        return tuple(one for one in self.checked if one.damage)


def verify(
    scan: CacheScan,
    models: Iterable[CachedModel] | None = None,
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> Verification:
    """Check entries of a cache.

    Args:
        scan: what is in the cache; names are enough (`list_cache`).
        models: the entries to check; all of them when None.
        deep: whether to read every file to its end. Several entries are read at once.
        progress: told in this thread how many more are done: entries; bytes when it is deep.
    """
    chosen = scan.models if models is None else tuple(models)
    if is_bucket(scan.location):
        from ..bucket.care import check_in_bucket

        results = check_in_bucket(scan.location, chosen, progress, deep=deep)
    elif deep:
        from .deep import check_all

        results = check_all(chosen, progress)
    else:
        results = []
        for model in chosen:
            results.append(checked_or_problem(model, check_quickly))
            progress(1)
    checked = tuple(result for result in results if isinstance(result, Checked))
    unreadable = (result for result in results if isinstance(result, Problem))
    others = (
        problem
        for problem in scan.problems
        if problem.kind not in {"damaged", "unreadable"} and (models is None or _is_about(problem, chosen))
    )
    return Verification(scan.location, deep, checked, (*others, *unreadable))


def _is_about(problem: Problem, models: Iterable[CachedModel]) -> bool:
    return any(problem.name.startswith(model.folder) for model in models)


def checked_or_problem(model: CachedModel, check: Callable[[CachedModel], Checked]) -> Checked | Problem:
    """What a check finds; a problem where the entry cannot be read."""
    try:
        return check(model)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return Problem("unreadable", model.folder, reason, handle=model.handle)


def check_quickly(model: CachedModel) -> Checked:
    """The entry judged by names, sizes and the outermost lengths of its graph.

    Raises:
        OSError: it cannot be read.
    """
    files, folders, special = _sizes(model.path)
    size = sum(files.values())
    record = read_record(model.path)
    if record is not None:
        return Checked(model, _unlike_record(record, files), size, len(record.files))
    damage = damage_in(files, folders)
    if not damage and GRAPH in files and GRAPH not in special:
        damage = _damage_by_outline(model.path, files)
    return Checked(model, damage, size)


def _damage_by_outline(entry: str, files: Mapping[str, int]) -> str:
    try:
        outline = read_outline(f"{entry}/{GRAPH}")
    except NotReadableError as error:
        return f"{GRAPH} is damaged: {error}"
    if outline.has_variables and VARIABLES not in files:
        return f"{VARIABLES} is missing"
    missing = (f"assets/{name}" for name in outline.assets if f"assets/{name}" not in files)
    return next((f"{name} is missing" for name in missing), "")


def _unlike_record(record: EntryRecord, files: Mapping[str, int]) -> str:
    for file in record.files:
        size = files.get(file.path)
        if size is None:
            return f"{file.path} is missing"
        if size != file.size:
            return f"{file.path} has {size:,} of its {file.size:,} bytes"
    return ""


def _sizes(entry: str) -> tuple[dict[str, int], list[str], set[str]]:
    """An entry's files with their sizes, its folders, and which of the files are no plain ones."""
    files: dict[str, int] = {}
    folders: list[str] = []
    special: set[str] = set()
    pending = [""]
    for prefix in pending:  # grows while it is read
        with os.scandir(f"{entry}/{prefix}") as found:
            for item in found:
                name = prefix + item.name
                if item.is_dir(follow_symlinks=False):
                    folders.append(name)
                    pending.append(f"{name}/")
                    continue
                files[name] = item.stat(follow_symlinks=False).st_size
                if not item.is_file(follow_symlinks=False):
                    special.add(name)
    return files, folders, special
