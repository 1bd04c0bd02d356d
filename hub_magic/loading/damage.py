"""Translate TensorFlow's errors about damaged copies into actionable messages.

Two functions lead through here. One is TensorFlow's `load_partial`, in which every load ends, and which is
replaced. The other is tensorflow_hub's `load`, which looks for the graph before that, and has a detour; it
alone can have a model downloaded again that was taken away while it was being loaded.

Where TensorFlow is there already this is imported with `%load_ext`, so the rest comes when a model is loaded.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

from ..cache.record import find_damage
from ..cache.verify import what_broke
from ..detours import add_detour, remove_detours
from ..download.resolver import handle_given, note_loaded
from ..errors import DamagedEntryError, HandleError, HubMagicError, NotCachedError
from ..handles import parse_handle
from ..settings import read_cache
from ..store import open_store
from .load_function import MODULE, Load, load_function, replace_load

_NO_GRAPH = re.compile(r"'(?P<path>.+)' contains neither 'saved_model\.pb'")


class RemovedEntryError(NotCachedError):
    """A cached copy that was taken away while it was being loaded."""


class ExplainedLoad:
    """TensorFlow's `load_partial`, whose failures at a cached model say what to do.

    Attributes:
        inner: the function that loads.
    """

    def __init__(self, inner: Load) -> None:
        update_wrapper(self, inner)
        self.inner = inner

    def __call__(self, export_dir: Any, filters: Any, tags: Any = None, options: Any = None) -> Any:
        """Load a model.

        Raises:
            RemovedEntryError: its entry was taken away meanwhile.
            DamagedEntryError: its entry is damaged.
        """
        path = os.fsdecode(export_dir).rstrip("/")
        mark = mark_of(path)
        try:
            loaded = self.inner(export_dir, filters, tags, options)
        except Exception as error:  # of any kind; what is no damage goes on as it is
            told = _explained(error, path, mark)
            if told is None:
                raise
            raise told from error
        note_loaded(path)
        return loaded


def explain_loads() -> None:
    """From now on TensorFlow's loads explain themselves; its function is imported."""
    original = load_function()
    if not isinstance(sys.modules[MODULE].load_partial, ExplainedLoad):
        replace_load(original, ExplainedLoad(original))


def explain_hub_loads() -> None:
    """From now on `hub.load` explains itself, too, under whatever name; its module is imported."""
    add_detour(getattr(sys.modules["tensorflow_hub.module_v2"], "load", None), _explained_hub_load)


def explain_no_more() -> None:
    """Leave TensorFlow and tensorflow_hub as they were."""
    outer = getattr(sys.modules.get(MODULE), "load_partial", None)
    if isinstance(outer, ExplainedLoad):
        replace_load(outer, outer.inner)
    remove_detours(_explained_hub_load)


def _explained_hub_load(own: Callable[..., Any], handle: Any, *arguments: Any) -> Any:
    try:
        return _attempt(own, handle, *arguments)
    except RemovedEntryError:
        from ..download.fetching import print_notice

        print_notice(f"{handle} was removed by another process while it was being loaded. Loading it again.")
    return _attempt(own, handle, *arguments)


def _attempt(own: Callable[..., Any], handle: Any, *arguments: Any) -> Any:
    try:
        return own(handle, *arguments)
    except ValueError as error:
        told = _explained_missing_graph(error)
        if told is None:
            _explain_where_model_is(error)
            raise
        raise told from error


def _explained(error: Exception, path: str, mark: tuple[int, int] | None) -> HubMagicError | None:
    """What to raise in place of an error; None where it is about something else than a cached copy."""
    handle = "" if isinstance(error, HubMagicError) else _handle_of(path)
    if not handle:
        return None
    if gone := explain_absence(error, path, handle, mark):
        return _of_both_kinds(RemovedEntryError, error, gone)
    damage = explain_damage(error, path, handle, location=read_cache().value)
    return _of_both_kinds(DamagedEntryError, error, damage) if damage else None


def _explained_missing_graph(error: ValueError) -> HubMagicError | None:
    """The same for what `hub.load` says when there is no graph to hand on to TensorFlow."""
    found = _NO_GRAPH.search(str(error))
    if found is None:
        return None

    path = found["path"]
    is_here = os.path.isdir(path)
    is_back = any(os.path.exists(f"{path}/saved_model.{suffix}") for suffix in ("pb", "pbtxt"))
    mark = mark_of(path) if is_here and not is_back else None
    return _explained(error, path, mark)


def _explain_where_model_is(error: ValueError) -> None:
    """Add a line to what `hub.load` says of a path without a graph, where there is a model near it."""
    found = _NO_GRAPH.search(str(error))
    if found is None or open_store(found["path"]).is_remote:
        return
    from ..download.messages import add_line, explain_path, models_below

    path = found["path"]
    handle = _handle_of(path)
    inner = models_below(Path(path)) if handle and Path(path).is_dir() else []
    if len(inner) == 1:
        line = f'The model is one folder down. Use hub.load(hub.resolve("{handle}") + "/{inner[0]}").'
        add_line(error, line)
    else:
        add_line(error, explain_path(path))


def _handle_of(path: str) -> str:
    """The handle of the entry at this path; "" when it is none, or nothing says which."""
    from ..cache.layout import DESCRIPTOR_SUFFIX, descriptor_at

    descriptor = descriptor_at(path + DESCRIPTOR_SUFFIX)
    handle = handle_given(path) or (descriptor.handle if descriptor else "")
    try:
        return handle if parse_handle(handle).folder == os.path.basename(path) else ""
    except HandleError:
        return ""


def _of_both_kinds(kind: type[HubMagicError], error: Exception, text: str) -> HubMagicError:
    """An error of ours that an `except` written for TensorFlow's own catches as well."""
    methods = {"__init__": _keep_text, "__str__": lambda self: self.args[0]}
    try:
        both: HubMagicError = type(kind.__name__, (kind, type(error)), methods)(text)
    except TypeError:  # kinds that no class can be of at once
        return kind(text)
    # What an error of TensorFlow tells beside its text, such as its code.
    vars(both).update(vars(error))
    return both


def _keep_text(error: Exception, text: str) -> None:
    Exception.__init__(error, text)


# Something is not found: it may be missing here, or be asked for on a machine that never had it.
_MISSING = (
    "contains neither 'saved_model.pb' nor 'saved_model.pbtxt'",
    "SavedModel file does not exist at",
    "Failed to find any matching files",
    "No such file or directory",
)


def explain_damage(error: BaseException, path: str, handle: str, *, location: str = "") -> str | None:
    """What to tell the user whose `hub.load` failed at a damaged cached copy; None for other reasons.

    Args:
        error: what TensorFlow raised.
        path: the directory that was loaded.
        handle: the handle that the user gave.
        location: the cache in force, which a repair looks into; the one that holds `path` when "".
    """
    text = str(error)
    reason = what_broke(text)
    if not reason and any(sign in text for sign in _MISSING):
        reason = _missing_here(text, path)
    if not reason:
        return None
    cache = os.path.dirname(path)  # Path would merge the slashes of gs://
    if location and os.path.realpath(cache) != os.path.realpath(location):
        reason += f" in {cache}, which `%hub_cache {cache}` sets"
    return f"{handle}: {reason}; this cached copy is damaged: run `%hub_cache --repair {handle}`"


def mark_of(path: str) -> tuple[int, int] | None:
    """What tells an entry from another that takes its place later; None when there is none."""
    try:
        facts = os.stat(path)  # on every load
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def explain_absence(error: BaseException, path: str, handle: str, mark: tuple[int, int] | None) -> str | None:
    """What to say when an entry was taken away while it was loaded; None when it is still the same.

    Loading once more downloads it again.

    Args:
        error: what TensorFlow raised.
        path: the directory that was loaded.
        handle: the handle that the user gave.
        mark: what `mark_of` gave for it before.
    """
    text = str(error)
    now = mark_of(path)
    is_gone = now is None and not open_store(path).is_remote
    is_about_files = bool(what_broke(text)) or any(sign in text for sign in _MISSING)
    if not is_about_files or (now == mark and not is_gone):
        return None
    return f"{handle} was removed by another process while it was being loaded. Load it again."


def _missing_here(text: str, path: str) -> str:
    """What of that entry is missing on this disk, or ""; a worker elsewhere may miss what is here."""
    try:
        if damage := find_damage(path):
            return damage
    except OSError:
        return ""
    for named in re.findall(re.escape(path) + r"/([^\s;'\"]+)", text):
        # Of a checkpoint the text names what its files have in common.
        if not os.path.lexists(f"{path}/{named}") and not os.path.lexists(f"{path}/{named}.index"):
            return f"{named} is missing"
    return ""
