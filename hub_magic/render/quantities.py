"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def size(count: int) -> str:
    """A number of bytes in decimal units, as `du --si` and disk makers count; "" for an unknown one."""
    if count < 0:
        return ""
    value = float(count)
    for unit in _UNITS:
        if value < 999.95 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} {'byte' if count == 1 else 'bytes'}" if unit == "bytes" else f"{value:.1f} {unit}"


def age(then: datetime | None, now: datetime | None = None) -> str:
    """How long ago that was, in one unit; "" when it is not known.

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


def plural(count: int, noun: str) -> str:
    """`1 model`, `2 models`, `3 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"
