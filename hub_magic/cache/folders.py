"""Folders of any depth: open, make and delete below them, where a path may be longer than the system takes.

Python's own `shutil.rmtree`, `os.makedirs` and (before 3.12) `os.walk` call themselves for each level, so a
thousand nested folders end them. A system takes paths of about 4,096 bytes.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Windows has no calls relative to an open folder.
_HAS_NUMBERS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_LISTED = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_LONGEST = 2048  # bytes of a path that are given to the system at once
_CAN_BE_SHORT = 4000


def open_at_any_depth(path: str, flags: int, mode: int = 0o666) -> int:
    """Return the number of a file or folder that has been opened; its path may have any length.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, flags, mode)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or not _HAS_NUMBERS:
            raise
    with _parent(path) as (folder, name):
        return os.open(name, flags, mode, dir_fd=folder)


def list_folder(path: str) -> list[tuple[str, os.stat_result]]:
    """Return the names in a folder, each with its own facts; the folder's path may have any length.

    Raises:
        OSError: it cannot be read, or is gone.
    """
    number = open_at_any_depth(path, _LISTED) if _HAS_NUMBERS else -1
    try:
        with os.scandir(number if _HAS_NUMBERS else path) as found:
            return [(item.name, item.stat(follow_symlinks=False)) for item in found]
    finally:
        if _HAS_NUMBERS:
            os.close(number)


def make_folder(path: str) -> None:
    """Make a folder in an existing folder, unless it is there; its path may have any length.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        if not _is_long(path):
            os.mkdir(path)
            return
        with _parent(path) as (folder, name):
            os.mkdir(name, dir_fd=folder)


def is_writable_folder(path: str) -> bool:
    """Return whether names in a folder may be changed; its path may have any length."""
    if not _is_long(path):
        return os.access(path, os.W_OK | os.X_OK)
    try:
        with _parent(path) as (folder, name):
            return os.access(name, os.W_OK | os.X_OK, dir_fd=folder)
    except OSError:
        return False


def delete_folder(path: str) -> None:
    """Delete a folder with everything in it, whatever its depth; links are removed, never followed.

    What cannot be deleted stays. Nothing is raised for it.
    """
    if not _HAS_NUMBERS:
        with suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        root = os.open(path, _FOLDER)
        try:
            _Deletion(root).run()
        finally:
            os.close(root)
        os.rmdir(path)


class _Deletion:
    """Deletes what is in an open folder.

    Every folder below it is first renamed to stand directly in it. So there are never more than two levels to
    look at, no path is long, and two open folders are enough.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._count = 0
        self._stuck: set[str] = set()

    def run(self) -> None:
        """Delete everything that can be deleted."""
        while folders := [name for name in self._clear_files(self._root) if name not in self._stuck]:
            for name in folders:
                self._delete(name)

    def _clear_files(self, number: int) -> list[str]:
        """Delete the files of an open folder, and return the names of its folders."""
        folders = []
        with os.scandir(number) as found:
            items = [(item.name, item.is_dir(follow_symlinks=False)) for item in found]
        for name, is_folder in items:
            if is_folder:
                folders.append(name)
            else:
                with suppress(OSError):
                    os.unlink(name, dir_fd=number)
        return folders

    def _delete(self, name: str) -> None:
        """Delete a folder that stands in the root, after its own folders have been moved beside it."""
        with suppress(OSError):
            number = os.open(name, _FOLDER, dir_fd=self._root)
            try:
                for inner in self._clear_files(number):
                    self._lift(inner, number)
            finally:
                os.close(number)
        try:
            os.rmdir(name, dir_fd=self._root)
        except OSError:
            self._stuck.add(name)

    def _lift(self, name: str, number: int) -> None:
        # Not rmdir first: Linux looks through all that it knows below a folder before it says "not empty".
        self._count += 1
        try:
            os.rename(name, f".{os.getpid()}.{self._count}", src_dir_fd=number, dst_dir_fd=self._root)
        except OSError:  # a folder that may not be written cannot be moved, but it can be empty
            with suppress(OSError):
                os.rmdir(name, dir_fd=number)


def _is_long(path: str) -> bool:
    return _HAS_NUMBERS and len(os.fsencode(path)) > _CAN_BE_SHORT


@contextmanager
def _parent(path: str) -> Iterator[tuple[int, str]]:
    """Open the folder that holds a path, step by step; yields its number and the last part of the path."""
    head, _, name = path.rstrip(os.sep).rpartition(os.sep)
    number = os.open(os.sep if path.startswith(os.sep) else os.curdir, os.O_RDONLY)
    try:
        for step in _steps(head):
            inner = os.open(step, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0), dir_fd=number)
            os.close(number)
            number = inner
        yield number, name
    finally:
        os.close(number)


def _steps(path: str) -> Iterator[str]:
    """Yield the parts of a path, as many together as the system takes."""
    step = ""
    for part in path.split(os.sep):
        if not part:
            continue
        if step and len(os.fsencode(step)) + len(os.fsencode(part)) >= _LONGEST:
            yield step
            step = part
        else:
            step = f"{step}{os.sep}{part}" if step else part
    if step:
        yield step
