"""The files of one entry: how large it is, when it was last read, and whether it can be whole.

This is most of what a scan costs, so it is one plain loop: a `DirEntry` knows what is a folder without
asking, and each file is asked once.
"""

from __future__ import annotations

import os
from datetime import datetime

from .entry import CachedModel, damage_in, kind_of

# Windows counts no blocks.
_HAS_BLOCKS = hasattr(os.stat_result, "st_blocks")
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
        number = os.open(folder, _FOLDER) if _BY_NUMBER else -1
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
        datetime.fromtimestamp(used) if used else None,  # noqa: DTZ006 - local time, as descriptors keep
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
