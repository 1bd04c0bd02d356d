"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime

from ..quantities import plural


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
