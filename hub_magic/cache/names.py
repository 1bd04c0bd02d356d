"""The names in a cache directory, sorted by what they stand for, and its small files.

Half of a first look at a large cache is spent here, so the two names that nearly all are, an entry and its
descriptor, are told apart without an expression, and a small file is read by three plain calls.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..errors import SettingError
from .layout import DESCRIPTOR_SUFFIX, Part, Role, read_name

# Longer than any descriptor or lock that tensorflow_hub writes; most fit the first read.
_SMALL_FILE = 64 * 1024
_FIRST_READ = 1024
# No link is followed, and no pipe waited for.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
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
        links: names of our form that are links, which are not followed.
        impostors: names whose nature is another than they say.
    """

    location: str
    entries: list[str] = field(default_factory=list)
    descriptors: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    downloads: dict[str, Part] = field(default_factory=dict)
    leftovers: dict[str, int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    impostors: list[str] = field(default_factory=list)

    def read(self, name: str) -> str:
        """The beginning of a small file, broken UTF-8 replaced; empty when it cannot be read."""
        return read_small(f"{self.location}/{name}").decode(errors="replace")


def read_names(location: str) -> Names:
    """The names in a cache; none when it does not exist yet.

    Raises:
        SettingError: the location is no directory, or may not be listed.
    """
    names = Names(location)
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
    return names


def _place(names: Names, item: os.DirEntry[str]) -> None:
    """Put an unusual name where it belongs."""
    part = read_name(item.name)
    if part is None:
        return
    if item.is_symlink():
        names.links.append(item.name)
    elif part.role in {Role.ENTRY, Role.DESCRIPTOR} or not (
        item.is_dir if part.role is Role.DOWNLOAD else item.is_file
    )(follow_symlinks=False):
        names.impostors.append(item.name)
    elif part.role is Role.DOWNLOAD:
        names.downloads[item.name] = part
    elif part.role is Role.LEFTOVER:
        names.leftovers[item.name] = item.stat(follow_symlinks=False).st_size
    else:
        (names.locks if part.role is Role.LOCK else names.records)[part.folder] = item.name


def read_small(path: str) -> bytes:
    """The beginning of a small file; empty when it cannot be read, or is a link."""
    try:
        number = os.open(path, _READ)
    except OSError:
        return b""
    try:
        text = os.read(number, _FIRST_READ)
        return text if len(text) < _FIRST_READ else text + os.read(number, _SMALL_FILE - _FIRST_READ)
    except OSError:
        return b""
    finally:
        os.close(number)
