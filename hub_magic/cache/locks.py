"""The lock of an entry: the file that tensorflow_hub makes while it downloads, with the same text in it.

Whoever holds it may put the entry in place or take it away. tensorflow_hub waits for it without a word and
looks again every five seconds, so it is held for as short a time as can be.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ..masking import has_secrets
from ..small_files import OddFileError
from .folders import delete_folder, list_folder
from .layout import (
    DESCRIPTOR_SUFFIX,
    LOCK_SUFFIX,
    RECORD_SUFFIX,
    Holder,
    lock_text,
    read_lock,
    read_text,
)

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
        if read(path) == lock_text(self.holder):
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


# tensorflow_hub's own (`LOCK_FILE_TIMEOUT_SEC` in compressed_module_resolver.py), in seconds.
LOCK_TIMEOUT = 600.0

_POLL = 0.2  # seconds
_LAST_BREATH = 2.0  # seconds without growth that confirm a death
_GLANCE = 10.0  # seconds without growth that confirm a time stamp on files of another machine


@dataclass(frozen=True, slots=True)
class Parts:
    """The names that one download uses, all marked with its id.

    Attributes:
        entry: the path of the entry it is for, CACHE/FOLDER.
        uid: its id, 32 hexadecimal digits, as the lock says it.
    """

    entry: str
    uid: str

    @property
    def folder(self) -> str:
        """Where it unpacks; tensorflow_hub looks there, too, for whether a download grows."""
        return f"{self.entry}.{self.uid}.tmp"

    @property
    def old(self) -> str:
        """Where a damaged entry goes; the id is turned round, so that it is another name of the same form."""
        return f"{self.entry}.{self.uid[::-1]}.tmp"

    @property
    def lock(self) -> str:
        """The lock before it is taken."""
        return f"{self.entry}{LOCK_SUFFIX}.tmp{self.uid}"

    @property
    def descriptor(self) -> str:
        """The descriptor before it is in its place."""
        return f"{self.entry}{DESCRIPTOR_SUFFIX}.tmp{self.uid}"

    @property
    def record(self) -> str:
        """The record before it is in its place."""
        return f"{self.entry}{RECORD_SUFFIX}.tmp{self.uid}"

    def remove(self) -> None:
        """Remove all of it that is there."""
        for folder in (self.folder, self.old):
            delete_folder(folder)
        for file in (self.lock, self.descriptor, self.record, self.old):
            remove(file)


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of another's lock.

    Attributes:
        state: of its holder; "unnamed" where the lock does not say.
        quiet: seconds for which nothing has grown before our eyes.
        age: seconds since anything was written, by the file system's clock.
    """

    state: Literal["alive", "dead", "elsewhere", "unnamed"]
    quiet: float
    age: float


def may_take_over(watch: Watch, timeout: float) -> bool:
    """Whether the lock's holder can be taken for gone.

    A holder on this machine that lives may have been asleep with the machine, so for it only what was seen
    counts; time stamps speak for those elsewhere, such as a container that was replaced.
    """
    if watch.quiet >= timeout:
        return True
    if watch.state == "dead":
        return max(watch.age, watch.quiet) >= _LAST_BREATH
    return watch.state != "alive" and watch.age >= timeout and watch.quiet >= _GLANCE


def take_away(entry: str, text: str, *, keep_parts: bool) -> None:
    """Remove an entry's lock with this text, and no other that has come in its place.

    Args:
        entry: the entry's path.
        text: what the lock says.
        keep_parts: whether its owner's partial download stays: the owner may live, or the caller resumes it.

    Raises:
        OSError: the lock cannot be removed.
    """
    holder = read_lock(text)
    aside = Parts(entry, uuid.uuid4().hex).lock
    try:
        os.rename(entry + LOCK_SUFFIX, aside)  # only one of many processes succeeds
    except FileNotFoundError:
        return
    if read(aside) != text:
        with contextlib.suppress(OSError):
            os.link(aside, entry + LOCK_SUFFIX)
    elif holder and not keep_parts:
        Parts(entry, holder.uid).remove()
    remove(aside)


def take_over(entry: str, *, seconds: float = _LAST_BREATH, keep_parts: bool = False) -> bool:
    """Remove a stale lock of an entry with its owner's partial download; return whether the entry is free.

    The owner must be a dead process of this computer, and its download must have stopped growing: containers
    can share a host name, so an owner that looks dead may be at work in another one.

    Args:
        entry: the entry's path.
        seconds: how long to watch a download that has grown just now; 0 does not wait.
        keep_parts: whether the partial download stays, for a caller that resumes it.

    Raises:
        OSError: the lock cannot be removed.
    """
    path = entry + LOCK_SUFFIX
    began = time.monotonic()
    first = None
    while (text := read(path)) is not None:
        holder = read_lock(text)
        if holder is None:
            return False
        written, newest, size = growth(path, Parts(entry, holder.uid).folder)
        first = first or (text, newest, size)
        if (text, newest, size) != first or holder_state(holder, written) != "dead":
            return False
        quiet = time.monotonic() - began
        if may_take_over(Watch("dead", quiet, time.time() - newest), LOCK_TIMEOUT):
            take_away(entry, text, keep_parts=keep_parts)
            return not os.path.lexists(path)
        if quiet >= seconds:
            return False
        time.sleep(_POLL)
    return True


@contextlib.contextmanager
def locked_in_directory(entry: str) -> Iterator[bool]:
    """Hold the lock of an entry inside a `with`; yield False where another process holds it.

    Raises:
        OSError: the cache cannot be written.
    """
    with contextlib.suppress(OSError):  # a lock that cannot be removed is still a lock
        take_over(entry)
    lock = take_lock(entry)
    if lock is None:
        yield False
        return
    with lock:
        yield True


def growth(file: str, folder: str) -> tuple[float, float, int]:
    """When a file was written, when it or anything in a folder was last, and how many bytes the folder holds.

    Times in seconds since the epoch; what is not there counts as written at 0.
    """
    written = _written(file)
    newest = max(written, _written(folder))
    size = 0
    pending = [folder] if folder else []
    for directory in pending:  # grows while it is read
        with contextlib.suppress(OSError):
            for name, facts in list_folder(directory):
                newest = max(newest, facts.st_mtime)
                if stat.S_ISDIR(facts.st_mode):
                    pending.append(f"{directory}{os.sep}{name}")
                else:
                    size += facts.st_size
    return written, newest, size


def read(path: str) -> str | None:
    """The text of a lock; None when there is none, "" when it cannot be read: it is a lock all the same."""
    try:
        return read_text(path)
    except FileNotFoundError:
        return None
    except OddFileError:
        return ""


def why_unreadable(path: str) -> str:
    """Return why a lock cannot be read, or ""."""
    try:
        read_text(path)
    except FileNotFoundError:
        return ""
    except OddFileError as why:
        return str(why)
    return ""


def write_new(path: str, text: str) -> None:
    """Write a file that must not be there yet. Others cannot read one that contains a login or token."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600 if has_secrets(text) else 0o666)

    with open(path, "x", encoding="utf-8", errors="surrogateescape", opener=opened) as file:
        file.write(text)


def remove(path: str) -> None:
    """Remove a file or an empty folder if it is there and can be removed."""
    try:
        os.unlink(path)
    except (IsADirectoryError, PermissionError):  # a folder: Linux says the first, macOS the second
        with contextlib.suppress(OSError):
            os.rmdir(path)
    except OSError:
        pass


def _written(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
