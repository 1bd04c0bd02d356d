"""Export a model as an archive that a host serves, `--add` takes, and `hub.load` downloads.

An archive's bytes depend on the names and contents of the model's files alone.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar
from urllib.parse import urlsplit

from ..cache.entry import CachedModel
from ..cache.files import LinkedFolders, is_part, open_quietly
from ..cache.folders import list_folder
from ..cache.scan import CacheScan
from ..cache.selection import label, select
from ..cache.verify import check_quickly
from ..errors import DamagedEntryError, SettingError
from ..facts import Fact
from ..handles import parse_handle
from ..progress import Progress, no_progress
from ..small_files import LARGE, OddFileError, parse_json, read_small_file, relative_path, text_at
from ..store import open_store, scan_cache
from .remove import Choice

_SUFFIXES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True, slots=True)
class Exported(Fact):
    """A model in an archive.

    Attributes:
        handle: the handle it goes by; "" when that is not known.
        file: the archive.
        size: bytes of the archive.
        sha256: of the archive's bytes, in hexadecimal digits.

    Example:
        >>> export("team/model", "model.tar.gz").file
        'model.tar.gz'
    """

    handle: str
    file: str
    size: int
    sha256: str


def export(
    model: str | CachedModel,
    file: str | os.PathLike[str],
    scan: CacheScan | None = None,
    *,
    progress: Progress = no_progress,
) -> Exported:
    """Write a cached model into an archive that `add` takes and a host serves.

    Args:
        model: the entry; or its handle, its name, an unambiguous part of either, or its folder name.
        file: the archive to write: `.tar.gz`, `.tgz`, or `.tar`, which is not compressed.
        scan: what is in the cache; the cache in force when None.
        progress: told how many more bytes of the model have been read.

    Raises:
        NotCachedError: the word means no entry, or more than one.
        SettingError: the file exists, has another suffix, or cannot be written.
        DamagedEntryError: the model is damaged.

    Example:
        >>> export("team/model", "model.tar.gz").size > 0
        True
    """
    scan = scan_cache() if scan is None else scan
    chosen = select(scan, [model]) if isinstance(model, str) else (model,)
    with open_store(scan.location).on_disk(chosen) as (one,):
        return export_model(one, os.fspath(file), progress)


def export_model(model: CachedModel, file: str, progress: Progress = no_progress) -> Exported:
    """Write a model of a cache on disk into an archive.

    Args:
        model: the entry.
        file: `.tar.gz`, `.tgz` or `.tar`, which is not compressed.
        progress: told how many more bytes of the model have been read.

    Raises:
        SettingError: the file exists, has another suffix, or cannot be written.
        DamagedEntryError: the model is damaged.
    """
    path = Path(file).expanduser()
    if not path.name.endswith(_SUFFIXES):
        raise SettingError(f"{path} must end in .tar.gz, .tgz or .tar.")
    if os.path.lexists(path):
        raise SettingError(f"{path} already exists. Remove it, or give another name.")
    _check_whole(model)
    try:
        size, sha256 = _write(model.path, path, progress)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingError(f"{label(model)} cannot be written to {path}: {why}.") from error
    return Exported(model.handle, str(path), size, sha256)


def _check_whole(model: CachedModel) -> None:
    try:
        damage = check_quickly(model).damage
    except OSError as error:
        damage = f"it cannot be read: {error.strerror}"
    if damage:
        raise DamagedEntryError(
            f"{label(model)} is damaged ({damage}). Repair it first: %hub_cache --repair {label(model)}"
        )


def _write(entry: str, path: Path, progress: Progress) -> tuple[int, str]:
    """Pack an entry into a file that has its name only when it is complete; gives its size and SHA-256."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".hub_magic") as scratch:
        written = Path(scratch) / path.name
        with written.open("xb") as file:
            sink = _Sink(file)
            if path.name.endswith(".tar"):
                _pack(entry, sink, progress)
            else:
                # Level 6: trained weights hardly compress, and 9 takes longer for nothing.
                with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=sink, mtime=0) as zipped:
                    _pack(entry, zipped, progress)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it was created in the meantime")
        written.replace(path)
    return sink.size, sink.sha256


def _pack(entry: str, target: _Sink | gzip.GzipFile, progress: Progress) -> None:
    """Write the tar stream: the model's root is its root; nothing in it names a time or user."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        linked = LinkedFolders(entry)
        pending = [""]
        while pending:
            prefix = pending.pop()
            folders: list[str] = []
            files: list[str] = []
            for name, facts in sorted(list_folder(f"{entry}/{prefix}")):
                mode = facts.st_mode
                if stat.S_ISLNK(mode):
                    path = f"{entry}/{prefix}{name}"
                    if not is_part(entry, prefix + name):
                        raise OSError(errno.ELOOP, f"{prefix}{name} in it is a link")
                    if not os.path.exists(path):
                        raise OSError(errno.ENOENT, f"{prefix}{name} in it is a link that leads nowhere")
                    mode = os.stat(path).st_mode
                    if stat.S_ISDIR(mode) and not linked.enter(Path(path)):
                        continue
                (folders if stat.S_ISDIR(mode) else files).append(name)
            pending += [f"{prefix}{name}/" for name in reversed(folders)]
            for name in folders:
                inner = tarfile.TarInfo(prefix + name)
                inner.type, inner.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(inner)
            for name in files:
                with open_quietly(f"{entry}/{prefix}{name}") as content:
                    member = tarfile.TarInfo(prefix + name)
                    member.size = os.fstat(content.fileno()).st_size
                    tar.addfile(member, _Counted(content, progress))


class _Sink:
    """A file for the archive's bytes, which counts and digests them on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()


class _Counted:
    """A file that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._progress(len(block))
        return block


LIST = "models.json"

_SAFE = re.compile(r"[A-Za-z0-9_@+=,-][A-Za-z0-9._@+=,-]{0,99}")


@dataclass(frozen=True, slots=True)
class Listed:
    """An archive in the list.

    Attributes:
        handle: the handle that the model goes by.
        file: the archive, relative to the list, `/` between parts.
        sha256: of the archive's bytes, in hexadecimal digits.
    """

    handle: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Export(Fact):
    """The models of a cache in archives.

    Attributes:
        directory: where the archives and their list are.
        exported: the archives written.
        there: how many had been there before.
        left: the models that were left out, and why.

    Example:
        >>> len(export_all("models-to-go").exported)
        1
    """

    directory: str
    exported: tuple[Exported, ...]
    there: int
    left: tuple[Choice, ...]
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of the archives written."""
        return sum(one.size for one in self.exported)


def export_all(
    directory: str | os.PathLike[str], scan: CacheScan | None = None, *, progress: Progress = no_progress
) -> Export:
    """Write all models of a cache into archives below a directory, with a list of their handles.

    Archives that are there already are skipped.

    Args:
        directory: where to write; made when it is missing.
        scan: what is in the cache; the cache in force when None.
        progress: told how many more bytes of models have been dealt with.

    Raises:
        SettingError: another program wrote the directory's list.

    Example:
        >>> len(export_all("models-to-go").exported)
        1
    """
    scan = scan_cache() if scan is None else scan
    with open_store(scan.location).on_disk(scan.models) as models:
        return export_models(models, os.fspath(directory), progress)


def export_models(models: Iterable[CachedModel], directory: str, progress: Progress = no_progress) -> Export:
    """Write models of a cache on disk into archives below a directory; see `export_all`."""
    root = Path(directory).expanduser()
    listed = read_list(root)
    exported: list[Exported] = []
    left: list[Choice] = []
    there = 0
    for model in models:
        if model.handle in listed and (root / listed[model.handle].file).is_file():
            there += 1
            progress(max(model.size, 0))
            continue
        try:
            name = _archive_name(model, taken={one.file for one in listed.values()})
            _make_folder((root / name).parent)
            one = export_model(model, str(root / name), progress)
        except (SettingError, DamagedEntryError) as error:
            left.append(Choice(model, str(error)))
            continue
        exported.append(one)
        listed[model.handle] = Listed(model.handle, name, one.sha256)
        _write_list(root, listed.values())
    return Export(str(root), tuple(exported), there, tuple(left))


def read_list(root: Path) -> dict[str, Listed]:
    """The archives in a directory that `export_all` wrote, by handle; none where there is no list.

    Raises:
        SettingError: the list cannot be read, is another file of that name, or leads out of the directory.
    """
    try:
        listed = _parsed_list(read_small_file(root / LIST, LARGE).decode())
    except FileNotFoundError:
        return {}
    except (OddFileError, UnicodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise SettingError(
            f"{root / LIST} exists but is not an export list ({why}). Move or rename it."
        ) from error
    for one in listed:
        if not _is_below(one.file):
            raise SettingError(
                f"{root / LIST} refers to a file outside its folder ({one.file!r}). Fix or re-export it."
            )
    return {one.handle: one for one in listed}


def _parsed_list(text: str) -> list[Listed]:
    found = parse_json(text)
    if found == {}:
        return []
    if not isinstance(found, list):
        raise OddFileError("it is not a list")
    return [Listed(*(text_at(one, key) for key in ("handle", "file", "sha256"))) for one in found]


def _is_below(name: str) -> bool:
    try:
        relative_path(name)
    except OddFileError:
        return False
    return ".." not in re.split(r"[/\\]", name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"{folder} cannot be created: {error.strerror}. Name another directory."
        ) from error


def _write_list(root: Path, listed: Iterable[Listed]) -> None:
    text = json.dumps([asdict(one) for one in listed], indent=2) + "\n"
    with tempfile.TemporaryDirectory(dir=root, prefix=".hub_magic") as scratch:
        (Path(scratch) / LIST).write_text(text, encoding="utf-8")
        (Path(scratch) / LIST).replace(root / LIST)


def _archive_name(model: CachedModel, taken: set[str]) -> str:
    """Where a model's archive goes: by host and path, so that a host serves it under the same parts.

    Raises:
        SettingError: its handle is not known.
    """
    if not model.handle:
        raise SettingError("its handle is unknown (no descriptor file)")
    url = urlsplit(parse_handle(model.handle).canonical)
    parts = [url.netloc, *url.path.strip("/").split("/")]
    name = "/".join(parts) + ".tar.gz"
    if url.query or not all(_SAFE.fullmatch(part) for part in parts) or name in taken:
        return f"{model.folder}.tar.gz"
    return name
