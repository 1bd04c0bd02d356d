"""Archives for tests of downloads: intact archives, and archives that no honest host sends."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Iterable


def model_files(size: int = 3000, *, seed: int = 0) -> dict[str, bytes]:
    """Return the files of a fake SavedModel, with `size` bytes of variables that cannot be compressed."""
    return {
        "saved_model.pb": b"graph" * 100,
        "variables/variables.index": b"index" * 20,
        "variables/variables.data-00000-of-00001": random.Random(seed).randbytes(size),
        "assets/words.txt": b"hub\nmagic\n",
    }


def folder(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


def file(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def tar(members: Iterable[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]], mode: str = "w:") -> bytes:
    """Return an archive of these members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def model_archive(files: dict[str, bytes] | None = None, *, mode: str = "w:gz", root: str = "./") -> bytes:
    """Return an archive of a model with its folders, in the form of the hub's own archives."""
    files = model_files() if files is None else files
    folders = sorted({name.rpartition("/")[0] for name in files if "/" in name})
    members = [folder(root), *(folder(root + name) for name in folders)]
    return tar([*members, *(file(root + name, data) for name, data in files.items())], mode)


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def read_folder(path: str) -> dict[str, bytes]:
    """Return the files below a folder."""
    from pathlib import Path

    root = Path(path)
    return {str(found.relative_to(root)): found.read_bytes() for found in root.rglob("*") if found.is_file()}
