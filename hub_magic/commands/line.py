"""The arguments of the magics and of the commands of `hub-magic`, with their types."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Line:
    """What a line says, each option under its own name; `options.py` describes them."""

    @classmethod
    def read(cls, arguments: Namespace) -> Self:
        """Return the line that argparse has parsed; what its parser does not know is left at its default."""
        given = vars(arguments)
        names = [one.name for one in fields(cls)]  # type: ignore[arg-type]  # the classes below are dataclasses
        return cls(**{name: given[name] for name in names if name in given})

    def says(self, name: str) -> bool:
        """Return whether the line gives this option."""
        return getattr(self, name) not in (None, False)


@dataclass
class ModeLine(Line):
    """A line of `%hub_mode`, or `hub-magic mode`."""

    mode: str | None = None
    legacy_keras: bool = False
    persist: bool = False
    autoload: bool = False
    forget: bool = False


@dataclass
class TpuLine(Line):
    """A line of `%hub_tpu`, or the first line of a `%%hub_tpu` cell."""

    cell: bool = False
    via: str = "auto"
    bucket: str | None = None
    strategy: str | None = None
    no_init: bool = False
    persist: bool = False


@dataclass
class DoctorLine(Line):
    """A line of `%hub_doctor`, or `hub-magic doctor`."""

    online: bool = False
    report: bool = False


@dataclass
class CacheLine(Line):
    """A line of `%hub_cache`, or a command of `hub-magic` that takes care of the cache.

    A verb that the line does not name is None, or False where it takes no words.
    """

    location: str | None = None
    list: Sequence[str] | None = None
    fetch: Sequence[str] | None = None
    force: bool = False
    timeout: str | None = None
    resolve: str | None = None
    remove: Sequence[str] | None = None
    prune: bool = False
    max_size: str | None = None
    older_than: str | None = None
    duplicates: bool = False
    keep: Sequence[str] | None = None
    keep_newest: int | None = None
    verify: Sequence[str] | None = None
    repair: Sequence[str] | None = None
    deep: bool = False
    add: Sequence[str] | None = None
    export: Sequence[str] | None = None
    move_to: str | None = None
    copy_to: str | None = None
    all: bool = False
    dry_run: bool = False
    persist: bool = False
    autoload: bool = False
    forget: bool = False
