"""One model in a cache, and whether its files can be intact."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from ..errors import HandleError
from ..facts import Fact
from ..handles import Handle, parse_handle
from ..small_files import time_from
from .files import walk
from .layout import GRAPHS, Holder

Kind = Literal["SavedModel", "TF1 Hub", "other"]

# A checkpoint of another name in the same folder is nothing that TensorFlow reads, and neither are the `._*`
# files that macOS puts into archives.
_SHARD = re.compile(r"variables/variables\.data-(?P<index>\d{5})-of-(?P<count>\d{5})")
GRAPH, TEXT_GRAPH, HUB_FORMAT = GRAPHS
_VARIABLES = "variables/"
INDEX = f"{_VARIABLES}variables.index"
_ONE_SHARD = f"{_VARIABLES}variables.data-00000-of-00001"


@dataclass(frozen=True, slots=True)
class CachedModel(Fact):
    """One entry of a cache.

    Attributes:
        folder: its folder name, 40 hexadecimal digits.
        path: its directory, or its `gs://` location.
        handle: the handle it was fetched under; "" when its descriptor is missing or unreadable.
        kind: a TF2 or TF1 SavedModel, the older TF1 Hub format, or other files; "" until it is measured.
        size: bytes of its files; -1 until it is measured.
        disk: bytes they take on the disk; -1 until it is measured.
        files: how many they are; -1 until it is measured.
        downloaded: when it was fetched, in the downloader's local time.
        host: the machine that fetched it.
        last_used: when one of its files was last read, as far as the file system keeps that.
        damage: why the entry is damaged; "" if no damage was found.
        holder: who is downloading it now, or left a lock.
        folders: its folders, as paths relative to it; what a refresh looks at.
        link: where its folder is, when the entry is a link to it; else "".

    Example:
        >>> model = scan_cache().models[0]
        >>> model.handle, model.kind, model.damage
        ('https://host.example/team/model/1', 'SavedModel', '')
    """

    folder: str
    path: str
    handle: str = ""
    kind: Kind | Literal[""] = ""
    size: int = -1
    disk: int = -1
    files: int = -1
    downloaded: datetime | None = None
    host: str = ""
    last_used: datetime | None = None
    damage: str = ""
    holder: Holder | None = None
    folders: tuple[str, ...] = ()
    link: str = ""
    derived: ClassVar[tuple[str, ...]] = ("publisher", "name", "version")

    @property
    def is_measured(self) -> bool:
        """Whether its files have been looked at."""
        return self.size >= 0

    @property
    def title(self) -> str:
        """The name of the entry: its handle, or its folder where the handle is unknown."""
        return self.handle or self.folder

    @property
    def name(self) -> str:
        """The model's name; its folder's where the handle is not known or not well-formed."""
        parsed = self._parsed
        return parsed.name if parsed else self.handle or self.folder

    @property
    def publisher(self) -> str:
        """Who published it, or ""."""
        return self._parsed.publisher if self._parsed else ""

    @property
    def version(self) -> str:
        """Its version as the handle writes it, or ""."""
        return self._parsed.version if self._parsed else ""

    @property
    def _parsed(self) -> Handle | None:
        # Descriptors come from disk: whatever stands in one must not keep the others from being shown.
        try:
            return parse_handle(self.handle)
        except HandleError:
            return None


def kind_of(files: Mapping[str, int]) -> Kind:
    """What the files are, by the names at the root (paths relative to the entry, sizes in bytes)."""
    if HUB_FORMAT in files:
        return "TF1 Hub"
    return "SavedModel" if GRAPH in files or TEXT_GRAPH in files else "other"


def damage_in(files: Mapping[str, int], folders: Collection[str] = ()) -> str:
    """Why an entry with these files cannot be whole, or "".

    Judges by what the formats demand of each other's presence, so an entry that merely is no SavedModel is
    not called damaged. A cleaner of temporary files deletes old files and leaves their folders.

    Args:
        files: sizes in bytes by path relative to the entry, `/` between parts; folders are left out.
        folders: the folders at the entry's root.
    """
    graph = GRAPH if GRAPH in files else TEXT_GRAPH
    if graph not in files:
        return _damage_without_graph(files, folders)
    if files[graph] == 0:
        return f"{graph} is empty"
    if "variables" not in folders:
        return ""
    if _ONE_SHARD in files and files.get(INDEX):
        return ""  # as nearly all are, and told without a look at each name
    return _damage_in_variables(files)


def _damage_without_graph(files: Mapping[str, int], folders: Collection[str]) -> str:
    if not files:
        return "it holds no files"
    if all(name.startswith(".") for name in files):
        return "it holds no model, only hidden files"
    return "saved_model.pb is missing" if HUB_FORMAT in files or "variables" in folders else ""


def shard_sets(files: Collection[str]) -> dict[int, set[int]]:
    """The numbers of the data files found, by how many there are to be; of the checkpoint that is read."""
    found: dict[int, set[int]] = {}
    for name in files:
        if match := _SHARD.fullmatch(name):
            found.setdefault(int(match["count"]), set()).add(int(match["index"]))
    return found


def _damage_in_variables(files: Mapping[str, int]) -> str:
    """Why the checkpoint `variables/variables` cannot be intact: its index, and every shard announced."""
    sets = shard_sets(files)
    if not files.get(INDEX):
        if INDEX in files:
            return f"{INDEX} is empty"
        return f"{INDEX} is missing" if sets else ""
    if not sets:
        return f"{_ONE_SHARD} is missing"
    if any(len(found) == count for count, found in sets.items()):
        return ""
    return missing_shard(sets)


def missing_shard(sets: Mapping[int, Collection[int]]) -> str:
    """Which data file is missing of the sets that `shard_sets` found, in words; "" when each is complete."""
    for count, found in sorted(sets.items(), key=lambda item: len(item[1])):
        if len(found) < count:
            first = next(number for number in range(count) if number not in found)
            return f"{_VARIABLES}variables.data-{first:05}-of-{count:05} is missing"
    return ""


_FILE_KIND = 0o170000  # of a mode; a call of S_ISREG for each of 100,000 files is felt
# Windows counts no blocks.
_HAS_BLOCKS = hasattr(os.stat_result, "st_blocks")


def is_intact(path: str) -> bool:
    """Return whether an entry exists and is intact by the names and sizes of its files.

    Raises:
        OSError: it cannot be read.
    """
    if not os.path.isdir(path) or not os.listdir(path):
        return False
    return not measure(CachedModel(os.path.basename(path), path)).damage


@dataclass(slots=True)
class EntryFiles:
    """What a walk through an entry found; links are followed, as TensorFlow follows them.

    Attributes:
        sizes: of its files in bytes, by path relative to it, `/` between parts.
        folders: its folders, in the same way.
        dangling: links that lead nowhere.
        special: what is neither a folder nor a plain file.
        size, blocks: bytes of its files, and blocks of 512 bytes that they take on the disk.
        used: when one of them was last read, in seconds since 1970; 0 without files.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    size: int = 0
    blocks: int = 0
    used: float = 0.0


def look_into(path: str) -> EntryFiles:
    """Look at the names and sizes of an entry's files.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    look = EntryFiles()
    files = look.sizes
    size = blocks = 0
    used = 0.0
    for name, is_folder, facts in walk(path):
        if is_folder:
            look.folders.append(name)
            continue
        if facts is None:
            look.dangling.append(name)
            continue
        if facts.st_mode & _FILE_KIND != stat.S_IFREG:
            look.special.append(name)
        files[name] = length = facts.st_size
        size += length
        blocks += facts.st_blocks if _HAS_BLOCKS else -(-length // 512)
        if facts.st_atime > used:  # noqa: PLR1730 - a call of max for each of 100,000 files is felt
            used = facts.st_atime
    look.size, look.blocks, look.used = size, blocks, used
    return look


def damage_of(look: EntryFiles) -> str:
    """Why an entry with these files cannot be intact, or ""."""
    damage = damage_in(look.sizes, look.folders)
    if look.dangling and (not damage or damage.removesuffix(" is missing") in look.dangling):
        return f"{min(look.dangling)} is a link that leads nowhere"
    return damage


def measure(model: CachedModel) -> CachedModel:
    """The entry with its files looked at.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    look = look_into(model.path)
    return CachedModel(
        model.folder,
        model.path,
        model.handle,
        kind_of(look.sizes),
        look.size,
        look.blocks * 512,
        len(look.sizes),
        model.downloaded,
        model.host,
        time_from(look.used),
        damage_of(look),
        model.holder,
        tuple(look.folders),
        model.link,
    )


def folder_size(path: str) -> int:
    """Bytes of all files below a folder; 0 when it is gone, or not ours to read."""
    try:
        return measure(CachedModel("", path)).size
    except OSError:
        return 0
