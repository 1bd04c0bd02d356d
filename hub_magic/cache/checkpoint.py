"""Read the index of a checkpoint without TensorFlow: the data files that it names, and how long they must be.

The index is a table of LevelDB's form. Source: `tensorflow/core/lib/io/format.cc` and
`tensorflow/core/protobuf/tensor_bundle.proto` of TensorFlow 2.21. Nothing in the file is trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .files import open_quietly
from .savedmodel import NotReadableError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48  # bytes: two handles of blocks, filled up to 40, and the magic number
_LARGEST = 256 << 20  # bytes, far above the index of any real model
_MOST_TENSORS = 2_000_000
_PLAIN = 0  # the kind of a block that is not compressed; TensorFlow writes no other
# Field numbers of BundleHeaderProto, which stands under the empty key, and of BundleEntryProto.
_SHARDS = 1
_SHARD, _OFFSET, _SIZE = 3, 4, 5


def needed_data(index: str) -> dict[str, int]:
    """Return the data files that a checkpoint's index names, and the bytes that each must have at least.

    Args:
        index: the path of `STEM.index`.

    Returns:
        Bytes by the file's name, without its folder.

    Raises:
        NotReadableError: the index ends too early, or is something else.
        OSError: it cannot be read.
    """
    with open_quietly(index) as file:
        table = file.read(_LARGEST)
    stem = index.replace("\\", "/").rpartition("/")[2].removesuffix(".index")
    try:
        count, ends = _shards(table)
    except (IndexError, ValueError):
        raise NotReadableError("it ends too early, or is no index of a checkpoint") from None
    return {f"{stem}.data-{shard:05}-of-{count:05}": end for shard, end in sorted(ends.items())}


def _shards(table: bytes) -> tuple[int, dict[int, int]]:
    """How many data files there are, and where the last tensor in each of them ends."""
    count = 0
    ends: dict[int, int] = {}
    for key, value in islice(_entries(table), _MOST_TENSORS):
        fields = dict(_fields(value))
        if not key:
            count = fields.get(_SHARDS, 0)
            continue
        shard = fields.get(_SHARD, 0)
        ends[shard] = max(ends.get(shard, 0), fields.get(_OFFSET, 0) + fields.get(_SIZE, 0))
    if any(shard >= count for shard in ends):
        raise ValueError(count)
    return count, ends


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(table) < _FOOTER or int.from_bytes(table[-8:], "little") != _MAGIC:
        raise ValueError(len(table))
    footer = table[-_FOOTER:]
    _, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    for _, value in _block(table, index):
        block, _ = _handle(value, 0)
        yield from _block(table, block)


def _block(table: bytes, where: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = where
    block = table[offset : offset + size]
    if len(block) != size or size < 4 or table[offset + size] != _PLAIN:
        raise ValueError(where)
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    key = b""
    position = 0
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + added]
        position += added
        yield key, block[position : position + length]
        position += length


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """The numbers among a protocol buffer's fields."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire = key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
        elif wire == 2:
            length, position = _varint(message, position)
            position += length
        elif wire in {1, 5}:
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(key)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(position)
