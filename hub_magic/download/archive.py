"""Unpack a model's archive as it arrives: files and folders below one directory, and nothing else.

An archive means what it means to tar and to tensorflow_hub (`file_utils.extract_tarfile_to_destination`):
a leading `/` is dropped, `a/../b` is `b`, a later file replaces an earlier one of its name, and what follows
the end mark is ignored. Refused is what no model needs: names that lead out of the directory, links, devices,
a file in place of a folder, a header that cannot be read, and more than the disk can take.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Iterator
from typing import Final

from .. import quantities
from ..cache.record import FileRecord
from ..errors import DownloadError
from .decode import ArchiveDamagedError

_BLOCK = 1 << 20
_LONGEST_HEADER = 1 << 20  # with extended attributes of macOS 100 kB; tarfile would read any length at once
_LONGEST_TAIL = (
    1 << 30
)  # bytes after the end mark, which are read for the sake of the checksum that follows them
_MOST_MEMBERS = 100_000
_DEEPEST = 100  # folders in one another; models have about three
_RESERVE = 16 << 20  # bytes of the disk that are left to others, at most as many as are needed
_CHECK_EVERY = 64 << 20

# What a disk says of a name that it cannot give to a file.
_NO_NAMES: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})

_KINDS: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class ArchiveRefusedError(DownloadError):
    """The archive holds what no model holds; another try would bring the same."""


class UnreadableArchiveError(ArchiveRefusedError):
    """The archive's tar stream cannot be read, although it arrived as its maker wrote it."""


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
        ArchiveRefusedError: the archive holds something else than files and folders below the directory, or
            too many of them.
        UnreadableArchiveError: its tar stream cannot be read, although it arrived as it was written.
        ArchiveDamagedError: the stream of blocks is damaged.
        NoSpaceError: it would not fit on the disk.
        OSError: the disk refuses a file.
    """
    stream = _Stream(blocks)
    free = free or (lambda path: shutil.disk_usage(path).free)
    files: dict[str, FileRecord] = {}
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
                if files.pop(name, None):
                    os.unlink(f"{directory}/{name}")
                files[name] = _write(_content(tar, stream, member), directory, name, member.size, free)
        _check_last_header(stream.last)
    except (tarfile.TarError, RecursionError, ValueError, OverflowError) as error:
        # A stream that turns out to be damaged is the better reason: another try may bring it intact.
        stream.finish()
        raise UnreadableArchiveError(f"it is not a readable tar file ({error})") from error
    stream.finish()
    if not files:
        raise ArchiveRefusedError("it holds no files")
    return tuple(files.values())


def _checked_name(member: tarfile.TarInfo) -> str:
    """The member's path below the directory, `/` between parts; "" for the directory itself."""
    name = member.name
    if not member.isreg() and not member.isdir():
        what = _KINDS.get(member.type, "of an unknown type")
        raise ArchiveRefusedError(f"{name!r} is {what}")
    path = posixpath.normpath(name.lstrip("/"))  # nothing is a link, so the text alone tells where it leads
    if path == ".." or path.startswith("../"):
        raise ArchiveRefusedError(f"{name!r} is outside its folder")
    if "\0" in name or (os.sep != "/" and (os.sep in name or ":" in name)):
        raise ArchiveRefusedError(f"{name!r} is not a valid file name")
    if path.count("/") + member.isdir() > _DEEPEST:
        raise ArchiveRefusedError(f"{name[:60]!r}... is nested more than {_DEEPEST} folders deep")
    if path == "." and not member.isdir():
        raise ArchiveRefusedError(f"{name!r} is a file without a name")
    if member.size < 0:
        raise tarfile.ReadError(f"{name!r} has a negative size")
    return "" if path == "." else path


def _check_last_header(header: bytes) -> None:
    """The last header was the end mark, or there was none; what is shorter than a header is no header.

    tarfile takes a header that cannot be read for the end, too, and tensorflow_hub then loses files silently.
    """
    if len(header) == tarfile.BLOCKSIZE and any(header):
        raise tarfile.ReadError("a header in it cannot be read")


def _make_folder(directory: str, name: str) -> None:
    try:
        os.makedirs(f"{directory}/{name}", exist_ok=True)
    except OSError as error:
        raise _name_error(name, error) from error


def _name_error(name: str, error: OSError) -> Exception:
    """What to raise when the disk refuses a member; the error itself when it is not about the name."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return ArchiveRefusedError(f"{name[:200]!r} occurs twice, as a file and as a folder")
    if error.errno in _NO_NAMES:
        return ArchiveRefusedError(f"{name[:200]!r} is not a valid file name on this disk ({error.strerror})")
    return error


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
    except OSError as error:
        raise _name_error(name, error) from error
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
        raise tarfile.ReadError(f"it is truncated, in {name!r}")
    return FileRecord(name, size, digest.hexdigest())


def check_space(needed: int, free: int) -> None:
    """Make sure that a disk takes so many bytes more, and has some left for others.

    Raises:
        NoSpaceError: it does not.
    """
    if needed > free - min(_RESERVE, needed):
        raise NoSpaceError(f"needs {quantities.size(needed)}, {quantities.size(max(free, 0))} free")


def _content(tar: tarfile.TarFile, stream: _Stream, member: tarfile.TarInfo) -> Iterator[bytes | memoryview]:
    if not member.issparse():
        return stream.pieces(member.size)
    file = tar.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    return iter(lambda: file.read(_BLOCK), b"")


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

    def finish(self) -> None:
        """Read to the end of the stream, so that the checksum which follows it is compared.

        Raises:
            ArchiveDamagedError: the stream is damaged, and not only in what nobody asked for.
        """
        asked = self._position
        try:
            if sum(len(part) for part in self.pieces(_LONGEST_TAIL + 1)) > _LONGEST_TAIL:
                raise ArchiveRefusedError("it has data after its end")
        except ArchiveDamagedError as error:
            if error.intact < asked:
                raise

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
