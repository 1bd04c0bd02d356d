"""The layout of a cache: what each name in it stands for, and what its small files say.

Source of every rule: `tensorflow_hub/resolver.py` and `compressed_module_resolver.py` (0.16.1). One model is
a folder named by the SHA-1 of its handle, and beside it a descriptor, a lock while it is being downloaded,
and the folder it is downloaded into. `FOLDER.files.json`, the list of an entry's files, is ours; the library
passes it by.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..errors import SettingError
from ..locations import is_foreign
from ..small_files import OddFileError, parse_number, parse_time, read_small_file

DESCRIPTOR_SUFFIX = ".descriptor.txt"
RECORD_SUFFIX = ".files.json"
LOCK_SUFFIX = ".lock"
# A folder with one of these files at its root is a model; without them tensorflow_hub loads nothing.
GRAPHS = ("saved_model.pb", "saved_model.pbtxt", "tfhub_module.pb")

_NAME = re.compile(
    r"(?P<folder>[0-9a-f]{40})"
    r"(?:(?P<descriptor>\.descriptor\.txt)|(?P<record>\.files\.json)|(?P<lock>\.lock)"
    r"|\.(?P<download>[0-9a-f]{32})\.tmp"
    r"|(?P<leftover>(?:\.descriptor\.txt|\.files\.json|\.lock)\.tmp[0-9a-f]{32}))?"
)
_DESCRIPTOR = re.compile(
    r"Module: (?P<handle>.*)\nDownload Time: (?P<time>[^\n]*)\n"
    r"Downloader Hostname: (?P<host>.*) \(PID:(?P<pid>[0-9]+)\)\s*",
    re.DOTALL,
)
_LOCK = re.compile(r"(?P<host>.*)\.(?P<pid>[0-9]+)\.(?P<uid>[0-9a-f]{1,64})\s*", re.DOTALL)


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
    try:
        return parse_descriptor(text)
    except OddFileError:
        return None


def parse_descriptor(text: str) -> Descriptor:
    """Return what a descriptor's text says.

    Raises:
        OddFileError: it is not a descriptor.
    """
    found = _DESCRIPTOR.fullmatch(text)
    if found is None:
        raise OddFileError("it is not a descriptor")
    handle, time, host, pid = found.groups()
    return Descriptor(handle, parse_time(time), host, parse_number(pid))


def descriptor_at(path: str) -> Descriptor | None:
    """Return what the descriptor at this path says; None when there is none, or another file is there."""
    try:
        return parse_descriptor(read_text(path))
    except (FileNotFoundError, OddFileError):
        return None


def read_text(path: str) -> str:
    """Return the text of a descriptor or lock, with invalid UTF-8 replaced.

    Raises:
        FileNotFoundError: there is no file.
        OddFileError: it is too large, is not a regular file, or cannot be read.
    """
    return read_small_file(path).decode(errors="replace")


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
    if found is None:
        return None
    try:
        return Holder(found["host"], parse_number(found["pid"]), found["uid"])
    except OddFileError:
        return None


def lock_text(holder: Holder) -> str:
    """The text as tensorflow_hub writes it (`_lock_file_contents`)."""
    return f"{holder.host}.{holder.pid}.{holder.uid}"


_DIGITS = "0123456789abcdef"


@dataclass(slots=True)
class Names:
    """What stands in a cache.

    Attributes:
        location: the cache.
        entries: folder names of entries.
        descriptors, records, locks: entries that have such a file beside them, and its name.
        downloads: folders that models are downloaded into, by their names.
        leftovers: writes that were never finished, and their sizes in bytes.
        linked: entries that are links to a model's folder elsewhere.
        links: names of our form that are other links, which are not followed.
        impostors: names whose nature is another than they say.
        skipped: small files that are not what their names say, and why. Filled while they are read.
        unreadable_locks: locks that cannot be read, and why; each is a lock all the same.
    """

    location: str
    entries: list[str] = field(default_factory=list)
    descriptors: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    downloads: dict[str, Part] = field(default_factory=dict)
    leftovers: dict[str, int] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    impostors: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    unreadable_locks: dict[str, str] = field(default_factory=dict)

    def descriptor(self, folder: str) -> Descriptor | None:
        """Return what an entry's descriptor says; None without one. A file that is none is in `skipped`."""
        name = self.descriptors.get(folder)
        if name is None:
            return None
        try:
            return parse_descriptor(read_text(f"{self.location}/{name}"))
        except FileNotFoundError:  # removed since the cache was listed
            return None
        except OddFileError as why:
            self.skipped[name] = str(why)
            return None

    def holders(self) -> dict[str, Holder | None]:
        """Return the owner of each lock, by entry; None where the lock names none."""
        return {folder: self._holder(name) for folder, name in self.locks.items()}

    def _holder(self, name: str) -> Holder | None:
        try:
            return read_lock(read_text(f"{self.location}/{name}"))
        except FileNotFoundError:
            return None
        except OddFileError as why:
            self.unreadable_locks[name] = str(why)
            return None


def read_names(location: str) -> Names:
    """The names in a cache; none when it does not exist yet.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    names = Names(location)
    if is_foreign(location):
        raise SettingError(
            f"The cache at {location} is not managed by hub_magic; tensorflow_hub alone uses it. "
            "For a cache that hub_magic manages: %hub_cache ~/.cache/tfhub_modules, or gs://BUCKET/PATH."
        )
    try:
        found = os.scandir(location)
    except FileNotFoundError:
        return names
    except OSError as error:
        raise SettingError(
            f"The cache at {location} cannot be read: {error.strerror}. Set another with %hub_cache LOCATION."
        ) from error
    with found:
        for item in found:
            name = item.name
            if len(name) == 40 and item.is_dir(follow_symlinks=False) and not name.strip(_DIGITS):
                names.entries.append(name)
            elif name[40:] == DESCRIPTOR_SUFFIX and item.is_file(follow_symlinks=False):
                if not name[:40].strip(_DIGITS):
                    names.descriptors[name[:40]] = name
            else:
                _place(names, item)
    for name in tuple(names.links):
        if _is_linked_model(names, name):
            names.links.remove(name)
            names.linked.add(name)
            names.entries.append(name)
    return names


def _is_linked_model(names: Names, name: str) -> bool:
    """Whether a link stands for an entry: it has a descriptor, or leads to a folder that holds a model."""
    path = f"{names.location}/{name}"
    if len(name) != 40 or not os.path.isdir(path):
        return False
    return name in names.descriptors or any(os.path.exists(f"{path}/{one}") for one in GRAPHS)


def _place(names: Names, item: os.DirEntry[str]) -> None:
    """Put an unusual name where it belongs."""
    part = read_name(item.name)
    if part is None:
        return
    if part.role is Role.LOCK:  # a file of any type keeps every other process from making a lock
        names.locks[part.folder] = item.name
    elif item.is_symlink():
        names.links.append(item.name)
    elif part.role in {Role.ENTRY, Role.DESCRIPTOR} or not (
        item.is_dir if part.role is Role.DOWNLOAD else item.is_file
    )(follow_symlinks=False):
        names.impostors.append(item.name)
    elif part.role is Role.DOWNLOAD:
        names.downloads[item.name] = part
    elif part.role is Role.LEFTOVER:
        with suppress(FileNotFoundError):  # its owner has just renamed it
            names.leftovers[item.name] = item.stat(follow_symlinks=False).st_size
    else:
        names.records[part.folder] = item.name
