"""The record of an entry: the files that it had when it was downloaded.

With it an entry's files can be proved whole, not only plausible. It stands beside the entry as
`FOLDER.files.json`, in JSON: the handle, the host's ETag, the text of the descriptor it belongs to, and each
file's path, size and SHA-256. A kernel without hub_magic that downloads the model anew writes another
descriptor, which makes the record void; and without a record the rules of `essentials` speak.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from ..small_files import LARGE, OddFileError, parse_json, read_small_file, relative_path, text_at
from .essentials import INTACT, Difference, Judgement, is_closed, judge_recorded, judge_unrecorded
from .layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX

# A file that is gone, is below what is no folder any more, or is behind links in a circle.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1 << 63  # bytes; no file system has a larger file


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of an entry.

    Attributes:
        path: relative to the entry, `/` between parts.
        size: in bytes.
        sha256: of its bytes, in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What an entry was made of.

    Attributes:
        handle: the handle it was downloaded under.
        etag: the host's word for the archive's version; "" when it gave none.
        descriptor: the text of the descriptor written at the same download.
        files: its files, in the archive's order.
    """

    handle: str
    etag: str
    descriptor: str
    files: tuple[FileRecord, ...]


def record_text(record: EntryRecord) -> str:
    """The record as JSON, one line for each file."""
    head = json.dumps({"handle": record.handle, "etag": record.etag, "descriptor": record.descriptor})
    files = ",\n".join(json.dumps(asdict(file)) for file in record.files)
    return f'{head[:-1]}, "files": [\n{files}\n]}}\n'


def parse_record(text: str) -> EntryRecord | None:
    """What a record's text says; None when it is not one."""
    try:
        return _parsed(text)
    except OddFileError:
        return None


def _parsed(text: str) -> EntryRecord:
    """Return what a record's text says.

    Raises:
        OddFileError: it is not a record.
    """
    data = parse_json(text)
    handle, etag, descriptor = (text_at(data, key) for key in ("handle", "etag", "descriptor"))
    if not isinstance(data.get("files"), list):
        raise OddFileError("it has no list 'files'")
    return EntryRecord(handle, etag, descriptor, tuple(map(_parsed_file, data["files"])))


def _parsed_file(data: Any) -> FileRecord:
    path = relative_path(text_at(data, "path"))
    sha256 = text_at(data, "sha256")
    size = data.get("size")
    if type(size) is not int or not 0 <= size < _LARGEST:
        raise OddFileError(f"it has no size for the file {path[:60]!a}")
    if not _SHA256.fullmatch(sha256):
        raise OddFileError(f"it has no SHA-256 for the file {path[:60]!a}")
    return FileRecord(path, size, sha256)


def read_record(entry: str) -> EntryRecord | None:
    """The record that belongs to an entry as it is now; None when there is none.

    Args:
        entry: the entry's path, CACHE/FOLDER.
    """
    try:
        if not stat.S_ISREG(os.lstat(entry + RECORD_SUFFIX).st_mode):
            return None
        marks = (_mark(entry + RECORD_SUFFIX), _mark(entry + DESCRIPTOR_SUFFIX))
    except OSError:
        return None
    return _read_record(entry, marks)


@lru_cache(maxsize=128)  # a notebook loads the same model many times
def _read_record(entry: str, _marks: tuple[tuple[int, ...], ...]) -> EntryRecord | None:
    try:
        record = _parsed(_text(entry + RECORD_SUFFIX, LARGE))
        descriptor = _text(entry + DESCRIPTOR_SUFFIX)
    except (FileNotFoundError, OddFileError):
        return None
    return record if record.descriptor == descriptor else None


def why_skipped(entry: str) -> str:
    """Return why the file in the place of an entry's record is no record, or ""."""
    try:
        os.lstat(entry + DESCRIPTOR_SUFFIX)  # a record without one is nothing that anybody reads
        if stat.S_ISREG(os.lstat(entry + RECORD_SUFFIX).st_mode):  # a scan names what has the wrong type
            _parsed(_text(entry + RECORD_SUFFIX, LARGE))
    except FileNotFoundError:
        return ""
    except OddFileError as why:
        return str(why)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def find_damage(entry: str) -> str:
    """Why a load should replace the entry, or "". Looks at names and sizes; into files only where in doubt.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    return judge(entry).damage


def judge(entry: str) -> Judgement:
    """What a load should think of an entry: use it, or replace it.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    record = read_record(entry)
    if record is None:
        return judge_unrecorded(entry)
    return judge_differences(record, entry, differences_from(record, entry))


def judge_differences(record: EntryRecord, entry: str, differences: Sequence[Difference]) -> Judgement:
    """What a load should think of an entry that differs from its record in these files."""
    if not differences:
        return INTACT
    return judge_recorded(entry, {file.path: file.size for file in record.files}, differences)


def differences_from(record: EntryRecord, entry: str) -> list[Difference]:
    """The files of an entry that are missing, or have another size than its record says.

    Raises:
        OSError: a folder of it cannot be read.
    """
    found = []
    for file in record.files:
        try:
            facts = os.stat(f"{entry}/{file.path}")
        except PermissionError:
            if is_closed(entry):
                raise
            continue  # TensorFlow may never ask for it
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            found.append(Difference(file.path, file.size, None))
            continue
        if facts.st_size != file.size:
            # The record is written last, maybe in the same tick of the disk's clock.
            is_newer = facts.st_mtime_ns >= _written(entry)
            found.append(Difference(file.path, file.size, facts.st_size, is_newer))
    return found


def _written(entry: str) -> int:
    return os.stat(entry + RECORD_SUFFIX).st_mtime_ns


def _mark(path: str) -> tuple[int, ...]:
    """What tells a file from another one that takes its place."""
    facts = os.lstat(path)  # on every load
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_size


def _text(path: str, *most: int) -> str:
    return read_small_file(path, *most).decode(errors="surrogateescape")
