"""The verbs of `%hub_cache`: one option, one call."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ..care.move import Moved
from ..commands import transfer, verbs
from ..errors import SettingError
from ..locations import is_bucket, read_location
from ..settings import CacheSetting, read_cache, set_cache
from .saved import SavedSettings, check_keeping

if TYPE_CHECKING:
    from ..widget import CacheBrowser


def run_verb(arguments: Namespace, saved: SavedSettings) -> Any:
    """Do the one thing that a line of `%hub_cache` asks for, and give back what it returns.

    Raises:
        SettingError: the line asks for two things at once.
    """
    chosen = [name for name in VERBS if getattr(arguments, name) not in (None, False)]
    if "repair" in chosen and arguments.verify == []:
        chosen.remove("verify")  # which a repair begins with
    for name in ("add", "export"):
        if name in chosen and arguments.all and arguments.location:  # `--export --all DIRECTORY`
            getattr(arguments, name).append(arguments.location)
            chosen.remove("location")
    if len(chosen) > 1:
        words = " and ".join(name if name == "location" else f"--{name.replace('_', '-')}" for name in chosen)
        raise SettingError(f"{words} are two things. Do one after the other.")
    _check_belonging(arguments, chosen)
    check_keeping(arguments)
    if arguments.persist and not {*chosen} <= {"location", "move_to"}:
        raise SettingError("--persist keeps a location. Give it without other options, or after them.")
    if arguments.forget:
        saved.forget("cache")
    if chosen:
        return VERBS[chosen[0]](arguments, saved)
    if arguments.persist:
        return persist_cache(saved, arguments)
    return read_cache() if arguments.forget else browse()


def browse() -> CacheBrowser:
    """No argument: the browser in a notebook, a table in a terminal."""
    from ..widget import CacheBrowser

    return CacheBrowser(listed=verbs.list_with_bar(verbs.location()))


def set_location(arguments: Namespace, saved: SavedSettings) -> CacheSetting:
    """`LOCATION`, with or without `--persist`."""
    check_location(arguments.location)
    setting = set_cache(arguments.location)
    if not arguments.persist:
        return setting
    if setting.source == "default":  # which is in force when nothing is kept
        saved.forget("cache")
        return setting
    return persist_cache(saved, arguments)


def persist_cache(saved: SavedSettings, arguments: Namespace) -> CacheSetting:
    """`--persist`: the location in force is kept for the sessions to come."""
    setting = read_cache()
    saved.save("cache", setting.value, autoload=arguments.autoload)
    return replace(setting, source="saved")


def move_models(arguments: Namespace, saved: SavedSettings) -> Any:
    """`--move-to LOCATION`; a saved setting follows as well."""
    before = read_cache().value
    done = transfer.move_to(arguments, display)
    now = read_cache().value
    if isinstance(done, Moved) and now != before and (arguments.persist or saved.value("cache") == before):
        saved.save("cache", now, autoload=arguments.autoload)
        done = replace(done, is_kept=True)
    return done


def _as_cell(act: Callable[[Namespace, Any], Any]) -> Callable[[Namespace, SavedSettings], Any]:
    """What the command line does, in a cell: a plan is displayed before it is carried out."""

    def run(arguments: Namespace, _saved: SavedSettings) -> Any:
        return act(arguments, display)

    return run


def _check_belonging(arguments: Namespace, chosen: list[str]) -> None:
    for name, owners in BELONGING.items():
        if getattr(arguments, name) not in (None, False) and not {*chosen}.intersection(owners):
            words = " or ".join(f"--{owner.replace('_', '-')}" for owner in owners)
            raise SettingError(f"--{name.replace('_', '-')} says how to {words}. Give that as well.")


VERBS: dict[str, Callable[[Namespace, SavedSettings], Any]] = {
    "location": set_location,
    "list": _as_cell(verbs.list_models),
    "fetch": _as_cell(verbs.fetch),
    "resolve": _as_cell(verbs.resolve),
    "remove": _as_cell(verbs.remove),
    "prune": _as_cell(verbs.prune),
    "verify": _as_cell(verbs.verify_models),
    "repair": _as_cell(verbs.repair),
    "add": _as_cell(transfer.add),
    "export": _as_cell(transfer.export),
    "move_to": move_models,
    "copy_to": _as_cell(verbs.copy_to),
}

# The options that say how one of these is to be done.
BELONGING = {
    "force": ("fetch",),
    "timeout": ("fetch",),
    "max_size": ("prune",),
    "older_than": ("prune",),
    "duplicates": ("prune",),
    "keep": ("prune",),
    "keep_newest": ("prune",),
    "deep": ("verify", "repair"),
    "all": ("list", "add", "export"),
    "dry_run": ("remove", "prune", "repair", "move_to", "copy_to"),
}


def check_location(text: str) -> None:
    """See that a location in a bucket can be used as the cache; say who else must be able to read it.

    Raises:
        SettingError: it cannot be used.
    """
    if text == "default" or not is_bucket(location := read_location(text, os.environ)):
        return
    from ..gcs import require_bucket
    from ..progress import with_bar
    from ..runtime import detect_runtime

    runtime = detect_runtime()
    access = with_bar(f"Asking for {location}", lambda _count: require_bucket(location, runtime=runtime))
    if access.reader:
        print(f"The worker reads {location} as {access.reader}. {access.reader_remedy}")  # noqa: T201


def keep_bucket(text: str | None, saved: SavedSettings) -> str:
    """Save the bucket that models for a remote worker are cached in; gives its location.

    Raises:
        SettingError: none was given, or it cannot be used.
    """
    if not text:
        raise SettingError("--persist saves the bucket. Give it as well: --bucket gs://BUCKET/PATH.")
    location = read_location(text, os.environ)
    if not is_bucket(location):
        raise SettingError(f"--bucket {text!r} is not a bucket's address. Write it as gs://BUCKET/PATH.")
    check_location(location)
    saved.save("bucket", location)
    return location
