"""Files on a worker, reached through TensorFlow's own connection: each method is an op that runs there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..errors import RouteError
from ..settings import variables_set


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
                f"The worker {self.task} cannot keep {path}: {_reason(error)}. "
                "Take --via bucket --bucket gs://BUCKET/PATH."
            ) from error


@contextmanager
def _answered(who: str) -> Iterator[None]:
    """A worker that is gone is told from one that refuses."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError) as error:
        raise RouteError(
            f"{who} does not answer: {_reason(error)}. "
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


def _reason(error: Exception) -> str:
    """What the worker said, in one line; TensorFlow adds where and how it came to hear of it."""
    return str(error).partition("\n")[0].partition(" [Op:")[0].strip() or type(error).__name__
