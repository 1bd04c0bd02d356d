"""Scan a cache again at a fraction of the first scan's cost.

A folder's own times change when a name in it is added, removed or replaced, so an entry whose folders are
older than the last look has the files it had then, and only the others are looked into. A file rewritten in
place under its old name is not noticed; `verify` is for that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from ..small_files import time_from
from .entry import CachedModel
from .layout import read_names
from .scan import (
    CacheScan,
    Problem,
    damage_problem,
    free_space,
    in_order,
    inspect,
    listed,
    read_model,
    scan_directory,
)

# Times on a disk are coarser than a clock, up to two seconds on FAT.
_SLACK = timedelta(seconds=3)


def rescan_directory(scan: CacheScan) -> CacheScan:
    """What is in the cache now, with what the last scan found of all entries that have not changed since.

    When they were last used is as it was; `with_last_use` looks at that.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    if scan.taken is None:
        return scan_directory(scan.location)
    since = (scan.taken - _SLACK).timestamp()
    taken = datetime.now()  # noqa: DTZ005 - local time, as descriptors keep
    same = {m.folder: m for m in scan.models if m.is_measured and not _has_changed(m.path, m.folders, since)}
    if len(same) == len(scan.models) and _is_settled(scan) and not _has_changed(scan.location, (), since):
        return replace(scan, taken=taken, free=free_space(scan.location))
    names = read_names(scan.location)
    holders = names.holders()
    skipped: dict[str, list[Problem]] = {}
    for problem in scan.problems:
        if problem.kind == "skipped" and problem.name == names.records.get(problem.name[:40]):
            skipped.setdefault(problem.name[:40], []).append(problem)
    models: list[CachedModel] = []
    problems: list[Problem] = []
    for folder in names.entries:
        model = same.get(folder)
        if model is None or bool(model.handle) != (folder in names.descriptors):
            model, wrong = inspect(read_model(names, folder, holders))
            problems += wrong
        else:
            model = replace(model, holder=holders.get(folder)) if folder in holders or model.holder else model
            problems += filter(None, [damage_problem(model)])
            problems += skipped.get(folder, ())
        models.append(model)
    return listed(names, models, holders, taken, problems)


def with_last_use(model: CachedModel) -> CachedModel:
    """The entry with the time its graph was last read, which every load does."""
    if model.kind == "other" or model.last_used is None:
        return model
    try:
        used = os.stat(f"{model.path}/saved_model.pb").st_atime
    except OSError:  # a graph in text form, or gone
        return model
    if used <= model.last_used.timestamp():
        return model
    return replace(model, last_used=time_from(used) or model.last_used)


def _is_settled(scan: CacheScan) -> bool:
    """Whether nothing in the cache can change without its folder changing, as a download does."""
    unsettled = {"lock", "partial download", "no descriptor", "skipped"}
    return not any(problem.kind in unsettled for problem in scan.problems)


def _has_changed(path: str, folders: tuple[str, ...], since: float) -> bool:
    """Whether a folder was written since then, in seconds since 1970, or one below it, or cannot be asked."""
    try:
        facts = os.stat(path)  # for each of 10,000 entries
        if facts.st_mtime >= since or facts.st_ctime >= since:
            return True
        for folder in folders:
            facts = os.stat(f"{path}/{folder}")
            if facts.st_mtime >= since or facts.st_ctime >= since:
                return True
    except OSError:
        return True
    return False


class Survey:
    """What is known of a cache so far. Any thread may take it further.

    Args:
        scan: what is known.
        left: the entries to look at.
    """

    def __init__(self, scan: CacheScan, left: Iterable[CachedModel] = ()) -> None:
        self._lock = threading.Lock()
        self._scan = scan
        self._models = {model.folder: model for model in scan.models}
        self._problems: list[Problem] = []
        self._left = [*left][::-1]

    @property
    def is_done(self) -> bool:
        """Whether every entry has been looked at."""
        return not self._left

    @property
    def looked_at(self) -> int:
        """How many entries have been looked at."""
        return len(self._models) - len(self._left)

    def look(self, longest: float) -> tuple[CachedModel, ...]:
        """Look at entries, one at least, for so many seconds; gives those looked at."""
        end = time.monotonic() + longest
        looked: list[CachedModel] = []
        with self._lock:
            while self._left:
                model, wrong = inspect(self._left.pop())
                self._models[model.folder] = model
                looked.append(model)
                self._problems += wrong
                if time.monotonic() > end:
                    break
        return tuple(looked)

    def scan(self) -> CacheScan:
        """What is known so far; sizes that are not known yet are -1."""
        with self._lock:
            return replace(
                self._scan,
                models=tuple(self._models.values()),
                problems=in_order([*self._scan.problems, *self._problems]),
            )

    def correct(self, models: Iterable[CachedModel], problems: Iterable[Problem]) -> None:
        """Put in what a closer look has found."""
        with self._lock:
            self._models.update((model.folder, model) for model in models if model.folder in self._models)
            self._problems.extend(problems)
