"""Add a model to a cache from a folder or an archive, under the handle that code loads it by."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ..cache.entry import CachedModel, folder_size
from ..cache.files import digest
from ..cache.layout import GRAPHS
from ..cache.locks import Parts, take_lock, take_over
from ..cache.record import FileRecord, find_damage
from ..cache.scan import free_space
from ..cache.verify import check_quickly
from ..download.archive import ArchiveRefusedError, NoSpaceError, check_space, unpack
from ..download.decode import ArchiveDamagedError, NotAnArchiveError, decompress
from ..download.messages import explain_disk
from ..download.new_entry import put_in_place
from ..errors import HandleError, HubMagicError, SettingError
from ..facts import Fact
from ..handles import Handle, parse_handle
from ..progress import Progress, no_progress
from ..store import in_force, open_store, scan_cache
from .copy import CopyPlan, plan_copy
from .export import LIST, Listed, read_list

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Added(Fact):
    """A model that was put into a cache.

    Attributes:
        handle: the handle that it goes by.
        path: its directory.
        source: the folder or archive that it came from.
        files: how many they are.
        size: their bytes.

    Example:
        >>> add("https://host.example/team/other/1", "my-model").files
        2
    """

    handle: str
    path: str
    source: str
    files: int
    size: int


@dataclass
class Staging:
    """A directory to add models to, before they are in the cache.

    Attributes:
        path: the directory.
        cached: folder names of models that turned out, at the end, to be in the cache already.
    """

    path: str
    cached: frozenset[str] = frozenset()


ShowCopy = Callable[[CopyPlan], object]


def _copy(plan: CopyPlan) -> None:
    plan.execute()


@contextmanager
def staged(location: str, *, is_list: bool = False, send: ShowCopy = _copy) -> Iterator[Staging]:
    """Yield a directory to add models to: the cache itself; for a bucket a temporary one, sent at the end.

    Args:
        location: the cache.
        is_list: whether models that are in the cache already are skipped.
        send: carries out the copy to the bucket, with a bar for example.

    Raises:
        SettingError: a model is in the bucket already, or the bucket refuses.
    """
    if not open_store(location).is_remote:
        yield Staging(location)
        return
    with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
        staging = Staging(here)
        yield staging
        added = scan_cache(here)
        plan = plan_copy(location, added)
        going = {model.folder for model in plan.going}
        staging.cached = frozenset(model.folder for model in added.models if model.folder not in going)
        if staging.cached and not is_list:
            raise SettingError(
                f"{location} already contains that model. Remove it first: %hub_cache --remove HANDLE"
            )
        send(plan)


def add(
    handle: str,
    source: str | os.PathLike[str],
    *,
    location: str | None = None,
    progress: Progress = no_progress,
    send: ShowCopy = _copy,
) -> Added:
    """Put a model into a cache, as if it had been downloaded.

    An archive with one folder at its root, and the model in it, is taken as that model.

    Args:
        handle: the URL under which code loads it.
        source: a directory, or an archive (`.tar`, or `.tar` compressed with gzip, bzip2 or xz).
        location: the cache, a directory or a gs:// address; the one in force when None.
        progress: told how many more bytes of the source have been read.
        send: carries out the copy to a bucket, with a bar for example.

    Raises:
        HandleError: the handle is not well-formed, or is a path.
        SettingError: the source is no intact model, the handle is cached already, or the cache cannot be
            written.

    Example:
        >>> added = add("https://host.example/team/other/1", "my-model")
        >>> resolve("https://host.example/team/other/1") == added.path
        True
    """
    cache = in_force(location)
    with staged(cache, send=send) as staging:
        added = _add_here(handle, os.fspath(source), staging.path, progress)
    return replace(added, path=f"{cache}{added.path.removeprefix(staging.path)}")


def _add_here(handle: str, source: str, location: str, progress: Progress) -> Added:
    """Put a model into a cache on disk."""
    parsed = _check_handle(handle)
    entry = os.path.join(location, parsed.folder)  # joined as tensorflow_hub joins it
    if os.path.isdir(entry) and os.listdir(entry) and not find_damage(entry):
        raise SettingError(
            f"{handle} is cached already, at {entry}. Remove it first: %hub_cache --remove {handle}"
        )
    path = Path(source).expanduser()
    try:
        files = _add(parsed, path, entry, progress)
    except NoSpaceError as error:
        raise SettingError(
            f"Not enough disk space at {location} for {path}: {error}. Free some space there."
        ) from error
    except (ArchiveRefusedError, ArchiveDamagedError) as error:
        raise SettingError(f"{path} cannot be added: {error}.") from error
    except NotAnArchiveError as error:
        raise SettingError(f"{path} is neither a folder nor a .tar or .tar.gz archive.") from error
    except OSError as error:
        raise SettingError(explain_disk(location, error)) from error
    return Added(handle, entry, str(path), len(files), sum(file.size for file in files))


def source_size(source: str) -> int:
    """Bytes that adding this source reads, for a bar; 0 when it cannot be read."""
    path = Path(source).expanduser()
    try:
        return folder_size(str(path)) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


def _check_handle(handle: str) -> Handle:
    parsed = parse_handle(handle)
    if parsed.kind == "path":
        raise HandleError(
            f"{handle!r} is a path; hub.load reads paths directly and never caches them. "
            "Give the URL that your code loads."
        )
    return parsed


def _add(handle: Handle, source: Path, entry: str, progress: Progress) -> tuple[FileRecord, ...]:
    if not source.exists():
        raise SettingError(f"{source} does not exist. Give the folder or archive that holds the model.")
    Path(entry).parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a lock that cannot be removed is still a lock
        take_over(entry)
    lock = take_lock(entry)
    if lock is None:
        raise SettingError(f"{handle} is being downloaded by another process. Wait for it.")
    with lock:
        parts = Parts(entry, lock.holder.uid)
        try:
            Path(parts.folder).mkdir()
            if source.is_dir():
                files = _copy_files(source, parts.folder, progress)
            else:
                files = _lift(parts.folder, unpack(decompress(_blocks(source, progress)), parts.folder))
            damage = check_quickly(CachedModel(handle.folder, parts.folder)).damage
            if damage:
                raise SettingError(f"{source} is incomplete: {damage}.")
            put_in_place(parts, handle.text, "", files)
        finally:
            parts.remove()
    return files


def _blocks(file: Path, progress: Progress) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            progress(len(block))
            yield block


def _copy_files(source: Path, target: str, progress: Progress) -> tuple[FileRecord, ...]:
    """Copy a folder's files; links to files are followed, as caches of other libraries are made of them."""
    found = tuple(_walk(source, ""))
    _check_root(source, [name for name, _ in found])
    sizes = {name: path.stat().st_size for name, path in found}
    check_space(sum(sizes.values()), free_space(target))
    if not found:
        raise SettingError(f"{source} is empty. Give the folder that holds the model.")
    records = []
    for name, path in found:
        place = Path(target, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with path.open("rb") as content, place.open("xb") as copy:
            while block := content.read(_BLOCK):
                copy.write(block)
                digest.update(block)
                progress(len(block))
            records.append(FileRecord(name, copy.tell(), digest.hexdigest()))
    return tuple(records)


_DEEPEST = 100  # folders in one another, as in an archive


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    if prefix.count("/") > _DEEPEST:
        raise SettingError(f"{folder} is nested more than {_DEEPEST} folders deep. Remove it from the model.")
    for path in sorted(folder.iterdir()):
        name = prefix + path.name
        if path.is_dir():
            if path.is_symlink():
                raise SettingError(
                    f"{path} is a link to a folder. Copy the model with its links followed: cp -rL"
                )
            yield from _walk(path, f"{name}/")
        elif stat.S_ISREG(path.stat().st_mode):
            yield name, path
        else:
            raise SettingError(
                f"{path} is not a regular file (socket, device or pipe). Remove it from the model."
            )


def _check_root(source: Path, names: list[str]) -> None:
    """Refuse a folder with models in its folders and none at its root."""
    inner = sorted({name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in GRAPHS})
    if inner and inner[0]:
        raise SettingError(f"{source} is not itself a model, but {source / inner[0]} is. Give that folder.")


def _lift(folder: str, files: tuple[FileRecord, ...]) -> tuple[FileRecord, ...]:
    """Take the one folder at an archive's root for the root, where the model is in it."""
    names = {file.path for file in files}
    tops = {name.partition("/")[0] for name in names}
    if any(marker in names for marker in GRAPHS):
        return files
    top = tops.pop()
    if tops or not any(f"{top}/{marker}" in names for marker in GRAPHS):
        _check_root(Path("it"), sorted(names))
        return files
    # Under another name first: what is in it may be called the same.
    inner = Path(folder, top).rename(Path(folder, ".inner"))
    for path in list(inner.iterdir()):
        path.rename(Path(folder, path.name))
    inner.rmdir()
    return tuple(FileRecord(file.path.removeprefix(f"{top}/"), file.size, file.sha256) for file in files)


@dataclass(frozen=True, slots=True)
class Refused(Fact):
    """An archive that was not added, and why."""

    handle: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class AddedList(Fact):
    """The models of a directory that are in a cache now.

    Attributes:
        directory: where the archives are.
        added: the models that were put into the cache.
        there: how many had been there before.
        left: the archives that were not added.

    Example:
        >>> export_all("models-to-go").directory
        'models-to-go'
        >>> add_all("models-to-go", location="another-directory").size > 0
        True
    """

    directory: str
    added: tuple[Added, ...]
    there: int
    left: tuple[Refused, ...]
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes of the models added."""
        return sum(one.size for one in self.added)


def listed_in(directory: str) -> tuple[Listed, ...]:
    """The archives that a directory lists.

    Raises:
        SettingError: there is no list, or it is none of ours.
    """
    root = Path(directory).expanduser()
    listed = tuple(read_list(root).values())
    if not listed:
        raise SettingError(f"{root / LIST} does not exist. Give the directory that --export --all wrote.")
    return listed


def list_size(directory: str) -> int:
    """Bytes of the archives that a directory lists, for a bar."""
    return sum(source_size(str(Path(directory).expanduser() / one.file)) for one in listed_in(directory))


def add_all(
    directory: str | os.PathLike[str],
    *,
    location: str | None = None,
    progress: Progress = no_progress,
    send: ShowCopy = _copy,
) -> AddedList:
    """Put the models that a directory lists into a cache; those that are cached and intact are skipped.

    Args:
        directory: what `export_all` or `--export --all` wrote.
        location: the cache, a directory or a gs:// address; the one in force when None.
        progress: told how many more bytes of archives have been dealt with.
        send: carries out the copy to a bucket, with a bar for example.

    Raises:
        SettingError: there is no list, or another program wrote it.

    Example:
        >>> export_all("models-to-go").directory
        'models-to-go'
        >>> len(add_all("models-to-go", location="another-directory").added)
        1
    """
    cache = in_force(location)
    with staged(cache, is_list=True, send=send) as staging:
        found = _add_list(os.fspath(directory), staging.path, progress)
    added = tuple(
        replace(one, path=f"{cache}{one.path.removeprefix(staging.path)}")
        for one in found.added
        if Path(one.path).name not in staging.cached
    )
    return replace(found, added=added, there=found.there + len(staging.cached))


def _add_list(directory: str, location: str, progress: Progress) -> AddedList:
    """Put the models that a directory lists into a cache on disk."""
    root = Path(directory).expanduser()
    added: list[Added] = []
    left: list[Refused] = []
    there = 0
    for one in listed_in(directory):
        archive = str(root / one.file)
        try:
            entry = os.path.join(location, parse_handle(one.handle).folder)
            if os.path.isdir(entry) and not find_damage(entry):
                there += 1
                progress(source_size(archive))
                continue
            _check_digest(one, archive)
            added.append(_add_here(one.handle, archive, location, progress))
        except HubMagicError as error:
            left.append(Refused(one.handle, archive, str(error)))
    return AddedList(str(root), tuple(added), there, tuple(left))


def _check_digest(one: Listed, archive: str) -> None:
    try:
        found = digest(archive)
    except OSError as error:
        raise SettingError(f"{archive} cannot be read: {error.strerror}.") from error
    if found != one.sha256:
        raise SettingError(f"{archive} does not match its checksum. Copy it again.")
