"""Check whether the entries of a cache are intact.

Quick: the files that the format demands are there and not empty, no shard is missing, `saved_model.pb` does
not end too early, and every file has the size recorded at its download. Deep: every file has the digest
recorded at its download, and every tensor of the checkpoint is read by TensorFlow, which compares checksums.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from ..errors import first_line
from ..facts import Fact
from ..import_hooks import is_installed
from ..progress import Progress, Tally, run_all
from .entry import GRAPH, INDEX, CachedModel, EntryFiles, damage_of, look_into, missing_shard, shard_sets
from .essentials import assets_in, has_readable_index, judge_unrecorded
from .files import digest, regular_files, times_kept
from .layout import RECORD_SUFFIX, Role, read_name
from .record import EntryRecord, differences_from, judge_differences, read_record, why_skipped
from .savedmodel import NotReadableError, read_outline
from .scan import CacheScan, Problem, skipped_file


@dataclass(frozen=True, slots=True)
class Checked(Fact):
    """An entry that was checked.

    Attributes:
        model: the entry.
        damage: why it cannot be whole; "" when nothing was found.
        size: bytes of its files.
        recorded: files that were compared with what was recorded at the download; 0 without a record.
        tensors: tensors that were read; 0 in a quick check.
        unread: why the tensors were not read in a deep check; "" when they were, or there are none.
        note: what differs and is no damage, such as a file that somebody changed; "" when nothing does.

    Example:
        >>> verify().checked[0].damage
        ''
    """

    model: CachedModel
    damage: str
    size: int = 0
    recorded: int = 0
    tensors: int = 0
    unread: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verification(Fact):
    """What a check of a cache found.

    Attributes:
        location: the cache.
        is_deep: whether the files were read to their ends.
        checked: the entries that were checked.
        problems: what else is not as it should be: locks, leftovers, what could not be read.

    Example:
        >>> verify(deep=True).damaged
        ()
    """

    location: str
    is_deep: bool
    checked: tuple[Checked, ...]
    problems: tuple[Problem, ...]
    derived: ClassVar[tuple[str, ...]] = ("damaged",)

    @property
    def damaged(self) -> tuple[Checked, ...]:
        """The entries that cannot be whole."""
        return tuple(one for one in self.checked if one.damage)


def check_in_directory(
    models: tuple[CachedModel, ...], progress: Progress, *, deep: bool
) -> list[Checked | Problem]:
    """Return what a look at each entry finds: at names and sizes, or at every byte when it is deep.

    Args:
        models: the entries.
        progress: told in this thread how many more are done: entries; bytes when it is deep.
        deep: whether to read every file to its end. Several entries are read at once.
    """
    if deep:
        return check_all(models, progress)
    results = []
    for model in models:
        results.append(checked_or_problem(model, check_quickly))
        progress(1)
    return results


def verification(
    scan: CacheScan, results: list[Checked | Problem], models: tuple[CachedModel, ...] | None, *, deep: bool
) -> Verification:
    """Return what the check of entries found, with the scan's problems about them; about all when None."""
    checked = tuple(result for result in results if isinstance(result, Checked))
    unreadable = [result for result in results if isinstance(result, Problem)]
    known = {problem.name for problem in scan.problems}
    for one in checked:
        name = one.model.folder + RECORD_SUFFIX
        if name not in known and (why := why_skipped(one.model.path)):
            unreadable.append(skipped_file(name, why, one.model.handle))
    others = (
        problem
        for problem in scan.problems
        if not _is_judged_anew(problem) and (models is None or _is_about(problem, models))
    )
    return Verification(scan.location, deep, checked, (*others, *unreadable))


def _is_judged_anew(problem: Problem) -> bool:
    """Whether a problem is about an entry's files, which this check has looked at."""
    part = read_name(problem.name)
    return problem.kind == "damaged" or (
        problem.kind == "unreadable" and part is not None and part.role is Role.ENTRY
    )


def _is_about(problem: Problem, models: Iterable[CachedModel]) -> bool:
    return any(problem.name.startswith(model.folder) for model in models)


def checked_or_problem(model: CachedModel, check: Callable[[CachedModel], Checked]) -> Checked | Problem:
    """What a check finds; a problem where the entry cannot be read."""
    try:
        return check(model)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return Problem("unreadable", model.folder, reason, handle=model.handle)


def check_quickly(model: CachedModel) -> Checked:
    """The entry judged by names, sizes and the outermost lengths of its graph.

    Raises:
        OSError: it cannot be read.
    """
    look = look_into(model.path)
    record = read_record(model.path)
    if record is not None:
        damage, note = _unlike_record(record, model.path, look)
        return Checked(model, damage, look.size, len(record.files), note=note)
    damage = damage_of(look) if look.dangling else judge_unrecorded(model.path, look).damage
    if not damage and not has_readable_index(model.path):
        damage = missing_shard(shard_sets(look.sizes))
    if not damage and GRAPH in look.sizes and GRAPH not in look.special:
        damage = _damage_by_outline(model.path, look)
    return Checked(model, damage, look.size)


def _damage_by_outline(entry: str, look: EntryFiles) -> str:
    try:
        outline = read_outline(f"{entry}/{GRAPH}")
    except NotReadableError as error:
        return f"{GRAPH} is damaged: {error}"
    if outline.has_variables and INDEX not in look.sizes:
        return f"{INDEX} is missing"
    missing = (f"assets/{name}" for name in outline.assets if f"assets/{name}" not in look.sizes)
    return next((f"{name} is missing" for name in missing), "")


def _unlike_record(record: EntryRecord, entry: str, look: EntryFiles) -> tuple[str, str]:
    """Why an entry cannot be intact by its record, and what somebody changed in it; "" for neither."""
    damage = note = ""
    differences = differences_from(record, entry)
    judged = judge_differences(record, entry, differences).damage
    for one in differences:
        if one.has_grown and not judged:
            note = note or f"{one.path} was changed after the download"
        else:
            damage = damage or one.reason(entry)
    if not damage and look.dangling:
        damage = f"{min(look.dangling)} is a link that leads nowhere"
    return damage, note


# What TensorFlow says when what it reads is not what was written; each text was seen with 2.20 and 2.21 at a
# model damaged in that way.
_BROKEN = {
    "Cannot parse file": "saved_model.pb is damaged",
    "there are 0 MetaGraphs": "saved_model.pb is empty",
    "with available tags '[]'": "saved_model.pb is empty",
    "file is too short to be an sstable": "the index of its variables is empty",
    "not an sstable": "the index of its variables is damaged",
    "block checksum mismatch": "the index of its variables is damaged",
    "Read less bytes than requested": "its variables are truncated",
    "Checksum does not match": "its variables do not match their checksum",
}


def what_broke(text: str) -> str:
    """What a message of TensorFlow's says is damaged, or ""; that something is missing is not among it."""
    return next((reason for sign, reason in _BROKEN.items() if sign in text), "")


def checkpoint_in(entry: str) -> str | None:
    """The checkpoint that TensorFlow reads, as it names it: without a suffix; None when there is none."""
    path = f"{entry}/{INDEX}"
    return path.removesuffix(".index") if os.path.exists(path) else None


def read_tensors(entry: str, prefix: str, tick: Callable[[], object]) -> tuple[int, str]:
    """Read every tensor of a checkpoint: how many were read, and why it is damaged, or "".

    Args:
        entry: the entry's path.
        prefix: the checkpoint, as `checkpoint_in` gives it.
        tick: called before each tensor; may raise to stop.
    """
    import tensorflow as tf

    name = Path(prefix).relative_to(entry).as_posix()
    for path in sorted(Path(prefix).parent.glob(f"{Path(prefix).name}.*")):
        if not path.is_file() and not path.is_dir():  # a pipe would be waited for
            return 0, f"{path.relative_to(entry).as_posix()} is not a regular file (socket, device or pipe)"
    # IndexError and RuntimeError are what the reader's C++ part raises for a shard that ends too early.
    failures = (tf.errors.OpError, IndexError, RuntimeError)
    try:
        reader = tf.train.load_checkpoint(prefix)
        names = sorted(reader.get_variable_to_shape_map())
    except failures as error:
        return 0, f"{name}: {_why(error)}"
    count = 0
    for tensor in names:
        tick()
        try:
            reader.get_tensor(tensor)
            count += 1
        except tf.errors.UnimplementedError:  # of a type that numpy does not have; it says nothing of damage
            continue
        except failures as error:
            return count, f"{name}: {_why(error)} (tensor {tensor})"
    return count, ""


def _why(error: BaseException) -> str:
    text = getattr(error, "message", "") or str(error)
    return what_broke(text) or first_line(error)[:200]


def check_all(models: Iterable[CachedModel], progress: Progress) -> list[Checked | Problem]:
    """Check entries to their ends, several at once.

    Args:
        models: the entries.
        progress: told in this thread how many more bytes have been read.
    """
    has_tensorflow = is_installed("tensorflow")

    def check(model: CachedModel, tally: Tally) -> Checked | Problem:
        return checked_or_problem(model, partial(_check_deeply, tally, has_tensorflow=has_tensorflow))

    tasks = [partial(check, model) for model in models]
    return run_all(tasks, progress, workers=min(8, (os.cpu_count() or 1) + 2))


def look_at_graph(entry: str) -> tuple[str, str]:
    """Why `saved_model.pb` and the assets it names cannot be intact, and a note; "" for neither.

    A TF1 model may name an asset that its archive never held. It loads, so that is only worth a note.

    Raises:
        OSError: it cannot be read.
    """
    if not os.path.isfile(f"{entry}/{GRAPH}"):
        return "", ""
    try:
        assets = assets_in(entry)
    except NotReadableError as error:
        return f"{GRAPH} is damaged: {error}", ""
    missing = next((name for name in assets if not os.path.exists(f"{entry}/{name}")), None)
    if missing is None:
        return "", ""
    record = read_record(entry)
    if record is None or any(file.path == missing for file in record.files):
        return f"{missing} is missing", ""
    return "", f"the archive never held {missing}, which the graph names"


def _check_deeply(tally: Tally, model: CachedModel, *, has_tensorflow: bool) -> Checked:
    quick = check_quickly(model)
    if quick.damage:
        tally.add(quick.size)
        return quick
    with times_kept(model.path):
        damage = _unlike_digests(model.path, tally)
        note = quick.note
        tensors = 0
        unread = ""
        if not damage and model.kind != "other":
            damage, about_graph = look_at_graph(model.path)
            note = note or about_graph
        prefix = checkpoint_in(model.path)
        if not damage and prefix and not has_tensorflow:
            unread = "TensorFlow is not installed"
        elif not damage and prefix:
            tensors, damage = read_tensors(model.path, prefix, lambda: tally.add(0))
    return Checked(model, damage, quick.size, quick.recorded, tensors, unread, "" if damage else note)


def _unlike_digests(entry: str, tally: Tally) -> str:
    """Compare every file with its record, save those that grew; without a record, only read it."""
    record = read_record(entry)
    damage = ""
    if record is None:
        for name in regular_files(entry):
            digest(f"{entry}/{name}", tally.add)
        return ""
    grown = {one.path for one in differences_from(record, entry) if one.has_grown}
    for file in record.files:
        if digest(f"{entry}/{file.path}", tally.add) != file.sha256 and file.path not in grown:
            damage = damage or f"{file.path} does not match its checksum"
    return damage
