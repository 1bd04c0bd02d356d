"""A cache on disk for what works on one only, where the cache itself is in a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..cache import CachedModel, CacheScan
from ..care.copy import CopyPlan, plan_copy
from ..errors import SettingError
from ..locations import is_bucket
from ..progress import byte_bar
from .looks import scan_with_bar


@dataclass
class Place:
    """A directory to add models to.

    Attributes:
        path: the directory's.
        there: folder names of models that turned out, at the end, to be in the cache already.
    """

    path: str
    there: frozenset[str] = frozenset()


@contextmanager
def place_to_add(location: str, *, is_list: bool = False) -> Iterator[Place]:
    """A directory to add models to; for a bucket, what is in it at the end is sent.

    Args:
        location: the cache.
        is_list: whether models that are there already are passed by.

    Raises:
        SettingError: a model is in the bucket already, or the bucket refuses.
    """
    if not is_bucket(location):
        yield Place(location)
        return
    with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
        place = Place(here)
        yield place
        added = scan_with_bar(here)
        plan = plan_copy(added, scan_with_bar(location))
        going = {model.folder for model in plan.going}
        place.there = frozenset(model.folder for model in added.models if model.folder not in going)
        if place.there and not is_list:
            raise SettingError(
                f"{location} holds that model already. Remove it first: %hub_cache --remove HANDLE"
            )
        with byte_bar("Sending", plan.size) as progress:
            plan.execute(progress)


@contextmanager
def models_on_disk(scan: CacheScan, models: Sequence[CachedModel]) -> Iterator[tuple[CachedModel, ...]]:
    """These entries of the cache, on this machine's disk inside the `with`.

    Raises:
        SettingError: the bucket refuses.
    """
    if not is_bucket(scan.location):
        yield tuple(models)
        return
    with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
        plan = CopyPlan(scan.location, here, tuple(models), (), 0)
        with byte_bar("Fetching", plan.size) as progress:
            kept = plan.execute(progress).kept
        if kept:
            raise SettingError(
                f"{kept[0].model.handle or kept[0].model.folder}: {kept[0].reason}. Run it again."
            )
        yield scan_with_bar(here).models
