"""Every archive that `--export --all` wrote, put into the cache of a machine without a network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..cache.export_list import LIST, Listed, read_list
from ..cache.files import digest
from ..cache.record import find_damage
from ..errors import HubMagicError, SettingError
from ..facts import Fact
from ..handles import parse_handle
from ..progress import Progress, no_progress
from .adding import Added, add, source_size


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
        raise SettingError(f"There is no {root / LIST}. Give the directory that --export --all wrote.")
    return listed


def list_size(directory: str) -> int:
    """Bytes of the archives that a directory lists, for a bar."""
    return sum(source_size(str(Path(directory).expanduser() / one.file)) for one in listed_in(directory))


def add_all(directory: str, *, location: str, progress: Progress = no_progress) -> AddedList:
    """Put the models that a directory lists into a cache on disk; those that are there whole are passed by.

    Args:
        directory: what `--export --all` wrote.
        location: the cache.
        progress: told how many more bytes of archives have been dealt with.

    Raises:
        SettingError: there is no list, or it is none of ours.
    """
    root = Path(directory).expanduser()
    added: list[Added] = []
    left: list[Refused] = []
    there = 0
    for one in listed_in(directory):
        archive = str(root / one.file)
        try:
            entry = os.path.join(location, parse_handle(one.handle).folder)  # noqa: PTH118
            if os.path.isdir(entry) and not find_damage(entry):  # noqa: PTH112
                there += 1
                progress(source_size(archive))
                continue
            _check_digest(one, archive)
            added.append(add(one.handle, archive, location=location, progress=progress))
        except HubMagicError as error:
            left.append(Refused(one.handle, archive, str(error)))
    return AddedList(str(root), tuple(added), there, tuple(left))


def _check_digest(one: Listed, archive: str) -> None:
    try:
        found = digest(archive)
    except OSError as error:
        raise SettingError(f"{archive} cannot be read: {error.strerror}.") from error
    if found != one.sha256:
        raise SettingError(f"{archive} is not as it was exported. Copy it again.")
