"""The lock of an entry: the file that tensorflow_hub makes while it downloads, with the same text in it.

Whoever holds it may put the entry in place or take it away. tensorflow_hub waits for it without a word and
looks again every five seconds, so it is held for as short a time as can be.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .layout import LOCK_SUFFIX, Holder, lock_text
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


def take_lock(entry: str) -> EntryLock | None:
    """The lock of an entry; None when somebody holds it.

    Args:
        entry: the path of the entry, CACHE/FOLDER, which need not exist.

    Raises:
        OSError: the cache cannot be written.
    """
    holder = Holder(socket.gethostname(), os.getpid(), uuid.uuid4().hex)
    path = entry + LOCK_SUFFIX
    written = Path(f"{path}.tmp{holder.uid}")
    try:
        written.write_text(lock_text(holder), encoding="utf-8")
        _put_in_place(written, path)
    except FileExistsError:
        return None
    finally:
        written.unlink(missing_ok=True)
    return EntryLock(entry, holder)


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
