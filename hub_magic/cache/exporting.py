"""A model out of a cache into an archive, which a host serves, `--add` takes, and `hub.load` downloads.

An archive's bytes depend on the names and contents of the model's files alone.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import DamagedEntryError, SettingError
from ..facts import Fact
from ..progress import Progress, no_progress
from .entry import CachedModel
from .files import open_quietly
from .selection import label
from .verify import check_quickly

_SUFFIXES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True, slots=True)
class Exported(Fact):
    """A model in an archive.

    Attributes:
        handle: the handle it goes by; "" when that is not known.
        file: the archive.
        size: bytes of the archive.
        sha256: of the archive's bytes, in hexadecimal digits.
    """

    handle: str
    file: str
    size: int
    sha256: str


def export_model(model: CachedModel, file: str, progress: Progress = no_progress) -> Exported:
    """Write a model into an archive.

    Args:
        model: the entry, of a cache on disk.
        file: `.tar.gz`, `.tgz` or `.tar`, which is not compressed.
        progress: told how many more bytes of the model have been read.

    Raises:
        SettingError: the file is there already, has another suffix, or cannot be written.
        DamagedEntryError: the model cannot be whole.
    """
    path = Path(file).expanduser()
    if not path.name.endswith(_SUFFIXES):
        raise SettingError(f"{path} is no archive's name. Give one that ends in .tar.gz, .tgz or .tar.")
    if os.path.lexists(path):
        raise SettingError(f"{path} is there already. Remove it, or give another name.")
    _check_whole(model)
    try:
        size, sha256 = _write(model.path, path, progress)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingError(f"{label(model)} cannot be written to {path}: {why}.") from error
    return Exported(model.handle, str(path), size, sha256)


def _check_whole(model: CachedModel) -> None:
    try:
        damage = check_quickly(model).damage
    except OSError as error:
        damage = f"it cannot be read: {error.strerror}"
    if damage:
        raise DamagedEntryError(
            f"{label(model)} is damaged ({damage}). Mend it first: %hub_cache --repair {label(model)}"
        )


def _write(entry: str, path: Path, progress: Progress) -> tuple[int, str]:
    """Pack an entry into a file that has its name only when it is complete; gives its size and SHA-256."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".hub_magic") as scratch:
        written = Path(scratch) / path.name
        with written.open("xb") as file:
            sink = _Sink(file)
            if path.name.endswith(".tar"):
                _pack(entry, sink, progress)
            else:
                # Level 6: trained weights hardly compress, and 9 takes longer for nothing.
                with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=sink, mtime=0) as zipped:
                    _pack(entry, zipped, progress)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it has been made meanwhile")
        written.replace(path)
    return sink.size, sink.sha256


def _pack(entry: str, target: _Sink | gzip.GzipFile, progress: Progress) -> None:
    """Write the tar stream: the model's root is its root; nothing in it names a time or user."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for folder, folders, files in os.walk(entry, onerror=_raise):
            folders.sort()
            prefix = "" if folder == entry else os.path.relpath(folder, entry).replace(os.sep, "/") + "/"
            for name in sorted([*folders, *files]):
                if os.path.islink(f"{folder}{os.sep}{name}"):  # noqa: PTH114
                    raise OSError(errno.ELOOP, f"{prefix}{name} in it is a link")
            for name in folders:
                inner = tarfile.TarInfo(prefix + name)
                inner.type, inner.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(inner)
            for name in sorted(files):
                with open_quietly(f"{folder}{os.sep}{name}") as content:
                    member = tarfile.TarInfo(prefix + name)
                    member.size = os.fstat(content.fileno()).st_size
                    tar.addfile(member, _Counted(content, progress))


class _Sink:
    """A file for the archive's bytes, which counts and digests them on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()


class _Counted:
    """A file that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._progress(len(block))
        return block


def _raise(error: OSError) -> None:
    raise error
