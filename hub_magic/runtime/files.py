"""A file system that may refuse: what is absent, forbidden or of another kind counts as not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def names(directory: Path) -> list[str]:
    """The names in the directory."""
    try:
        return [path.name for path in directory.iterdir()]
    except OSError:
        return []


def text(path: Path) -> str:
    """The file's one line in lower case, as `/sys` keeps its values."""
    try:
        with path.open("rb", buffering=0) as file:  # a machine may have hundreds of these
            return file.read(32).decode("ascii", "replace").strip().lower()
    except OSError:
        return ""


def exists(path: Path) -> bool:
    """Whether something is there."""
    try:
        return path.exists()
    except OSError:  # `Path.exists` lets PermissionError through before Python 3.14
        return False
