"""A model fetched into a bucket: downloaded and checked here, then sent, once for all who use the bucket."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

from ..bucket.lock import LockTimes, look_at, wait_for_entry
from ..bucket.scan import BucketEntry
from ..bucket.upload import new_entry, put_entry
from ..gcs import BucketFolder, open_folder
from ..handles import Handle
from ..progress import DownloadBar, Tally, run_all, run_aside
from ..settings import is_offline
from .new_entry import DownloadOptions, title_of
from .offline import offline_error

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

        with options.bar(f"Asking for {cache}", None) as bar:
            folder, found = run_aside(look, adding(bar, quiet=1))
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
    who = f"process {holder.pid} on {holder.host}" if holder else "another machine"
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
