"""Which bytes of an archive a request asks for (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

# One range only; several, other units and nonsense are ignored, as the RFC allows.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """What to send.

    Attributes:
        status: 200, 206, 304 or 416.
        start: the first byte's place.
        length: how many bytes; 0 for 304 and 416.
    """

    status: HTTPStatus
    start: int
    length: int


def plan_part(size: int, etag: str, *, asked: str = "", if_range: str = "", if_none_match: str = "") -> Part:
    """Decide what of `size` bytes is sent.

    Args:
        size: the archive's bytes.
        etag: its strong ETag, with quotes.
        asked: the `Range` header.
        if_range: the `If-Range` header; a date never matches, because no `Last-Modified` is sent.
        if_none_match: the `If-None-Match` header.
    """
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    if etag in known or "*" in known:
        return Part(HTTPStatus.NOT_MODIFIED, 0, 0)
    whole = Part(HTTPStatus.OK, 0, size)
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.group(1, 2) == ("", "") or (if_range and if_range.strip() != etag):
        return whole
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    elif last and int(last) < int(first):
        return whole
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        return Part(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0)
    return Part(HTTPStatus.PARTIAL_CONTENT, start, end - start)
