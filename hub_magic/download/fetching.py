"""Fetch a model: from a handle to a directory, out of the cache or over the network."""

from __future__ import annotations

import contextlib
import errno
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
from ..cache.locks import LOCK_TIMEOUT, Parts, take_over, why_unreadable
from ..cache.record import judge
from ..errors import HubMagicError, SettingError
from ..facts import Fact, as_text
from ..handles import Handle
from ..masking import has_secrets, mask_secrets
from ..progress import DownloadBar, is_interactive
from ..quantities import plural
from ..settings import is_offline, read_cache, read_mode
from ..store import open_store
from .archive import NoSpaceError
from .failures import disk_error
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
from .web import RetryPolicy, retry_policy


class FetchedModels(tuple["Fetched", ...]):  # noqa: SLOT001 - a tuple has no slots for `failed`
    """Models that are there now, in the order in which they were asked for.

    Attributes:
        failed: the models that could not be had, each with the reason.

    Example:
        >>> fetch_all(["https://host.example/team/model/1"])[0].was_cached
        True
    """

    failed: tuple[NotFetched, ...] = ()

    def __str__(self) -> str:
        return as_text(self)

    def to_json(self) -> str:
        """The facts of each as JSON text; a model that could not be had has an `error`."""
        return json.dumps([model.to_data() for model in (*self, *self.failed)], indent=2)


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


@dataclass(frozen=True, slots=True)
class NotFetched(Fact):
    """A model that could not be had.

    Attributes:
        handle: the handle asked for.
        error: why not, in one line.
    """

    handle: str
    error: str


def print_notice(line: str) -> None:
    """Tell the user, beside whatever the cell prints."""
    print(mask_secrets(line), file=sys.stderr)  # noqa: T201 - a line for the user, from a resolver that returns a path


def fetch_all(handles: Sequence[str], *, force: bool = False, timeout: float | None = None) -> FetchedModels:
    """Fetch one model after the other.

    Args:
        handles: the models' URLs or paths.
        force: whether intact models are downloaded again.
        timeout: seconds without a byte after which the first try is given up; the usual ones when None.

    Raises:
        HubMagicError: one of them cannot be had; those before it are there.

    Example:
        >>> len(fetch_all(["https://host.example/team/model/1"]))
        1
    """
    return FetchedModels(fetch(handle, force=force, timeout=timeout) for handle in handles)


def try_all(handles: Sequence[str], *, force: bool = False, timeout: float | None = None) -> FetchedModels:
    """Fetch one model after the other, also after one that fails; the result names those in `failed`."""
    done, failed = [], []
    for handle in handles:
        try:
            done.append(fetch(handle, force=force, timeout=timeout))
        except HubMagicError as error:
            failed.append(NotFetched(handle, str(error)))
    models = FetchedModels(done)
    models.failed = tuple(failed)
    return models


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
    force: bool = False,
    timeout: float | None = None,
    fall_back: bool = True,
    last_resort: bool = False,
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
        force: whether an intact model is downloaded again; its old copy stays until the new one is complete.
        timeout: seconds without a byte after which the first try is given up, each further one waits longer;
            those of HUB_MAGIC_TIMEOUT when None, or the usual ones.
        fall_back: whether a damaged copy that TensorFlow may be able to load is used when the download fails.
        last_resort: whether any damaged copy is used then: TensorFlow says why it cannot load it, as without
            the extension.

    Raises:
        HandleError: the handle is not well-formed.
        SettingError: `force` in offline mode or with a bucket, or HUB_MAGIC_TIMEOUT is no number of seconds.
        NotCachedError: it is not cached, and offline mode is on.
        DamagedEntryError: the cached copy is damaged, and offline mode is on.
        DownloadError: it cannot be downloaded or written.

    Example:
        >>> fetch("https://host.example/team/model/1").path == scan_cache().models[0].path
        True
    """
    began = time.monotonic()
    parsed = handle_of_any_scheme(handle) if is_offline() else parsed_handle(handle)
    cache = location or read_cache().value
    if timeout is not None:
        retries = retry_policy(timeout)
    ours = is_ours(parsed, cache) and not _is_anothers(parsed, cache)
    if ours and _is_uncompressed():
        from .uncompressed import folder_of

        path = folder_of(parsed, retries)
        return Fetched(path, handle, 0, time.monotonic() - began, was_cached=False)
    if ours:
        bar = bar or partial(DownloadBar, shown=show_progress and is_interactive())
        options = DownloadOptions(bar, notice, retries, force, fall_back, last_resort)
        path, received = _have(parsed, cache, options, lock_timeout)
        return Fetched(path, handle, received, time.monotonic() - began, was_cached=received == 0)
    return Fetched(pass_on(parsed, cache), handle, 0, time.monotonic() - began, was_cached=False)


def resolve_ours(handle: Handle) -> str:
    """The model's directory; the handle is known to be ours.

    Raises:
        HubMagicError: as `fetch`.
    """
    cache = read_cache().value
    entry = os.path.join(cache, handle.folder)
    try:
        if not _is_uncompressed() and _judge(entry) == INTACT:
            return entry
    except OSError:
        pass  # `fetch` runs into the same error, and explains it
    return fetch(handle.text, last_resort=True).path


def is_cached(handle: Handle, location: str | None = None) -> bool:
    """Whether the cache, the one in force when None, holds a copy that a load should use."""
    cache = location or read_cache().value
    if open_store(cache).is_remote:
        return False
    try:
        return _is_usable(os.path.join(cache, handle.folder))
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
    if options.force:
        _check_force(handle, cache)
    if open_store(cache).is_remote:
        from .new_entry import have_in_bucket

        return have_in_bucket(
            handle, cache, options, lambda directory: _have(handle, directory, options, lock_timeout)
        )
    entry = os.path.join(cache, handle.folder)
    with _words_for_disk(cache):
        found = _judge(entry)
        if found and not found.damage and not options.force:
            _tell_once(handle, entry, found.note, options.notice)
            return entry, 0
        if found and found.damage and found.may_load and options.fall_back and not options.force:
            return entry, _repair(handle, entry, found.damage, options, lock_timeout)
        if is_offline():
            raise offline_error(handle, cache, found.damage if found else None)
        if found and found.damage:
            options.notice(f"The cached copy of {handle} is damaged ({found.damage}). Downloading it again.")
        try:
            with _words_for_disk(cache):
                return entry, _download(handle, entry, options, lock_timeout)
        except HubMagicError as error:
            # TensorFlow's own error about the damaged copy is what code without the extension meets.
            if not (found and found.damage and options.last_resort and _judge(entry)):
                raise
            options.notice(f"It could not be downloaded again: {error}")
            return entry, 0


def _check_force(handle: Handle, cache: str) -> None:
    """Make sure that a model can be downloaded again.

    Raises:
        SettingError: the cache is in a bucket, or offline mode is on.
    """
    if open_store(cache).is_remote:
        raise SettingError(
            f"--force works with caches on disk. Remove the model first: %hub_cache --remove {handle}"
        )
    if is_offline():
        raise SettingError(
            f"--force downloads {handle} again, and offline mode is on. "
            "Leave offline mode with %hub_mode compressed."
        )


def _repair(handle: Handle, entry: str, damage: str, options: DownloadOptions, lock_timeout: float) -> int:
    """Download a damaged copy again, if that can be; TensorFlow may be able to load it as it is.

    The user is told once, and a host that did not help is not asked again by this process.
    """
    if (entry, damage) in _TOLD:
        return 0
    why = "offline mode is on"
    if not is_offline():
        try:
            with _words_for_disk(os.path.dirname(entry)):
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
        raise disk_error(no_space(cache, str(error)), errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except HubMagicError:
        raise
    except OSError as error:
        raise disk_error(
            explain_disk(cache, error), error.errno or 0, error.strerror or "", error.filename or ""
        ) from error


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
    if not os.path.isdir(entry):
        return None
    if os.path.lexists(entry + LOCK_SUFFIX):
        with contextlib.suppress(OSError):  # another user's, or a cache that is only read
            take_over(entry, seconds=0)
    found = judge(entry)
    if os.path.islink(entry):
        return INTACT
    if not found.damage:
        return found
    return found if os.listdir(entry) else None


def _is_usable(entry: str) -> bool:
    found = _judge(entry)
    return found is not None and not found.damage


def _download(handle: Handle, entry: str, options: DownloadOptions, lock_timeout: float) -> int:
    """Download a model into its place in the cache; the bytes received, 0 when another process did it."""
    os.makedirs(os.path.dirname(entry), exist_ok=True)
    before = _mark(entry) if options.force else None

    def is_done() -> bool:
        # Whoever has replaced the copy since we began has downloaded it for us, too.
        return _is_usable(entry) and (before is None or _mark(entry) != before)

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

        lock = lock_entry(entry, is_done=is_done, on_wait=show, timeout=lock_timeout)
    if lock is None:
        return 0
    with lock:
        if is_done():
            return 0
        return make_entry(handle, archive_url(handle.text), Parts(entry, lock.holder.uid), options)


def _mark(entry: str) -> tuple[int, ...] | None:
    """What tells a copy from another that takes its place; None when there is none."""
    try:
        facts = os.stat(entry)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


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
