"""Handles that hub_magic fetches, and the others, which are left to tensorflow_hub and to added resolvers."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..errors import DownloadError, HandleError
from ..handles import Handle, parse_handle
from ..import_hooks import is_installed, pkg_resources_stand_in
from ..locations import is_foreign
from ..settings import CACHE_VARIABLE, read_mode, settings_held

# Where tensorflow_hub 0.16.1 keeps its own resolvers. One from anywhere else was added by somebody for a
# purpose, such as the one in Kaggle's images, and is asked before us.
_ITS_OWN = frozenset(
    {
        "tensorflow_hub.resolver",
        "tensorflow_hub.compressed_module_resolver",
        "tensorflow_hub.uncompressed_module_resolver",
    }
)
# With these set, the tensorflow_hub of Kaggle's images adds a resolver, so it is worth its import to ask.
# Source: docker-python, `patches/kaggle_module_resolver.py`.
_KAGGLE_VARIABLES = ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_USER_SECRETS_TOKEN")
_KAGGLE = "https://kaggle.com/models/"
_OURS = f"{__name__.partition('.')[0]}."
# All but what TensorFlow reads without a network. A drive's letter is no scheme.
_REMOTE = re.compile(r"(?!(?:file|ram|mem)://)[A-Za-z][A-Za-z0-9+.-]+://")

parsed_handle = lru_cache(maxsize=128)(parse_handle)  # a notebook loads the same model many times


def in_bucket(cache: str) -> bool:
    """Whether a cache is in a bucket, whose models TensorFlow reads where they are."""
    from ..store import open_store  # not imported by `%load_ext`, which asks for nothing of it

    return open_store(cache).is_remote


def is_ours(handle: Handle, cache: str, env: Mapping[str, str] | None = None) -> bool:
    """Whether a handle is fetched here: what tensorflow_hub would ask for over HTTP.

    In offline mode it is whatever would need the network.

    Args:
        handle: the handle.
        cache: the cache in force.
        env: the environment; `os.environ` when None.
    """
    if handle.kind == "path" or (handle.kind == "gs" and in_bucket(cache)):
        return False
    mode = read_mode(env=env)
    if is_foreign(cache) and mode.value != "offline":
        return False
    return mode.value == "offline" or (handle.kind == "http" and mode.is_known)


def needs_network(text: str) -> bool:
    """Whether a handle of any scheme, also one that hub_magic knows nothing of, may need the network."""
    return _REMOTE.match(text) is not None


def registered() -> list[Any]:
    """tensorflow_hub's resolvers, the last of which is asked first; none before its import."""
    registry = sys.modules.get("tensorflow_hub.registry")
    # The library has no public way to look at them.
    return registry.resolver._impls if registry else []  # noqa: SLF001


def is_its_own(resolver: object) -> bool:
    """Whether a resolver is one of those that tensorflow_hub brings."""
    return type(resolver).__module__ in _ITS_OWN


def is_added_for(text: str) -> bool:
    """Whether a resolver that somebody added takes a handle. Models that Kaggle mounts are given by one."""
    for one in reversed(registered()):
        if not type(one).__module__.startswith(_OURS) and one.is_supported(text):
            return not is_its_own(one)
    return False


def is_kaggles(handle: Handle) -> bool:
    """Whether a handle names a model at kaggle.com."""
    return handle.kind == "http" and handle.canonical.startswith(_KAGGLE)


def import_added_resolvers(handle: Handle) -> None:
    """Import tensorflow_hub where its import adds a resolver that may take this handle."""
    if is_kaggles(handle) and all(map(os.environ.get, _KAGGLE_VARIABLES)) and is_installed("tensorflow_hub"):
        _import_registry(handle)


def pass_on(handle: Handle, cache: str) -> str:
    """The path that tensorflow_hub's own resolvers give.

    Raises:
        DownloadError: there is no tensorflow_hub.
        Exception: whatever they raise.
    """
    registry = _import_registry(handle)
    with settings_held({CACHE_VARIABLE: cache}):
        path: str = registry.resolver(handle.text)
        return path


def _import_registry(handle: Handle) -> Any:
    with pkg_resources_stand_in():
        try:
            from tensorflow_hub import registry
        except ModuleNotFoundError as error:
            raise DownloadError(
                f"{handle} can only be fetched with tensorflow_hub, and {error.name} is not installed. "
                "Install it: %pip install tensorflow tensorflow-hub tf-keras"
            ) from error
    return registry


def handle_of_any_scheme(text: str) -> Handle:
    """A handle taken apart, also one of a scheme that only TensorFlow or an added resolver knows.

    Raises:
        HandleError: it is empty, or not well-formed in one of the schemes that are known.
    """
    try:
        return parsed_handle(text)
    except HandleError:
        if not needs_network(text) or text.startswith(("http://", "https://", "gs://")):
            raise
        return Handle(text, "other", "", text, "")
