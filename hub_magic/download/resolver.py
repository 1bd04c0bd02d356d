"""hub_magic's resolver among tensorflow_hub's, from its import until `uninstall`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

from ..errors import HandleError
from ..import_hooks import ImportHook
from ..settings import read_cache
from .ownership import is_ours, parsed_handle

# Where tensorflow_hub 0.16.1 keeps its own resolvers. One from anywhere else was added by somebody for a
# purpose, such as the one in Kaggle's images, and is asked before us.
_ITS_OWN = frozenset(
    {
        "tensorflow_hub.resolver",
        "tensorflow_hub.compressed_module_resolver",
        "tensorflow_hub.uncompressed_module_resolver",
    }
)


class HubMagicResolver:
    """Resolves handles in place of tensorflow_hub's own HTTP resolver.

    Attributes:
        given: the directories that it has given, which models were loaded from, and the handle of each.
    """

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def is_supported(self, handle: str) -> bool:
        """Whether tensorflow_hub's own resolvers would take the handle, and we do it in their place."""
        try:
            if not isinstance(handle, str) or not is_ours(parsed_handle(handle), read_cache().value):
                return False
        except HandleError:
            return False
        for other in reversed(_registered()):
            if other is not self and other.is_supported(handle):
                return type(other).__module__ in _ITS_OWN
        return False

    def __call__(self, handle: str) -> str:
        """The model's directory.

        Raises:
            HubMagicError: as `fetch`.
        """
        from .fetching import resolve_ours

        path = resolve_ours(parsed_handle(handle))
        self.given[path] = handle
        return path


def install() -> None:
    """Resolve handles from now on, or from when tensorflow_hub is imported on."""
    _HOOK.install()


def uninstall() -> None:
    """Leave tensorflow_hub as it was."""
    _HOOK.uninstall()
    _RESOLVER.given.clear()
    if _RESOLVER in _registered():
        _registered().remove(_RESOLVER)


def note_loaded(path: str) -> None:
    """Take down that a model was loaded from this directory, whoever gave it."""
    _RESOLVER.given.setdefault(path, "")


def loaded_folders() -> tuple[str, ...]:
    """The directories that models have been loaded from since `install`: what must not be taken away."""
    return tuple(_RESOLVER.given)


def handle_given(path: str) -> str:
    """The handle that this directory was given for since `install`; "" when it was given for none."""
    return _RESOLVER.given.get(path, "")


def _register() -> None:
    if _RESOLVER not in _registered():
        sys.modules["tensorflow_hub.registry"].resolver.add_implementation(_RESOLVER)


def _registered() -> list[Any]:
    """tensorflow_hub's resolvers, the last of which is asked first; none before its import."""
    registry = sys.modules.get("tensorflow_hub.registry")
    # The library has no public way to look at them, or to take one back.
    return registry.resolver._impls if registry else []  # noqa: SLF001


_RESOLVER = HubMagicResolver()
_HOOK = ImportHook("tensorflow_hub", around=nullcontext, then=_register)
