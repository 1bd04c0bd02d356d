"""A walk over a protocol buffer in a file, which reads what is asked for and seeks past the rest.

Source of the rules: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# What a file may cost, far above any real model.
_MOST_FIELDS = 500_000
_MOST_TEXT = 4_000_000
_LONGEST_TEXT = 4096


class Span(NamedTuple):
    """Where a field's content lies in the file, in bytes."""

    start: int
    end: int


class NotReadableError(Exception):
    """The bytes are no protocol buffer, or cost more than any real model."""


class Walk:
    """A walk over the fields of a protocol buffer in a file.

    Attributes:
        whole: where the buffer lies: all of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fields_left = _MOST_FIELDS
        self._text_left = _MOST_TEXT
        self.whole = Span(0, os.fstat(file.fileno()).st_size)

    def fields(self, span: Span) -> Iterator[tuple[int, int | Span]]:
        """Number and value of each field: a number for a varint, for all others where the content lies."""
        position = span.start
        while position < span.end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise NotReadableError("it holds more parts than any model")
            self._file.seek(position)
            key = self._varint()
            number, wire = key >> 3, key & 7
            value: int | Span
            if wire == 0:
                value = self._varint()
                position = self._file.tell()
            elif wire in {1, 2, 5}:
                length = self._varint() if wire == 2 else (8 if wire == 1 else 4)
                start = self._file.tell()
                position = start + length
                value = Span(start, position)
            else:
                raise NotReadableError("it is no protocol buffer")
            if number == 0 or position > span.end:
                raise NotReadableError("it ends too early, or is no protocol buffer")
            yield number, value

    def messages(self, span: Span, wanted: int) -> Iterator[Span]:
        """Where the fields with this number lie."""
        for number, value in self.fields(span):
            if number == wanted and isinstance(value, Span):
                yield value

    def text(self, span: Span) -> str:
        """The text that lies there; one that is longer than any real name is cut."""
        length = min(span.end - span.start, _LONGEST_TEXT)
        self._text_left -= length
        if self._text_left < 0:
            raise NotReadableError("it holds more names than any model")
        self._file.seek(span.start)
        return self._file.read(length).decode(errors="replace")

    def text_in(self, span: Span, wanted: int) -> str:
        """The text in the last field with this number, or ""."""
        found = None
        for found in self.messages(span, wanted):  # noqa: B007 - a later field replaces an earlier one
            pass
        return self.text(found) if found else ""

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self._file.read(1)
            if not byte:
                raise NotReadableError("it ends too early")
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise NotReadableError("it is no protocol buffer")
