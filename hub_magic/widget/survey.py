"""A scan under way: names are known at once, and the files of each entry as time allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from ..cache import CachedModel, CacheScan, Problem
from ..cache.scan import in_order, inspect


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
                model, problem = inspect(self._left.pop())
                self._models[model.folder] = model
                looked.append(model)
                if problem:
                    self._problems.append(problem)
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
