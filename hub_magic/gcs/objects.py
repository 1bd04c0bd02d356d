"""Objects of a bucket as the rest of the package knows them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from ..progress import Progress


@dataclass(frozen=True, slots=True)
class BucketFile:
    """An object in a folder of a bucket.

    Attributes:
        name: the name relative to the folder; a name that ends in "/" only marks a folder.
        size: in bytes.
        generation: the GCS object generation.
        metageneration: how often its metadata were written.
        created, updated: times by the bucket's clock.
        crc32c: the checksum of its content in base64, as the storage computes it.
        metadata: values stored with the object.
    """

    name: str
    size: int
    generation: int
    metageneration: int = 1
    created: datetime | None = None
    updated: datetime | None = None
    crc32c: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copying:
    """A copy within a folder, to a name that must not exist yet."""

    source: str
    target: str


class Part:
    """A part of a file, readable like a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes of the part; all remaining bytes if `size` is negative."""
        left = max(self._size - self.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, position: int) -> int:
        """Move to a position in the part and return it."""
        return self._file.seek(self._start + position) - self._start

    def tell(self) -> int:
        """Return the position in the part."""
        return self._file.tell() - self._start


class Watched:
    """A file that reports how many bytes passed through it. Bytes that are sent again are counted once."""

    def __init__(self, file: IO[bytes] | Part, progress: Progress) -> None:
        self._file: Any = file
        self._progress = progress
        self._told = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the file and report progress."""
        data: bytes = self._file.read(size)
        self._tell(self._file.tell())
        return data

    def write(self, data: bytes) -> int:
        """Write to the file and report progress."""
        written: int = self._file.write(data)
        self._tell(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _tell(self, position: int) -> None:
        if position > self._told:
            self._progress(position - self._told)
            self._told = position


def local_checksum(path: str, start: int = 0, size: int = -1) -> str:
    """Return the crc32c of a local file, or of a part of it, in base64 as in a bucket's listing."""
    import base64

    import google_crc32c

    checksum = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with open(path, "rb") as file:
        part = Part(file, start, size if size >= 0 else os.fstat(file.fileno()).st_size - start)
        for block in iter(lambda: part.read(1 << 20), b""):
            checksum.update(block)  # type: ignore[no-untyped-call]
    return base64.b64encode(checksum.digest()).decode()  # type: ignore[no-untyped-call]


def file_of(blob: Any, prefix: str) -> BucketFile:
    """Return an object as google-cloud-storage lists it, under its name in the folder."""
    return BucketFile(
        blob.name[len(prefix) :],
        int(blob.size or 0),
        int(blob.generation),
        int(blob.metageneration),
        blob.time_created,
        blob.updated,
        blob.crc32c or "",
        blob.metadata or {},
    )
