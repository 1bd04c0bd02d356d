"""Decompress an archive's bytes, and check that they are intact.

tensorflow_hub reads archives with tarfile's `r|*`, which never compares the checksum at the end: 59 of 60
archives with one wrong bit passed. Here every byte of the tar stream is accounted for. What follows the
compressed stream is ignored, as tarfile ignores it.
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import DownloadError

_BLOCK = 1 << 17  # the most that one step may unpack to, however well it is compressed
_HEAD = 512  # bytes of a tar header
_LONGEST_REST = 1 << 26  # bytes after the compressed stream that are read for the sake of the host's digest

# What each format starts with, as tarfile's `r|*` accepts them.
_FORMATS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),  # 31: gzip, its CRC-32 and length checked
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 28)),
    (b"\x5d\0\0\x80", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=1 << 28)),
)


class ArchiveDamagedError(DownloadError):
    """The archive did not arrive as its maker wrote it; another try may bring it whole.

    Attributes:
        intact: bytes of the tar stream before the damage whose checksum was right.
    """

    intact = 0


class NotAnArchiveError(DownloadError):
    """The bytes are something else.

    Args:
        head: the first bytes of what arrived.
    """

    def __init__(self, head: bytes) -> None:
        super().__init__("it is not an archive")
        self.head = head


def decompress(chunks: Iterable[bytes], *, may_be_cut: bool = False) -> Iterator[bytes]:
    """The archive's tar stream, in blocks of at most 128 kB. No block is empty.

    Args:
        chunks: the archive's bytes in order: a tar file, plain or compressed with gzip, bzip2 or xz.
        may_be_cut: whether nothing else tells that the last byte has come. A plain tar file must then have
            its end mark.

    Raises:
        NotAnArchiveError: the bytes begin like none of these.
        ArchiveDamagedError: the stream is cut short, or its checksum or length is wrong.
    """
    chunks = iter(chunks)
    head = _take_head(chunks)
    for magic, new in _FORMATS:
        if head.startswith(magic):
            yield from _decompress_members(head, chunks, magic, new)
            return
    try:
        tarfile.TarInfo.frombuf(head[:_HEAD], "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise NotAnArchiveError(head) from error
    yield from _pass_tar(head, chunks, may_be_cut=may_be_cut)


def _pass_tar(block: bytes, chunks: Iterator[bytes], *, may_be_cut: bool) -> Iterator[bytes]:
    """A plain tar file, whose only own sign of being whole is that it ends in zeros."""
    tail = b""
    while block:
        yield block
        tail = (tail + block)[-_HEAD:]
        block = next(chunks, b"")
    if may_be_cut and tail.strip(b"\0"):
        raise ArchiveDamagedError("it is truncated")


def _take_head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    return head


def _decompress_members(
    data: bytes, chunks: Iterator[bytes], magic: bytes, new: Callable[[], Any]
) -> Iterator[bytes]:
    """One compressed stream, or several one after the other, as parallel compressors write them."""
    count = 0
    while data.startswith(magic):
        intact = count
        decoder = new()
        try:
            for block in _decompress_member(decoder, data, chunks):
                count += len(block)
                yield block
        except ArchiveDamagedError as error:
            error.intact = intact
            raise
        data = decoder.unused_data
        while len(data) < len(magic) and (more := next(chunks, b"")):
            data += more
    # Zeros of a tape, a signature, a log of the server: nothing of it is the archive's.
    rest = len(data)
    while rest <= _LONGEST_REST and (data := next(chunks, b"")):
        rest += len(data)


def _decompress_member(decoder: Any, data: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from _blocks(decoder, data)
    while not decoder.eof:
        data = next(chunks, b"")
        if not data:
            raise ArchiveDamagedError("it is truncated")
        yield from _blocks(decoder, data)


def _blocks(decoder: Any, data: bytes) -> Iterator[bytes]:
    while True:
        try:
            block = decoder.decompress(data, _BLOCK)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:  # bz2 knows no error of its own
            raise ArchiveDamagedError(f"its checksum does not match ({error})") from error
        if block:
            yield block
        data = getattr(decoder, "unconsumed_tail", b"")  # only zlib gives back what it did not take
        if decoder.eof or (not data and len(block) < _BLOCK):
            return


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
                raise ArchiveDamagedError(f"its {name} does not match the one of the host")


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
