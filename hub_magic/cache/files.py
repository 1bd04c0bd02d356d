"""Read an entry's files without changing their access times (atime is "last used").

"Last used" is when a file was last read, so reading to compare or to verify must not count as use.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .folders import look_into, open_at_any_depth

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_UNNOTICED = getattr(os, "O_NOATIME", 0)


def open_plain(path: str, flags: int) -> int:
    """The number of a plain file that has been opened, as `open` takes it for its `opener`.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    try:
        number = open_at_any_depth(path, flags | _AT_ONCE | _UNNOTICED)
    except PermissionError:  # only a file's owner may leave its time of access as it is
        number = open_at_any_depth(path, flags | _AT_ONCE)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a regular file (socket, device or pipe)", path)
    return number


_BLOCK = 1 << 20


def regular_files(entry: str) -> dict[str, os.stat_result]:
    """The plain files of an entry, by path relative to it; links and devices are passed by.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    files: dict[str, os.stat_result] = {}
    pending = [""]
    for prefix in pending:  # grows while it is read
        for name, facts in look_into(f"{entry}/{prefix}"):
            if stat.S_ISDIR(facts.st_mode):
                pending.append(f"{prefix}{name}/")
            elif stat.S_ISREG(facts.st_mode):
                files[prefix + name] = facts
    return files


def open_quietly(path: str) -> BinaryIO:
    """The file opened for reading, where the system allows it without a new time of access; never a link.

    Raises:
        OSError: it is no plain file, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(open_plain(path, flags), "rb")


def digest(path: str, progress: Callable[[int], object] = lambda _bytes: None) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Args:
        path: the file.
        progress: told the bytes of each piece that has been read.

    Raises:
        OSError: it cannot be read.
    """
    found = hashlib.sha256()
    with open_quietly(path) as file:
        while block := file.read(_BLOCK):
            found.update(block)
            progress(len(block))
    return found.hexdigest()


def digests(entry: str) -> dict[str, str]:
    """The SHA-256 of every file of an entry, by its path relative to the entry.

    Raises:
        OSError: one cannot be read.
    """
    return {name: digest(f"{entry}/{name}") for name in sorted(regular_files(entry))}


@contextmanager
def times_kept(entry: str) -> Iterator[None]:
    """Files of an entry read inside the `with` have the times of access that they had before.

    For readers that are not ours; a file of somebody else's keeps the new time.

    Raises:
        OSError: a folder of it cannot be read.
    """
    before = {f"{entry}/{name}": facts for name, facts in regular_files(entry).items()}
    try:
        yield
    finally:
        for path, facts in before.items():
            with suppress(OSError):
                if Path(path).lstat().st_atime_ns != facts.st_atime_ns:
                    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)
