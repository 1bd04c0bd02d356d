"""Fetch a model: from a handle to a directory, out of the cache or over the network."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlparse, urlunparse

from ..cache.layout import LOCK_SUFFIX, Holder
from ..cache.locks import LOCK_TIMEOUT, Parts, take_over, why_unreadable
from ..cache.record import find_damage
from ..errors import DownloadError
from ..facts import Fact
from ..handles import Handle
from ..masking import has_secrets, mask_secrets
from ..progress import DownloadBar, is_interactive
from ..quantities import plural
from ..settings import is_offline, read_cache, read_mode
from ..store import open_store
from .archive import NoSpaceError
from .http import RetryPolicy
from .lock import lock_entry
from .messages import explain_disk, no_space, offline_error
from .new_entry import DownloadOptions, MakeBar, Notice, make_entry, title_of
from .ownership import is_ours, parsed_handle, pass_on


class FetchedModels(tuple["Fetched", ...]):
    """Models that are there now, in the order in which they were asked for.

    Example:
        >>> fetch_all(["https://host.example/team/model/1"])[0].was_cached
        True
    """

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

    Example:
        >>> fetched = fetch("https://host.example/team/model/1")
        >>> fetched.was_cached, fetched.bytes
        (True, 0)
    """

    path: str
    handle: str
    bytes: int
    seconds: float
    was_cached: bool


def print_notice(line: str) -> None:
    """Tell the user, beside whatever the cell prints."""
    print(mask_secrets(line), file=sys.stderr)  # noqa: T201 - a line for the user, from a resolver that returns a path


def fetch_all(handles: Sequence[str]) -> FetchedModels:
    """Fetch one model after the other.

    Raises:
        HubMagicError: one of them cannot be had; those before it are there.

    Example:
        >>> len(fetch_all(["https://host.example/team/model/1"]))
        1
    """
    return FetchedModels(fetch(handle) for handle in handles)


def resolve(handle: str) -> str:
    """The model's directory, as `hub.resolve` gives it; the model is downloaded unless it is cached.

    Example:
        >>> resolve("https://host.example/team/model/1") == scan_cache().models[0].path
        True
    """
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

    Raises:
        HandleError: the handle is not well-formed.
        NotCachedError: it is not cached, and offline mode is on.
        DamagedEntryError: the cached copy is damaged, and offline mode is on.
        DownloadError: it cannot be downloaded or written.

    Example:
        >>> fetch("https://host.example/team/model/1").path == scan_cache().models[0].path
        True
    """
    began = time.monotonic()
    parsed = parsed_handle(handle)
    cache = location or read_cache().value
    if is_ours(parsed, cache) and _is_uncompressed():
        from .uncompressed import folder_of

        path = folder_of(parsed, retries)
        return Fetched(path, handle, 0, time.monotonic() - began, was_cached=False)
    if is_ours(parsed, cache):
        bar = bar or partial(DownloadBar, shown=show_progress and is_interactive())
        options = DownloadOptions(bar, notice, retries)
        path, received = _have(parsed, cache, options, lock_timeout)
        return Fetched(path, handle, received, time.monotonic() - began, was_cached=received == 0)
    return Fetched(pass_on(parsed, cache), handle, 0, time.monotonic() - began, was_cached=False)


def resolve_ours(handle: Handle) -> str:
    """The model's directory; the handle is known to be ours.

    Raises:
        HubMagicError: as `fetch`.
    """
    cache = read_cache().value
    entry = os.path.join(cache, handle.folder)  # as tensorflow_hub returns it
    try:
        if not _is_uncompressed() and _damage(entry) == "":
            return entry
    except OSError:
        pass  # `fetch` meets it again, and has words for it
    return fetch(handle.text).path


def _is_uncompressed() -> bool:
    return read_mode().value == "uncompressed"


def _have(handle: Handle, cache: str, options: DownloadOptions, lock_timeout: float) -> tuple[str, int]:
    """The model's directory, and the bytes received for it: 0 when it was there, or another fetched it."""
    if open_store(cache).is_remote:
        from .new_entry import have_in_bucket

        return have_in_bucket(
            handle, cache, options, lambda directory: _have(handle, directory, options, lock_timeout)
        )
    entry = os.path.join(cache, handle.folder)  # as tensorflow_hub returns it
    try:
        damage = _damage(entry)
        if damage == "":
            return entry, 0
        if is_offline():
            raise offline_error(handle, cache, damage)
        if damage:
            options.notice(f"The cached copy of {handle} is damaged ({damage}). Downloading it again.")
        return entry, _download(handle, entry, options, lock_timeout)
    except NoSpaceError as error:
        raise DownloadError(no_space(cache, str(error))) from error
    except OSError as error:
        raise DownloadError(explain_disk(cache, error)) from error


def _damage(entry: str) -> str | None:
    """Why a cached copy cannot be whole; "" when nothing speaks against it, None when there is none."""
    if not os.path.isdir(entry):  # on every load
        return None
    if os.path.lexists(entry + LOCK_SUFFIX):
        with contextlib.suppress(OSError):  # another user's, or a cache that is only read
            take_over(entry, seconds=0)
    damage = find_damage(entry)
    if not damage or os.path.islink(entry):  # the target of a link is not ours
        return ""
    return damage if os.listdir(entry) else None


def _download(handle: Handle, entry: str, options: DownloadOptions, lock_timeout: float) -> int:
    """Download a model into its place in the cache; the bytes received, 0 when another process did it."""
    os.makedirs(os.path.dirname(entry), exist_ok=True)
    if has_secrets(handle.text):
        options.notice(
            f"{mask_secrets(handle.text)}: its password or token is stored in the cache, in files that "
            "only you can read. Write the login of a host into ~/.netrc instead, and the handle without it."
        )
    told = False
    with options.bar("", None) as waiting:

        def show(holder: Holder | None, size: int) -> None:
            nonlocal told
            if holder is None and not told:
                told = True
                options.notice(_waiting_for(entry, lock_timeout))
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            waiting.show(size, title=f"{who} is downloading {title_of(handle)}")

        lock = lock_entry(entry, is_done=lambda: _damage(entry) == "", on_wait=show, timeout=lock_timeout)
    if lock is None:
        return 0
    with lock:
        if _damage(entry) == "":
            return 0
        return make_entry(handle, archive_url(handle.text), Parts(entry, lock.holder.uid), options)


def _waiting_for(entry: str, timeout: float) -> str:
    """Return the line about a lock that does not name its owner, so that no bar can."""
    why = why_unreadable(entry + LOCK_SUFFIX)
    which = f"cannot be read ({why})" if why else "names no owner"
    return (
        f"Waiting for the lock {entry}{LOCK_SUFFIX}, which {which}. "
        f"It is taken over after {plural(max(1, round(timeout / 60)), 'minute')} without a change."
    )


def archive_url(handle: str) -> str:
    """Where a handle's archive is, made as tensorflow_hub makes it."""
    if handle.startswith(_MIRROR):
        return _MIRROR_ARCHIVE.format(handle[len(_MIRROR) :])
    url = urlparse(handle)
    query = urlencode([*parse_qsl(url.query), ("tf-hub-format", "compressed")])
    return urlunparse(url._replace(query=query))
