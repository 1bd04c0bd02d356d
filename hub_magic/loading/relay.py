"""The relay: send a worker the files that it reads itself, over the existing TensorFlow connection.

No bucket is needed, and no rights but those to run ops on the worker. The files go to the same absolute path
on the worker's disk, for that is where a loaded graph looks for them. A worker that can write nothing there
keeps them in its memory, under `ram://`; this process then needs the model under the same name.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..errors import RouteError
from ..facts import Fact
from ..runtime.worker import connected_worker
from .model_files import ModelFile, find_model_files
from .worker import WorkerCopies, WorkerFiles, worker_ops_at_once

if TYPE_CHECKING:
    from tqdm import tqdm

# Far below the 2 GiB at which protobuf ends; of 4 to 256 MiB the size that went fastest.
PIECE = 16 * 2**20
_BAR_FROM = 50_000_000


@dataclass(frozen=True, slots=True)
class RelayPlan(Fact):
    """What has to be sent for one model.

    Attributes:
        directory: where the model lies on this machine.
        files: what the workers read themselves.
        read_here: what this process reads while it loads the model.
    """

    directory: str
    files: tuple[ModelFile, ...]
    read_here: tuple[ModelFile, ...]
    derived: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def size(self) -> int:
        """Bytes that each worker needs."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class RelayReport(Fact):
    """What was sent.

    Attributes:
        directory_to_load: what to hand to TensorFlow's loader: a path, or a location under `ram://`.
        via: whether the workers keep the files on their disks or in their memory.
        tasks: the workers, as TensorFlow names them.
        files: how many files were sent, all workers together; 0 where they had them.
        bytes_sent: the bytes of these.
        seconds: how long that took, with finding out what was there.
        memory_here: bytes of this process's memory that the model's files take until the process ends.
        memory_there: the same for each worker.
    """

    directory_to_load: str
    via: Literal["disk", "ram"]
    tasks: tuple[str, ...]
    files: int
    bytes_sent: int
    seconds: float
    memory_here: int
    memory_there: int


def plan_relay(
    directory: str | os.PathLike[str], *, has_variables_by_localhost: bool, whole: bool = False
) -> RelayPlan:
    """What has to be sent so that workers can load this model. Only the directory is looked at.

    Args:
        directory: the model's, on this machine.
        has_variables_by_localhost: whether the loader will be told to read variables here
            (`experimental_io_device`). A TF2 model's are not sent then.
        whole: whether to send every file, for what cannot be loaded with assets and variables alone.

    Raises:
        RouteError: there is no model in the directory, or it cannot be read.
    """
    model = find_model_files(directory)
    spares_variables = model.is_tf2 and has_variables_by_localhost
    sent = model.assets if spares_variables else (*model.assets, *model.variables)
    sent = model.files if whole else sent
    here = model.files if model.is_tf2 else tuple(file for file in model.files if file not in model.variables)
    return RelayPlan(model.directory, sent, here)


def worker_tasks() -> tuple[str, ...]:
    """Every task of TensorFlow's cluster but this process; asking initialises nothing."""
    connection = connected_worker(sys.modules)
    return connection.worker.tasks if connection else ()


def relay(
    plan: RelayPlan, tasks: tuple[str, ...], *, progress: bool = True, piece: int = PIECE
) -> RelayReport:
    """Send a model's files to those workers that do not have them.

    Each piece is read again on the worker, from where it was written, and its fingerprint compared. Files
    that a worker has, from before or because it shares this machine's disk, are not sent.

    Args:
        plan: what to send.
        tasks: every worker of the cluster ("/job:worker/replica:0/task:0").
        progress: whether more than 50 MB show a bar.
        piece: bytes sent at a time.

    Raises:
        RouteError: a worker is gone, can keep no files, or has others than were sent.
    """
    if not tasks:
        raise RouteError(
            "There is no remote worker to send models to. Omit --via: models load from this computer's disk."
        )
    started = time.perf_counter()
    workers = tuple(WorkerFiles(task) for task in tasks)
    with worker_ops_at_once():
        copies = WorkerCopies(plan.directory, plan.files, plan.directory, workers, piece)
        missing, in_memory = copies.missing(), False
        if not copies.can_be_sent(missing):
            copies, in_memory = _in_memory(plan, copies), True
            missing = copies.missing()
            if not copies.can_be_sent(missing):
                raise RouteError(
                    f"The workers have no writable storage ({plan.directory}, memory). "
                    "Use --via bucket --bucket gs://BUCKET/PATH."
                )
            _copy_here(plan, copies.folder)
        sizes = [file.size for files in missing.values() for file in files]
        with _bar(sum(sizes), shown=progress) as bar:
            copies.send(missing, bar.update)
    return RelayReport(
        directory_to_load=copies.folder,
        via="ram" if in_memory else "disk",
        tasks=tasks,
        files=len(sizes),
        bytes_sent=sum(sizes),
        seconds=time.perf_counter() - started,
        memory_here=sum(file.size for file in plan.read_here) if in_memory else 0,
        memory_there=plan.size if in_memory else 0,
    )


def _in_memory(plan: RelayPlan, copies: WorkerCopies) -> WorkerCopies:
    """The copies under `ram://`, in a folder that holds these very files, or nothing.

    Writing to a file that exists appends to it there (TensorFlow 2.20 and 2.21), and no op removes one. So a
    model that has changed goes elsewhere, and so does one whose sending was broken off.
    """
    digest = hashlib.sha1(repr(plan).encode(), usedforsecurity=False).hexdigest()[:16]
    for attempt in itertools.count():
        copies = replace(copies, folder=f"ram://hub_magic/{digest}-{attempt}/{Path(plan.directory).name}")
        if not copies.is_broken_off():
            break
    return copies


def _copy_here(plan: RelayPlan, folder: str) -> None:
    """Put what this process reads under the name by which the workers have the rest."""
    import tensorflow as tf

    gfile = tf.io.gfile
    for file in plan.read_here:
        path = f"{folder}/{file.name}"
        if gfile.exists(path):
            if gfile.stat(path).length == file.size:
                continue
            gfile.remove(path)
        gfile.makedirs(path.rpartition("/")[0])
        gfile.copy(f"{plan.directory}/{file.name}", path)


@contextmanager
def _bar(size: int, *, shown: bool) -> Iterator[tqdm[Any]]:
    from tqdm.auto import tqdm

    with tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc="Sending the model to the worker",
        disable=not shown or size < _BAR_FROM,
    ) as bar:
        yield bar
