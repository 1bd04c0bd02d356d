"""Make a new entry: fetch, unpack and check it beside its place, then install it in one step."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from ..bucket.lock import LockTimes, look_at, wait_for_entry
from ..bucket.scan import BucketEntry
from ..bucket.upload import new_entry, put_entry
from ..cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX, Descriptor, descriptor_text
from ..cache.locks import Parts, remove, write_new
from ..cache.quarantine import move_aside
from ..cache.record import EntryRecord, FileRecord, find_damage, record_text
from ..gcs import BucketFolder, open_folder
from ..handles import Handle
from ..progress import DownloadBar, Tally, run_all, run_in_thread
from ..quantities import size as quantity
from ..settings import is_offline
from .archive import ArchiveRefusedError, UnreadableArchiveError, check_space, unpack
from .decode import ArchiveDamagedError, NotAnArchiveError, decompress
from .failures import NoModelError, UnsafeModelError
from .http import RestartError
from .messages import explain_content, offline_error
from .spool import Spool
from .transfer import Transfer
from .web import RetryPolicy

if TYPE_CHECKING:
    from typing_extensions import Self


_RETRIES = 0.1  # seconds between two looks at whether the other side is still there


class Ahead(Iterator[bytes]):
    """The items of `source`, made while the earlier ones are used.

    Use it in a `with`, and end whatever `source` waits for before leaving it: the thread is waited for.

    Args:
        source: what to iterate over.
        tick: called in the reader's thread before each item, and ten times a second while it waits.
        items: how many may lie ready.
    """

    def __init__(self, source: Iterator[bytes], tick: Callable[[], None], *, items: int = 16) -> None:
        self._source = source
        self._tick = tick
        self._ready: queue.Queue[bytes | BaseException] = queue.Queue(items)
        self._is_left = threading.Event()
        self._end: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hub_magic unpack", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_left.set()
        self._thread.join()

    def __next__(self) -> bytes:
        while self._end is None:
            self._tick()
            try:
                item = self._ready.get(timeout=_RETRIES)
            except queue.Empty:
                continue
            if not isinstance(item, BaseException):
                return item
            self._end = item
        raise self._end

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
            self._put(StopIteration())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the reader gets it
            self._put(error)

    def _put(self, item: bytes | BaseException) -> bool:
        """Whether there was still a reader to take it."""
        while not self._is_left.is_set():
            try:
                self._ready.put(item, timeout=_RETRIES)
            except queue.Full:
                continue
            return True
        return False


Notice = Callable[[str], None]
MakeBar = Callable[[str, int | None], DownloadBar]

_CONNECTIONS = 6
_ATTEMPTS = 3


@dataclass(frozen=True)
class DownloadOptions:
    """How a download goes about it.

    Attributes:
        bar: makes a bar, from its title and the bytes there will be.
        notice: takes a line for the user.
        retries: with the host; the usual one when None.
        force: whether an intact entry is replaced.
        fall_back: whether a damaged copy that may load is used when the download fails.
        last_resort: whether a copy that cannot load is used then, too: TensorFlow says why it cannot.
    """

    bar: MakeBar
    notice: Notice
    retries: RetryPolicy | None
    force: bool = False
    fall_back: bool = True
    last_resort: bool = False


def make_entry(handle: Handle, url: str, parts: Parts, options: DownloadOptions) -> int:
    """Download an archive, and put what it holds in place of the entry; gives the bytes received.

    An archive that arrives damaged, or changes on the way, is fetched again, over one connection.

    Args:
        handle: the model's.
        url: where its archive is.
        parts: where to write; the entry's lock is ours.
        options: how to go about it.

    Raises:
        DownloadError: the archive cannot be had, or holds what it must not.
        OSError: the disk refuses to be written.
    """
    received = 0
    for attempt in range(1, _ATTEMPTS + 1):
        connections = _CONNECTIONS if attempt == 1 else 1
        try:
            os.mkdir(parts.folder)
            size, etag, files = _unpack(handle, url, parts, connections, options)
            received += size
            put_in_place(parts, handle.text, etag, files, force=options.force)
        except (ArchiveDamagedError, RestartError) as error:
            if attempt == _ATTEMPTS:
                raise NoModelError(
                    f"The download of {handle} failed {attempt} times: {error}. "
                    "Try another network, or report it to the host."
                ) from error
            options.notice(f"The download of {handle} failed: {error}. Downloading it again.")
        except ArchiveRefusedError as error:
            unreadable = isinstance(error, UnreadableArchiveError)
            kind = NoModelError if unreadable else UnsafeModelError
            what = (
                f"cannot be unpacked ({error})" if unreadable else f"is unsafe ({error}) and was not unpacked"
            )
            raise kind(f"The archive of {handle} {what}. Report it to the host.") from error
        else:
            return received
        finally:
            parts.remove()
    raise AssertionError  # the last attempt returns or raises


def _unpack(
    handle: Handle, url: str, parts: Parts, connections: int, options: DownloadOptions
) -> tuple[int, str, tuple[FileRecord, ...]]:
    """Fetch and unpack an archive: bytes received, the host's ETag, the files."""
    folder = parts.folder
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(parts.entry))
        transfer = stack.enter_context(
            Transfer(
                handle.text,
                url,
                retries=options.retries,
                notice=options.notice,
                connections=connections,
                spool=spool,
            )
        )
        if transfer.start:
            options.notice(f"Resuming the download of {handle} after {quantity(transfer.start)}.")
        size = transfer.facts.size
        if size is not None:
            check_space(size, shutil.disk_usage(folder).free)
        progress = stack.enter_context(options.bar(title_of(handle), size))
        blocks = stack.enter_context(
            Ahead(
                decompress(transfer.chunks(), may_be_cut=transfer.facts.may_be_cut),
                lambda: progress.show(transfer.start + transfer.received, note=transfer.note),
            )
        )
        stack.callback(transfer.stop)
        try:
            files = unpack(blocks, folder)
        except NotAnArchiveError as error:
            raise NoModelError(explain_content(handle.text, transfer.facts.url, error.head)) from error
        return transfer.received, transfer.facts.etag, files


def title_of(handle: Handle) -> str:
    """A model's name for a bar."""
    return "/".join(part for part in (handle.publisher, handle.name, handle.version) if part)


def put_in_place(
    parts: Parts, handle: str, etag: str, files: tuple[FileRecord, ...], *, force: bool = False
) -> None:
    """Give the new folder its name, unless an intact one has come there meanwhile.

    Args:
        parts: where it is; the entry's lock is ours.
        handle: the model's.
        etag: the host's word for the archive's version; "" when there is none.
        files: the files in the folder.
        force: whether an intact one is replaced.

    Raises:
        OSError: the disk refuses to be written.
    """
    entry = parts.entry
    if os.path.isdir(entry) and not force and not find_damage(entry):
        return
    if force:
        # Without a record, either copy is intact by its names: whoever looks in between finds no damage.
        remove(entry + RECORD_SUFFIX)
    # As tensorflow_hub does, first the descriptor: an entry is there when its folder is.
    text = descriptor_text(Descriptor(handle, datetime.now(), socket.gethostname(), os.getpid()))  # noqa: DTZ005
    write_new(parts.descriptor, text)
    os.replace(parts.descriptor, entry + DESCRIPTOR_SUFFIX)
    write_new(parts.record, record_text(EntryRecord(handle, etag, text, files)))
    if not force:
        os.replace(parts.record, entry + RECORD_SUFFIX)
    if os.path.lexists(entry):
        move_aside(entry, parts.old, keep=force)
    try:
        os.rename(parts.folder, entry)
    except OSError:
        if os.path.lexists(parts.old):
            os.rename(parts.old, entry)
        raise
    if force:
        os.replace(parts.record, entry + RECORD_SUFFIX)


# Downloads the model's archive into a cache in this directory: the entry's path, and the bytes received.
Download = Callable[[str], tuple[str, int]]


def have_in_bucket(
    handle: Handle, cache: str, options: DownloadOptions, download: Download, times: LockTimes | None = None
) -> tuple[str, int]:
    """The model's location in the bucket, and the bytes received for it: 0 when it was there.

    Args:
        handle: the model's.
        cache: the `gs://` location.
        options: how to show progress.
        download: downloads it into a directory.
        times: with other machines that are at work on it; the usual one when None.

    Raises:
        SettingError: the bucket refuses, or does not answer.
        NotCachedError: it is not there, and offline mode is on.
        DownloadError: the archive cannot be had.
    """
    path = f"{cache}/{handle.folder}"
    with ExitStack() as stack:

        def look(_tally: Tally) -> tuple[BucketFolder, BucketEntry]:
            folder = stack.enter_context(open_folder(cache))
            return folder, look_at(folder, handle.folder)

        with options.bar(f"Checking {cache}", None) as bar:
            folder, found = run_in_thread(look, adding(bar, quiet=1))
        if found.is_whole:
            return path, 0
        if is_offline():
            raise offline_error(handle, cache, found.damage if found.exists else None)
        with options.bar("", None) as bar:
            before, lock = wait_for_entry(
                folder, handle.folder, times or LockTimes(), lambda entry: _show_other(bar, handle, entry)
            )
        if lock is None:
            return path, 0
        with lock:
            if before.is_whole_without_lock:
                return path, 0
            with tempfile.TemporaryDirectory(prefix="hub_magic") as here:
                local, received = download(here)
                entry = new_entry(folder, local)
                with options.bar(f"Sending {title_of(handle)}", entry.size) as bar:
                    run_all([lambda tally: put_entry(lock, before, entry, tally.add)], adding(bar), workers=1)
    return path, received


def _show_other(bar: DownloadBar, handle: Handle, entry: BucketEntry) -> None:
    holder = entry.holder
    who = f"process {holder.pid} on {holder.host}" if holder else "another computer"
    sent = sum(file.size for file in entry.scratch_files())
    bar.show(sent, title=f"{who} is fetching {title_of(handle)}")


def adding(bar: DownloadBar, *, quiet: float = 0) -> Callable[[int], None]:
    """A bar told of further bytes; the bar itself wants to know how many there are in all.

    Args:
        bar: the bar.
        quiet: seconds in which it does not show up yet.
    """
    done = 0
    began = time.monotonic()

    def add(count: int) -> None:
        nonlocal done
        done += count
        if time.monotonic() - began >= quiet:
            bar.show(done)

    return add
