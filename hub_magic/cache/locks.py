"""The lock of an entry: the file that tensorflow_hub makes while it downloads, with the same text in it.

Whoever holds it may put the entry in place or take it away. tensorflow_hub waits for it without a word and
looks again every five seconds, so it is held for as short a time as can be.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from .layout import LOCK_SUFFIX, Holder, lock_text, read_lock, read_small

if TYPE_CHECKING:
    from typing_extensions import Self


HolderState = Literal["alive", "dead", "elsewhere"]


# Seconds by which a process may seem to be younger than what it wrote: the system keeps the time since boot.
_CLOCK_SLACK = 5


def holder_state(holder: Holder, written: float | None = None) -> HolderState:
    """Whether the holder is a living process of this machine, a dead one, or on another machine.

    "alive" means only that it cannot be told to be dead; and a container may carry another's host name, so
    whoever acts on "dead" also looks whether the download still grows.

    Args:
        holder: who wrote the lock.
        written: when, in seconds since the epoch: a process that began later was given the holder's id after
            its end, as after a restart of the machine.
    """
    if holder.host != socket.gethostname():
        return "elsewhere"
    if not is_running(holder.pid):
        return "dead"
    began = _began(holder.pid)
    if began is not None and written is not None and began > written + _CLOCK_SLACK:
        return "dead"
    return "alive"


def is_running(pid: int) -> bool:
    """Whether this machine has a process with that id, ours or not."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)  # signal 0 is never delivered
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:  # larger than any process id
        return False
    # A process that nobody has waited for yet answers signals, but has ended: in a container without an init
    # process a killed kernel may stay so for ever.
    facts = _linux_facts(pid)
    return not facts or facts[0] not in {"Z", "X"}


def _began(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None where that is not to be had."""
    facts = _linux_facts(pid)
    if not facts:
        return None
    try:
        boot = Path("/proc/stat").read_text(encoding="ascii").partition("\nbtime ")[2].split()[0]
    except (OSError, IndexError):
        return None
    return float(boot) + float(facts[19]) / os.sysconf("SC_CLK_TCK")


def _linux_facts(pid: int) -> list[str]:
    """What Linux tells of a process from its state on: `man proc`, /proc/PID/stat, field 3."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _is_running_on_windows(pid: int) -> bool:
    # os.kill would end the process there; a handle that can be opened and waited for tells the same.
    import ctypes  # only there

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x0010_0000, False, pid)  # SYNCHRONIZE
    if not handle:
        return bool(ctypes.get_last_error() == 5)  # type: ignore[attr-defined,unused-ignore]  # ERROR_ACCESS_DENIED
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == 0x102)  # WAIT_TIMEOUT: still running
    finally:
        kernel.CloseHandle(handle)


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
