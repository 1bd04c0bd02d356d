"""Add, export and move: from parsed arguments to the call, also where the cache is in a bucket."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import CachedModel, CacheScan
from ..cache.selection import select
from ..care.copy import CopyPlan, plan_copy
from ..errors import SettingError
from ..locations import is_bucket, prepare_directory, read_location
from ..progress import byte_bar
from ..settings import set_cache
from .verbs import Show, loaded_here, location, scan_with_bar

if TYPE_CHECKING:
    from ..care.add import Added, AddedList
    from ..care.export import Export, Exported
    from ..care.move import Move, Moved


@dataclass
class Place:
    """A directory to add models to.

    Attributes:
        path: the path of the directory.
        there: folder names of models that were cached already when they were sent.
    """

    path: str
    there: frozenset[str] = frozenset()


@contextmanager
def place_to_add(location: str, *, is_list: bool = False) -> Iterator[Place]:
    """Yield a directory to add models to; at the end its models are sent to a bucket.

    Args:
        location: the cache.
        is_list: whether models that are cached already are skipped.

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
    """Yield these entries of the cache as directories on the local disk, inside the `with`.

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


def add(arguments: Namespace, _show: Show) -> Added | AddedList:
    """Add a model (`--add HANDLE PATH`), or several (`--add --all DIRECTORY`)."""
    from ..care import add as add_list
    from ..care import add as adding

    if arguments.all:
        (directory,) = _words(arguments.add, "--add --all DIRECTORY", 1)
        with (
            place_to_add(location(), is_list=True) as place,
            byte_bar("Adding", add_list.list_size(directory)) as progress,
        ):
            found = add_list.add_all(directory, location=place.path, progress=progress)
        added = tuple(_placed(one, place) for one in found.added if Path(one.path).name not in place.there)
        return replace(found, added=added, there=found.there + len(place.there))
    handle, source = _words(arguments.add, "--add HANDLE PATH", 2)
    with place_to_add(location()) as place, byte_bar("Adding", adding.source_size(source)) as progress:
        one = adding.add(handle, source, location=place.path, progress=progress)
    return _placed(one, place)


def _placed(added: Added, place: Place) -> Added:
    """Return what was added, with its place in the cache."""
    return replace(added, path=f"{location()}{added.path.removeprefix(place.path)}")


def export(arguments: Namespace, _show: Show) -> Exported | Export:
    """Export a model (`--export HANDLE FILE`), or all (`--export --all DIRECTORY`)."""
    from ..care.export import export_all, export_model

    scan = scan_with_bar(location())
    if arguments.all:
        (directory,) = _words(arguments.export, "--export --all DIRECTORY", 1)
        with models_on_disk(scan, scan.models) as models, byte_bar("Exporting", scan.size) as progress:
            return export_all(models, directory, progress)
    word, file = _words(arguments.export, "--export HANDLE FILE", 2)
    with (
        models_on_disk(scan, select(scan, [word])) as (model,),
        byte_bar("Exporting", max(model.size, 0)) as progress,
    ):
        return export_model(model, file, progress)


def move_to(arguments: Namespace, show: Show) -> Move | Moved:
    """Move the cache (`--move-to LOCATION`); the setting follows unless the disk refused a file."""
    from ..care.move import plan_move

    source = _directory("--move-to")
    target = read_location(arguments.move_to, os.environ)
    if is_bucket(target):
        raise SettingError(f"A cache is moved to a directory. Copy it to {target} with --copy-to.")
    plan = plan_move(
        scan_with_bar(source),
        scan_with_bar(target),
        same_disk=_is_same_disk(source, target),
        loaded=loaded_here,
    )
    if arguments.dry_run:
        return plan
    show(plan)
    prepare_directory(target)
    with byte_bar("Moving", plan.size) as progress:
        moved = plan.execute(progress)
    if not moved.failed:
        set_cache(target)
    return moved


def _words(words: list[str], usage: str, count: int) -> list[str]:
    if len(words) != count:
        raise SettingError(f"{usage} takes {count} word{'s' * (count > 1)}, not {len(words)}. Quote blanks.")
    return words


def _directory(verb: str) -> str:
    """Return the cache's location, which must be on disk."""
    found = location()
    if is_bucket(found):
        raise SettingError(f"{verb} works on a cache on disk, not on {found}. Copy it here with --copy-to.")
    return found


def _is_same_disk(one: str, other: str) -> bool:
    return _device(one) == _device(other)


def _device(location: str) -> int:
    path = Path(location)
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return existing.stat().st_dev
