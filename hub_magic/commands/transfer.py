"""Add, export and move: from parsed arguments to the call, also where the cache is in a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ..cache import CachedModel, CacheScan
from ..cache.selection import select
from ..errors import SettingError
from ..locations import read_location
from ..progress import byte_bar
from ..settings import set_cache
from ..store import open_store
from .verbs import Show, location, scan_with_bar

if TYPE_CHECKING:
    from ..care.add import Added, AddedList
    from ..care.copy import CopyPlan
    from ..care.export import Export, Exported
    from ..care.move import Move, Moved


@contextmanager
def models_on_disk(scan: CacheScan, models: Sequence[CachedModel]) -> Iterator[tuple[CachedModel, ...]]:
    """Yield these entries of the cache as directories on the local disk, inside the `with`.

    Raises:
        SettingError: the bucket refuses.
    """
    with ExitStack() as stack:
        with byte_bar("Fetching", sum(max(model.size, 0) for model in models)) as progress:
            found = stack.enter_context(open_store(scan.location).on_disk(models, progress))
        yield found


def add(words: Sequence[str], *, everything: bool = False) -> Added | AddedList:
    """Add a model (`--add HANDLE PATH`), or several (`--add --all DIRECTORY`)."""
    from ..care import add as care

    if everything:
        (directory,) = _words(words, "--add --all DIRECTORY", 1)
        with byte_bar("Adding", care.list_size(directory)) as progress:
            return care.add_all(directory, location=location(), progress=progress, send=_send)
    handle, source = _words(words, "--add HANDLE PATH", 2)
    with byte_bar("Adding", care.source_size(source)) as progress:
        return care.add(handle, source, location=location(), progress=progress, send=_send)


def _send(plan: CopyPlan) -> None:
    with byte_bar("Sending", plan.size) as progress:
        plan.execute(progress)


def export(words: Sequence[str], *, everything: bool = False) -> Exported | Export:
    """Export a model (`--export HANDLE FILE`), or all (`--export --all DIRECTORY`)."""
    from ..care.export import export_model, export_models

    scan = scan_with_bar(location())
    if everything:
        (directory,) = _words(words, "--export --all DIRECTORY", 1)
        with models_on_disk(scan, scan.models) as models, byte_bar("Exporting", scan.size) as progress:
            return export_models(models, directory, progress)
    word, file = _words(words, "--export HANDLE FILE", 2)
    with (
        models_on_disk(scan, select(scan, [word])) as (model,),
        byte_bar("Exporting", max(model.size, 0)) as progress,
    ):
        return export_model(model, file, progress)


def move_to(text: str, show: Show, *, dry_run: bool = False) -> Move | Moved:
    """Move the cache (`--move-to LOCATION`); the setting follows unless the disk refused a file."""
    from ..care.move import plan_move

    source = _directory("--move-to")
    target = read_location(text, os.environ)
    if open_store(target).is_remote:
        raise SettingError(f"--move-to takes a directory. For a bucket use --copy-to {target}")
    plan = plan_move(scan_with_bar(target), scan_with_bar(source))
    if dry_run:
        return plan
    show(plan)
    with byte_bar("Moving", plan.size) as progress:
        moved = plan.execute(progress)
    if not moved.failed:
        set_cache(target)
    return moved


def _words(words: Sequence[str], usage: str, count: int) -> Sequence[str]:
    if len(words) != count:
        raise SettingError(
            f"{usage} takes {count} argument{'s' * (count > 1)}, got {len(words)}. "
            "Quote arguments that contain spaces."
        )
    return words


def _directory(verb: str) -> str:
    """Return the cache's location, which must be on disk."""
    found = location()
    if open_store(found).is_remote:
        raise SettingError(
            f"{verb} needs a cache on disk, not {found}. Copy it to a directory with --copy-to."
        )
    return found
