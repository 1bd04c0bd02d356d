"""The models that code names: which of them are cached, and how large they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import HandleError
from ..facts import Fact
from ..handles import parse_handle
from .scan import CacheScan


@dataclass(frozen=True, slots=True)
class Wanted(Fact):
    """A model that code names.

    Attributes:
        handle: the handle in the code.
        path: the entry's directory or gs:// address; "" where the model is not cached.
        size: bytes of the entry; -1 if unknown.
        damage: why the cached copy is damaged; "" if no damage was found.
    """

    handle: str
    path: str = ""
    size: int = -1
    damage: str = ""


@dataclass(frozen=True, slots=True)
class WantedModels(Fact):
    """The models that code names, in the order of the code.

    Attributes:
        location: the cache.
        sources: the files and folders of the code, as the user named them.
        models: the models.
    """

    location: str
    sources: tuple[str, ...]
    models: tuple[Wanted, ...]

    @property
    def missing(self) -> tuple[Wanted, ...]:
        """The models that are not cached."""
        return tuple(model for model in self.models if not model.path)


def find_wanted(scan: CacheScan, sources: Iterable[str], handles: Iterable[str]) -> WantedModels:
    """Return which of these handles are cached; another spelling of a handle is another entry."""
    entries = {model.folder: model for model in scan.models}
    found = []
    for handle in handles:
        try:
            entry = entries.get(parse_handle(handle).folder)
        except HandleError:  # code may name what is no handle
            entry = None
        found.append(Wanted(handle, entry.path, entry.size, entry.damage) if entry else Wanted(handle))
    return WantedModels(scan.location, tuple(sources), tuple(found))
