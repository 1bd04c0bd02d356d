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
        name: relative to the folder; one that ends in "/" only marks a folder.
        size: in bytes.
        generation: which of the objects that had this name in turn it is.
        metageneration: how often its metadata were written.
        created, updated: times of the bucket's clock.
        crc32c: the checksum of its content in base64, as the storage computes it.
        metadata: what was written about it when it was stored.
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
    """A copy within a folder: from a name to a name at which there must be nothing yet."""

    source: str
    target: str


class Part:
    """A part of a file, to be read as if it were a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or as many as are left of it."""
        left = max(self._size - self.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, position: int) -> int:
        """Go to a position in the part."""
        return self._file.seek(self._start + position) - self._start

    def tell(self) -> int:
        """The position in the part."""
        return self._file.tell() - self._start


class Watched:
    """A file that tells how many bytes went through it; going back, to send a piece again, is not undone."""

    def __init__(self, file: IO[bytes] | Part, progress: Progress) -> None:
        self._file: Any = file
        self._progress = progress
        self._told = 0

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        data: bytes = self._file.read(size)
        self._tell(self._file.tell())
        return data

    def write(self, data: bytes) -> int:
        """As the file's own."""
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
    """The crc32c of a file of this machine, or a part of it, in base64, as a bucket's listing gives it."""
    import base64

    import google_crc32c

    checksum = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with open(path, "rb") as file:
        part = Part(file, start, size if size >= 0 else os.fstat(file.fileno()).st_size - start)
        for block in iter(lambda: part.read(1 << 20), b""):
            checksum.update(block)  # type: ignore[no-untyped-call]
    return base64.b64encode(checksum.digest()).decode()  # type: ignore[no-untyped-call]


def file_of(blob: Any, prefix: str) -> BucketFile:
    """An object as google-cloud-storage lists it, under its name in the folder."""
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
