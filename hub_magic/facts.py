"""Facts as data: the form in which a script gets the result of a magic."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from .masking import mask_secrets


class _Writer:
    """The function that writes a fact as text; `render`, which stands above, sets it."""

    write: Callable[[Any], str] = staticmethod(repr)


def write_with(function: Callable[[Any], str]) -> None:
    """Let `str(fact)`, `print` and f-strings give what this function writes."""
    _Writer.write = staticmethod(function)


def as_text(fact: Any) -> str:
    """Return a fact as text: what a terminal shows of it."""
    return _Writer.write(fact)


class Fact:
    """A frozen dataclass that scripts can use as data.

    Attributes:
        derived: names of properties that belong to the data beside the fields.
    """

    __slots__ = ()
    derived: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return as_text(self)

    def to_data(self) -> dict[str, Any]:
        """Return fields and derived properties: bytes as integers, times in ISO 8601, paths as text."""
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return {name: _data(getattr(self, name)) for name in (*names, *self.derived)}

    def to_json(self) -> str:
        """Return the data as JSON text."""
        return json.dumps(self.to_data(), indent=2)


def _data(value: Any) -> Any:
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, Fact):
        return value.to_data()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (tuple, frozenset)):
        return [_data(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value
