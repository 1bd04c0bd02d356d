"""The lock of an entry: the file that tensorflow_hub makes while it downloads, with the same text in it.

Whoever holds it may put the entry in place or take it away. tensorflow_hub waits for it without a word and
looks again every five seconds, so it is held for as short a time as can be.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .holders import holder_state
from .layout import LOCK_SUFFIX, Holder, lock_text, read_lock
from .names import read_small

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class EntryLock:
    """A lock that this process holds; leaving its `with` gives it back.

    Attributes:
        entry: the path of the entry, CACHE/FOLDER.
        holder: what the lock says.
    """

    entry: str
    holder: Holder

    @property
    def scratch(self) -> str:
        """The folder beside the entry that belongs to this lock: what is there is known to be unfinished."""
        return f"{self.entry}.{self.holder.uid}.tmp"

    def release(self) -> None:
        """Give the lock back, unless somebody took it over."""
        path = self.entry + LOCK_SUFFIX
        if read_small(path).decode(errors="replace") == lock_text(self.holder):
            Path(path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def take_lock(entry: str, uid: str = "") -> EntryLock | None:
    """The lock of an entry; None when somebody holds it.

    Args:
        entry: the path of the entry, CACHE/FOLDER, which need not exist.
        uid: 32 hexadecimal digits by which a later attempt finds what this one has left; any when "".

    Raises:
        OSError: the cache cannot be written.
    """
    holder = Holder(socket.gethostname(), os.getpid(), uid or uuid.uuid4().hex)
    path = entry + LOCK_SUFFIX
    written = Path(f"{path}.tmp{uuid.uuid4().hex if uid else holder.uid}")  # nobody else's
    try:
        written.write_text(lock_text(holder), encoding="utf-8")
        _put_in_place(written, path)
    except FileExistsError:
        return None
    finally:
        written.unlink(missing_ok=True)
    return EntryLock(entry, holder)


def take_lock_away(entry: str) -> bool:
    """Remove the lock of an entry if its holder is dead; whether nobody holds it now.

    Raises:
        OSError: it cannot be removed.
    """
    path = Path(entry + LOCK_SUFFIX)
    aside = path.with_name(f"{path.name}.tmp{uuid.uuid4().hex}")
    try:
        text = read_small(str(path))
        holder = read_lock(text.decode(errors="replace"))
        if holder is None or holder_state(holder, path.lstat().st_mtime) != "dead":
            return not os.path.lexists(path)
        path.rename(aside)  # only one of many gets it
    except FileNotFoundError:
        return True
    is_the_same = read_small(str(aside)) == text
    if not is_the_same:  # another has come in its place
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink()
    return is_the_same


def _put_in_place(written: Path, path: str) -> None:
    """Give a file its name, unless there is one of that name: in one step, with its content.

    Raises:
        FileExistsError: there is one.
    """
    try:
        os.link(written, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, as Google Drive's
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            os.write(number, written.read_bytes())
        finally:
            os.close(number)
