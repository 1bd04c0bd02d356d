"""Transfer files to a bucket, from a bucket, and between two."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..progress import Progress, no_progress
from .folder import BucketFolder
from .objects import BucketFile, Part, Watched, local_checksum

MOST_PIECES = 32  # the most parts of one object, by the manual's "Composite objects"
# Larger objects are sent in chunks, so that each chunk can be sent again.
_CHUNK = 16 << 20


def upload(
    folder: BucketFolder,
    path: str,
    name: str,
    progress: Progress = no_progress,
    *,
    start: int = 0,
    size: int = -1,
) -> BucketFile:
    """Send a local file and return the new object.

    Args:
        folder: the target folder.
        path: the path of the file.
        name: the name of the object.
        progress: told the number of further bytes sent.
        start: where the part to send begins.
        size: the length of that part; to the file's end by default.
    """
    if size < 0:
        size = os.stat(path).st_size - start  # for thousands of files
    blob = folder.blob(name)
    blob.chunk_size = _CHUNK if size > _CHUNK else None
    with open(path, "rb") as file, folder.in_words("written"):
        blob.upload_from_file(
            Watched(Part(file, start, size), progress),
            size=size,
            content_type="application/octet-stream",
            timeout=folder.timeout,
            retry=folder.retry,
            checksum="crc32c",
        )
    return BucketFile(name, size, int(blob.generation))


def join(folder: BucketFolder, pieces: Sequence[str], name: str) -> BucketFile:
    """Make one object of several, which stay, and return it."""
    blob = folder.blob(name)
    blob.content_type = "application/octet-stream"
    with folder.in_words("written"):
        blob.compose([folder.blob(piece) for piece in pieces], timeout=folder.timeout, retry=folder.retry)
    return BucketFile(name, int(blob.size), int(blob.generation))


def download(folder: BucketFolder, file: BucketFile, path: str, progress: Progress = no_progress) -> None:
    """Fetch this generation of an object into a local file, and compare the checksum.

    Bytes of an earlier attempt stay in the file if the object begins with them.
    """
    had = os.stat(path).st_size if os.path.isfile(path) else 0
    if 0 < had <= file.size and file.crc32c:
        if had < file.size:
            _fetch(folder, file, path, progress, had)
        else:
            progress(had)
        if local_checksum(path) == file.crc32c:
            return
        progress = no_progress  # these bytes are already reported
    _fetch(folder, file, path, progress)


def _fetch(folder: BucketFolder, file: BucketFile, path: str, progress: Progress, start: int = 0) -> None:
    """Fetch an object from `start` on, into a file that holds the bytes before."""
    blob = folder.bucket.blob(folder.prefix + file.name, generation=file.generation)
    with open(path, "ab" if start else "wb") as target, folder.in_words("read"):
        blob.download_to_file(
            Watched(target, progress),
            start=start or None,
            timeout=folder.timeout,
            retry=folder.retry,
            checksum=None if start else "crc32c",
            raw_download=True,
        )


def copy_between(source: BucketFolder, file: BucketFile, folder: BucketFolder, name: str) -> BucketFile:
    """Copy an object of another folder within the storage, and return the new object."""
    original = source.bucket.blob(source.prefix + file.name, generation=file.generation)
    target, token = folder.blob(name), None
    with folder.in_words("written"):
        while True:
            token, _, _ = target.rewrite(original, token=token, timeout=folder.timeout, retry=folder.retry)
            if token is None:
                return BucketFile(name, file.size, int(target.generation))
