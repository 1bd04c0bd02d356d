"""Find the entry that a handle, a name, a part of either, or a folder name stands for; find duplicates."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

from ..errors import HandleError, NotCachedError
from ..handles import parse_handle
from ..masking import mask_secrets
from .entry import CachedModel, look_into
from .files import digests
from .record import read_record
from .scan import CacheScan

_TFHUB = "https://tfhub.dev/"
_KAGGLE = "https://kaggle.com/models/"


def find_duplicates(scan: CacheScan) -> tuple[tuple[CachedModel, ...], ...]:
    """The groups of entries that hold the same model; only groups of more than one.

    Reads the files of a tfhub.dev and a kaggle.com entry where they could be the same.
    """
    groups: dict[str, list[CachedModel]] = defaultdict(list)
    for model in scan.models:
        if spelling := canonical(model.handle):
            groups[spelling].append(model)
    for ours, theirs in _same_on_both_hosts(groups):
        groups[ours] += groups.pop(theirs)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def canonical(text: str) -> str:
    """The one spelling of a model's URL; "" for anything else."""
    try:
        handle = parse_handle(text)
    except HandleError:
        return ""
    return handle.canonical if handle.kind != "path" else ""


def _same_on_both_hosts(groups: dict[str, list[CachedModel]]) -> list[tuple[str, str]]:
    """The pairs of a tfhub.dev spelling and the kaggle.com spelling of the same files."""
    alike: dict[tuple[int, int], dict[str, CachedModel]] = defaultdict(dict)
    for spelling, models in groups.items():
        whole = next((model for model in models if model.is_measured and not model.damage), None)
        if whole and spelling.startswith((_TFHUB, _KAGGLE)):
            alike[whole.size, whole.files][spelling] = whole
    pairs = []
    for candidates in alike.values():
        if len({spelling.startswith(_KAGGLE) for spelling in candidates}) < 2:
            continue
        by_content: dict[frozenset[tuple[str, str]], list[str]] = defaultdict(list)
        for spelling, model in candidates.items():
            if content := content_of(model.path):
                by_content[content].append(spelling)
        # Two versions with the same files would make it a guess which is which.
        for spellings in by_content.values():
            ours = [spelling for spelling in spellings if spelling.startswith(_TFHUB)]
            theirs = [spelling for spelling in spellings if spelling.startswith(_KAGGLE)]
            if len(ours) == len(theirs) == 1:
                pairs.append((ours[0], theirs[0]))
    return pairs


def content_of(entry: str) -> frozenset[tuple[str, str]] | None:
    """Names and digests of an entry's files, recorded or read; None when not all can be read."""
    record = read_record(entry)
    if record:
        return frozenset((file.path, file.sha256) for file in record.files)
    try:
        found = digests(entry)
        look = look_into(entry)
        is_read = len(found) == len(look.sizes) and not look.dangling
        return frozenset(found.items()) if is_read else None
    except OSError:
        return None


_MOST_SHOWN = 8
_LONGEST = 200


def select(scan: CacheScan, words: Iterable[str], *, several: bool = False) -> tuple[CachedModel, ...]:
    """The entries that the words mean, each once, in the order of the words.

    The strictest reading that fits anything counts: the folder, the handle, the handle in another spelling,
    the name with or without publisher and version, a part of handle or name, the beginning of the folder.

    Args:
        scan: what is in the cache.
        words: handles, names, parts of them, or folder names.
        several: whether a word may mean more than one entry.

    Raises:
        NotCachedError: a word means no entry, or more than one; the message names the candidates.
    """
    chosen: dict[str, CachedModel] = {}
    for word in words:
        found = _matching(scan.models, word)
        if not found:
            raise NotCachedError(_unknown(scan, word))
        if len(found) > 1 and not several:
            raise NotCachedError(
                f"{word!r} matches {len(found)} cached models: {_listed(found)}. Use the full handle."
            )
        chosen.update((model.folder, model) for model in found)
    return tuple(chosen.values())


def label(model: CachedModel) -> str:
    """What to call an entry in a sentence: its handle, else its folder.

    Descriptors come from disk; what would break the line is replaced.
    """
    name = mask_secrets(model.title)[:_LONGEST]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _matching(models: Sequence[CachedModel], word: str) -> list[CachedModel]:
    spelling = canonical(word)
    lowered = word.lower()
    folder = hashlib.sha1(word.encode(errors="replace"), usedforsecurity=False).hexdigest()
    readings: tuple[Callable[[CachedModel], bool], ...] = (
        lambda model: model.folder == word,
        lambda model: model.handle == word or (not model.handle and model.folder == folder),
        lambda model: "<" in word and mask_secrets(model.handle) == word,  # tables mask secrets
        lambda model: bool(spelling) and canonical(model.handle) == spelling,
        lambda model: lowered in _names(model),
        lambda model: lowered in model.handle.lower() or any(lowered in name for name in _names(model)),
        lambda model: len(word) >= 4 and model.folder.startswith(lowered),
    )
    # A slash or a punctuation mark is a part of every handle, and names none.
    for reading in readings if any(letter.isalnum() for letter in word) else ():
        if found := [model for model in models if reading(model)]:
            return found
    return []


def _names(model: CachedModel) -> set[str]:
    """The names a model goes by, in lower case: with and without publisher and version."""
    if not model.handle:
        return set()
    name = model.name.lower()
    named = {name, f"{model.publisher}/{name}".lower()}
    return named | {f"{one}/{model.version}" for one in named} if model.version else named


def _unknown(scan: CacheScan, word: str) -> str:
    if not scan.models:
        return f"{word!r} is not cached: the cache at {scan.location} is empty."
    named = {model.folder: (*_names(model), model.handle.lower()) for model in scan.models if model.handle}
    near = set(get_close_matches(word.lower(), {name for names in named.values() for name in names}, 9))
    close = [model for model in scan.models if near.intersection(named.get(model.folder, ()))]
    if close:
        return f"{word!r} is not cached at {scan.location}. Similar: {_listed(close)}."
    return f"{word!r} is not cached at {scan.location}. Cached models: {_listed(scan.models)}."


def _listed(models: Sequence[CachedModel]) -> str:
    shown = ", ".join(label(model) for model in models[:_MOST_SHOWN])
    more = len(models) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
