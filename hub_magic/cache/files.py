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

from .folders import open_at_any_depth
from .layout import GRAPHS

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


class LinkedFolders:
    """The linked folders that a walk through an entry enters: each once, and none that the entry is in.

    TensorFlow follows links, so a model's folder of variables may be elsewhere.

    Args:
        entry: where the walk begins.
    """

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._entered: set[tuple[int, int]] = set()

    def enter(self, item: os.DirEntry[str] | Path) -> bool:
        """Return whether a link leads to a folder that is to be walked as if it were no link."""
        try:
            if not item.is_dir():
                return False
            self._entered = self._entered or {_identity(os.stat(self._entry))}
            found = _identity(item.stat())
        except OSError:
            return False
        is_new = found not in self._entered
        self._entered.add(found)
        return is_new


# What a SavedModel consists of; TensorFlow opens nothing else.
_PARTS = frozenset({*GRAPHS, "variables", "assets", "assets.extra"})


def is_part(entry: str, name: str) -> bool:
    """Return whether a link in an entry belongs to the model, so that a copy of the entry holds its target.

    Any other link, and one to a folder that the entry is in, may lead to what is not the model's.

    Args:
        entry: the entry's path.
        name: the link's path relative to it, `/` between parts.
    """
    target = os.path.realpath(f"{entry}/{name}")
    above = os.path.realpath(entry)
    return name.partition("/")[0] in _PARTS and not f"{above}{os.sep}".startswith(f"{target}{os.sep}")


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


# Through an open folder the system need not walk the whole path to each file again; not on Windows.
_BY_NUMBER = os.scandir in os.supports_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


def walk(entry: str) -> Iterator[tuple[str, bool, os.stat_result | None]]:
    """Yield what is in an entry: its path relative to the entry, whether it is a folder, and its facts.

    Links are followed, as TensorFlow follows them, at any depth. A folder comes before its content, without
    facts. A link that leads nowhere has no facts either; one to a folder that was walked already is skipped.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    linked = LinkedFolders(entry)
    pending = [""]
    for prefix in pending:  # grows while it is read
        folder = f"{entry}/{prefix}"
        number = open_at_any_depth(folder, _FOLDER) if _BY_NUMBER else -1
        try:
            with os.scandir(number if _BY_NUMBER else folder) as found:
                for item in found:
                    name = prefix + item.name
                    is_link = item.is_symlink()
                    if linked.enter(item) if is_link else item.is_dir():
                        pending.append(f"{name}/")
                        yield name, True, None
                        continue
                    try:
                        facts = item.stat()
                    except OSError:
                        if not is_link:
                            raise
                        yield name, False, None
                        continue
                    if not stat.S_ISDIR(facts.st_mode):
                        yield name, False, facts
        finally:
            if _BY_NUMBER:
                os.close(number)


def regular_files(entry: str) -> dict[str, os.stat_result]:
    """The plain files of an entry, by path relative to it. Links are followed; devices are skipped.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    return {
        name: facts for name, _, facts in walk(entry) if facts is not None and stat.S_ISREG(facts.st_mode)
    }


def open_quietly(path: str, *, is_linked: bool = True) -> BinaryIO:
    """The file opened for reading, where the system allows it without a new time of access.

    Args:
        path: the file.
        is_linked: whether it may be a link, as a model's files may be and those beside an entry may not.

    Raises:
        OSError: it is no plain file, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | (0 if is_linked else getattr(os, "O_NOFOLLOW", 0))
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
                if Path(path).stat().st_atime_ns != facts.st_atime_ns:
                    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
