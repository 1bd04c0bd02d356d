"""Caches for the browser's tests and benchmarks, written by hand in the library's layout."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from hub_magic.cache.layout import Descriptor, descriptor_text

NOW = datetime(2026, 11, 20, 12)  # noqa: DTZ001 - local time, as descriptors keep
DTYPES = {"float32": 1, "int32": 3, "string": 7}

Tensors = dict[str, tuple[str, Sequence[int]]]
CLASSIFY: tuple[Tensors, Tensors] = (
    {"inputs": ("float32", (-1, 224, 224, 3))},
    {"logits": ("float32", (-1, 1001))},
)


def saved_model(signatures: dict[str, tuple[Tensors, Tensors]], assets: Iterable[str] = ()) -> bytes:
    """Return a `saved_model.pb` with these facts (`saved_model.proto`); a dimension of -1 is any size."""
    graph = _field(1, _text(4, "serve") + _text(5, "2.21.0"))
    for name, (inputs, outputs) in signatures.items():
        definition = b"".join(_field(1, _tensor(*item)) for item in inputs.items())
        definition += b"".join(_field(2, _tensor(*item)) for item in outputs.items())
        graph += _field(5, _text(1, name) + _field(2, definition))
    for asset in assets:
        graph += _field(6, _text(2, asset))
    return b"\x08\x01" + _field(2, graph + _field(7, b""))


def add_entry(
    cache: Path,
    handle: str,
    files: dict[str, bytes],
    *,
    downloaded: datetime = NOW,
    used: datetime = NOW,
    host: str = "lab-3",
) -> Path:
    """Add one entry with these files, in the form that tensorflow_hub leaves."""
    folder = cache / hashlib.sha1(handle.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (used.timestamp(), downloaded.timestamp()))
    text = descriptor_text(Descriptor(handle, downloaded, host, 77))
    (cache / f"{folder.name}.descriptor.txt").write_bytes(text.encode(errors="surrogateescape"))
    return folder


def files_of(size: int, *, assets: int = 0, graph: bytes = b"") -> dict[str, bytes]:
    """Return the files of an intact TF2 SavedModel whose variables take `size` bytes."""
    return {
        "saved_model.pb": graph or saved_model({}),
        "fingerprint.pb": b"f" * 55,
        "keras_metadata.pb": b"k" * 200,
        "variables/variables.index": b"i" * 300,
        "variables/variables.data-00000-of-00001": b"\0" * size,
        **{f"assets/vocabulary-{number}.txt": b"v" * 90 for number in range(assets)},
    }


def fill(cache: Path, count: int) -> None:
    """Fill a cache with `count` models of 40 publishers, each with 7.8 files and 3 folders on average."""
    for index in range(count):
        handle = (
            f"https://tfhub.dev/publisher-{index % 40}/family-{index % 7}/model-{index:05}/{1 + index % 5}"
        )
        age = timedelta(days=index % 900, minutes=index)
        add_entry(
            cache,
            handle,
            files_of(index * 7 % 5000, assets=4 if index % 5 == 0 else 2 + index % 2),
            downloaded=NOW - age,
        )


def fill_as_huggingface(cache: Path, count: int) -> None:
    """Fill a cache with `count` repositories in huggingface_hub's layout, each with 8 blobs and 8 links."""
    commit = "0" * 40
    for index in range(count):
        repo = cache / f"models--publisher-{index % 40}--model-{index:05}"
        snapshot = repo / "snapshots" / commit
        for folder in (repo / "blobs", repo / "refs", snapshot):
            folder.mkdir(parents=True)
        (repo / "refs" / "main").write_text(commit)
        for number in range(8):
            blob = hashlib.sha256(f"{index} {number}".encode()).hexdigest()
            (repo / "blobs" / blob).write_bytes(b"x" * 500)
            (snapshot / f"file-{number}").symlink_to(f"../../blobs/{blob}")


def _tensor(name: str, facts: tuple[str, Sequence[int]]) -> bytes:
    dtype, shape = facts
    dimensions = b"".join(_field(2, b"\x08" + _varint(size % (1 << 64))) for size in shape)
    return _text(1, name) + _field(2, b"\x10" + _varint(DTYPES[dtype]) + _field(3, dimensions))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
