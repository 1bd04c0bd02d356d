"""Fetch a model: from a handle to a directory, out of the cache or over the network."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlparse, urlunparse

from ..cache.essentials import INTACT, Judgement
from ..cache.layout import LOCK_SUFFIX, Holder
from ..cache.locks import LOCK_TIMEOUT, Parts, take_over
from ..cache.record import judge
from ..errors import DownloadError, HubMagicError
from ..facts import Fact
from ..handles import Handle
from ..locations import is_bucket
from ..progress import DownloadBar, has_audience
from ..settings import is_offline, read_cache, read_mode
from .archive import NoSpaceError
from .http import RetryPolicy
from .lock import lock_entry
from .messages import explain_disk, no_space, offline_error
from .new_entry import DownloadOptions, MakeBar, Notice, make_entry, title_of
from .ownership import (
    handle_of_any_scheme,
    import_added_resolvers,
    is_added_for,
    is_kaggles,
    is_ours,
    parsed_handle,
    pass_on,
)


class FetchedModels(tuple["Fetched", ...]):
    """Models that are there now, in the order in which they were asked for."""

    __slots__ = ()

    def to_json(self) -> str:
        """The facts of each as JSON text."""
        return json.dumps([model.to_data() for model in self], indent=2)


# Source: `tensorflow_hub/compressed_module_resolver.py`, `_HUB_TF_GOOGLE_CN`.
_MIRROR = "https://hub.tensorflow.google.cn/"
_MIRROR_ARCHIVE = "https://gcs.tensorflow.google.cn/tfhub-modules/{}.tar.gz"


@dataclass(frozen=True, slots=True)
class Fetched(Fact):
    """A model that is there now.

    Attributes:
        path: its directory, or its `gs://` location.
        handle: the handle asked for.
        bytes: received over the network; 0 when it was cached, or when tensorflow_hub fetched it.
        seconds: how long it took.
        was_cached: whether it was in the cache already.
    """

    path: str
    handle: str
    bytes: int
    seconds: float
    was_cached: bool


def print_notice(line: str) -> None:
    """Tell the user, beside whatever the cell prints."""
    print(line, file=sys.stderr)  # noqa: T201 - a line for the user, from a resolver that returns a path


def fetch_all(handles: Sequence[str]) -> FetchedModels:
    """Fetch one model after the other.

    Raises:
        HubMagicError: one of them cannot be had; those before it are there.
    """
    return FetchedModels(fetch(handle) for handle in handles)


def resolve(handle: str) -> str:
    """The model's directory, as `hub.resolve` gives it; the model is downloaded unless it is cached."""
    return fetch(handle).path


def fetch(
    handle: str,
    *,
    location: str | None = None,
    show_progress: bool = True,
    notice: Notice = print_notice,
    lock_timeout: float = LOCK_TIMEOUT,
    retries: RetryPolicy | None = None,
    bar: MakeBar | None = None,
    fall_back: bool = True,
) -> Fetched:
    """Have a model in the cache.

    What is cached and whole is given back without a word to the network. What is not is downloaded, once even
    if several kernels ask for it; a damaged copy is replaced. Works without TensorFlow for a URL; any other
    handle is tensorflow_hub's own business.

    Args:
        handle: the model's URL or path, as `hub.load` takes it.
        location: the cache; the one in force when None.
        show_progress: whether to show a bar where somebody sees it.
        notice: takes a line for the user, such as that a damaged copy is replaced.
        lock_timeout: seconds without growth after which another machine's download counts as given up.
        retries: with the host; the usual one when None.
        bar: makes the bars, from title and bytes; the usual ones when None.
        fall_back: whether a damaged copy that TensorFlow may be able to load is used when the download fails.

    Raises:
        HandleError: the handle is not well-formed.
        NotCachedError: it is not cached, and offline mode is on.
        DamagedEntryError: the cached copy is damaged, and offline mode is on.
        DownloadError: it cannot be downloaded or written.
    """
    began = time.monotonic()
    parsed = handle_of_any_scheme(handle) if is_offline() else parsed_handle(handle)
    cache = location or read_cache().value
    ours = is_ours(parsed, cache) and not _is_anothers(parsed, cache)
    if ours and _is_uncompressed():
        from .uncompressed import folder_of

        path = folder_of(parsed, retries)
        return Fetched(path, handle, 0, time.monotonic() - began, was_cached=False)
    if ours:
        bar = bar or partial(DownloadBar, shown=show_progress and has_audience())
        options = DownloadOptions(bar, notice, retries, fall_back)
        path, received = _have(parsed, cache, options, lock_timeout)
        return Fetched(path, handle, received, time.monotonic() - began, was_cached=received == 0)
    return Fetched(pass_on(parsed, cache), handle, 0, time.monotonic() - began, was_cached=False)


def resolve_ours(handle: Handle) -> str:
    """The model's directory; the handle is known to be ours.

    Raises:
        HubMagicError: as `fetch`.
    """
    cache = read_cache().value
    entry = os.path.join(cache, handle.folder)  # noqa: PTH118 - as tensorflow_hub gives it
    try:
        if not _is_uncompressed() and _judge(entry) == INTACT:
            return entry
    except OSError:
        pass  # `fetch` meets it again, and has words for it
    return fetch(handle.text).path


def is_cached(handle: Handle, location: str | None = None) -> bool:
    """Whether the cache, the one in force when None, holds a copy that a load should use."""
    cache = location or read_cache().value
    if is_bucket(cache):
        return False
    try:
        return _is_usable(os.path.join(cache, handle.folder))  # noqa: PTH118 - as tensorflow_hub gives it
    except OSError:
        return False


def _is_anothers(handle: Handle, cache: str) -> bool:
    """Whether a resolver that somebody added to tensorflow_hub gives the model, as Kaggle's images do."""
    if is_offline() or (is_kaggles(handle) and is_cached(handle, cache)):
        return False
    import_added_resolvers(handle)
    return is_added_for(handle.text)


def _is_uncompressed() -> bool:
    return read_mode().value == "uncompressed"


def _have(handle: Handle, cache: str, options: DownloadOptions, lock_timeout: float) -> tuple[str, int]:
    """The model's directory, and the bytes received for it: 0 when it was there, or another fetched it."""
    if is_bucket(cache):
        from .new_entry import have_in_bucket

        return have_in_bucket(
            handle, cache, options, lambda directory: _have(handle, directory, options, lock_timeout)
        )
    entry = os.path.join(cache, handle.folder)  # noqa: PTH118 - as tensorflow_hub gives it
    with _words_for_disk(cache):
        found = _judge(entry)
        if found and not found.damage:
            _tell_once(handle, entry, found.note, options.notice)
            return entry, 0
        if found and found.may_load and options.fall_back:
            return entry, _mend(handle, entry, found.damage, options, lock_timeout)
        if is_offline():
            raise offline_error(handle, cache, found.damage if found else None)
        if found:
            options.notice(f"The cached copy of {handle} is damaged ({found.damage}). Downloading it again.")
        return entry, _download(handle, entry, options, lock_timeout)


def _mend(handle: Handle, entry: str, damage: str, options: DownloadOptions, lock_timeout: float) -> int:
    """Download a damaged copy again, if that can be; TensorFlow may be able to load it as it is.

    The user is told once, and a host that did not help is not asked again by this process.
    """
    if (entry, damage) in _TOLD:
        return 0
    why = "offline mode is on"
    if not is_offline():
        try:
            with _words_for_disk(os.path.dirname(entry)):  # noqa: PTH120
                received = _download(handle, entry, options, lock_timeout)
        except HubMagicError as error:
            why = str(error).rstrip(".")
            if not (now := _judge(entry)) or not now.may_load:
                raise
        else:
            options.notice(f"The cached copy of {handle} was damaged ({damage}). It was downloaded again.")
            return received
    _TOLD.add((entry, damage))
    options.notice(
        f"The cached copy of {handle} is damaged ({damage}) and could not be downloaded again: {why}. "
        "TensorFlow may be able to load it, so it is used."
    )
    return 0


# Entries that users were told about, and what is wrong with each.
_TOLD: set[tuple[str, str]] = set()


@contextlib.contextmanager
def _words_for_disk(cache: str) -> Iterator[None]:
    """What the disk refuses inside the `with` is raised as a DownloadError."""
    try:
        yield
    except NoSpaceError as error:
        raise DownloadError(no_space(cache, str(error))) from error
    except HubMagicError:
        raise
    except OSError as error:
        raise DownloadError(explain_disk(cache, error)) from error


def _tell_once(handle: Handle, entry: str, note: str, notice: Notice) -> None:
    """Tell of a file that no load needs; once in a process, as a notebook loads the same model many times."""
    if note and (entry, note) not in _TOLD:
        _TOLD.add((entry, note))
        notice(
            f"The cached copy of {handle} is used without a file that TensorFlow does not need ({note}). "
            f"To have the file again: %hub_cache --repair {handle}"
        )


def _judge(entry: str) -> Judgement | None:
    """What a load should think of a cached copy; None when there is none."""
    if not os.path.isdir(entry):  # noqa: PTH112 - on every load
        return None
    if os.path.lexists(entry + LOCK_SUFFIX):
        with contextlib.suppress(OSError):  # another user's, or a cache that is only read
            take_over(entry, seconds=0)
    found = judge(entry)
    if os.path.islink(entry):  # noqa: PTH114 - what a link leads to is somebody else's
        return INTACT
    if not found.damage:
        return found
    return found if os.listdir(entry) else None  # noqa: PTH208


def _is_usable(entry: str) -> bool:
    found = _judge(entry)
    return found is not None and not found.damage


def _download(handle: Handle, entry: str, options: DownloadOptions, lock_timeout: float) -> int:
    """Download a model into its place in the cache; the bytes received, 0 when another process did it."""
    os.makedirs(os.path.dirname(entry), exist_ok=True)  # noqa: PTH103, PTH120
    with options.bar("", None) as waiting:

        def show(holder: Holder | None, size: int) -> None:
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            waiting.show(size, title=f"{who} is downloading {title_of(handle)}")

        lock = lock_entry(entry, is_done=lambda: _is_usable(entry), on_wait=show, timeout=lock_timeout)
    if lock is None:
        return 0
    with lock:
        if _is_usable(entry):
            return 0
        return make_entry(handle, archive_url(handle.text), Parts(entry, lock.holder.uid), options)


def archive_url(handle: str) -> str:
    """Where a handle's archive is, made as tensorflow_hub makes it."""
    if handle.startswith(_MIRROR):
        return _MIRROR_ARCHIVE.format(handle[len(_MIRROR) :])
    url = urlparse(handle)
    query = urlencode([*parse_qsl(url.query), ("tf-hub-format", "compressed")])
    return urlunparse(url._replace(query=query))
