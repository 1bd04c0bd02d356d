"""Every model of a cache in archives, for a machine without a network.

They lie in folders by host and publisher, so that a host serves them under the same parts, with a list that
says which handle each is for.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from ..errors import DamagedEntryError, SettingError
from ..facts import Fact
from ..handles import parse_handle
from ..progress import Progress, no_progress
from .entry import CachedModel
from .exporting import Exported, export_model
from .removal import Choice

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


def export_all(models: Iterable[CachedModel], directory: str, progress: Progress = no_progress) -> Export:
    """Write models into archives below a directory, with a list of their handles; those there are passed by.

    Args:
        models: entries of a cache on disk.
        directory: made when it is missing.
        progress: told how many more bytes of models have been dealt with.

    Raises:
        SettingError: the directory's list is none of ours.
    """
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
        found = json.loads((root / LIST).read_text(encoding="utf-8"))
        listed = [Listed(str(one["handle"]), str(one["file"]), str(one["sha256"])) for one in found]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingError(
            f"{root / LIST} is no list of exported models ({error!r}). Move it away."
        ) from error
    for one in listed:
        if not _is_below(one.file):
            raise SettingError(f"{root / LIST} names {one.file!r}, which leads out of its folder. Mend it.")
    return {one.handle: one for one in listed}


def _is_below(name: str) -> bool:
    return bool(name) and not os.path.isabs(name) and ".." not in re.split(r"[/\\]", name)  # noqa: PTH117


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"{folder} cannot be made: {error.strerror}. Name another directory.") from error


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
        raise SettingError("nothing says which model it is")
    url = urlsplit(parse_handle(model.handle).canonical)
    parts = [url.netloc, *url.path.strip("/").split("/")]
    name = "/".join(parts) + ".tar.gz"
    if url.query or not all(_SAFE.fullmatch(part) for part in parts) or name in taken:
        return f"{model.folder}.tar.gz"
    return name
