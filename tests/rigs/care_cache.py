"""Caches for tests of their care, written by hand in tensorflow_hub's layout."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from hub_magic import parse_handle
from hub_magic.cache.layout import Descriptor, Holder, descriptor_text, lock_text

NOW = datetime(2026, 11, 20, 12, 0, 0)  # noqa: DTZ001 - local time, as descriptors keep
# The smallest SavedModel: version 1, and one graph with objects of one byte.
GRAPH = b"\x08\x01\x12\x03\x3a\x01\x00"
WHOLE = {
    "saved_model.pb": GRAPH,
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"weights",
}
NOBODY = 2**22 + 1  # above any process id


def plant(
    location: Path,
    handle: str,
    files: Mapping[str, bytes] = WHOLE,
    *,
    size: int = 0,
    used: int = 0,
    descriptor: bool = True,
) -> Path:
    """Put a model into a cache, and return its folder.

    Args:
        location: the cache.
        handle: the handle of the model.
        files: contents by path.
        size: bytes of one more file, of weights; its content depends on the handle.
        used: days before `NOW` of its download and last use.
        descriptor: whether it has a descriptor with its handle.
    """
    entry = location / parse_handle(handle).folder
    for name, content in {**files, **({"assets/more": handle.encode()[:1] * size} if size else {})}.items():
        (entry / name).parent.mkdir(parents=True, exist_ok=True)
        (entry / name).write_bytes(content)
    then = NOW - timedelta(days=used)
    for path in (*entry.rglob("*"), entry):
        os.utime(path, (then.timestamp(),) * 2)
    if descriptor:
        text = descriptor_text(Descriptor(handle, then, "far.example", 7))
        (location / f"{entry.name}.descriptor.txt").write_text(text)
    return entry


def lock(entry: Path, *, pid: int = 0, host: str = "", uid: str = "ab" * 16) -> Path:
    """Put a lock beside an entry: this process's by default."""
    path = Path(f"{entry}.lock")
    path.write_text(lock_text(Holder(host or socket.gethostname(), pid or os.getpid(), uid)))
    return path


def tree(root: Path) -> dict[str, tuple[str, bytes | str, int]]:
    """Return all paths below a folder, with kind, content or target, and permissions; links are not followed."""
    found: dict[str, tuple[str, bytes | str, int]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode & 0o7777
            if path.is_symlink():
                found[str(path)] = ("link", str(path.readlink()), 0)
            elif path.is_dir():
                found[str(path)] = ("folder", "", mode)
            elif path.is_file():
                found[str(path)] = ("file", path.read_bytes(), mode)
            else:
                found[str(path)] = ("special", "", mode)
    return found


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write these files, by their paths, into a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
