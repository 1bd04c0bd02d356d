"""Sizes and periods as people write them: `5GB`, `30d`."""

from __future__ import annotations

import re
from datetime import timedelta

from ..errors import SettingError

_DECIMAL_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "y": 365.25}


def parse_size(text: str) -> int:
    """The number of bytes meant: `500MB`, `5GB` and `1.5T` in decimal units, `5GiB` in binary ones.

    Raises:
        SettingError: the text is no size.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt]?)b?|([kmgt])ib)", text.strip().lower())
    if found is None:
        raise SettingError(f"{text!r} is not a size. Write it as 500MB, 5GB or 5GiB.")
    unit = _BINARY_UNITS[found[3]] if found[3] else _DECIMAL_UNITS[found[2]]
    return int(float(found[1]) * unit)


def parse_period(text: str) -> timedelta:
    """The time meant: `12h`, `30d`, `4w`, `1y`.

    Raises:
        SettingError: the text is no period.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([hdwy])", text.strip().lower())
    if found is None:
        raise SettingError(f"{text!r} is not a period. Write it as 12h, 30d, 4w or 1y.")
    return timedelta(days=min(float(found[1]) * _DAYS[found[2]], 999_999_999))
