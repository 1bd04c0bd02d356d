"""What the browser tells of one model: where it is, what is in it, and how to load it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime

from ..cache import CachedModel
from ..cache.files import regular_files, times_kept
from ..cache.savedmodel import SavedModelFacts, Signature, read_saved_model
from ..errors import DamagedEntryError
from ..facts import Fact
from ..locations import is_bucket


@dataclass(frozen=True, slots=True)
class ModelDetails(Fact):
    """One model of a cache, looked at closely.

    Attributes:
        handle: the handle it was fetched under; "" when that is not known.
        path: its directory.
        code: a line of Python that loads it.
        downloaded: when it was fetched, in the downloader's local time.
        host: the machine that fetched it.
        damage: why it cannot be whole; "" when nothing speaks against it.
        files: path and bytes of each file, the largest first.
        signatures: what it offers by name; empty for a model that says nothing of that.
        assets: the files in `assets/` that it reads.
        tags: of each graph in it.
        tensorflow: the version that wrote it, or "".
        unread: why signatures and assets are not known; "" when they are, or when it is no SavedModel.
    """

    handle: str
    path: str
    code: str
    downloaded: datetime | None
    host: str
    damage: str = ""
    files: tuple[tuple[str, int], ...] = ()
    signatures: tuple[Signature, ...] = ()
    assets: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    tensorflow: str = ""
    unread: str = ""


def describe(model: CachedModel) -> ModelDetails:
    """Look at a model closely, without its looking used afterwards.

    Raises:
        OSError: its folder cannot be read, or it is gone.
    """
    sizes, facts, unread = _look(model)
    return ModelDetails(
        model.handle,
        model.path,
        load_line(model),
        model.downloaded,
        model.host,
        model.damage,
        tuple(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))),
        facts.signatures,
        facts.assets,
        facts.tags,
        facts.tensorflow,
        unread,
    )


def load_line(model: CachedModel) -> str:
    """The line of Python that loads a model: by its handle, or by its path when no handle leads to it."""
    sha1 = hashlib.sha1(model.handle.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    text = model.handle if sha1 == os.path.basename(model.path) else model.path  # noqa: PTH119 - may be gs://
    quoted = repr(text)  # whatever cannot be printed is escaped
    return f"hub.load({quoted})" if '"' in text else f'hub.load("{quoted[1:-1]}")'


def _look(model: CachedModel) -> tuple[dict[str, int], SavedModelFacts, str]:
    """Sizes of its files, what it says of itself, and why that is not known, or ""."""
    if is_bucket(model.path):
        return {}, SavedModelFacts(), "It is in a bucket, where its files are not read."
    sizes = {name: facts.st_size for name, facts in regular_files(model.path).items()}
    if "saved_model.pb" not in sizes:
        return sizes, SavedModelFacts(), ""
    try:
        with times_kept(model.path):
            return sizes, read_saved_model(model.path), ""
    except DamagedEntryError as error:
        return sizes, SavedModelFacts(), str(error)
