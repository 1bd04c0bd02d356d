"""The deep check: every file of an entry read to its end, and every tensor of its checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from ..import_hooks import is_installed
from ..progress import Progress, Tally, run_all
from .content import digest, regular_files, times_kept
from .entry import CachedModel
from .protobuf import NotReadableError
from .record import read_record
from .savedmodel import read_graphs
from .scan import Problem
from .tensors import checkpoints, read_tensors
from .verify import GRAPH, Checked, check_quickly, checked_or_problem


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


def damage_in_graph(entry: str) -> str:
    """Why `saved_model.pb` and the assets it names cannot be whole, or "".

    Raises:
        OSError: it cannot be read.
    """
    path = f"{entry}/{GRAPH}"
    if os.path.islink(path) or not os.path.isfile(path):  # noqa: PTH113, PTH114
        return ""
    try:
        assets = read_graphs(path).assets
    except NotReadableError as error:
        return f"{GRAPH} is damaged: {error}"
    missing = (name for name in assets if not os.path.lexists(f"{entry}/assets/{name}"))
    return next((f"assets/{name} is missing" for name in missing), "")


def _check_deeply(tally: Tally, model: CachedModel, *, has_tensorflow: bool) -> Checked:
    quick = check_quickly(model)
    if quick.damage:
        tally.add(quick.size)
        return quick
    with times_kept(model.path):
        damage = _unlike_digests(model.path, tally)
        tensors = 0
        unread = ""
        if not damage and model.kind != "other":
            damage = damage_in_graph(model.path)
        prefixes = checkpoints(model.path)
        if not damage and prefixes and not has_tensorflow:
            unread = "TensorFlow is not installed"
        elif not damage:
            for prefix in prefixes:
                count, damage = read_tensors(model.path, prefix, lambda: tally.add(0))
                tensors += count
                if damage:
                    break
    return Checked(model, damage, quick.size, quick.recorded, tensors, unread)


def _unlike_digests(entry: str, tally: Tally) -> str:
    """Compare every file with its record; without one, only read it."""
    record = read_record(entry)
    damage = ""
    if record is None:
        for name in regular_files(entry):
            digest(f"{entry}/{name}", tally.add)
        return ""
    for file in record.files:
        if digest(f"{entry}/{file.path}", tally.add) != file.sha256:
            damage = damage or f"{file.path} is not as it was downloaded"
    return damage
