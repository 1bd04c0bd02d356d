"""Judge a cached copy by the files that TensorFlow opens: whether a load should use it, or replace it.

TensorFlow opens `saved_model.pb` (or `saved_model.pbtxt`), the checkpoint `variables/variables` with the data
files that its index names, and the assets that its graph names. Nothing else decides on a load: other files
are for `verify`. A file that grew, or is newer than the download, was changed by a person and is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .checkpoint import needed_data
from .entry import GRAPH, HUB_FORMAT, INDEX, TEXT_GRAPH, EntryFiles, damage_in, look_into, shard_sets
from .savedmodel import NotReadableError, read_graphs, read_outline

_ASSETS, _VARIABLES = "assets/", "variables/"


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not as the record of its entry says.

    Attributes:
        path: relative to the entry, `/` between parts.
        recorded: bytes it had when it was downloaded.
        size: bytes it has; None when it is missing.
        is_newer: whether it was written after the download.
    """

    path: str
    recorded: int
    size: int | None
    is_newer: bool = False

    @property
    def has_grown(self) -> bool:
        """Whether it is longer than it was, which no accident makes it."""
        return self.size is not None and self.size > self.recorded

    @property
    def is_changed(self) -> bool:
        """Whether a person changed it, as far as can be told: it grew, or was written after the download."""
        return self.has_grown or (self.size is not None and self.is_newer)

    def reason(self, entry: str) -> str:
        """What is wrong with it, in words."""
        if self.size is None:
            return missing(entry, self.path)
        return f"{self.path} has {self.size:,} of its {self.recorded:,} bytes"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a load should think of a cached copy.

    Attributes:
        damage: why it should be downloaded again; "" when it should be used.
        may_load: whether TensorFlow may be able to load it all the same.
        note: what else is missing, which no load needs; "" when nothing is.
    """

    damage: str = ""
    may_load: bool = True
    note: str = ""


INTACT = Judgement()


def missing(entry: str, name: str) -> str:
    """Words for a file of an entry that is not there."""
    is_link = os.path.islink(f"{entry}/{name}")
    return f"{name} is a link that leads nowhere" if is_link else f"{name} is missing"


def is_closed(entry: str) -> bool:
    """Return whether this user may not even see what is in an entry."""
    return not os.access(entry, os.R_OK | os.X_OK)


def judge_recorded(entry: str, recorded: Mapping[str, int], differences: Iterable[Difference]) -> Judgement:
    """Judge an entry that differs from its record.

    Args:
        entry: the entry's path.
        recorded: bytes of its files when it was downloaded, by path relative to it.
        differences: the files that are missing, or have another size.
    """
    odd = {one.path: one for one in differences}
    if not odd:
        return INTACT
    graph = _graph_of(entry)
    if graph is None:
        return _judge_without_graph(entry, recorded, odd)
    damage = _damage_in_graph(entry, graph, odd) or _damage_in_recorded_variables(entry, graph, recorded, odd)
    if damage:
        return Judgement(damage, may_load=False)
    named = None if all(not name.startswith(_ASSETS) for name in odd) else _assets_named(entry, graph)
    for path, one in odd.items():
        is_asset = path.startswith(_ASSETS) and (named is None or path in named)
        # Of the mark of the TF1 Hub format only its presence is looked at.
        if (is_asset and not one.is_changed) or (path == HUB_FORMAT and one.size is None):
            return Judgement(one.reason(entry))
    gone = next((one for one in odd.values() if one.size is None), None)
    return Judgement(note=gone.reason(entry) if gone else "")


def judge_unrecorded(entry: str, look: EntryFiles | None = None) -> Judgement:
    """Judge an entry that has no record, by names, and by what its files demand of each other.

    Args:
        entry: the entry's path.
        look: what a walk through it has found; it is walked when None.

    Raises:
        OSError: a folder of it cannot be read, or it is gone.
    """
    try:
        look = look or look_into(entry)
    except PermissionError:
        if is_closed(entry):
            raise
        return INTACT  # TensorFlow may never ask for what is closed in it
    damage = damage_in(look.sizes, look.folders)
    graph = _graph_of(entry)
    if graph is None or look.sizes.get(graph) == 0:
        return Judgement(damage, may_load=False) if damage else INTACT
    has_index = bool(look.sizes.get(INDEX))
    if has_index and (damage or len(shard_sets(look.sizes)) > 1):
        damage = _damage_by_index(entry) if has_readable_index(entry) else damage
    elif not has_index and not damage and _needs_variables(entry, graph) is True:
        damage = missing(entry, INDEX)
    if damage:
        name = damage.removesuffix(" is missing")
        return Judgement(missing(entry, name) if name in look.dangling else damage, may_load=False)
    for name in look.dangling:
        if name.startswith(_ASSETS) and name in (_assets_named(entry, graph) or ()):
            return Judgement(missing(entry, name))
    return INTACT


def assets_in(entry: str) -> tuple[str, ...]:
    """The assets that an entry's graph names, relative to the entry.

    Raises:
        NotReadableError: the graph is truncated, or holds something else.
        OSError: it cannot be read.
    """
    return tuple(_ASSETS + name for name in read_graphs(f"{entry}/{GRAPH}").assets)


def _graph_of(entry: str) -> str | None:
    """The graph that TensorFlow reads: the binary one where there are both."""
    return next((name for name in (GRAPH, TEXT_GRAPH) if os.path.exists(f"{entry}/{name}")), None)


def _judge_without_graph(entry: str, recorded: Mapping[str, int], odd: Mapping[str, Difference]) -> Judgement:
    graph = next((name for name in (GRAPH, TEXT_GRAPH) if name in recorded), None)
    if graph is not None:
        return Judgement(missing(entry, graph), may_load=False)
    # No SavedModel: any file may be what the user wants.
    lost = next((one for one in odd.values() if not one.is_changed), None)
    if lost is None:
        return INTACT
    return Judgement(lost.reason(entry), may_load=len(odd) < len(recorded))


def _damage_in_graph(entry: str, graph: str, odd: Mapping[str, Difference]) -> str:
    one = odd.get(graph)
    if one is None or one.size is None or one.size > one.recorded:
        return ""
    if graph == TEXT_GRAPH and one.size and one.is_newer:
        return ""
    if graph == GRAPH and one.size:
        try:
            read_outline(f"{entry}/{graph}")
        except (NotReadableError, OSError):
            return one.reason(entry)
        return ""
    return one.reason(entry)


def _damage_in_recorded_variables(
    entry: str, graph: str, recorded: Mapping[str, int], odd: Mapping[str, Difference]
) -> str:
    if not any(name.startswith(_VARIABLES) for name in odd):
        return ""
    if not os.path.exists(f"{entry}/{INDEX}"):
        is_needed = INDEX in recorded and _needs_variables(entry, graph) is not False
        return missing(entry, INDEX) if is_needed else ""
    if has_readable_index(entry):
        return _damage_by_index(entry)
    if INDEX in odd:
        return odd[INDEX].reason(entry)
    # An index that nobody changed, and that cannot be read: its names are all there is to go by.
    shards = [one for name, one in odd.items() if name.startswith(f"{_VARIABLES}variables.data-")]
    return next((one.reason(entry) for one in shards if one.size is None or one.size < one.recorded), "")


def has_readable_index(entry: str) -> bool:
    """Return whether the index of an entry's checkpoint says which data files there must be."""
    try:
        needed_data(f"{entry}/{INDEX}")
    except (NotReadableError, OSError):
        return False
    return True


def _damage_by_index(entry: str) -> str:
    """Why the data files that the index names cannot be intact, or ""."""
    for name, needed in needed_data(f"{entry}/{INDEX}").items():
        path = f"{_VARIABLES}{name}"
        try:
            size = os.stat(f"{entry}/{path}").st_size
        except OSError:
            return missing(entry, path)
        if size < needed:
            return f"{path} has {size:,} of its {needed:,} bytes"
    return ""


def _needs_variables(entry: str, graph: str) -> bool | None:
    """Whether TensorFlow looks for a checkpoint; None where that cannot be told."""
    try:
        return read_outline(f"{entry}/{graph}").has_variables if graph == GRAPH else None
    except (NotReadableError, OSError):
        return None


def _assets_named(entry: str, graph: str) -> frozenset[str] | None:
    """The assets that the graph names, relative to the entry; None where that cannot be told."""
    try:
        return frozenset(assets_in(entry)) if graph == GRAPH else None
    except (NotReadableError, OSError):
        return None
