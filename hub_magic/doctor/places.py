"""What a directory stands on: its file system, and who cleans it."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

# As systemd-tmpfiles reads them (`man tmpfiles.d`): a file hides those of its name in later folders.
_FOLDERS = ("etc/tmpfiles.d", "run/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d")
_CLEANED = frozenset("dDevqQ")
_SPARED = frozenset("xX")


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Who takes files away from a directory.

    Attributes:
        path: the directory that is cleaned.
        age: how old files are when they go, as tmpfiles.d writes it ("10d"); "" when only a restart does it.
        said_by: the file that says so; "" where nothing but the directory's purpose does.
    """

    path: str
    age: str
    said_by: str


def nearest(location: str) -> Path:
    """The location, or the nearest folder above it that exists."""
    path = Path(location)
    return next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), path)


def file_system(location: str, root: Path) -> str:
    """The type of the file system that holds the location: "ext4", "tmpfs"; "" where that is not told."""
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    here = os.path.realpath(location)
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[4])
        if is_below(here, point) and len(point) >= len(found[0]):  # the last of equal ones lies on top
            found = (point, after.split()[0])
    return found[1]


def cleaner_of(location: str, root: Path) -> Cleaner | None:
    """Who cleans the location; None where nobody is known to."""
    here = os.path.realpath(location)
    folders = (here, *map(str, Path(here).parents))
    rules = [rule for rule in _rules(root) if any(fnmatchcase(folder, rule[1]) for folder in folders)]
    longest = max(rules, key=lambda rule: len(rule[1]), default=None)
    if longest:
        kind, path, age, said_by = longest
        if kind in _SPARED:
            return None
        if age or kind == "D":
            return Cleaner(path, age, said_by)
    temporary = os.path.realpath(tempfile.gettempdir())
    return Cleaner(temporary, "", "") if is_below(here, temporary) else None


def is_below(path: str, folder: str) -> bool:
    """Whether a path is the folder, or in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _rules(root: Path) -> list[tuple[str, str, str, str]]:
    """The lines about directories that are cleaned or spared: type, pattern of paths, age, and the file."""
    files: dict[str, Path] = {}
    for folder in reversed(_FOLDERS):
        files.update((path.name, path) for path in (root / folder).glob("*.conf"))
    found = []
    for _, path in sorted(files.items()):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            fields = [field.strip("\"'") for field in line.split()]
            if len(fields) > 1 and fields[0][:1] in _CLEANED | _SPARED and fields[1].startswith("/"):
                age = fields[5] if len(fields) > 5 and fields[5] != "-" else ""
                name = f"/{path.relative_to(root)}"
                found.append((fields[0][0], fields[1].rstrip("/") or "/", age, name))
    return found
