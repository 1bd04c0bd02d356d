"""Archives of models: made once, the same bytes every time, whole or in ranges.

The bytes depend only on the names and contents of a model's files. So the ETag, a digest of the archive, is
the same after a restart and on a second host, and an interrupted download can be resumed there.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from .catalog import Catalog, Model, ModelFile


# Not ".tar.gz": an archive directory inside the served folder must not appear as models.
_SUFFIX = ".tgz"
_UNFINISHED = ".part"


@dataclass(frozen=True)
class OpenArchive:
    """An archive that is ready to send. The caller closes `file`.

    Attributes:
        file: open for reading; it stays readable when the archive is replaced meanwhile.
        size: in bytes.
        etag: a strong ETag, with its quotes.
    """

    file: BinaryIO
    size: int
    etag: str


class ArchiveStore:
    """The archives of a catalog's folders, kept in a directory.

    A file's name is `<model>-<state of the model's files>-<digest of the archive>.tgz`. No other state is
    kept, so the next host can use the same directory. Only one host at a time may use it.
    """

    def __init__(self, catalog: Catalog, directory: Path) -> None:
        self._catalog = catalog
        self._directory = directory
        self._locks: dict[str, threading.Lock] = {}
        self._stopped = threading.Event()
        for unfinished in directory.glob(f"*{_UNFINISHED}"):  # leftovers of a host that was killed
            unfinished.unlink()

    def open(self, model: Model) -> OpenArchive:
        """Return the model's archive, open: the ready one, or one made of its folder now or earlier.

        Raises:
            BlockingIOError: the model's files changed while they were packed.
            OSError: the model cannot be read, or the archive cannot be written.
        """
        if model.archive:
            file = model.archive.open("rb")
            status = os.fstat(file.fileno())
            return OpenArchive(file, status.st_size, f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
        if not model.folder:
            raise FileNotFoundError(errno.ENOENT, f"It is only in {model.bucket}; load it uncompressed")
        with self._locks.setdefault(model.handle, threading.Lock()):
            files = self._catalog.files(model.folder)
            owner = hashlib.sha256(os.fsencode(model.handle)).hexdigest()[:16]
            name = f"{owner}-{hashlib.sha256(repr(files).encode()).hexdigest()[:16]}"
            path = next(self._directory.glob(f"{name}-*{_SUFFIX}"), None)
            if path is None:
                path = self._make(files, name)
                if self._catalog.files(model.folder) != files:
                    path.unlink()
                    raise BlockingIOError(
                        errno.EAGAIN, "Its files are being changed; try again when they are complete"
                    )
                self._remove_older(owner, path)
            file = path.open("rb")
        return OpenArchive(file, os.fstat(file.fileno()).st_size, f'"{path.stem.rpartition("-")[2]}"')

    def stop(self) -> None:
        """Stop the archives that are being made."""
        self._stopped.set()

    def _make(self, files: tuple[ModelFile, ...], name: str) -> Path:
        # A cleaner of temporary files may have removed the directory since the host started.
        self._directory.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(suffix=_UNFINISHED, dir=self._directory)
        try:
            with os.fdopen(handle, "wb") as target:
                sink = _Sink(target, self._stopped)
                _pack(files, sink)
            return Path(unfinished).replace(self._directory / f"{name}-{sink.digest()}{_SUFFIX}")
        finally:
            Path(unfinished).unlink(missing_ok=True)

    def _remove_older(self, owner: str, current: Path) -> None:
        for path in self._directory.glob(f"{owner}-*{_SUFFIX}"):
            if path != current:
                path.unlink(missing_ok=True)


class _Sink:
    """A file for the archive's bytes that computes their digest and can be stopped."""

    def __init__(self, file: BinaryIO, stopped: threading.Event) -> None:
        self._file = file
        self._stopped = stopped
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        if self._stopped.is_set():
            # Not InterruptedError: io.BufferedWriter, inside gzip, would retry it forever.
            raise ConnectionAbortedError(errno.ECONNABORTED, "The host is closing")
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> str:
        return self._digest.hexdigest()[:32]


def _pack(files: tuple[ModelFile, ...], sink: _Sink) -> None:
    """Write the `.tar.gz`. The model's root is the archive's root, and no times or users are recorded.

    Links are replaced by their targets, because tensorflow_hub refuses archives with links. Folders have
    entries of their own, because tensorflow_hub makes no others.
    """
    # Level 6: trained weights hardly compress, and level 9 takes longer without gain.
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=sink, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            entry = tarfile.TarInfo(file.name.rstrip("/"))
            if file.name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.size = file.size
                with file.path.open("rb") as content:
                    tar.addfile(entry, content)


# Only one range is supported. Several ranges, other units and nonsense are ignored, as the RFC allows.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """The part of an archive to send.

    Attributes:
        status: 200, 206, 304 or 416.
        start: the first byte's position.
        length: the number of bytes; 0 for 304 and 416.
    """

    status: HTTPStatus
    start: int
    length: int


def plan_part(size: int, etag: str, *, asked: str = "", if_range: str = "", if_none_match: str = "") -> Part:
    """Return the part of `size` bytes to send.

    Args:
        size: the size of the archive in bytes.
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
