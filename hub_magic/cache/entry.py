"""One model in a cache, and whether its files can be intact."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from ..errors import HandleError
from ..facts import Fact
from ..handles import Handle, parse_handle
from ..small_files import time_from
from .folders import open_at_any_depth
from .layout import Holder

Kind = Literal["SavedModel", "TF1 Hub", "other"]

_SHARD = re.compile(r"(?P<stem>.+)\.data-(?P<index>\d{5})-of-(?P<count>\d{5})")
_GRAPH, _TEXT_GRAPH = "saved_model.pb", "saved_model.pbtxt"
_VARIABLES = "variables/"
_INDEX = f"{_VARIABLES}variables.index"
_ONE_SHARD = f"{_VARIABLES}variables.data-00000-of-00001"
_HUB_FORMAT = "tfhub_module.pb"


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
        damage: why it cannot be whole; "" when nothing speaks against it.
        holder: who is downloading it now, or left a lock.
        folders: its folders, as paths relative to it; what a refresh looks at.

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
    derived: ClassVar[tuple[str, ...]] = ("publisher", "name", "version")

    @property
    def is_measured(self) -> bool:
        """Whether its files have been looked at."""
        return self.size >= 0

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
    if _HUB_FORMAT in files:
        return "TF1 Hub"
    return "SavedModel" if _GRAPH in files or _TEXT_GRAPH in files else "other"


def damage_in(files: Mapping[str, int], folders: Collection[str] = ()) -> str:
    """Why an entry with these files cannot be whole, or "".

    Judges by what the formats demand of each other's presence, so an entry that merely is no SavedModel is
    not called damaged. A cleaner of temporary files deletes old files and leaves their folders.

    Args:
        files: sizes in bytes by path relative to the entry, `/` between parts; folders are left out.
        folders: the folders at the entry's root.
    """
    graph = _GRAPH if _GRAPH in files else _TEXT_GRAPH
    if graph not in files:
        return _damage_without_graph(files, folders)
    if files[graph] == 0:
        return f"{graph} is empty"
    if "variables" not in folders:
        return ""
    if _ONE_SHARD in files and files.get(_INDEX) and "\n".join(files).count(_VARIABLES) == 2:
        return ""  # as nearly all are, and told without a look at each name
    return _damage_in_variables(
        {name.removeprefix(_VARIABLES): files[name] for name in files if name.startswith(_VARIABLES)}
    )


def _damage_without_graph(files: Mapping[str, int], folders: Collection[str]) -> str:
    if not files:
        return "it holds no files"
    if all(name.startswith(".") for name in files):
        return "it holds no model, only hidden files"
    return "saved_model.pb is missing" if _HUB_FORMAT in files or "variables" in folders else ""


def _damage_in_variables(files: Mapping[str, int]) -> str:
    """Why the checkpoint in `variables/` cannot be whole: its index and every shard it announces."""
    counts = {found["stem"]: int(found["count"]) for name in files if (found := _SHARD.fullmatch(name))}
    stems = {name.removesuffix(".index") for name in files if name.endswith(".index")}
    for stem in sorted(stems | counts.keys()):
        if stem not in stems:
            return f"variables/{stem}.index is missing"
        if files[f"{stem}.index"] == 0:
            return f"variables/{stem}.index is empty"
        if stem not in counts:
            return f"variables/{stem}.data-00000-of-00001 is missing"
        for index in range(counts[stem]):
            shard = f"{stem}.data-{index:05}-of-{counts[stem]:05}"
            if shard not in files:
                return f"variables/{shard} is missing"
    return ""


# Windows counts no blocks.
_HAS_BLOCKS = hasattr(os.stat_result, "st_blocks")


def is_intact(path: str) -> bool:
    """Return whether an entry is there, and nothing speaks against its files by names and sizes.

    Raises:
        OSError: it cannot be read.
    """
    if not os.path.isdir(path) or not os.listdir(path):
        return False
    return not measure(CachedModel(os.path.basename(path), path)).damage


# Through an open folder the system need not walk the whole path to each file again; not on Windows.
_BY_NUMBER = os.scandir in os.supports_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


def measure(model: CachedModel) -> CachedModel:
    """The entry with its files looked at.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    files: dict[str, int] = {}
    folders: list[str] = []
    size = blocks = 0
    used = 0.0
    pending = [""]
    for prefix in pending:  # grows while it is read
        folder = f"{model.path}/{prefix}"
        number = open_at_any_depth(folder, _FOLDER) if _BY_NUMBER else -1
        try:
            with os.scandir(number if _BY_NUMBER else folder) as found:
                for item in found:
                    name = prefix + item.name
                    if item.is_dir(follow_symlinks=False):
                        folders.append(name)
                        pending.append(f"{name}/")
                        continue
                    facts = item.stat(follow_symlinks=False)
                    files[name] = length = facts.st_size
                    size += length
                    blocks += facts.st_blocks if _HAS_BLOCKS else -(-length // 512)
                    if facts.st_atime > used:  # noqa: PLR1730 - a call of max for each of 100,000 files is felt
                        used = facts.st_atime
        finally:
            if _BY_NUMBER:
                os.close(number)
    return CachedModel(
        model.folder,
        model.path,
        model.handle,
        kind_of(files),
        size,
        blocks * 512,
        len(files),
        model.downloaded,
        model.host,
        time_from(used),
        damage_in(files, folders),
        model.holder,
        tuple(folders),
    )


def folder_size(path: str) -> int:
    """Bytes of all files below a folder; 0 when it is gone, or not ours to read."""
    try:
        return measure(CachedModel("", path)).size
    except OSError:
        return 0
