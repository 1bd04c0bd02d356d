"""Details of one model for the view: where it is, what is in it, and how to load it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ..cache import CachedModel
from ..cache.files import regular_files, times_kept
from ..cache.savedmodel import SavedModelFacts, Signature, TensorFact, read_saved_model
from ..cache.verify import Verification
from ..care.remove import Choice, Removal, Removed
from ..care.repair import Repaired
from ..errors import DamagedEntryError
from ..facts import Fact
from ..masking import has_secrets
from ..quantities import plural, size
from ..store import open_store
from .rows import seconds, shown


@dataclass(frozen=True, slots=True)
class ModelDetails(Fact):
    """Details of one model of a cache.

    Attributes:
        handle: the handle it was fetched under; "" if unknown.
        path: its directory.
        code: a line of Python that loads it.
        downloaded: the time of the download, in the downloader's local time.
        host: the computer that fetched it.
        damage: why it cannot be intact; "" if no damage was found.
        files: path and bytes of each file, the largest first.
        signatures: its signatures by name; empty for a model without any.
        assets: the files in `assets/` that it reads.
        tags: the tags of each graph in it.
        tensorflow: the version that wrote it, or "".
        unread: why signatures and assets are unknown; "" if they are known, or if it is no SavedModel.
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
    """Return the details of a model, without changing when it was last used.

    Raises:
        OSError: its folder cannot be read, or is gone.
    """
    sizes, facts, unread = _look(model)
    return ModelDetails(
        model.handle,
        model.path,
        load_line(model, facts.tags),
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


def load_line(model: CachedModel, tags: tuple[tuple[str, ...], ...] = ()) -> str:
    """The line of Python that loads a model: by its handle, or by its path when no handle leads to it.

    `hub.load` cannot load what is no SavedModel, such as a model of TFLite: the line gives its folder.

    Args:
        model: the model.
        tags: of each graph in it; `hub.load` must be told which, where there are several.
    """
    sha1 = hashlib.sha1(model.handle.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    text = model.handle if sha1 == os.path.basename(model.path) else model.path
    quoted = repr(text)  # whatever cannot be printed is escaped
    quoted = quoted if '"' in text else f'"{quoted[1:-1]}"'
    if model.kind == "other":
        return f"hub.resolve({quoted})"
    # tensorflow_hub itself names the graph of a model in the TF1 Hub format.
    if len(tags) < 2 or model.kind == "TF1 Hub":
        return f"hub.load({quoted})"
    chosen = ("serve",) if ("serve",) in tags else tags[0]
    return f"hub.load({quoted}, tags={list(chosen)!r})"


def tags_of(model: CachedModel) -> tuple[tuple[str, ...], ...]:
    """The tags of each graph in a model; none where they cannot be read."""
    if model.kind != "SavedModel" or open_store(model.path).is_remote:
        return ()
    try:
        return _look(model)[1].tags
    except OSError:
        return ()


def _look(model: CachedModel) -> tuple[dict[str, int], SavedModelFacts, str]:
    """Return the sizes of a model's files, its own facts, and why those are unknown, or ""."""
    if open_store(model.path).is_remote:
        return {}, SavedModelFacts(), "Files in a bucket are not read."
    sizes = {name: facts.st_size for name, facts in regular_files(model.path).items()}
    if "saved_model.pb" not in sizes:
        in_text = "It is in text form (saved_model.pbtxt), which is not read."
        return sizes, SavedModelFacts(), in_text if "saved_model.pbtxt" in sizes else ""
    try:
        with times_kept(model.path):
            return sizes, read_saved_model(model.path), ""
    except DamagedEntryError as error:
        return sizes, SavedModelFacts(), str(error)


# The most of one model that is sent to the page.
_MOST_FILES = 200
_MOST_SIGNATURES = 30
_MOST_TENSORS = 100
_MOST_ASSETS = 100
_MOST_CHOICES = 200
_LONGEST = 2000


def details_data(details: ModelDetails) -> dict[str, Any]:
    """Return a model's details for the page."""
    return {
        "handle": shown(details.handle, _LONGEST),
        "link": link(details.handle),
        "path": shown(details.path, _LONGEST),
        "code": shown(details.code, 2 * _LONGEST),
        "downloaded": seconds(details.downloaded),
        "host": shown(details.host),
        "damage": shown(details.damage),
        "files": [[shown(name), bytes_] for name, bytes_ in details.files[:_MOST_FILES]],
        "file_count": len(details.files),
        "signatures": [_signature(one) for one in details.signatures[:_MOST_SIGNATURES]],
        "assets": [shown(name) for name in details.assets[:_MOST_ASSETS]],
        "tags": [shown(", ".join(tags)) for tags in details.tags[:_MOST_SIGNATURES]],
        "tensorflow": shown(details.tensorflow),
        "unread": shown(details.unread, 500),
    }


def link(handle: str) -> str:
    """Return the web page of a handle; "" if the handle is no plain web address."""
    if len(handle) > _LONGEST or not handle.isascii() or not handle.isprintable() or " " in handle:
        return ""
    if has_secrets(handle):
        return ""
    try:
        url = urlsplit(handle)
    except ValueError:
        return ""
    return handle if url.scheme in {"http", "https"} and url.hostname else ""


def removal_data(plan: Removal) -> dict[str, Any]:
    """Return what a removal would do, for the page."""
    return {
        "going": [[_label(choice), choice.model.size] for choice in plan.going[:_MOST_CHOICES]],
        "kept": [[_label(choice), shown(choice.reason)] for choice in plan.kept[:_MOST_CHOICES]],
        "count": len(plan.going),
        "kept_count": len(plan.kept),
        "size": plan.size,
        "left": plan.left,
    }


def removed_line(done: Removed) -> str:
    """Return the announcement of what a removal did."""
    stayed = f" {_stayed(done.kept)}" if done.kept else ""
    if not done.removed:
        return f"Nothing was removed.{stayed}"
    return f"Removed {plural(len(done.removed), 'model')}, which freed {size(done.freed)}.{stayed}"


def verified_line(found: Verification) -> str:
    """Return the announcement of what a check found."""
    first = f"Checked {plural(len(found.checked), 'model')}"
    if not found.checked:
        return "There are no models to check."
    if not found.damaged:
        return f"{first}: no damage found."
    one = found.damaged[0]
    name = shown(one.model.name)
    more = f" and {len(found.damaged) - 1} more" if len(found.damaged) > 1 else ""
    verb = "is" if len(found.damaged) == 1 else "are"
    return f"{first}; {len(found.damaged)} {verb} damaged: {name} ({shown(one.damage)}){more}."


def repaired_line(done: Repaired) -> str:
    """Return the announcement of what a repair did."""
    parts = []
    if done.fetched:
        parts.append(f"{plural(len(done.fetched), 'model')} downloaded again")
    if done.swept:
        parts.append(f"{plural(len(done.swept), 'leftover')} cleaned up, which freed {size(done.freed)}")
    told = [f"Repaired: {'; '.join(parts)}."] if parts else []
    if done.left:
        one = done.left[0]
        more = f" (and {len(done.left) - 1} more)" if len(done.left) > 1 else ""
        told.append(f"Could not repair {shown(one.title)}: {shown(one.reason, 400)}{more}.")
    return " ".join(told) or "There was nothing to repair."


def _stayed(kept: Iterable[Choice]) -> str:
    first, *others = [
        f"{shown(choice.model.name)} was not removed: {shown(choice.reason)}" for choice in kept
    ]
    return f"{first}{f' (and {len(others)} more)' if others else ''}."


def _label(choice: Choice) -> str:
    return shown(choice.model.title)


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "name": shown(signature.name),
        "inputs": [_tensor(tensor) for tensor in signature.inputs[:_MOST_TENSORS]],
        "outputs": [_tensor(tensor) for tensor in signature.outputs[:_MOST_TENSORS]],
    }


def _tensor(tensor: TensorFact) -> tuple[str, str]:
    if tensor.shape is None:
        shape = "any shape"
    else:
        shape = f"[{', '.join('?' if size is None else str(size) for size in tensor.shape)}]"
    return shown(tensor.name), f"{tensor.dtype or 'unknown type'} {shape}"
