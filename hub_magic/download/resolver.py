"""hub_magic's resolver among tensorflow_hub's, from its import until `uninstall`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ..detours import add_detour, remove_detours
from ..errors import HandleError
from ..import_hooks import ImportHook
from ..settings import is_offline, read_cache
from .ownership import (
    handle_of_any_scheme,
    in_bucket,
    is_added_for,
    is_kaggles,
    is_ours,
    needs_network,
    parsed_handle,
)


class HubMagicResolver:
    """Resolves handles in place of tensorflow_hub's own HTTP resolver.

    Attributes:
        given: the directories that it has given, which models were loaded from, and the handle of each.
        rank: its place among resolvers of ours; the highest is asked first.
    """

    rank = 0

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def is_supported(self, handle: Any) -> bool:
        """Whether tensorflow_hub's own resolvers would take the handle, and we do it in their place.

        What a resolver that somebody added takes is theirs, except where it would only ask the network for
        what is in the cache: offline, and for models at kaggle.com.
        """
        if not isinstance(handle, str):
            return False
        if is_offline() and needs_network(handle):
            return not (handle.startswith("gs://") and in_bucket(read_cache().value))
        try:
            parsed = parsed_handle(handle)
            if not is_ours(parsed, read_cache().value):
                return False
        except HandleError:
            return False
        if not is_added_for(handle):
            return True
        from .fetching import is_cached

        return is_kaggles(parsed) and is_cached(parsed)

    def __call__(self, handle: str) -> str:
        """The model's directory.

        Raises:
            HubMagicError: as `fetch`.
        """
        from .fetching import resolve_ours

        path = resolve_ours(handle_of_any_scheme(handle))
        self.given[path] = handle
        return path


def install() -> None:
    """Resolve handles from now on, or from when tensorflow_hub is imported on."""
    for hook in _HOOKS:
        hook.install()


def uninstall() -> None:
    """Leave tensorflow_hub as it was."""
    for hook in _HOOKS:
        hook.uninstall()
    remove_detours(_resolve_through_us)
    _RESOLVER.given.clear()
    for register in _REGISTERS:
        drop(register, _RESOLVER)
    _REGISTERS.clear()


def note_loaded(path: str) -> None:
    """Take down that a model was loaded from this directory, whoever gave it."""
    _RESOLVER.given.setdefault(path, "")


def loaded_folders() -> tuple[str, ...]:
    """The directories that models have been loaded from since `install`: what must not be taken away."""
    return tuple(_RESOLVER.given)


def handle_given(path: str) -> str:
    """The handle that this directory was given for since `install`; "" when it was given for none."""
    return _RESOLVER.given.get(path, "")


def put_on_top(register: Any, resolver: object) -> None:
    """Have a resolver of ours asked before all others; to those that somebody added ours give way.

    The library asks the last one first. It has no public way to look at its resolvers, or to take one back.
    Another thread may be asking them, so its list is never changed, only replaced.

    Args:
        register: the library's `MultiImplRegister`.
        resolver: the resolver, which is added where it is missing.
    """
    found = register._impls  # noqa: SLF001
    below = 1 + max((place for place, one in enumerate(found) if not _is_of_ours(one)), default=-1)
    if resolver in found[below:]:
        return
    ours = [one for one in found if _is_of_ours(one) and one is not resolver]
    others = [one for one in found if not _is_of_ours(one)]
    register._impls = [*others, *sorted([*ours, resolver], key=_rank)]  # noqa: SLF001


def drop(register: Any, resolver: object) -> None:
    """Take a resolver of ours out of a register of tensorflow_hub's."""
    register._impls = [one for one in register._impls if one is not resolver]  # noqa: SLF001


def _is_of_ours(resolver: object) -> bool:
    return type(resolver).__module__.startswith(f"{__package__.partition('.')[0]}.")


def _rank(resolver: Any) -> int:
    rank: int = resolver.rank
    return rank


def _register() -> None:
    registry = sys.modules.get("tensorflow_hub.registry")
    if registry is not None and not any(one is registry.resolver for one in _REGISTERS):
        _REGISTERS.append(registry.resolver)
    for register in _REGISTERS:
        put_on_top(register, _RESOLVER)


def _attach() -> None:
    """Be asked at every call of `hub.resolve`, which `hub.load` and `hub.KerasLayer` make."""
    _register()
    add_detour(getattr(sys.modules["tensorflow_hub.module_v2"], "resolve", None), _resolve_through_us)


def _resolve_through_us(own: Callable[[Any], Any], handle: Any) -> Any:
    # What reloads a part of the library, or has its resolvers installed again, puts them above ours.
    _register()
    try:
        return own(handle)
    except OSError as error:
        # Source: `tensorflow_hub/resolver.py`, `PathResolver`.
        if str(error) == f"{handle} does not exist.":
            from .messages import add_line, explain_path

            add_line(error, explain_path(handle))
        raise


_RESOLVER = HubMagicResolver()
# The library's registers that ours is in: more than one after a reload.
_REGISTERS: list[Any] = []
_HOOKS = (
    ImportHook("tensorflow_hub", around=nullcontext, then=_register),
    ImportHook("tensorflow_hub.registry", around=nullcontext, then=_register),
    ImportHook("tensorflow_hub.module_v2", around=nullcontext, then=_attach),
)
