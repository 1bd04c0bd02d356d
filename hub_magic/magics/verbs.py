"""What `%hub_cache` can do: one option, one call."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..cache import CacheScan, scan_cache
from ..errors import SettingError
from ..settings import CacheSetting, read_cache, set_cache
from .saved import SavedSettings


def run_verb(arguments: Namespace, saved: SavedSettings) -> Any:
    """Do the one thing that a line of `%hub_cache` asks for, and give back what it returns.

    Raises:
        SettingError: the line asks for two things at once.
    """
    chosen = [name for name in VERBS if getattr(arguments, name) not in (None, False)]
    if "repair" in chosen and arguments.verify == []:
        chosen.remove("verify")  # which a repair begins with
    if len(chosen) > 1:
        words = " and ".join(name if name == "location" else f"--{name}" for name in chosen)
        raise SettingError(f"{words} are two things. Do one after the other.")
    _check_belonging(arguments, chosen)
    if arguments.forget:
        saved.forget("cache")
    if chosen:
        return VERBS[chosen[0]](arguments, saved)
    return persist_cache(saved, arguments) if arguments.persist else list_models(arguments, saved)


def list_models(_arguments: Namespace, _saved: SavedSettings) -> CacheScan:
    """`--list`, and for now no argument at all."""
    return scan_cache(read_cache().value)


def set_location(arguments: Namespace, saved: SavedSettings) -> CacheSetting:
    """`LOCATION`, with or without `--persist`."""
    from .buckets import check_location

    check_location(arguments.location)
    setting = set_cache(arguments.location)
    return persist_cache(saved, arguments) if arguments.persist else setting


def persist_cache(saved: SavedSettings, arguments: Namespace) -> CacheSetting:
    """`--persist`: the location in force is kept for the sessions to come."""
    setting = read_cache()
    saved.save("cache", setting.value, autoload=arguments.autoload)
    return replace(setting, source="saved")


def resolve_model(arguments: Namespace, _saved: SavedSettings) -> str:
    """`--resolve HANDLE`."""
    from ..download import resolve

    return resolve(arguments.resolve)


def fetch_models(arguments: Namespace, _saved: SavedSettings) -> Any:
    """`--fetch HANDLE...`."""
    from ..download import fetch_all

    return fetch_all(arguments.fetch)


def _act(name: str) -> Callable[[Namespace, SavedSettings], Any]:
    """What the command line does under the same name; a plan is shown before it is carried out."""

    def run(arguments: Namespace, _saved: SavedSettings) -> Any:
        from IPython.display import display

        from ..cli import acts

        return getattr(acts, name)(arguments, display)

    return run


def _check_belonging(arguments: Namespace, chosen: list[str]) -> None:
    for name, owners in BELONGING.items():
        if getattr(arguments, name) not in (None, False) and not {*chosen}.intersection(owners):
            words = " or ".join(f"--{owner}" for owner in owners)
            raise SettingError(f"--{name.replace('_', '-')} says how to {words}. Give that as well.")


VERBS: dict[str, Callable[[Namespace, SavedSettings], Any]] = {
    "location": set_location,
    "list": list_models,
    "fetch": fetch_models,
    "resolve": resolve_model,
    "remove": _act("remove"),
    "prune": _act("prune"),
    "verify": _act("verify_models"),
    "repair": _act("repair"),
}

# The options that say how one of these is to be done.
BELONGING = {
    "max_size": ("prune",),
    "older_than": ("prune",),
    "duplicates": ("prune",),
    "keep": ("prune",),
    "keep_newest": ("prune",),
    "deep": ("verify", "repair"),
    "dry_run": ("remove", "prune", "repair"),
}
