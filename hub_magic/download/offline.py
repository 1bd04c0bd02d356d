"""Words for a model that cannot be had in offline mode."""

from __future__ import annotations

from difflib import get_close_matches

from ..cache import CachedModel, list_cache
from ..errors import DamagedEntryError, HubMagicError, NotCachedError
from ..handles import Handle

_MOST_SHOWN = 3
_ALIKE = 0.5  # of difflib's measure: 1 is the same text
_REMEDY = "Leave offline mode with %hub_mode compressed"


def offline_error(handle: Handle, cache: str, damage: str | None) -> HubMagicError:
    """Why a handle cannot be loaded while only cached models may be.

    Args:
        handle: the handle asked for.
        cache: the cache, a directory.
        damage: why the cached copy cannot be whole; None when there is none.
    """
    if damage:
        return DamagedEntryError(
            f"The cached copy of {handle} is damaged ({damage}), and offline mode is on. "
            f"{_REMEDY} to have it downloaded again."
        )
    models = [model for model in list_cache(cache).models if model.handle]
    alike = similar(handle, models)
    if alike:
        cached = f"Cached under similar names: {', '.join(alike)}"
    else:
        cached = f"None of its {len(models)} models has a similar name" if models else "It is empty"
    return NotCachedError(
        f"{handle} is not in the cache {cache}, and offline mode is on. {cached}. {_REMEDY}."
    )


def similar(handle: Handle, models: list[CachedModel]) -> list[str]:
    """The handles of the cached models whose names are most like it, the nearest first."""
    names = {_name(model.publisher, model.name, model.version): model.handle for model in models}
    wanted = _name(handle.publisher, handle.name, handle.version)
    return [names[name] for name in get_close_matches(wanted, names, _MOST_SHOWN, _ALIKE)]


def _name(publisher: str, name: str, version: str) -> str:
    return f"{publisher}/{name}/{version}".lower()
