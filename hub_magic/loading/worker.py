"""Files on a worker, through TensorFlow's own connection: each method is an op that runs there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RouteError, first_line
from ..settings import variables_set
from .model_files import ModelFile

# What a worker tells of a failed op is the process's, so threads take turns. One may do so again inside.
_ONE_AT_A_TIME = threading.RLock()


class WorkerRefusedError(RouteError):
    """A worker ran an op on its files, and the op failed there."""


@contextmanager
def worker_ops_at_once() -> Iterator[None]:
    """Inside the `with` each op on a worker is waited for, and fails where it is called.

    Otherwise ops are sent ahead. A failed one is then reported at a later op, or twice, or never; and of some
    thousand values fetched from failed ops, one never comes (TensorFlow 2.20 and 2.21). The variable is the
    one that `tf.experimental.async_scope` sets; TensorFlow reads it at each op.

    Raises:
        RouteError: a worker does not answer.
    """
    import tensorflow as tf

    tf.config.list_logical_devices()  # connects, where that has been put off until the first op
    with _ONE_AT_A_TIME:
        with _answered("A worker"), tf.experimental.async_scope():
            pass  # waits for what was sent ahead before: a failure inside would spoil its values
        with variables_set({"TF_ENABLE_EAGER_CLIENT_STREAMING_ENQUEUE": "false"}):
            try:
                yield
            except (tf.errors.OpError, FileNotFoundError):  # which TensorFlow's loader makes of NotFoundError
                _forget_failure()
                raise


def _forget_failure() -> None:
    """Wait for the worker, which may tell of one failed op a second time: here, not at the user's next op."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    with suppress(tf.errors.OpError):
        context.async_wait()
    context.async_clear_error()


@dataclass(frozen=True, slots=True)
class WorkerFiles:
    """The files that one task of a cluster sees.

    To be used inside `worker_ops_at_once`. Every method raises RouteError when the worker does not answer.

    Attributes:
        task: the task as TensorFlow names it, "/job:worker/replica:0/task:0".
    """

    task: str

    def write(self, path: str, data: Any, *, at: int = 0) -> None:
        """Write a file, or go on with one that is `at` bytes long; folders are made on the way.

        Args:
            path: where, on the worker: an absolute path, or one under `ram://`.
            data: a string tensor, or bytes.
            at: where in the file the data begins.

        Raises:
            WorkerRefusedError: the worker cannot write there.
        """
        import tensorflow as tf

        with self._ops(path):
            if at == 0:
                tf.io.write_file(path, data)
            else:
                # The one op that appends: it writes bytes as they are and, with `end` empty, no others.
                tf.raw_ops.PrintV2(input=data, output_stream=f"file://{path}", end="")

    def fingerprint(self, path: str, *, at: int, size: int, whole: int) -> int:
        """The fingerprint of `size` bytes from `at` on, in a file of `whole` bytes. No more is read.

        Raises:
            WorkerRefusedError: the file is not there, or not of that size.
        """
        import tensorflow as tf

        with self._ops(path):
            if size == 0:
                return int(_hash(tf.io.read_file(path)))
            # A data set of one record: the op that reads a part of a file.
            pieces = tf.raw_ops.FixedLengthRecordDatasetV2(
                filenames=[path],
                header_bytes=at,
                record_bytes=size,
                footer_bytes=whole - at - size,
                buffer_size=0,
                compression_type="",
            )
            (piece,) = tf.raw_ops.DatasetToSingleElement(
                dataset=pieces, output_types=[tf.string], output_shapes=[()]
            )
            return int(_hash(piece))

    def has(self, path: str, size: int) -> bool:
        """Whether there is a file of this size; its last byte is read."""
        try:
            found = self.fingerprint(path, at=max(size - 1, 0), size=min(size, 1), whole=size)
        except WorkerRefusedError:
            return False
        return size > 0 or found == fingerprint_here(b"")

    def read(self, path: str) -> bytes | None:
        """What is in a small file; None where it cannot be read."""
        import tensorflow as tf

        try:
            with self._ops(path):
                content: bytes = tf.io.read_file(path).numpy()
                return content
        except WorkerRefusedError:
            return None

    @contextmanager
    def _ops(self, path: str) -> Iterator[None]:
        """Ops run on the worker at once, inside a function that TensorFlow is tracing, too."""
        import tensorflow as tf

        try:
            with (
                _answered(f"The worker {self.task}"),
                tf.init_scope(),
                tf.device(f"{self.task}/device:CPU:0"),
            ):
                yield
        except tf.errors.OpError as error:
            raise WorkerRefusedError(
                f"The worker {self.task} cannot store {path}: {first_line(error)}. "
                "Use --via bucket --bucket gs://BUCKET/PATH."
            ) from error


@contextmanager
def _answered(who: str) -> Iterator[None]:
    """A worker that is gone is told from one that refuses."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError) as error:
        raise RouteError(
            f"{who} does not answer: {first_line(error)}. "
            "Restart the runtime, and connect to a worker that runs."
        ) from error


def fingerprint_here(data: Any) -> int:
    """The fingerprint of a string tensor or of bytes, computed by this process."""
    import tensorflow as tf

    with tf.init_scope(), tf.device(None), tf.device("CPU:0"):
        return int(_hash(data))


def tensor_here(data: bytes) -> Any:
    """A string tensor in this process's memory, from which several workers can be served."""
    import tensorflow as tf

    with tf.init_scope(), tf.device(None), tf.device("CPU:0"):
        return tf.constant(data)


def _hash(data: Any) -> Any:
    """FarmHash, of which the op gives 63 bits; computed where the current device is."""
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(data, 2**63 - 1)


# Written beside the files once all of them were found whole on the worker: whoever finds it need not compare
# every byte again, be it after a restart of the kernel.
_RECEIPT = ".hub_magic_relay"


@dataclass(frozen=True, slots=True)
class WorkerCopies:
    """Copies of one model's files, under the same folder on every worker.

    Attributes:
        source: the model's directory on this machine.
        files: those of its files that the workers need.
        folder: where they go: a path on the workers, or a location under `ram://`.
        workers: the workers.
        piece: bytes sent at a time.
    """

    source: str
    files: tuple[ModelFile, ...]
    folder: str
    workers: tuple[WorkerFiles, ...]
    piece: int

    def missing(self) -> dict[WorkerFiles, tuple[ModelFile, ...]]:
        """The files that each worker lacks, or has otherwise than this machine."""
        missing = {}
        for worker in self.workers:
            is_known = worker.read(self._path(_RECEIPT)) == self._receipt
            missing[worker] = tuple(
                file
                for file in self.files
                if not worker.has(self._path(file.name), file.size)
                or not (is_known or self._is_same(worker, file))
            )
        return missing

    def can_be_sent(self, missing: Mapping[WorkerFiles, tuple[ModelFile, ...]]) -> bool:
        """Whether the workers that lack files can write here; their receipts are void from now on."""
        try:
            for worker, files in missing.items():
                if files:
                    worker.write(self._path(_RECEIPT), b"")
        except WorkerRefusedError:
            return False
        return True

    def is_broken_off(self) -> bool:
        """Whether sending was begun here for a worker, and not ended."""
        return any(worker.read(self._path(_RECEIPT)) not in {None, self._receipt} for worker in self.workers)

    def send(
        self, missing: Mapping[WorkerFiles, tuple[ModelFile, ...]], sent: Callable[[int], object]
    ) -> None:
        """Send every worker what it lacks; each piece is read here once, for all of them.

        Args:
            missing: what `missing` gave.
            sent: is told of bytes that arrived.

        Raises:
            RouteError: a worker is gone, its disk is full, or something else arrived than was sent.
        """
        for file in self.files:
            lacking = [worker for worker in self.workers if file in missing[worker]]
            if lacking:
                self._send(file, lacking, sent)
        for worker in self.workers:
            if missing[worker]:
                with suppress(
                    WorkerRefusedError
                ):  # without a receipt all bytes are compared next time, no more
                    worker.write(self._path(_RECEIPT), self._receipt)

    def _send(self, file: ModelFile, workers: list[WorkerFiles], sent: Callable[[int], object]) -> None:
        path = self._path(file.name)
        for at, size, data in self._pieces(file):
            wanted = fingerprint_here(data)
            for worker in workers:
                worker.write(path, data, at=at)
                if worker.fingerprint(path, at=at, size=size, whole=at + size) != wanted:
                    raise RouteError(f"{file.name} arrived damaged at {worker.task}. Run the cell again.")
                sent(size)

    def _is_same(self, worker: WorkerFiles, file: ModelFile) -> bool:
        path = self._path(file.name)
        try:
            return all(
                worker.fingerprint(path, at=at, size=size, whole=file.size) == fingerprint_here(data)
                for at, size, data in self._pieces(file)
            )
        except WorkerRefusedError:
            return False

    def _pieces(self, file: ModelFile) -> Iterator[tuple[int, int, Any]]:
        """Start, size and content, a string tensor, of each piece; an empty file is one empty piece."""
        path = Path(self.source) / file.name
        try:
            with path.open("rb") as opened:
                for at in range(0, max(file.size, 1), self.piece):
                    data = opened.read(self.piece)
                    yield at, len(data), tensor_here(data)
        except OSError as error:
            raise RouteError(
                f"{path} cannot be read: {error.strerror}. Check for damage with %hub_cache --verify."
            ) from error

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    @property
    def _receipt(self) -> bytes:
        """What tells these files from earlier ones of the same names."""
        return "".join(f"{file.size} {file.changed} {file.name}\n" for file in self.files).encode()
