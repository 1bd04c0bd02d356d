"""Unpack a model's archive as it arrives: files and folders below one directory, and nothing else.

What tensorflow_hub would write anywhere, or what no model needs, is refused: absolute names, `..`, links,
devices, two members of one name, and more than the disk can take.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from typing import Final

from .. import quantities
from ..cache.record import FileRecord
from ..errors import DownloadError
from .decode import ArchiveDamagedError

_BLOCK = 1 << 20
_LONGEST_HEADER = 1 << 17  # an extended header is a few hundred bytes; tarfile would read any length at once
_LONGEST_TAIL = 16 << 20  # tar pads its end to a record, at most 1 MB with the largest blocking factor
_MOST_MEMBERS = 100_000
_DEEPEST = 100  # folders in one another; models have about three
_RESERVE = 16 << 20  # bytes of the disk that are left to others
_CHECK_EVERY = 64 << 20

_KINDS: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class ArchiveRefusedError(DownloadError):
    """The archive holds what no model holds; another try would bring the same."""


class NoSpaceError(DownloadError):
    """The disk cannot take what the archive unpacks to."""


def unpack(
    blocks: Iterator[bytes], directory: str, *, free: Callable[[str], int] | None = None
) -> tuple[FileRecord, ...]:
    """Unpack a tar stream into a directory, to the very end of the stream.

    Args:
        blocks: the stream's bytes in order, as `decompress` gives them.
        directory: an empty directory, which nobody else writes to.
        free: bytes free on the disk that a path is on; asks the disk when None.

    Returns:
        The files written, in the archive's order.

    Raises:
        ArchiveRefusedError: a member is no plain file or folder below the directory, or there are too many.
        ArchiveDamagedError: the tar stream is not whole.
        NoSpaceError: it would not fit on the disk.
        OSError: the disk refuses a file.
    """
    stream = _Stream(blocks)
    free = free or (lambda path: shutil.disk_usage(path).free)
    files: list[FileRecord] = []
    try:
        with tarfile.TarFile(
            fileobj=stream,  # type: ignore[arg-type]  # it reads and seeks forward, which is all that is asked
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            for count, member in enumerate(iter(tar.next, None)):
                if count >= _MOST_MEMBERS:
                    raise ArchiveRefusedError(f"it contains more than {_MOST_MEMBERS:,} files and folders")
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every member for random access
                name = _checked_name(member)
                if member.isdir():
                    _make_folder(directory, name)
                    continue
                check_space(member.size, free(directory))
                files.append(_write(_content(tar, stream, member), directory, name, member.size, free))
    except (tarfile.TarError, RecursionError, ValueError, OverflowError) as error:
        raise ArchiveDamagedError(f"it is not a readable tar file ({error})") from error
    _check_end(stream)
    if not files:
        raise ArchiveRefusedError("it holds no files")
    return tuple(files)


def _checked_name(member: tarfile.TarInfo) -> str:
    """The member's path below the directory, `/` between parts; "" for the directory itself."""
    name = member.name
    if not member.isreg() and not member.isdir():
        what = _KINDS.get(member.type, "of an unknown type")
        raise ArchiveRefusedError(f"{name!r} is {what}")
    if name.startswith("/"):
        raise ArchiveRefusedError(f"{name!r} is an absolute path")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveRefusedError(f"{name!r} is outside its folder")
    if "\0" in name or (os.sep != "/" and (os.sep in name or ":" in name)):
        raise ArchiveRefusedError(f"{name!r} is not a valid file name")
    if len(parts) - (not member.isdir()) > _DEEPEST:
        raise ArchiveRefusedError(f"{name[:60]!r}... is nested more than {_DEEPEST} folders deep")
    if not parts and not member.isdir():
        raise ArchiveRefusedError(f"{name!r} is a file without a name")
    if member.size < 0:
        raise ArchiveDamagedError(f"{name!r} has a negative size")
    return "/".join(parts)


def _make_folder(directory: str, name: str) -> None:
    try:
        os.makedirs(f"{directory}/{name}", exist_ok=True)  # one call for each of many members
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveRefusedError(f"{name!r} occurs twice") from error


def _write(
    content: Iterator[bytes | memoryview],
    directory: str,
    name: str,
    size: int,
    free: Callable[[str], int],
) -> FileRecord:
    _make_folder(directory, name.rpartition("/")[0])
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(f"{directory}/{name}", flags, 0o666)
    except FileExistsError as error:
        raise ArchiveRefusedError(f"{name!r} occurs twice") from error
    digest = hashlib.sha256()
    written = 0
    with os.fdopen(number, "wb") as file:
        for part in content:
            if written // _CHECK_EVERY != (written + len(part)) // _CHECK_EVERY:
                check_space(size - written, free(directory))
            digest.update(part)
            file.write(part)
            written += len(part)
    if written != size:
        raise ArchiveDamagedError(f"it is truncated, in {name!r}")
    return FileRecord(name, size, digest.hexdigest())


def check_space(needed: int, free: int) -> None:
    """Make sure that a disk takes so many bytes more, and has some left for others.

    Raises:
        NoSpaceError: it does not.
    """
    if needed > free - _RESERVE:
        raise NoSpaceError(f"needs {quantities.size(needed)}, {quantities.size(max(free, 0))} free")


def _content(tar: tarfile.TarFile, stream: _Stream, member: tarfile.TarInfo) -> Iterator[bytes | memoryview]:
    if not member.issparse():
        return stream.pieces(member.size)
    file = tar.extractfile(member)
    if file is None:
        raise ArchiveDamagedError(f"{member.name!r} has no content")
    return iter(lambda: file.read(_BLOCK), b"")


def _check_end(stream: _Stream) -> None:
    """The last header was the mark of the end, or there was none, and what follows is no more than padding.

    tarfile takes a header that cannot be read for the end, too.
    """
    if any(stream.last):
        raise ArchiveDamagedError("a header in it cannot be read")
    if sum(len(part) for part in stream.pieces(_LONGEST_TAIL + 1)) > _LONGEST_TAIL:
        raise ArchiveRefusedError("it has data after its end")


class _Stream:
    """A stream of blocks as the file that tarfile reads: forward only, and never much at once."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = memoryview(b"")
        self._position = 0
        self.last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.ReadError("it contains backward links")
        for _ in self.pieces(position - self._position):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """A header, or a part of one."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise ArchiveRefusedError(f"it has a header of {quantities.size(size)}")
        self.last = b"".join(self.pieces(size))
        return self.last

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes as they lie ready; fewer at the end of the stream."""
        while size > 0:
            if not self._block:
                block = next(self._blocks, None)
                if block is None:
                    return
                self._block = memoryview(block)
            piece, self._block = self._block[:size], self._block[size:]
            self._position += len(piece)
            size -= len(piece)
            yield piece
