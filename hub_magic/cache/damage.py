"""What TensorFlow says of a damaged copy, in words that say what to do.

Its messages name a format's insides, or blame the device.
"""

from __future__ import annotations

import os
import re

from ..locations import is_bucket
from .record import find_damage
from .verify import what_broke

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
    cache = os.path.dirname(path)  # noqa: PTH120 - a bucket's path keeps its slashes
    if location and os.path.realpath(cache) != os.path.realpath(location):
        reason += f" in {cache}, which `%hub_cache {cache}` sets"
    return f"{handle}: {reason}; this cached copy is damaged: run `%hub_cache --repair {handle}`"


def mark_of(path: str) -> tuple[int, int] | None:
    """What tells an entry from another that takes its place later; None when there is none."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - on every load
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
    is_gone = now is None and not is_bucket(path)
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
