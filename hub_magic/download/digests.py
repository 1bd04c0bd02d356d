"""What a host says of an archive's bytes: `Content-MD5`, and `x-goog-hash` where it is a bucket."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from .decode import ArchiveDamagedError

_LENGTHS = {"md5": 16, "crc32c": 4}


def read_digests(headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    """Names and values of the digests in an answer's headers: "md5", "crc32c"."""
    # A bucket that unpacks an object on the way gives the digests of what it stores.
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return ()
    found = dict(re.findall(r"(md5|crc32c)=([A-Za-z0-9+/]+=*)", headers.get("x-goog-hash", "")))
    if headers.get("Content-MD5"):
        found["md5"] = headers["Content-MD5"]
    values = {name: _decoded(text) for name, text in sorted(found.items())}
    return tuple((name, value) for name, value in values.items() if len(value) == _LENGTHS[name])


class Digests:
    """Running digests, to be compared with those that the host gives.

    Args:
        expected: names and values.
    """

    def __init__(self, expected: tuple[tuple[str, bytes], ...]) -> None:
        self._running = [(name, value, _new(name)) for name, value in expected]

    def update(self, data: bytes) -> None:
        """Take in more bytes."""
        for _, _, digest in self._running:
            if digest is not None:
                digest.update(data)

    def check(self) -> None:
        """Compare them.

        Raises:
            ArchiveDamagedError: one is another.
        """
        for name, value, digest in self._running:
            if digest is not None and digest.digest() != value:
                raise ArchiveDamagedError(f"its {name} is not the one that the host gives")


def _new(name: str) -> Any:
    """A running digest; None where it cannot be had, or only slowly."""
    if name == "md5":
        return hashlib.md5(usedforsecurity=False)
    try:
        import google_crc32c
    except ImportError:
        return None
    is_fast = google_crc32c.implementation == "c"
    return google_crc32c.Checksum() if is_fast else None  # type: ignore[no-untyped-call]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # no digest
        return b""
