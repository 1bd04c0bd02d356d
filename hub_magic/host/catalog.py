"""The models in a folder, and the paths below it that may be read.

A handle is a path below the folder: `digits/classifier/1` is the model in `digits/classifier/1/`, or in the
ready archive `digits/classifier/1.tar.gz`. The folder is read at every request, so models may be added and
removed while the host runs.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARCHIVE_SUFFIX = ".tar.gz"

# A folder with one of these files is a model; the last is the TF1 Hub format's.
_MARKERS = ("saved_model.pb", "saved_model.pbtxt", "tfhub_module.pb")


@dataclass(frozen=True)
class Model:
    """The places of a model, at least one of three.

    Attributes:
        handle: the model's path on the host, without a slash at either end ("digits/classifier/1").
        folder: the folder of its files.
        archive: its ready archive, which is sent unchanged and takes precedence over a folder.
        bucket: the `gs://` folder of its files, or "".
    """

    handle: str
    folder: Path | None
    archive: Path | None
    bucket: str


@dataclass(frozen=True)
class ModelFile:
    """A file or folder in a model.

    Attributes:
        name: the path below the model with "/" between the parts; a folder's name ends with "/".
        path: the path of its bytes, with every link resolved.
        size: in bytes; 0 for a folder.
        changed: the time of the last change: modification and status time in nanoseconds; zeros for a folder.
    """

    name: str
    path: Path
    size: int
    changed: tuple[int, int]


@dataclass(frozen=True)
class Catalog:
    """The models of one folder.

    Attributes:
        root: the folder; no file outside it is ever read.
        buckets: handle → `gs://` folder, for models that have one.
    """

    root: Path
    buckets: Mapping[str, str]

    def find(self, handle: str) -> Model | None:
        """Return the model under this handle, or None."""
        place = self._place(handle)
        if place is None or place == self.root:
            return None
        folder = place if is_model(place) and self._contains(place) else None
        archive = place.with_name(place.name + ARCHIVE_SUFFIX)
        ready = archive if os.path.isfile(archive) and self._contains(archive) else None
        bucket = self.buckets.get(handle, "")
        return Model(handle, folder, ready, bucket) if folder or ready or bucket else None

    def models(self, below: str = "") -> tuple[Model, ...]:
        """Return all models, or those whose handles start with the path `below`; version 2 before 10."""
        place = self._place(below)
        if place is None:
            return ()
        prefix = f"{below}/" if below else ""
        handles = {handle for handle in self.buckets if handle.startswith(prefix)}
        if self._contains(place):
            handles.update(self._handles(place, prefix, (os.path.realpath(place),)))
        found = (self.find(handle) for handle in sorted(handles, key=_reading_order))
        return tuple(model for model in found if model is not None)

    def files(self, folder: Path) -> tuple[ModelFile, ...]:
        """Return a model's files and folders, sorted by name, each folder before its content.

        Raises:
            PermissionError: a link leads out of the served folder.
            OSError: a file or folder cannot be read; `filename` is the path below the model.
        """
        return tuple(self._files(folder, "", (os.path.realpath(folder),)))

    def _place(self, handle: str) -> Path | None:
        """Return the path that a handle's text names, or None if the text is no handle.

        A leading dot is refused, which excludes `.` and `..`, and keeps hidden folders (`.git`) unserved.
        """
        parts = handle.split("/") if handle else []
        if any(not part or part[0] == "." or "\\" in part or "\0" in part for part in parts):
            return None
        return self.root.joinpath(*parts)

    def _contains(self, path: Path) -> bool:
        """Return whether the path is in the served folder after every link is resolved."""
        return Path(os.path.realpath(path)).is_relative_to(self.root)

    def _handles(self, folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
        try:
            paths = tuple(folder.iterdir())
        except OSError:
            return  # an unreadable folder does not hide the others
        for path in paths:
            name = path.name
            if name.startswith(".") or not self._contains(path):
                continue
            if name.endswith(ARCHIVE_SUFFIX):
                yield prefix + name.removesuffix(ARCHIVE_SUFFIX)
            elif is_model(path):
                yield prefix + name
            # a link to a folder above would be endless
            elif (real := os.path.realpath(path)) not in above:
                yield from self._handles(path, f"{prefix}{name}/", (*above, real))

    def _files(self, folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[ModelFile]:
        for path in sorted(folder.iterdir()):
            inner = prefix + path.name
            real = Path(os.path.realpath(path))
            if not real.is_relative_to(self.root):
                raise PermissionError(errno.EACCES, "A link leads outside the served folder", inner)
            if str(real) in above:
                raise OSError(errno.ELOOP, "A link leads to a folder above itself", inner)
            try:
                status = real.stat()
            except OSError as error:
                raise OSError(error.errno, error.strerror, inner) from error
            if stat.S_ISDIR(status.st_mode):
                yield ModelFile(f"{inner}/", real, 0, (0, 0))
                yield from self._files(path, f"{inner}/", (*above, str(real)))
            elif stat.S_ISREG(status.st_mode):
                yield ModelFile(inner, real, status.st_size, (status.st_mtime_ns, status.st_ctime_ns))


def is_model(folder: Path) -> bool:
    """Return whether this folder is a model; False if it cannot be read."""
    # os.path, because Path.is_file raises for a name that is too long.
    return any(os.path.isfile(folder / marker) for marker in _MARKERS)


def _reading_order(handle: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in handle.split("/"))
