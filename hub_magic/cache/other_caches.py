"""Other caches on this computer: kagglehub's, and the models that Kaggle and Colab mount.

Read only. One model may lie in both: tensorflow_hub's cache knows it by its URL, kagglehub's by a path.
Sources: `kagglehub/cache.py`, `kaggle_cache_resolver.py` and `colab_cache_resolver.py` (1.0.3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..facts import Fact
from .entry import CachedModel, measure
from .scan import CacheScan
from .selection import canonical, content_of

_MOUNTS = ("KAGGLE_CACHE_MOUNT_FOLDER", "COLAB_CACHE_MOUNT_FOLDER")
_DEFAULT_MOUNT = "/kaggle/input"
# Kaggle's frameworks whose models hub.load can load.
_FRAMEWORKS = ("tensorflow1", "tensorflow2")


@dataclass(frozen=True, slots=True)
class OtherModel(Fact):
    """A model in a cache that is not tensorflow_hub's.

    Attributes:
        kind: whose it is: "kagglehub", or "mount" for what Kaggle or Colab mount.
        path: its directory.
        handle: its URL on Kaggle; "" where the path does not name the owner.
        size: bytes of its files.
        files: how many they are.
        is_complete: whether its download has ended.
        same_as: handles of the entries in tensorflow_hub's cache that hold the same model.
    """

    kind: str
    path: str
    handle: str
    size: int
    files: int
    is_complete: bool
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineScan(Fact):
    """What this machine's caches hold.

    Attributes:
        here: tensorflow_hub's cache.
        others: TensorFlow models in other caches.

    Example:
        >>> scan_machine(scan_cache()).others
        ()
    """

    here: CacheScan
    others: tuple[OtherModel, ...]
    derived: ClassVar[tuple[str, ...]] = ("twice",)

    @property
    def twice(self) -> int:
        """Bytes that lie in another cache as well as in tensorflow_hub's."""
        return sum(other.size for other in self.others if other.same_as)


def scan_machine(here: CacheScan, env: Mapping[str, str] | None = None) -> MachineScan:
    """Return the TensorFlow models in other caches, beside those of a scan.

    Args:
        here: tensorflow_hub's cache, see `scan_cache`.
        env: the environment, which says where the others are; `os.environ` when None.

    Example:
        >>> scan_machine(scan_cache()).here.location == scan_cache().location
        True
    """
    env = os.environ if env is None else env
    found = [*_in_kagglehub(_kagglehub_cache(env)), *_in_mounts(env)]
    models = []
    for kind, path, parts, is_complete in found:
        try:
            facts = measure(CachedModel("", str(path)))
        except OSError:  # gone, or not ours to read
            continue
        handle = f"https://www.kaggle.com/models/{'/'.join(parts)}" if len(parts) == 5 else ""
        same = _same_as(here, facts, parts)
        models.append(OtherModel(kind, str(path), handle, facts.size, facts.files, is_complete, same))
    return MachineScan(here, tuple(models))


def _kagglehub_cache(env: Mapping[str, str]) -> Path:
    return Path(env.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")


def _in_kagglehub(cache: Path) -> Iterator[tuple[str, Path, tuple[str, ...], bool]]:
    """OWNER/MODEL/FRAMEWORK/VARIATION/VERSION below `models`, and a marker beside a complete VERSION."""
    for path, parts in _versions(cache / "models", (), above=2):
        yield "kagglehub", path, parts, path.with_name(f"{path.name}.complete").exists()


def _in_mounts(env: Mapping[str, str]) -> Iterator[tuple[str, Path, tuple[str, ...], bool]]:
    """The same below `models` of a mount; older mounts begin with MODEL."""
    for root in sorted({Path(env.get(name) or _DEFAULT_MOUNT) for name in _MOUNTS}):
        for path, parts in (*_versions(root / "models", (), above=2), *_versions(root, (), above=1)):
            yield "mount", path, parts, True


def _versions(folder: Path, parts: tuple[str, ...], *, above: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders of versions; of frameworks that are not TensorFlow's, and of data sets, nothing is listed.

    Args:
        folder: where to look.
        parts: the names from the top down to it.
        above: how many names stand above the framework's.
    """
    depth = len(parts)
    for name in _folders(folder):
        if depth == above and name.lower() not in _FRAMEWORKS:
            continue
        if depth == above + 2:
            if name.isdecimal():
                yield folder / name, (*parts, name)
            continue
        yield from _versions(folder / name, (*parts, name), above=above)


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(item.name for item in found if item.is_dir())
    except OSError:
        return []


def _same_as(here: CacheScan, other: CachedModel, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Handles of the entries that hold this model: by its name on Kaggle, else by its files."""
    tail = "/" + "/".join(part.lower() for part in parts)
    same = []
    for model in here.models:
        named = canonical(model.handle)
        if named.startswith("https://kaggle.com/models/"):
            if named.lower().endswith(tail):
                same.append(model.handle)
        elif (
            named
            and not model.damage
            and (model.size, model.files) == (other.size, other.files)
            and content_of(model.path) == content_of(other.path) is not None
        ):
            same.append(model.handle)
    return tuple(same)
