"""The tensors of a checkpoint, read by TensorFlow to their last byte, for the checksum each one has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# What TensorFlow says when what it reads is not what was written; each text was seen with 2.20 and 2.21 at a
# model damaged in that way.
_BROKEN = {
    "Cannot parse file": "saved_model.pb is damaged",
    "there are 0 MetaGraphs": "saved_model.pb is empty",
    "with available tags '[]'": "saved_model.pb is empty",
    "file is too short to be an sstable": "the index of its variables is empty",
    "not an sstable": "the index of its variables is damaged",
    "block checksum mismatch": "the index of its variables is damaged",
    "Read less bytes than requested": "its variables end too early",
    "Checksum does not match": "its variables are not as they were written",
}


def what_broke(text: str) -> str:
    """What a message of TensorFlow's says is damaged, or ""; that something is missing is not among it."""
    return next((reason for sign, reason in _BROKEN.items() if sign in text), "")


def checkpoints(entry: str) -> tuple[str, ...]:
    """The checkpoints in an entry's `variables/`, as TensorFlow names them: without a suffix."""
    return tuple(str(path.with_suffix("")) for path in sorted(Path(entry, "variables").glob("*.index")))


def read_tensors(entry: str, prefix: str, tick: Callable[[], object]) -> tuple[int, str]:
    """Read every tensor of a checkpoint: how many were read, and why it is damaged, or "".

    Args:
        entry: the entry's path.
        prefix: the checkpoint, as `checkpoints` gives it.
        tick: called before each tensor; may raise to stop.
    """
    import tensorflow as tf

    name = Path(prefix).relative_to(entry).as_posix()
    for path in sorted(Path(prefix).parent.iterdir()):
        if not path.is_file() and not path.is_dir():  # a pipe would be waited for
            return 0, f"{path.relative_to(entry).as_posix()} is no plain file"
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
    return what_broke(text) or next(iter(text.splitlines()), type(error).__name__)[:200]
