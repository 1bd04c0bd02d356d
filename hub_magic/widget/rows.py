"""The rows of the browser's table: entries as columns of plain values, each row with its own number.

The front end knows an entry only by that number. Numbers are never reused, so a click that arrives after the
entry is gone means nothing, and no text from the browser ever becomes a path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..cache import CachedModel
from ..cache.locks import holder_state
from ..errors import HandleError
from ..handles import parse_handle
from ..masking import mask_secrets

# Columns known from the descriptor, and columns known only after a look at the files.
NAMED = ("handle", "name", "publisher", "version", "downloaded")
MEASURED = ("kind", "size", "used", "state", "note")

Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Patch:
    """The changes in the table, as columns.

    Attributes:
        new: rows that are new, or whose names have changed: all columns.
        changed: rows whose files have been measured: `id` and the columns of `MEASURED`.
        gone: numbers of the rows that have been removed.
    """

    new: Columns = field(default_factory=dict)
    changed: Columns = field(default_factory=dict)
    gone: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


class Rows:
    """The rows that the front end knows."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._folders: dict[int, str] = {}
        self._named: dict[int, tuple[Any, ...]] = {}
        self._measured: dict[int, tuple[Any, ...]] = {}
        self._last = 0

    def folder(self, number: object) -> str | None:
        """Return the folder of the row with that number; None if there is none."""
        return self._folders.get(number) if type(number) is int else None

    def number(self, folder: str) -> int:
        """Return the number of an entry's row; 0 if it has none."""
        return self._numbers.get(folder, 0)

    def update(self, models: Iterable[CachedModel], in_use: Collection[str] = ()) -> Patch:
        """Update the rows of these entries, and return the changes for the front end.

        Args:
            models: new entries, or known entries measured again.
            in_use: folders of the entries that this kernel has loaded.
        """
        new: list[int] = []
        changed: list[int] = []
        for model in models:
            number = self._numbers.get(model.folder)
            if number is None:
                self._last = number = self._last + 1
                self._numbers[model.folder] = number
                self._folders[number] = model.folder
            measured = _measured(model, in_use=model.folder in in_use)
            named = self._named.get(number)
            if named is None or not _is_named(named, model):
                self._named[number] = _named(model)
                new.append(number)
            elif measured != self._measured[number]:
                changed.append(number)
            self._measured[number] = measured
        return Patch(self._columns(new), self._changes(changed))

    def keep(self, folders: Collection[str]) -> Patch:
        """Forget the rows of all other entries, and return the changes."""
        gone = [number for folder, number in self._numbers.items() if folder not in folders]
        for number in gone:
            del self._numbers[self._folders.pop(number)]
            del self._named[number], self._measured[number]
        return Patch(gone=tuple(gone))

    def columns(self) -> Columns:
        """Return all rows."""
        return self._columns(list(self._named))

    def _columns(self, numbers: list[int]) -> Columns:
        if not numbers:
            return {}
        named = zip(*(self._named[number] for number in numbers), strict=True)
        return {**self._changes(numbers), **dict(zip(NAMED, map(list, named), strict=True))}

    def _changes(self, numbers: list[int]) -> Columns:
        if not numbers:
            return {}
        measured = zip(*(self._measured[number] for number in numbers), strict=True)
        return {"id": numbers, **dict(zip(MEASURED, map(list, measured), strict=True))}


def shown(text: str, longest: int = 200) -> str:
    """Return text for the table: of limited length, without characters that reorder or break a line."""
    text = mask_secrets(text)
    if len(text) <= longest and text.isprintable():
        return text
    cut = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:longest])
    return cut if len(text) <= longest else f"{cut[:-1]}…"


def seconds(time: datetime | None) -> int:
    """Return a local time in seconds since 1970; 0 if it is unknown, or no time that a clock can show."""
    try:
        return int(time.timestamp()) if time else 0
    except (OverflowError, OSError, ValueError):  # a descriptor may hold any year
        return 0


def _is_named(named: tuple[Any, ...], model: CachedModel) -> bool:
    return bool(named[0] == shown(model.handle) and named[-1] == seconds(model.downloaded))


def _named(model: CachedModel) -> tuple[Any, ...]:
    handle, downloaded = shown(model.handle), seconds(model.downloaded)
    try:
        parsed = parse_handle(model.handle)
    except HandleError:
        return handle, handle or model.folder, "", "", downloaded
    return handle, shown(parsed.name), shown(parsed.publisher), shown(parsed.version), downloaded


def _measured(model: CachedModel, *, in_use: bool) -> tuple[Any, ...]:
    return model.kind, model.size, seconds(model.last_used), *_state(model, in_use=in_use)


def _state(model: CachedModel, *, in_use: bool) -> tuple[str, str]:
    """Return the row's state in a word, and the reason for the state."""
    if model.holder:
        held = f"process {model.holder.pid} on {model.holder.host}"
        if holder_state(model.holder) == "dead":
            return "locked", shown(f"stale lock: {held} is gone")
        return "locked", shown(f"held by {held}")
    if model.damage:
        return "damaged", shown(model.damage)
    if in_use:
        return "loaded", "loaded in this kernel"
    return ("whole" if model.is_measured else ""), shown(f"linked to {model.link}") if model.link else ""
