"""Small files and texts that other programs wrote: read within limits, with one error for all that is odd.

A cache can be on a shared disk, so any of its files can be damaged, planted or enormous. Every reader goes
through this module. It limits bytes, digits, depth and counts, and turns whatever a parser raises into
`OddFileError`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import datetime
from typing import Any

# Descriptors, locks and settings are a few hundred bytes.
SMALL = 64 * 1024
# A record of 100,000 files, the most that an archive may hold, takes about 20 MB.
LARGE = 32 << 20

_FIRST_READ = 1024
# No link is followed, and no pipe waited for.
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
_MOST_DIGITS = 19
_MOST_ITEMS = 500_000
_DEEPEST = 64
_LONGEST_NAME = 4096
_BRACKET = re.compile(r'["\[\]{}]')
_STRINGS = json.JSONDecoder()
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class OddFileError(Exception):
    """A file or text that is not what its name says; the message is the reason, without the name."""


def read_small_file(path: str | os.PathLike[str], most: int = SMALL) -> bytes:
    """Return the content of a small file. Links are not followed, pipes are not waited for.

    Args:
        path: the file.
        most: the most bytes that it may have.

    Raises:
        FileNotFoundError: there is no file.
        OddFileError: it is larger, is not a regular file, or cannot be read.
    """
    try:
        number = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise OddFileError(_why_unreadable(path, error)) from error
    try:
        found = os.read(number, _FIRST_READ)
        if 0 < len(found) < _FIRST_READ:  # a regular file: nothing else reads so without waiting
            return found
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise OddFileError(_kind(facts.st_mode))
        if facts.st_size > most:
            raise OddFileError(f"it has {facts.st_size:,} bytes, more than {most:,}")
        blocks = [found]
        length = len(found)
        while length <= most and (block := os.read(number, min(1 << 20, most + 1 - length))):
            blocks.append(block)
            length += len(block)
    except OSError as error:
        raise OddFileError(_why_unreadable(path, error)) from error
    finally:
        os.close(number)
    if length > most:
        raise OddFileError(f"it has more than {most:,} bytes")
    return b"".join(blocks)


def _why_unreadable(path: str | os.PathLike[str], error: Exception) -> str:
    """Why a file could not be opened or read: its kind where it is not a regular file."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        mode = stat.S_IFREG
    return _kind(mode) if not stat.S_ISREG(mode) else getattr(error, "strerror", None) or str(error)


def _kind(mode: int) -> str:
    return f"it is {next((words for is_kind, words in _KINDS if is_kind(mode)), 'not a regular file')}"


def parse_number(text: str) -> int:
    """Return a whole number of at most 19 ASCII digits.

    Raises:
        OddFileError: the text is something else.
    """
    if not text.isascii() or not text.isdecimal():
        raise OddFileError(f"{text[:20]!r} is not a whole number")
    if len(text) > _MOST_DIGITS:
        raise OddFileError(f"a number has {len(text):,} digits")
    return int(text)


def parse_time(text: str) -> datetime | None:
    """Return a time in ISO 8601 as local time without a zone; None for any other text."""
    if len(text) > _FIRST_READ:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone().replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError, OSError):
        return None


def time_from(seconds: float) -> datetime | None:
    """Return the local time of so many seconds since 1970; None for 0, and outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(seconds) if seconds else None  # noqa: DTZ006 - as descriptors keep
    except (ValueError, OverflowError, OSError):
        return None


def parse_json(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        OddFileError: it is not JSON, is nested too deeply, has too many items, a key twice, a number that is
            too long, or NaN or infinity.
    """
    if text.count(",") + text.count("[") + text.count("{") > _MOST_ITEMS:
        raise OddFileError(f"it has more than {_MOST_ITEMS:,} items")
    try:
        _check_depth(text)
        return json.loads(
            text,
            parse_int=_json_number,
            parse_float=_json_float,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise OddFileError(f"it is not JSON ({_first_line(error)})") from error


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser, whose limit depends on how deep its caller is."""
    if text.count("[") + text.count("{") <= _DEEPEST:
        return
    depth = position = 0
    while found := _BRACKET.search(text, position):
        position = found.end()
        if found[0] == '"':
            _, position = _STRINGS.raw_decode(text, found.start())
        else:
            depth += 1 if found[0] in "[{" else -1
        if depth > _DEEPEST:
            raise OddFileError(f"it is nested more than {_DEEPEST} levels deep")


def _json_number(text: str) -> int:
    number = parse_number(text.removeprefix("-"))
    return -number if text.startswith("-") else number


def _json_float(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise OddFileError("a number is too large")
    return number


def _no_number(text: str) -> float:
    raise OddFileError(f"{text} is not a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OddFileError("it has a key twice")
    return found


def text_at(data: Any, key: str) -> str:
    """Return the text under a key of a JSON object.

    Raises:
        OddFileError: there is no such key, or its value is no text.
    """
    if not isinstance(data, dict) or not isinstance(data.get(key), str):
        raise OddFileError(f"it has no text {key!r}")
    return str(data[key])


def relative_path(name: str) -> str:
    """Return a path that stays below its folder, as it is.

    Raises:
        OddFileError: it is empty, absolute, too long, leads out of its folder, or cannot be a file's name.
    """
    shown = ascii(name[:60])
    if not name or "\0" in name:
        raise OddFileError(f"it names a file {shown}")
    try:
        length = len(os.fsencode(name))
    except UnicodeError as error:
        raise OddFileError(f"it names a file {shown}") from error
    if length > _LONGEST_NAME:
        raise OddFileError(f"it names a file with a path of {length:,} bytes")
    parts = re.split(r"[/\\]" if os.sep == "\\" else "/", name)
    if os.path.isabs(name) or not {"", ".", ".."}.isdisjoint(parts):
        raise OddFileError(f"it names a file outside its folder ({shown})")
    return name


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
