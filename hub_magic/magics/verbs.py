"""The verbs of `%hub_cache`: one option, one call."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ..care.move import Moved
from ..commands import options, slips, transfer, verbs
from ..commands.line import CacheLine
from ..errors import HubMagicError, SettingError
from ..locations import read_bucket, read_location
from ..settings import CacheSetting, read_cache, set_cache
from ..store import open_store
from .saved import SavedSettings, check_keeping

if TYPE_CHECKING:
    from ..widget import CacheBrowser


def run_verb(line: CacheLine, saved: SavedSettings) -> Any:
    """Run the verb that a line of `%hub_cache` requests, and return its result.

    Raises:
        SettingError: two options of the line cannot be combined.
    """
    chosen = [name for name in VERBS if line.says(name)]
    if "repair" in chosen and line.verify is not None and not line.verify:
        chosen.remove("verify")  # a repair begins with a check
    if line.all and line.location and (line.add is not None or line.export is not None):
        chosen.remove("location")  # `--export --all DIRECTORY`
    if len(chosen) > 1:
        words = " and ".join(name if name == "location" else f"--{name.replace('_', '-')}" for name in chosen)
        raise slips.usage_error(f"{words} cannot be combined. Run them separately.")
    _check_belonging(line, chosen)
    check_keeping(line)
    if line.persist and not {*chosen} <= {"location", "move_to"}:
        raise slips.usage_error(
            "--persist saves a cache location: %hub_cache LOCATION --persist. "
            f"It cannot be combined with --{chosen[0].replace('_', '-')}."
        )
    if line.forget:
        saved.forget("cache")
    if chosen:
        return _run(line, saved)
    if line.persist:
        return persist_cache(saved, autoload=line.autoload)
    return read_cache() if line.forget else browse()


def _run(line: CacheLine, saved: SavedSettings) -> Any:  # noqa: C901, PLR0911 - one case for each verb
    """Run the one verb of a line. Plans are displayed before they are carried out."""
    extra = (line.location,) if line.all and line.location else ()
    if line.list is not None:
        return verbs.list_models(sources=line.list, everything=line.all)
    if line.fetch is not None:
        return verbs.fetch(line.fetch, force=line.force, timeout=line.timeout)
    if line.resolve is not None:
        return verbs.resolve(line.resolve)
    if line.remove is not None:
        return verbs.remove(line.remove, display, dry_run=line.dry_run)
    if line.prune:
        return verbs.prune(line, display)
    if line.repair is not None:
        return verbs.repair(line.repair, deep=line.deep, dry_run=line.dry_run)
    if line.verify is not None:
        return verbs.verify_models(line.verify, deep=line.deep)
    if line.add is not None:
        return transfer.add((*line.add, *extra), everything=line.all)
    if line.export is not None:
        return transfer.export((*line.export, *extra), everything=line.all)
    if line.move_to is not None:
        return move_models(line.move_to, line, saved)
    if line.copy_to is not None:
        slips.check_location(line.copy_to, _FLAGS, may_be_bare=True)
        return verbs.copy_to(line.copy_to, display, dry_run=line.dry_run)
    return set_location(line.location or "", line, saved)


def browse() -> CacheBrowser:
    """Return the browser in a notebook, a table in a terminal (no argument)."""
    from ..widget import CacheBrowser

    return CacheBrowser(listed=verbs.list_with_bar(verbs.location()))


def set_location(text: str, line: CacheLine, saved: SavedSettings) -> CacheSetting:
    """Set the cache's location and save or forget it (`LOCATION`, with or without `--persist`)."""
    slips.check_location(text, _FLAGS)
    check_location(text)
    before, is_new = verbs.location(), not slips.exists(text)
    setting = replace(set_cache(text), is_new=is_new and text != "default")
    if verbs.location() != before:
        setting = _with_left_behind(setting, before)
    if not line.persist:
        return setting
    if setting.source == "default":  # the default is never saved
        saved.forget("cache")
        return setting
    persist_cache(saved, autoload=line.autoload)
    return replace(setting, source="saved")


def _with_left_behind(setting: CacheSetting, before: str) -> CacheSetting:
    """Return the setting with what stays at the location before it; nothing where a look costs or fails."""
    store = open_store(before)
    try:
        models = () if store.is_remote or not os.path.isdir(before) else store.scan().models
    except (HubMagicError, OSError):
        return setting
    if not models:
        return setting
    size = sum(max(model.size, 0) for model in models)
    return replace(setting, left_at=before, left_models=len(models), left_bytes=size)


def persist_cache(saved: SavedSettings, *, autoload: bool) -> CacheSetting:
    """Save the current location for later sessions (`--persist`)."""
    setting = read_cache()
    saved.save("cache", setting.value, autoload=autoload)
    return replace(setting, source="saved")


def move_models(text: str, line: CacheLine, saved: SavedSettings) -> Any:
    """Move the cache, and a saved setting with it (`--move-to LOCATION`)."""
    slips.check_location(text, _FLAGS, may_be_bare=True)
    before = read_cache().value
    done = transfer.move_to(text, display, dry_run=line.dry_run)
    now = read_cache().value
    if isinstance(done, Moved) and now != before and (line.persist or saved.value("cache") == before):
        saved.save("cache", now, autoload=line.autoload)
        done = replace(done, is_kept=True)
    return done


def _check_belonging(line: CacheLine, chosen: list[str]) -> None:
    for name, owners in BELONGING.items():
        if line.says(name) and not {*chosen}.intersection(owners):
            words = " or ".join(f"--{owner.replace('_', '-')}" for owner in owners)
            remedy = words if len(owners) == 1 else "one of them"
            raise slips.usage_error(f"--{name.replace('_', '-')} only works with {words}. Add {remedy}.")


_FLAGS = [flag for one in options.CACHE for flag in one.names if flag.startswith("-")]

VERBS = (
    "location",
    "list",
    "fetch",
    "resolve",
    "remove",
    "prune",
    "verify",
    "repair",
    "add",
    "export",
    "move_to",
    "copy_to",
)

# The options that modify each verb.
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
    """Check that a bucket can be used as the cache, and print who else must be able to read it.

    Raises:
        SettingError: the bucket cannot be used.
    """
    if text == "default" or not open_store(location := read_location(text, os.environ)).is_remote:
        return
    from ..gcs import require_bucket
    from ..progress import with_bar
    from ..runtime import detect_runtime

    runtime = detect_runtime()
    access = with_bar(f"Checking {location}", lambda _count: require_bucket(location, runtime=runtime))
    if access.reader:
        print(f"The worker reads {location} as {access.reader}. {access.reader_remedy}")  # noqa: T201


def keep_bucket(text: str | None, saved: SavedSettings) -> str:
    """Save the bucket in which models for a remote worker are cached, and return its location.

    Raises:
        SettingError: no bucket was given, or it cannot be used.
    """
    if not text:
        raise SettingError("--persist saves a bucket. Add the bucket: --bucket gs://BUCKET/PATH.")
    location = read_bucket(text, "--bucket", os.environ)
    check_location(location)
    saved.save("bucket", location)
    return location
