"""The layout of a cache: what each name in it stands for, and what its small files say.

Source of every rule: `tensorflow_hub/resolver.py` and `compressed_module_resolver.py` (0.16.1). One model is
a folder named by the SHA-1 of its handle, and beside it a descriptor, a lock while it is being downloaded,
and the folder it is downloaded into. `FOLDER.files.json`, the list of an entry's files, is ours; the library
passes it by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

DESCRIPTOR_SUFFIX = ".descriptor.txt"
RECORD_SUFFIX = ".files.json"
LOCK_SUFFIX = ".lock"

_NAME = re.compile(
    r"(?P<folder>[0-9a-f]{40})"
    r"(?:(?P<descriptor>\.descriptor\.txt)|(?P<record>\.files\.json)|(?P<lock>\.lock)"
    r"|\.(?P<download>[0-9a-f]{32})\.tmp"
    r"|(?P<leftover>(?:\.descriptor\.txt|\.files\.json|\.lock)\.tmp[0-9a-f]{32}))?"
)
_DESCRIPTOR = re.compile(
    r"Module: (?P<handle>.*)\nDownload Time: (?P<time>[^\n]*)\n"
    r"Downloader Hostname: (?P<host>.*) \(PID:(?P<pid>\d+)\)\s*",
    re.DOTALL,
)
_LOCK = re.compile(r"(?P<host>.*)\.(?P<pid>\d+)\.(?P<uid>[0-9a-f]+)\s*", re.DOTALL)


class Role(Enum):
    """What a name directly inside a cache stands for."""

    ENTRY = "entry"
    DESCRIPTOR = "descriptor"
    RECORD = "record"
    LOCK = "lock"
    DOWNLOAD = "download"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class Part:
    """A name in a cache that has the library's form.

    Attributes:
        folder: the entry it belongs to, 40 hexadecimal digits.
        role: what it stands for.
        uid: for a download, the id that its lock carries too; else "".
    """

    folder: str
    role: Role
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor says of an entry.

    Attributes:
        handle: the handle whose SHA-1 names the folder.
        downloaded: when, in the downloader's local time; None when the text cannot be read as a time.
        host: the name of the machine that downloaded it.
        pid: the process that did.
    """

    handle: str
    downloaded: datetime | None
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: a process on a machine, and the id of the folder it downloads into."""

    host: str
    pid: int
    uid: str


def read_name(name: str) -> Part | None:
    """What a name in a cache stands for; None when it is not of the library's form."""
    if len(name) == 40 and not name.strip("0123456789abcdef"):  # most names, without the expression
        return Part(name, Role.ENTRY)
    found = _NAME.fullmatch(name)
    if found is None or found.lastgroup is None:
        return None
    role = Role(found.lastgroup) if found.lastgroup != "folder" else Role.ENTRY
    return Part(found["folder"], role, found["download"] or "")


def read_descriptor(text: str) -> Descriptor | None:
    """What a descriptor's text says; None when it is not one."""
    found = _DESCRIPTOR.fullmatch(text)
    if found is None:
        return None
    handle, time, host, pid = found.groups()
    try:
        downloaded = datetime.fromisoformat(time)
    except ValueError:
        downloaded = None
    return Descriptor(handle, downloaded, host, int(pid))


def descriptor_text(descriptor: Descriptor) -> str:
    """The text as tensorflow_hub writes it (`_write_module_descriptor_file`)."""
    return (
        f"Module: {descriptor.handle}\n"
        f"Download Time: {descriptor.downloaded}\n"
        f"Downloader Hostname: {descriptor.host} (PID:{descriptor.pid})"
    )


def read_lock(text: str) -> Holder | None:
    """Who holds the lock with this text; None when it is none. A host name may itself hold dots."""
    found = _LOCK.fullmatch(text)
    return None if found is None else Holder(found["host"], int(found["pid"]), found["uid"])


def lock_text(holder: Holder) -> str:
    """The text as tensorflow_hub writes it (`_lock_file_contents`)."""
    return f"{holder.host}.{holder.pid}.{holder.uid}"
