"""Sizes, ages and periods: as people read them, and as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from .errors import SettingError

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as `du --si` and disk makers count; "" if unknown."""
    if count < 0:
        return ""
    value = float(count)
    for unit in _UNITS:
        if value < 999.95 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} {'byte' if count == 1 else 'bytes'}" if unit == "bytes" else f"{value:.1f} {unit}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: `1 model`, `2 models`, `3 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"


_DECIMAL_UNITS = {"b": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "y": 365.25}


def parse_size(text: str) -> int:
    """Return a number of bytes: `500MB`, `5GB` and `1.5T` are decimal units, `5GiB` is binary.

    Every size but 0 needs its unit: 10 could be meant as GB, and would empty a cache as bytes.

    Raises:
        SettingError: the text is not a size, or has no unit.
    """
    given = text.strip().lower()
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt])b?|(b)(?:ytes?)?|([kmgt])ib)?", given)
    if found is None:
        raise SettingError(f"{text!r} is not a size. Write it as 500MB, 5GB or 5GiB.")
    decimal = found[2] or found[3]
    if not decimal and not found[4]:
        if float(found[1]) == 0:
            return 0
        raise SettingError(f"{text!r} is not a size: it has no unit. Write it as 500MB, 5GB or 5GiB.")
    return int(float(found[1]) * (_DECIMAL_UNITS[decimal] if decimal else _BINARY_UNITS[found[4]]))


def parse_period(text: str) -> timedelta:
    """Return a period: `12h`, `30d`, `4w`, `1y`.

    Raises:
        SettingError: the text is not a period.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([hdwy])", text.strip().lower())
    if found is None:
        raise SettingError(f"{text!r} is not a period. Write it as 12h, 30d, 4w or 1y.")
    return timedelta(days=min(float(found[1]) * _DAYS[found[2]], 999_999_999))


_MOST_SECONDS = 86_400


def parse_seconds(text: str, name: str) -> float:
    """A number of seconds, more than 0 and at most a day.

    Args:
        text: the number.
        name: the option or variable that it was given for.

    Raises:
        SettingError: the text is none.
    """
    found = re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text.strip(), re.ASCII)
    seconds = float(found[0]) if found else 0.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise SettingError(
            f"{name} {text[:40]!r} is not a number of seconds from 0.1 to {_MOST_SECONDS}. Write it as 600."
        )
    return seconds


def age(then: datetime | None, now: datetime | None = None) -> str:
    """Return the age of a time in one unit; "" if the time is unknown.

    Args:
        then: a local time.
        now: the time to count from; the clock's when None.
    """
    if then is None:
        return ""
    now = datetime.now(then.tzinfo) if now is None else now
    seconds = (now - then).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, length in (
        ("year", 31_557_600),
        ("month", 2_629_800),
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
    ):
        if seconds >= length:
            return plural(int(seconds // length), unit) + " ago"
    return "just now"
