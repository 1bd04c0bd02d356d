"""Handles that hub_magic fetches, and the others, which are left to tensorflow_hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache

from ..errors import DownloadError
from ..handles import Handle, parse_handle
from ..import_hooks import pkg_resources_stand_in
from ..settings import CACHE_VARIABLE, read_mode, variables_set
from ..store import open_store

# With these set, the tensorflow_hub of Kaggle's images gives its own models from where they are mounted.
# Source: docker-python, `patches/kaggle_module_resolver.py`.
_KAGGLE_VARIABLES = ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_USER_SECRETS_TOKEN")


parsed_handle = lru_cache(maxsize=128)(parse_handle)  # a notebook loads the same model many times


def is_ours(handle: Handle, cache: str, env: Mapping[str, str] | None = None) -> bool:
    """Whether a handle is fetched here: what tensorflow_hub would ask for over HTTP.

    In offline mode it is whatever would need the network.

    Args:
        handle: the handle.
        cache: the cache in force.
        env: the environment; `os.environ` when None.
    """
    env = os.environ if env is None else env
    if (
        handle.kind == "path"
        or (handle.kind == "gs" and open_store(cache).is_remote)
        or _is_mounted(handle, env)
    ):
        return False
    mode = read_mode(env=env)
    return mode.value == "offline" or (handle.kind == "http" and mode.is_known)


def pass_on(handle: Handle, cache: str) -> str:
    """The path that tensorflow_hub's own resolvers give.

    Raises:
        DownloadError: there is no tensorflow_hub.
        Exception: whatever they raise.
    """
    with pkg_resources_stand_in():
        try:
            from tensorflow_hub import registry
        except ModuleNotFoundError as error:
            raise DownloadError(
                f"{handle} can only be fetched with tensorflow_hub, and {error.name} is not installed. "
                "Install it: %pip install tensorflow tensorflow-hub tf-keras"
            ) from error
    with variables_set({CACHE_VARIABLE: cache}):
        path: str = registry.resolver(handle.text)
        return path


def _is_mounted(handle: Handle, env: Mapping[str, str]) -> bool:
    return all(map(env.get, _KAGGLE_VARIABLES)) and handle.canonical.startswith("https://kaggle.com/models/")
