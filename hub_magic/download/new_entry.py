"""A new entry of a cache: fetched, unpacked and checked beside its place, then put there in one step."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from ..cache.layout import DESCRIPTOR_SUFFIX, RECORD_SUFFIX, Descriptor, descriptor_text
from ..cache.record import EntryRecord, FileRecord, find_damage, record_text
from ..errors import DownloadError
from ..handles import Handle
from ..progress import DownloadBar
from .ahead import Ahead
from .archive import ArchiveRefusedError, check_space, unpack
from .decode import ArchiveDamagedError, NotAnArchiveError, decompress
from .explain import explain_content
from .leftovers import Parts, write_new
from .source import RestartError
from .transfer import Transfer
from .web import RetryPolicy

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
    """

    bar: MakeBar
    notice: Notice
    retries: RetryPolicy | None


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
            os.mkdir(parts.folder)  # noqa: PTH102 - as all paths here, a string
            size, etag, files = _unpack(handle, url, parts.folder, connections, options)
            received += size
            put_in_place(parts, handle.text, etag, files)
        except (ArchiveDamagedError, RestartError) as error:
            if attempt == _ATTEMPTS:
                raise DownloadError(
                    f"The archive of {handle} arrived damaged {attempt} times: {error}. "
                    "Try another network, or tell whoever runs the host."
                ) from error
            options.notice(f"The archive of {handle} did not arrive whole: {error}. Downloading it again.")
        except ArchiveRefusedError as error:
            raise DownloadError(
                f"The archive of {handle} is refused: {error}. Tell whoever runs the host."
            ) from error
        else:
            return received
        finally:
            parts.remove()
    raise AssertionError  # the last attempt returns or raises


def _unpack(
    handle: Handle, url: str, folder: str, connections: int, options: DownloadOptions
) -> tuple[int, str, tuple[FileRecord, ...]]:
    """Fetch and unpack an archive: bytes received, the host's ETag, the files."""
    with ExitStack() as stack:
        transfer = stack.enter_context(
            Transfer(
                handle.text,
                url,
                retries=options.retries,
                notice=options.notice,
                connections=connections,
            )
        )
        size = transfer.facts.size
        if size is not None:
            check_space(size, shutil.disk_usage(folder).free)
        progress = stack.enter_context(options.bar(title_of(handle), size))
        blocks = stack.enter_context(
            Ahead(
                decompress(transfer.chunks()),
                lambda: progress.show(transfer.received, note=transfer.note),
            )
        )
        stack.callback(transfer.stop)
        try:
            files = unpack(blocks, folder)
        except NotAnArchiveError as error:
            raise DownloadError(explain_content(handle.text, transfer.facts.url, error.head)) from error
        return transfer.received, transfer.facts.etag, files


def title_of(handle: Handle) -> str:
    """A model's name for a bar."""
    return "/".join(part for part in (handle.publisher, handle.name, handle.version) if part)


def put_in_place(parts: Parts, handle: str, etag: str, files: tuple[FileRecord, ...]) -> None:
    """Give the new folder its name, unless a whole one has come there meanwhile.

    Args:
        parts: where it is; the entry's lock is ours.
        handle: the model's.
        etag: the host's word for the archive's version; "" when there is none.
        files: the files in the folder.

    Raises:
        OSError: the disk refuses to be written.
    """
    entry = parts.entry
    if os.path.isdir(entry) and not find_damage(entry):  # noqa: PTH112
        return
    # As tensorflow_hub does, first the descriptor: an entry is there when its folder is.
    text = descriptor_text(Descriptor(handle, datetime.now(), socket.gethostname(), os.getpid()))  # noqa: DTZ005
    write_new(parts.descriptor, text)
    os.replace(parts.descriptor, entry + DESCRIPTOR_SUFFIX)  # noqa: PTH105
    write_new(parts.record, record_text(EntryRecord(handle, etag, text, files)))
    os.replace(parts.record, entry + RECORD_SUFFIX)  # noqa: PTH105
    if os.path.lexists(entry):
        os.rename(entry, parts.old)  # noqa: PTH104
    try:
        os.rename(parts.folder, entry)  # noqa: PTH104
    except OSError:
        if os.path.lexists(parts.old):
            os.rename(parts.old, entry)  # noqa: PTH104
        raise
