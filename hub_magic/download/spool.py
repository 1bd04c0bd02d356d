"""Keep the received bytes of a slow download, so that the next one goes on where it ended.

They are in `archive.part`, in a folder with the library's name for a partial download, and `archive.json`
beside it says what archive they are of. A fast or small download writes nothing. Every download that ends
with an archive, good or bad, removes them; `--repair` and age remove what nobody goes on with.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
import uuid
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ..cache.layout import Role, read_name
from ..cache.locks import Parts
from ..errors import DownloadError
from ..small_files import OddFileError, parse_json, read_small_file
from .archive import ArchiveRefusedError, NoSpaceError
from .decode import ArchiveDamagedError
from .failures import NoModelError, UnsafeModelError
from .http import Facts, Kept

if TYPE_CHECKING:
    from typing_extensions import Self

_BYTES, _FACTS = "archive.part", "archive.json"
_LONGEST_AGE = 7 * 86_400  # seconds for which they are kept
_LARGE = 16 << 20  # bytes of an archive that is worth it from the first second on
_FIRST_LOOK = 1.0  # seconds after which the rate is known well enough
_SLOW = 5.0  # seconds that a download may take without being kept
_MOST_HELD = 32 << 20  # bytes in memory while nothing is decided
_SPACE = 3  # times the archive's bytes that must be free: they are written twice, once unpacked
_CHUNK = 1 << 17


class Spool:
    """The received bytes of one entry's download; the entry's lock is ours.

    Leaving its `with` by an error of the network, or by an interrupt, keeps them.

    Args:
        entry: the entry's path, CACHE/FOLDER.

    Attributes:
        kept: what there is to go on with; None when nothing.
    """

    def __init__(self, entry: str) -> None:
        self.kept: Kept | None = None
        self._entry = entry
        self._folder = ""
        self._file = -1
        self._held: deque[bytes] | None = None
        self._facts: Facts | None = None
        self._received = 0
        self._began = 0.0

    def __enter__(self) -> Self:
        found = sorted(_found(self._entry), key=lambda one: one[1].count)
        if found:
            self._folder, self.kept = found.pop()
        for folder, _ in found:
            shutil.rmtree(folder, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()
        if error is None or _is_final(error):
            self.discard()

    def discard(self) -> None:
        """Remove them, and keep no more of this download."""
        self._close()
        self._held = None
        self.kept = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def begin(self, facts: Facts) -> None:
        """Prepare for the bytes of this archive, from the first one or from where the kept ones end."""
        self._facts = facts
        self._began = time.monotonic()
        if self.kept:
            with contextlib.suppress(OSError):
                self._file = os.open(f"{self._folder}/{_BYTES}", os.O_WRONLY | _NO_LINK)
                os.ftruncate(self._file, self.kept.count)
                os.lseek(self._file, self.kept.count, os.SEEK_SET)
        elif facts.size and facts.validator and facts.has_ranges:
            self._held = deque()

    def read(self) -> Iterator[bytes]:
        """The kept bytes, in order.

        Raises:
            ArchiveDamagedError: they cannot be read to their end.
        """
        left = self.kept.count if self.kept else 0
        try:
            number = os.open(f"{self._folder}/{_BYTES}", os.O_RDONLY | _NO_LINK) if left else -1
        except OSError as error:
            raise ArchiveDamagedError("what was kept of it is gone") from error
        if not left:
            return
        with os.fdopen(number, "rb", buffering=0) as file:
            while left:
                try:
                    chunk = file.read(min(_CHUNK, left))
                except OSError as error:
                    raise ArchiveDamagedError("what was kept of it cannot be read") from error
                if not chunk:
                    raise ArchiveDamagedError("what was kept of it is too short")
                left -= len(chunk)
                yield chunk

    def add(self, chunk: bytes) -> None:
        """The next bytes have come."""
        self._received += len(chunk)
        if self._file >= 0:
            self._write(chunk)
        elif self._held is not None:
            self._held.append(chunk)
            self.look()

    def look(self) -> None:
        """Decide whether this download is slow; called while nothing comes, too."""
        if self._held is None or self._facts is None or not self._received:
            return
        passed = time.monotonic() - self._began
        size = self._facts.size or 0
        is_full = self._received > _MOST_HELD
        if passed < _FIRST_LOOK and not is_full:
            return
        expected = passed * size / self._received
        if passed >= _SLOW or (size >= _LARGE and expected > _SLOW):
            self._start()
        elif is_full:
            self._held = None

    def _start(self) -> None:
        held, self._held = self._held or deque(), None
        facts = self._facts
        cache = self._entry.rpartition(os.sep)[0]
        folder = Parts(self._entry, uuid.uuid4().hex).folder
        try:
            if facts is None or shutil.disk_usage(cache).free < _SPACE * (facts.size or 0):
                return
            os.mkdir(folder, 0o700)
            self._folder = folder
            self._file = os.open(f"{folder}/{_BYTES}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
            with open(f"{folder}/{_FACTS}", "x", encoding="ascii") as file:
                digests = {name: value.hex() for name, value in facts.digests}
                about = {
                    "size": facts.size,
                    "etag": facts.etag,
                    "modified": facts.modified,
                    "digests": digests,
                }
                json.dump(about, file)
        except OSError:  # a download can do without it
            self.discard()
            return
        for chunk in held:
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view and self._file >= 0:
                view = view[os.write(self._file, view) :]
        except OSError:  # the disk is full: the model needs the room
            self.discard()

    def _close(self) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1


_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def is_kept(folder: str, newest: float, now: float) -> bool:
    """Whether a partial download has bytes that the next one goes on with.

    Args:
        folder: the partial download.
        newest: when it was last written, in seconds since the epoch.
        now: the time of the same clock.
    """
    return now - newest < _LONGEST_AGE and _read(folder) is not None


def _found(entry: str) -> Iterator[tuple[str, Kept]]:
    cache, _, folder = entry.rpartition(os.sep)
    with contextlib.suppress(OSError):
        for name in os.listdir(cache):
            part = read_name(name) if name.startswith(folder) else None
            if part and part.role is Role.DOWNLOAD and (kept := _read(f"{cache}{os.sep}{name}")):
                yield f"{cache}{os.sep}{name}", kept


def _read(folder: str) -> Kept | None:
    """What a folder keeps; None when it is nothing, or another user's: what is in it becomes a model."""
    try:
        facts = [os.lstat(path) for path in (folder, f"{folder}/{_BYTES}")]
    except OSError:
        return None
    if not stat.S_ISDIR(facts[0].st_mode) or not stat.S_ISREG(facts[1].st_mode):
        return None
    if hasattr(os, "getuid") and any(one.st_uid != os.getuid() for one in facts):
        return None
    try:
        data = parse_json(read_small_file(f"{folder}/{_FACTS}").decode())
        size, etag, modified = int(data["size"]), str(data["etag"]), str(data["modified"])
        digests = tuple((str(name), bytes.fromhex(value)) for name, value in data["digests"].items())
    except (OddFileError, OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    # The last byte is asked for in any case: so the host says whether it still has the archive.
    count = min(facts[1].st_size, size - 1)
    kept = Kept(count, size, etag, modified, digests)
    return kept if count > 0 and kept.validator.isprintable() and kept.validator else None


def _is_final(error: BaseException) -> bool:
    """Whether an error says that the bytes are good for nothing, or that there is no room for them."""
    if isinstance(error, (ArchiveDamagedError, ArchiveRefusedError, NoModelError, UnsafeModelError)):
        return True
    return isinstance(error, NoSpaceError) or (
        isinstance(error, OSError) and not isinstance(error, DownloadError)
    )
