"""Caches for tests, in a directory: entries of a few small files in the form of a SavedModel."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from hub_magic import parse_handle
from hub_magic.cache.layout import DESCRIPTOR_SUFFIX, Descriptor, descriptor_text

FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


def handle_of(number: int) -> str:
    return f"https://host.test/team/model{number}/1"


def content_of(number: int, name: str) -> bytes:
    return f"{number} {name}".encode() * 3


def make_cache(location: Path, numbers: range, *, files: tuple[str, ...] = FILES) -> None:
    """Write entries with these numbers, with descriptors as tensorflow_hub writes them."""
    for number in numbers:
        folder = location / parse_handle(handle_of(number)).folder
        for name in files:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content_of(number, name))
        descriptor = Descriptor(handle_of(number), datetime.fromisoformat("2026-01-02T03:04:05"), "far", 7)
        folder.with_name(folder.name + DESCRIPTOR_SUFFIX).write_text(descriptor_text(descriptor))


def tree(location: Path) -> dict[str, bytes]:
    """Return all files of a directory by their paths in it."""
    return {
        str(path.relative_to(location)): path.read_bytes() for path in location.rglob("*") if path.is_file()
    }
