"""One model cached under several spellings of its handle.

tensorflow_hub hashes the handle's raw text, so a trailing slash makes another entry. Which Kaggle model
replaced a tfhub.dev one the text does not say; that two entries hold the same files does.
"""

from __future__ import annotations

from collections import defaultdict

from ..errors import HandleError
from ..handles import parse_handle
from .content import digests
from .entry import CachedModel
from .measure import measure
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
        return frozenset(found.items()) if len(found) == measure(CachedModel("", entry)).files else None
    except OSError:
        return None
